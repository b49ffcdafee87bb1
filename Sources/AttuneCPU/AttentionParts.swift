import AttuneTensor
import CAttuneKernels

/// How attention's backward pass is shared among threads.
///
/// Segments whose keys overlap, directly or through others, form a tree, as all of them add to the same gradients. Trees do not
/// meet, so each could be an item for every key head; but a batch may be one long text, or many rows that continue one
/// beginning, and then few threads would have work. A large tree is therefore cut into parts, and rows that several parts add to
/// have sums of their own in all parts but the first, joined at the end in order. Where a tree is cut follows from the tree
/// alone: neither threads nor what else the batch holds change a bit.
struct AttentionParts: Sendable {
    /// Segments, tree by tree.
    private(set) var order: [Int64] = []
    private(set) var parts: [attune_attention_part] = []
    /// For each key row its place among its tree's rows with sums of their own; −1 where one part adds alone.
    private(set) var slots: [Int32]
    private(set) var shared: [attune_shared_row] = []
    /// Rows of such sums in all.
    private(set) var slotCount = 0

    /// Rows (queries times heads a key head) that a thread takes at a time.
    private static let blockRows = Int(ATTUNE_ATTENTION_ROWS)
    /// A part of fewer blocks is not worth its sums.
    private static let leastBlocks = 8
    private static let mostParts = 8
    /// What a tree's sums may take, so that a long text stays in less than its activations.
    private static let mostBytes = 64 << 20

    /// - Parameters:
    ///   - keyRowCount: rows of keys that the table names, from 0.
    ///   - group: query heads a key head.
    ///   - window: as in `AttentionShape`.
    ///   - keyWidth: columns of the keys.
    init(_ table: SegmentTable, keyRowCount: Int, group: Int, window: Int, keyWidth: Int) {
        slots = Array(repeating: -1, count: keyRowCount)
        for members in Self.trees(table.segments) {
            let first = order.count
            order += members.map { Int64($0) }
            cut(members.map { table.segments[$0] }, first: first, group: group, window: window, keyWidth: keyWidth)
        }
    }

    private mutating func cut(_ tree: [Segment], first: Int, group: Int, window: Int, keyWidth: Int) {
        let blocks = tree.reduce(0) { $0 + ($1.queries.count * group + Self.blockRows - 1) / Self.blockRows }
        var wanted = min(Self.mostParts, blocks / Self.leastBlocks)
        let rows = wanted > 1 ? Self.sharedRows(tree) : []
        if !rows.isEmpty { wanted = min(wanted, 1 + Self.mostBytes / (8 * keyWidth * rows.count)) }
        let pieces =
            tree.count == 1
            ? Self.rowCuts(tree[0], wanted, group: group, window: window).map { (first..<first + 1, $0) }
            : Self.segmentCuts(tree, wanted, window: window).map {
                (first + $0.lowerBound..<first + $0.upperBound, 0..<Int.max)
            }
        for (place, (segments, rowRange)) in pieces.enumerated() {
            parts.append(
                attune_attention_part(
                    first: Int64(segments.lowerBound), last: Int64(segments.upperBound),
                    first_row: Int64(rowRange.lowerBound), last_row: Int64(rowRange.upperBound),
                    slot_start: place == 0 ? -1 : Int64(slotCount + (place - 1) * rows.count),
                    slot_count: place == 0 ? 0 : Int64(rows.count)))
        }
        guard pieces.count > 1 else { return }
        for (slot, row) in rows.enumerated() {
            slots[row] = Int32(slot)
            shared.append(
                attune_shared_row(
                    row: Int64(row), slot: Int64(slotCount + slot), stride: Int64(rows.count),
                    count: Int64(pieces.count - 1)))
        }
        slotCount += (pieces.count - 1) * rows.count
    }

    /// Key rows that several parts may add to: of a text by itself all, else those that several segments see.
    private static func sharedRows(_ tree: [Segment]) -> [Int] {
        if tree.count == 1 { return tree[0].keys.flatMap { Array($0) } }
        var seen: [Int: Int] = [:]
        for segment in tree {
            for range in segment.keys {
                for row in range { seen[row, default: 0] += 1 }
            }
        }
        return seen.filter { $0.value > 1 }.keys.sorted()
    }

    /// Whole segments of about equal work.
    private static func segmentCuts(_ tree: [Segment], _ wanted: Int, window: Int) -> [Range<Int>] {
        cuts(
            tree.map { segment in segment.queries.reduce(0) { $0 + keys(segment, $1, window: window) } }, wanted)
    }

    /// Runs of rows of one segment, of about equal work.
    private static func rowCuts(_ segment: Segment, _ wanted: Int, group: Int, window: Int) -> [Range<Int>] {
        let rows = segment.queries.count * group
        let work = stride(from: 0, to: rows, by: blockRows).map { start in
            let last = (min(start + blockRows, rows) - 1) / group
            return keys(segment, segment.queries.lowerBound + last, window: window)
        }
        return cuts(work, wanted).map { $0.lowerBound * blockRows..<min($0.upperBound * blockRows, rows) }
    }

    /// How many keys a query sees.
    private static func keys(_ segment: Segment, _ query: Int, window: Int) -> Int {
        let seen = segment.firstPosition + query - segment.queries.lowerBound + 1
        return window > 0 ? min(window, seen) : seen
    }

    /// At most `wanted` runs of about equal sums, none empty.
    private static func cuts(_ work: [Int], _ wanted: Int) -> [Range<Int>] {
        let total = work.reduce(0, +)
        var result: [Range<Int>] = []
        var (start, sum) = (0, 0)
        for (index, amount) in work.enumerated() {
            sum += amount
            guard sum * max(1, wanted) >= total * (result.count + 1) || index == work.count - 1 else { continue }
            result.append(start..<index + 1)
            start = index + 1
        }
        return result
    }

    /// Trees in the order of their first segment, segments in their own.
    private static func trees(_ segments: [Segment]) -> [[Int]] {
        var parent = Array(0..<segments.count)
        func root(_ index: Int) -> Int {
            var index = index
            while parent[index] != index {
                parent[index] = parent[parent[index]]
                index = parent[index]
            }
            return index
        }
        var intervals: [(range: Range<Int>, segment: Int)] = []
        for (index, segment) in segments.enumerated() {
            for range in segment.keys where !range.isEmpty { intervals.append((range, index)) }
        }
        intervals.sort { $0.range.lowerBound < $1.range.lowerBound }
        var end = Int.min
        var owner = 0
        for (range, segment) in intervals {
            if range.lowerBound < end {
                let (a, b) = (root(owner), root(segment))
                parent[max(a, b)] = min(a, b)
            }
            if range.upperBound > end {
                end = range.upperBound
                owner = segment
            }
        }
        var members: [Int: [Int]] = [:]
        var roots: [Int] = []
        for index in segments.indices {
            let root = root(index)
            if members[root] == nil { roots.append(root) }
            members[root, default: []].append(index)
        }
        return roots.map { members[$0] ?? [] }
    }
}
