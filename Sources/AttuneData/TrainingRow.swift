/// Which tokens of a row the model learns to produce.
public enum TrainOn: String, Sendable, CaseIterable {
    /// The answer: output, completion, or what the assistant says after the last message that is not its own.
    case answer
    /// Every token.
    case all
    /// Everything the assistant says, in every turn.
    case assistant
}

/// One row ready for training: token ids and which of them are learned.
public struct TrainingRow: Sendable, Equatable {
    /// The tokens, special ones included.
    public var tokens: [Int32]
    /// For each token whether the model learns to produce it.
    public var trained: [Bool]
    /// Where the row comes from.
    public var source: RowSource
    /// Names the row by its content (tokens and mask), the same in every run: the key of its dropout masks.
    public var identity: UInt64

    /// A row named by its content.
    /// - Precondition: one flag for each token.
    public init(tokens: [Int32], trained: [Bool], source: RowSource) {
        precondition(tokens.count == trained.count, "one flag for each token")
        self.tokens = tokens
        self.trained = trained
        self.source = source
        var hash = StableHash()
        for (token, isTrained) in zip(tokens, trained) {
            hash.combine(UInt64(UInt32(bitPattern: token)) << 1 | (isTrained ? 1 : 0))
        }
        identity = hash.value
    }

    /// How many of its first tokens something is learned from: at least the last is only learned itself, and a text may go on behind
    /// what is learned. All of them where nothing is.
    public var neededCount: Int {
        guard let last = trained.lastIndex(of: true), last > 0 else { return tokens.count }
        return last
    }

    /// How many tokens are learned; the first token of a row follows nothing and so is never learned.
    public var trainedCount: Int { trained.dropFirst().count { $0 } }
}
