/// Rows that begin alike, laid out so that every beginning they share stands once: a tree of stretches of tokens, each after
/// the stretches it continues.
///
/// Nothing is learned inside a shared stretch, and the token from which the first learned one is predicted stays with its row,
/// so every target belongs to exactly one row. Since attention is causal and positions are counted along the tree, each row
/// computes what it computes alone, and the gradient of a shared stretch is the sum of its rows' gradients.
///
/// What the rows of several batches all begin with, their trunk, can be computed before them: it is then not among the tokens,
/// but counts as the first places, which every stretch continues.
public struct PrefixLayout: Sendable, Equatable {
    /// Tokens that one row or several have at the same place.
    public struct Stretch: Sendable, Equatable {
        /// Its places: those of the trunk come first, then the tokens.
        public var range: Range<Int>
        /// What comes before it in its rows, in order.
        public var ancestors: [Range<Int>]
        /// Identity of its row, or of its first row.
        public var identity: UInt64
        /// How many rows it stands for.
        public var rowCount: Int
    }

    /// Places of the trunk.
    public let trunk: Int
    /// T tokens.
    public private(set) var tokens: [Int32] = []
    /// T targets, as in `Batch`.
    public private(set) var targets: [Int32] = []
    /// The stretches, covering all tokens in order.
    public private(set) var stretches: [Stretch] = []
    /// Tokens of the batch that need not be computed, because another row's or the trunk's stand for them.
    public private(set) var savedTokens = 0

    /// Lays a batch out.
    /// - Parameters:
    ///   - trunk: how many tokens that all its rows begin with are computed before it; see `BatchPlan.sharedBeginning`.
    ///   - minimum: beginnings of fewer tokens are not worth a stretch of their own.
    public init(_ batch: Batch, trunk: Int = 0, minimum: Int = Self.shortest) {
        self.trunk = trunk
        let rows = batch.rows.map { row in
            let first = batch.targets[row.range].firstIndex { $0 != Batch.ignored } ?? row.range.upperBound - 1
            return Candidate(range: row.range, identity: row.identity, limit: first - row.range.lowerBound)
        }
        precondition(rows.allSatisfy { $0.limit >= trunk }, "a trunk of \(trunk) tokens is too long for its rows")
        savedTokens = trunk * rows.count
        for group in Self.alike(Array(rows.indices), rows, at: trunk, batch.tokens) {
            grow(
                group, rows, from: trunk, comparedTo: trunk, ancestors: trunk > 0 ? [0..<trunk] : [], batch,
                minimum: max(1, minimum))
        }
    }

    /// The shortest beginning that is worth a stretch of its own.
    public static let shortest = 8

    private struct Candidate {
        var range: Range<Int>
        var identity: UInt64
        /// How many of its first tokens may be shared.
        var limit: Int
    }

    /// Rows by their token at a place, in the order of their first; a row that may share no more is alone.
    private static func alike(_ members: [Int], _ rows: [Candidate], at place: Int, _ tokens: [Int32]) -> [[Int]] {
        var groups: [[Int]] = []
        var known: [Int32: Int] = [:]
        for member in members {
            guard rows[member].limit > place else {
                groups.append([member])
                continue
            }
            let token = tokens[rows[member].range.lowerBound + place]
            if let group = known[token] {
                groups[group].append(member)
            } else {
                known[token] = groups.count
                groups.append([member])
            }
        }
        return groups
    }

    /// Lays out rows whose tokens up to `compared` are equal and laid out up to `start`.
    private mutating func grow(
        _ members: [Int], _ rows: [Candidate], from start: Int, comparedTo compared: Int, ancestors: [Range<Int>],
        _ batch: Batch, minimum: Int
    ) {
        guard members.count > 1 else {
            for member in members {
                append(rows[member], start..<rows[member].range.count, ancestors, rowCount: 1, batch)
            }
            return
        }
        let first = rows[members[0]]
        var shared = first.limit
        for member in members.dropFirst() {
            let row = rows[member]
            shared = min(shared, row.limit)
            shared =
                (compared..<shared).first {
                    batch.tokens[row.range.lowerBound + $0] != batch.tokens[first.range.lowerBound + $0]
                } ?? shared
        }
        var start = start
        var ancestors = ancestors
        if shared - start >= minimum {
            append(first, start..<shared, ancestors, rowCount: members.count, batch)
            ancestors.append(trunk + tokens.count - (shared - start)..<trunk + tokens.count)
            savedTokens += (members.count - 1) * (shared - start)
            start = shared
        }
        for group in Self.alike(members, rows, at: shared, batch.tokens) {
            grow(group, rows, from: start, comparedTo: shared, ancestors: ancestors, batch, minimum: minimum)
        }
    }

    private mutating func append(
        _ row: Candidate, _ places: Range<Int>, _ ancestors: [Range<Int>], rowCount: Int, _ batch: Batch
    ) {
        let source = row.range.lowerBound + places.lowerBound..<row.range.lowerBound + places.upperBound
        let start = trunk + tokens.count
        tokens += batch.tokens[source]
        targets += batch.targets[source]
        stretches.append(
            Stretch(
                range: start..<trunk + tokens.count, ancestors: ancestors, identity: row.identity, rowCount: rowCount))
    }
}
