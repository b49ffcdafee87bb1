import AttuneGeneration
import AttuneTensor
import Synchronization

/// A deterministic model: a token's state is a hash of the state before it, the token and the adapter. States lie in cache
/// rows, so a wrong row, a missing copy or a mixed-up prefix changes the logits (and is noted in `faults`).
final class ToyRunner: ModelRunner {
    let vocabularySize = ToyText.size
    let cacheRowCount: Int
    /// Runs before each step; may throw.
    let beforeStep: (@Sendable (InferenceBatch) throws -> Void)?
    private let rows: Mutex<(states: [UInt64], steps: Int, tokens: Int, copies: Int, faults: [String])>

    init(cacheRowCount: Int = 4096, beforeStep: (@Sendable (InferenceBatch) throws -> Void)? = nil) {
        self.cacheRowCount = cacheRowCount
        self.beforeStep = beforeStep
        rows = Mutex(([UInt64](repeating: 0, count: cacheRowCount), 0, 0, 0, []))
    }

    var faults: [String] { rows.withLock { $0.faults } }
    var steps: Int { rows.withLock { $0.steps } }
    var tokensRun: Int { rows.withLock { $0.tokens } }
    var copies: Int { rows.withLock { $0.copies } }

    func run(_ batch: InferenceBatch, _ use: (Span<Float>) -> Void) throws {
        try beforeStep?(batch)
        var adapters = [String?](repeating: nil, count: batch.tokens.count)
        for run in batch.adapters { for row in run.rows { adapters[row] = run.adapter } }
        var result: [UInt64] = []
        rows.withLock { cache in
            cache.steps += 1
            cache.tokens += batch.tokens.count
            var states: [UInt64] = []
            if Set(batch.cacheRows).count != batch.cacheRows.count { cache.faults.append("two tokens in one row") }
            for segment in batch.segments.segments {
                let keys = segment.keys.flatMap(Array.init)
                for (place, query) in segment.queries.enumerated() {
                    let position = segment.firstPosition + place
                    if keys[position] != Int(batch.cacheRows[query]) {
                        cache.faults.append("row \(query) is misplaced")
                    }
                    let before = position == 0 ? 1 : cache.states[keys[position - 1]]
                    let state = Self.next(before, batch.tokens[query], adapters[query])
                    cache.states[keys[position]] = state
                    states.append(state)
                }
            }
            result = batch.logitRows.map { states[Int($0)] }
        }
        var logits = [Float](repeating: 0, count: result.count * vocabularySize)
        for (row, state) in result.enumerated() {
            Self.logits(state, into: &logits, at: row * vocabularySize)
        }
        use(logits.span)
    }

    func copyCacheRows(from: Range<Int>, to: Int) {
        rows.withLock { cache in
            cache.copies += 1
            for offset in 0..<from.count { cache.states[to + offset] = cache.states[from.lowerBound + offset] }
        }
    }

    static func next(_ state: UInt64, _ token: Int32, _ adapter: String?) -> UInt64 {
        var mixed = state ^ UInt64(UInt32(bitPattern: token)) &* 0x9E37_79B9_7F4A_7C15
        for byte in (adapter ?? "").utf8 { mixed = (mixed ^ UInt64(byte)) &* 0x100_0000_01B3 }
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    static func logits(_ state: UInt64, into logits: inout [Float], at start: Int) {
        for id in 0..<ToyText.size {
            let hash = next(state, Int32(id), "logit")
            logits[start + id] = Float(hash >> 40) * 0x1p-24 * 8 - 4
        }
        logits[start + Int(ToyText.end)] = 1.5
    }
}

/// Ids 0…255 are bytes, 256 ends a text, the rest are pieces of JSON.
struct ToyText: TokenText {
    static let end: Int32 = 256
    static let pieces = [
        "{\"", "\":", "\": \"", "\", \"", "\"}", "[]", "{}", "true", "false", "null", "12", ", ", "  ", "\n  ", "name",
        "</tool_call>", "<tool_call>\n", "é", "日本", "e\"", "\\\"", "\\u00", "-1", "0.", "]}",
    ]
    static var size: Int { 257 + pieces.count }

    func makeStreamDecoder() -> any TextStream { ToyStream() }

    func bytes(of id: Int32) -> [UInt8] {
        if id < 256 { return [UInt8(id)] }
        return id == Self.end ? [] : Array(Self.pieces[Int(id) - 257].utf8)
    }

    func isSpecial(_ id: Int32) -> Bool { id == Self.end }

    /// Bytes as ids.
    static func ids(_ text: String) -> [Int32] { text.utf8.map(Int32.init) }
}

struct ToyStream: TextStream {
    private var held: [UInt8] = []

    mutating func push(_ id: Int32) -> String {
        held += ToyText().bytes(of: id)
        // Latin text: a byte above 127 waits for the next one below 128.
        guard let last = held.last, last < 128 else { return "" }
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }
}

/// What the engine must give, computed without it.
func expectedIDs(_ prompt: [Int32], _ options: SamplingOptions, adapter: String? = nil, index: Int = 0) throws
    -> [Int32]
{
    var sampler = Sampler()
    var history = TokenHistory(prompt: prompt)
    var state: UInt64 = 1
    for token in prompt { state = ToyRunner.next(state, token, adapter) }
    var output: [Int32] = []
    var logits = [Float](repeating: 0, count: ToyText.size)
    while output.count < options.maxNewTokens {
        ToyRunner.logits(state, into: &logits, at: 0)
        let withheld = output.count < options.minTokens ? [ToyText.end] : []
        let token = try sampler.sample(
            logits.span, options: options, history: history, withheld: withheld, step: output.count,
            uniform: Philox(seed: options.seed ?? 0).uniform(step: output.count, stream: index))
        output.append(token.id)
        if token.id == ToyText.end { break }
        history.append(token.id)
        state = ToyRunner.next(state, token.id, adapter)
    }
    return output
}

/// A small deterministic generator for tests.
struct Dice: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

func toyOptions(_ change: (inout EngineOptions) -> Void = { _ in }) -> EngineOptions {
    var options = EngineOptions()
    options.endTokens = [ToyText.end]
    options.adapters = ["red", "blue"]
    change(&options)
    return options
}
