/// Rows laid one after the other without padding, with what each token should be followed by.
public struct Batch: Sendable, Equatable {
    /// One row of a batch.
    public struct Row: Sendable, Equatable {
        /// Its tokens in the batch. Attention stays inside.
        public var range: Range<Int>
        /// Names it for counter-based dropout.
        public var identity: UInt64
        /// Where it comes from; for a wrapped piece the row with which the piece begins.
        public var source: RowSource
    }

    /// The target that marks a token after which nothing is learned.
    public static let ignored: Int32 = -100

    /// T tokens.
    public var tokens: [Int32]
    /// The rows, covering all tokens in order.
    public var rows: [Row]
    /// T targets: the token after each where that is learned, otherwise `ignored`; always `ignored` at a row's end.
    public var targets: [Int32]
    /// How many targets are not `ignored`: what the loss is divided by.
    public var trainedCount: Int

    /// The batch without what follows the last token of each row from which something is learned. Attention is causal, so no loss
    /// and no gradient depends on it. A row of which nothing is learned stays.
    public var needed: Batch {
        var batch = self
        (batch.tokens, batch.targets, batch.rows) = ([], [], [])
        for var row in rows {
            let end = targets[row.range].lastIndex { $0 != Self.ignored }.map { $0 + 1 } ?? row.range.upperBound
            let kept = row.range.lowerBound..<end
            row.range = batch.tokens.count..<batch.tokens.count + kept.count
            batch.tokens += tokens[kept]
            batch.targets += targets[kept]
            batch.rows.append(row)
        }
        return batch
    }

    /// Lays rows one after the other.
    public init(_ rows: some Sequence<TrainingRow>) {
        tokens = []
        targets = []
        self.rows = []
        trainedCount = 0
        for row in rows {
            let start = tokens.count
            tokens += row.tokens
            for place in row.tokens.indices {
                let isLearned = place + 1 < row.tokens.count && row.trained[place + 1]
                targets.append(isLearned ? row.tokens[place + 1] : Self.ignored)
                if isLearned { trainedCount += 1 }
            }
            self.rows.append(Row(range: start..<tokens.count, identity: row.identity, source: row.source))
        }
    }
}
