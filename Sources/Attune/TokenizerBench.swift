import AttuneText
import AttuneTraining

/// Lines turned into ids on one thread, measured once, by a tokenizer that has seen nothing yet.
public struct TokenizerBench: Sendable {
    /// Bytes of all lines, without the line breaks.
    public let byteCount: Int
    /// Ids of all lines.
    public let tokenCount: Int
    /// How long it took.
    public let seconds: Double
    /// The sum of all ids, each times 2i + 1 where i is its place: equal for equal ids in equal order.
    public let checksum: UInt64
    /// The most the process held.
    public let peakMemory: Int

    /// Measures.
    public init(_ tokenizer: Tokenizer, lines: [String]) {
        byteCount = lines.reduce(0) { $0 + $1.utf8.count }
        var ids: [[Int32]] = []
        ids.reserveCapacity(lines.count)
        seconds = secondsOf {
            for line in lines { ids.append(tokenizer.ids(of: line)) }
        }
        var count: UInt64 = 0
        var sum: UInt64 = 0
        for id in ids.joined() {
            sum &+= UInt64(id) &* (2 &* count &+ 1)
            count += 1
        }
        tokenCount = Int(count)
        checksum = sum
        peakMemory = ProcessMemory.peak
    }
}
