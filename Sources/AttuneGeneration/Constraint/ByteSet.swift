/// A set of byte values.
struct ByteSet: Hashable, Sendable {
    private var words: SIMD4<UInt64> = .zero

    static let all = ByteSet(0...255)

    init() {}

    init(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }

    init(_ bytes: some Sequence<UInt8>) { for byte in bytes { insert(byte) } }

    mutating func insert(_ byte: UInt8) { words[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }

    func contains(_ byte: UInt8) -> Bool { words[Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1 }

    var isEmpty: Bool { words == .zero }

    func union(_ other: ByteSet) -> ByteSet {
        var result = self
        result.words |= other.words
        return result
    }
}

/// A grammar over bytes as a tree; rules give it recursion.
indirect enum GrammarNode: Sendable {
    case bytes([UInt8])
    case set(ByteSet)
    case sequence([GrammarNode])
    /// No alternative at all matches nothing.
    case choice([GrammarNode])
    case repeated(GrammarNode, Int, Int?)
    case rule(Int)
    /// A small automaton: places 0 (start) to count − 1 (end), edges between them.
    case graph(count: Int, edges: [(from: Int, to: Int, node: GrammarNode)])
    /// Any bytes; where a trigger appears, its node must follow, then the end or, when repeating, free text again.
    case freeText([(trigger: [UInt8], then: GrammarNode)], repeats: Bool)

    static let empty = GrammarNode.sequence([])

    static func text(_ text: String) -> GrammarNode { .bytes(Array(text.utf8)) }

    static func optional(_ node: GrammarNode) -> GrammarNode { .choice([.empty, node]) }
}
