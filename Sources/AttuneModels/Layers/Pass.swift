import AttuneTensor

/// What every layer of one forward or backward pass shares.
struct Pass {
    let backend: any Backend
    let segments: SegmentTable
    /// Seed and step of dropout; `nil` outside training.
    let dropoutKey: RandomKey?
    /// Which rows use which adapter. One run over all rows in training.
    let adapterRuns: [AdapterRun]
    /// [T, widest input], for dropped-out inputs of adapters.
    let droppedInput: Tensor?

    var tokenCount: Int { segments.tokenCount }

    /// Counter streams: one for each projection group of each block, and one for NEFTune.
    static func dropoutStream(block: Int, group: Int) -> UInt32 { UInt32(block * 8 + group) }
    static let noiseStream: UInt32 = 0xFFFF_0000
    static let initializationStream: UInt32 = 0x8000_0000
}

/// A range of batch rows that one adapter (or none) serves.
public struct AdapterRun: Sendable, Equatable {
    /// Rows of the batch.
    public var rows: Range<Int>
    /// The name of an attached adapter; `nil` for the base alone.
    public var adapter: String?

    /// Joins the two.
    public init(rows: Range<Int>, adapter: String?) {
        self.rows = rows
        self.adapter = adapter
    }
}
