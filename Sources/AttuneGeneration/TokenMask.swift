/// Which token ids are allowed, one bit each.
public struct TokenMask: Sendable, Equatable {
    /// 64 tokens a word, the lowest bit first.
    public private(set) var words: [UInt64]
    /// How many tokens the mask speaks about.
    public let count: Int

    /// A mask that allows nothing.
    public init(count: Int) {
        self.count = count
        words = [UInt64](repeating: 0, count: (count + 63) / 64)
    }

    /// Whether a token is allowed; ids outside the mask are not.
    public func contains(_ id: Int32) -> Bool {
        guard id >= 0, Int(id) < count else { return false }
        return words[Int(id) >> 6] >> (UInt64(id) & 63) & 1 == 1
    }

    /// Allows a token of the mask's range.
    public mutating func insert(_ id: Int32) { words[Int(id) >> 6] |= 1 << (UInt64(id) & 63) }

    /// How many tokens are allowed.
    public var allowedCount: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    /// Allowed tokens in ascending order.
    public var allowed: [Int32] {
        var ids: [Int32] = []
        for (place, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                ids.append(Int32(place << 6 + rest.trailingZeroBitCount))
                rest &= rest - 1
            }
        }
        return ids
    }
}

/// Restricts which tokens may follow. A value: each generated text advances its own copy.
public protocol TokenConstraint: Sendable {
    /// The tokens allowed next; stop tokens are among them only where the text may end.
    mutating func allowedTokens() throws(GrammarError) -> TokenMask
    /// Takes note of a chosen token.
    mutating func advance(by token: Int32) throws(GrammarError)
    /// Whether nothing but the end may follow.
    var isComplete: Bool { get }
}
