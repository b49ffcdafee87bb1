import AttuneTensor

/// The rows of one engine step: new tokens of several sequences in one flat batch.
public struct InferenceBatch: Sendable {
    /// One token a row, [T].
    public var tokens: [Int32]
    /// The row of the key/value cache each token's keys and values are written to, [T].
    public var cacheRows: [Int32]
    /// One segment a sequence; its key ranges name rows of the cache (row = block · block size + offset), the new
    /// tokens' own rows included.
    public var segments: SegmentTable
    /// Rows of the batch whose next-token logits are wanted, ascending.
    public var logitRows: [Int32]
    /// Which adapter each run of rows uses; the runs cover all rows in order. `nil` is the base model.
    public var adapters: [(rows: Range<Int>, adapter: String?)]
    /// Nothing but each row's largest logit and its place matters: others may be less than they are.
    public var onlyMaxima: Bool

    /// Joins the parts.
    public init(
        tokens: [Int32], cacheRows: [Int32], segments: SegmentTable, logitRows: [Int32],
        adapters: [(rows: Range<Int>, adapter: String?)], onlyMaxima: Bool = false
    ) {
        self.tokens = tokens
        self.cacheRows = cacheRows
        self.segments = segments
        self.logitRows = logitRows
        self.adapters = adapters
        self.onlyMaxima = onlyMaxima
    }
}

/// A decoder with a key/value cache, as the engine sees it.
///
/// All calls come from one thread at a time.
public protocol ModelRunner: AnyObject, Sendable {
    /// Columns of a row of logits.
    var vocabularySize: Int { get }
    /// Rows of the key/value cache.
    var cacheRowCount: Int { get }
    /// Runs the batch and lends the wanted rows' logits, float32 [logitRows.count, V], to `use`, once and before it returns.
    func run(_ batch: InferenceBatch, _ use: (Span<Float>) -> Void) throws
    /// Copies keys and values of `from` to the rows that start at `to`; the ranges do not overlap.
    func copyCacheRows(from: Range<Int>, to: Int)
}

/// Turns ids of one stream into text, holding back bytes of unfinished characters.
public protocol TextStream {
    /// Text that became certain with this token; may be empty.
    mutating func push(_ id: Int32) -> String
    /// What was held back, unfinished characters replaced by U+FFFD.
    mutating func finish() -> String
}

/// A tokenizer, as the engine sees it.
public protocol TokenText: Sendable {
    /// A decoder for one generated text.
    func makeStreamDecoder() -> any TextStream
    /// The bytes the token adds to a text; empty for tokens without text.
    func bytes(of id: Int32) -> [UInt8]
    /// Whether the token is a control token that never appears in plain text.
    func isSpecial(_ id: Int32) -> Bool
}

/// Stands for a tokenizer where only ids matter.
package struct NoText: TokenText {
    struct Stream: TextStream {
        mutating func push(_ id: Int32) -> String { "" }
        mutating func finish() -> String { "" }
    }

    package init() {}
    package func makeStreamDecoder() -> any TextStream { Stream() }
    package func bytes(of id: Int32) -> [UInt8] { [] }
    package func isSpecial(_ id: Int32) -> Bool { false }
}
