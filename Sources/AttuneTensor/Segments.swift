/// Which rows of a flat batch belong together, and which keys each may see.
///
/// A batch is T tokens in a row, without padding. A segment is a run of query rows that continue one text: its keys are the
/// rows of `keys`, in the order of their positions, and the last `queries.count` of them belong to the queries themselves.
/// Query i of n therefore sees the first `keyCount - n + i + 1` keys. A packed example has one key range (its own rows); an
/// example behind a shared prefix has two (the prefix's rows, its own); a sequence in a paged cache has one for each block.
public struct Segment: Sendable, Equatable {
    /// Rows of the batch that ask.
    public var queries: Range<Int>
    /// Rows of the key/value matrices that may be seen, in order of position.
    public var keys: [Range<Int>]
    /// Names the text for counter-based dropout: equal ids get equal masks however rows are packed.
    public var identity: UInt64

    /// A segment with the given key ranges.
    public init(queries: Range<Int>, keys: [Range<Int>], identity: UInt64 = 0) {
        self.queries = queries
        self.keys = keys
        self.identity = identity
    }

    /// A text of its own: its keys are its queries.
    public init(rows: Range<Int>, identity: UInt64 = 0) {
        self.init(queries: rows, keys: [rows], identity: identity)
    }

    /// How many keys the last query sees.
    public var keyCount: Int { keys.reduce(0) { $0 + $1.count } }
    /// The position of the first query, counted from the start of its text.
    public var firstPosition: Int { keyCount - queries.count }
}

/// The segments of one batch with what kernels derive from them, made once a batch and used by every layer.
public final class SegmentTable: Sendable {
    /// Segments in the order of their query rows; together they cover rows `0..<tokenCount`.
    public let segments: [Segment]
    /// The position of every row in its text.
    public let positions: [Int32]
    /// How many rows the batch has.
    public var tokenCount: Int { positions.count }
    /// The longest run of keys any query sees.
    public let longestKeyCount: Int

    /// - Precondition: the segments cover consecutive rows from 0, none empty, none with fewer keys than queries.
    public init(_ segments: [Segment]) {
        self.segments = segments
        var positions: [Int32] = []
        for segment in segments {
            precondition(segment.queries.lowerBound == positions.count, "segments must follow each other")
            precondition(segment.keyCount >= segment.queries.count, "a segment needs keys for its queries")
            let first = segment.firstPosition
            for offset in 0..<segment.queries.count { positions.append(Int32(first + offset)) }
        }
        self.positions = positions
        longestKeyCount = segments.map(\.keyCount).max() ?? 0
    }

    /// The key rows that some query sees, segment after segment; rows that segments share come again.
    ///
    /// - Parameter window: how many keys a query sees at most, its own included; 0 for all.
    package func visibleKeys(window: Int) -> [Range<Int>] {
        var result: [Range<Int>] = []
        for segment in segments {
            var hidden = window > 0 ? max(0, segment.firstPosition + 1 - window) : 0
            for range in segment.keys {
                let seen = range.dropFirst(hidden)
                hidden -= range.count - seen.count
                if !seen.isEmpty { result.append(seen.startIndex..<seen.endIndex) }
            }
        }
        return result
    }
}
