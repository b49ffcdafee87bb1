/// How much of a data set is held out.
public enum TestSize: Sendable, Equatable {
    /// About this share of the rows.
    case fraction(Double)
    /// This many rows, or a few less where duplicates must stay together.
    case count(Int)

    /// Reads `test_size` as a recipe writes it: below 1 a fraction, otherwise a whole number of rows.
    /// - Throws: `DataError` for anything else.
    public init(_ value: Double) throws(DataError) {
        if value > 0, value < 1 {
            self = .fraction(value)
        } else if value >= 1, let count = Int(exactly: value) {
            self = .count(count)
        } else {
            throw DataError(.usage, "test_size is \(value); give a fraction between 0 and 1 or a number of rows")
        }
    }
}

/// Rows to learn from and rows to test on.
///
/// Equal and nearly equal questions stay on one side, so the test asks nothing that was learned. With a fraction the
/// side is decided by a hash of seed and question alone: the share is met on average, and rows added later move no old
/// ones (but for one that makes near duplicates of two questions that were none before). With a count the rows of
/// smallest hash are taken.
public struct DataSplit: Sendable, Equatable {
    /// Indices of the rows to learn from, ascending.
    public private(set) var train: [Int] = []
    /// Indices of the rows to test on, ascending.
    public private(set) var test: [Int] = []

    /// Splits examples.
    /// - Throws: `DataError` when one side would be empty.
    public init(_ examples: [Example], size: TestSize, seed: UInt64 = 42) throws(DataError) {
        let groups = Similarity(examples.map(\.question)).groups
        var sizes: [Int: Int] = [:]
        for group in groups { sizes[group, default: 0] += 1 }
        let keys = sizes.keys.map { group -> (hash: UInt64, group: Int) in
            let question = examples[group].question
            var hash = StableHash(seed: seed)
            for letter in Similarity.normalized(question.shared) + [0] + Similarity.normalized(question.own) {
                hash.combine(UInt64(letter))
            }
            return (hash.value, group)
        }.sorted { ($0.hash, $0.group) < ($1.hash, $1.group) }
        guard keys.count >= 2 else {
            throw DataError(
                .badData, "all rows ask the same, so none can be held out for a test; add rows or set test_size: 0",
                at: examples.first?.source)
        }
        var heldOut = Set<Int>()
        switch size {
        case .fraction(let fraction):
            let edge = fraction * 0x1p64
            heldOut = Set(keys.filter { Double($0.hash) < edge }.map(\.group))
            if heldOut.isEmpty { heldOut.insert(keys[0].group) }
            if heldOut.count == keys.count { heldOut.remove(keys[keys.count - 1].group) }
        case .count(let count):
            guard count < examples.count else {
                throw DataError(.usage, "test_size is \(count), and there are \(examples.count) rows; hold out fewer")
            }
            var left = count
            for key in keys where sizes[key.group, default: 0] <= left && heldOut.count < keys.count - 1 {
                heldOut.insert(key.group)
                left -= sizes[key.group, default: 0]
            }
            guard !heldOut.isEmpty else {
                throw DataError(.badData, "no group of like rows has \(count) rows or fewer; raise test_size")
            }
        }
        for (place, group) in groups.enumerated() {
            if heldOut.contains(group) { test.append(place) } else { train.append(place) }
        }
    }
}
