/// Rows that begin alike, laid out with their common beginning once: a prefix, then one branch for each row.
///
/// Nothing is learned inside the prefix and the last token before anything learned stays in the branch, so every target
/// belongs to exactly one row.
public struct PrefixLayout: Sendable, Equatable {
    /// T tokens: the prefix, then the branches.
    public var tokens: [Int32]
    /// The common beginning.
    public var prefix: Range<Int>
    /// What follows it in each row.
    public var branches: [Batch.Row]
    /// T targets, as in `Batch`.
    public var targets: [Int32]
    /// How many targets are learned.
    public var trainedCount: Int

    /// The tokens that all rows begin with and that may be shared: what is learned, and the token from which the first
    /// learned one is predicted, stay outside.
    public static func sharedPrefix(of rows: [TrainingRow]) -> Int {
        guard let first = rows.first, rows.count > 1 else { return 0 }
        var shared = first.tokens.count
        for row in rows {
            let limit = min(shared, row.tokens.count)
            shared = (0..<limit).first { row.tokens[$0] != first.tokens[$0] } ?? limit
            let learned = row.trained.dropFirst().firstIndex(of: true) ?? row.tokens.count
            shared = min(shared, learned - 1)
        }
        return max(0, shared)
    }

    /// Lays rows out, or `nil` when they share fewer than `minimum` tokens.
    public init?(_ rows: [TrainingRow], minimum: Int = 1) {
        let shared = Self.sharedPrefix(of: rows)
        guard shared >= max(1, minimum), let first = rows.first else { return nil }
        prefix = 0..<shared
        tokens = Array(first.tokens[..<shared])
        targets = [Int32](repeating: Batch.ignored, count: shared)
        branches = []
        for row in rows {
            let whole = Batch([row])
            let start = tokens.count
            tokens += whole.tokens[shared...]
            targets += whole.targets[shared...]
            branches.append(
                Batch.Row(range: start..<tokens.count, identity: row.identity, source: row.source))
        }
        trainedCount = targets.count { $0 != Batch.ignored }
    }
}
