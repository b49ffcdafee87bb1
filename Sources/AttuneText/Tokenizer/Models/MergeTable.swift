/// Merges by the pair of ids, in one flat table with open addressing.
struct MergeTable: Sendable {
    /// Key and value side by side: left id << 32 | right id, then rank << 32 | id of the result.
    private var slots: [UInt64]
    private var mask: Int

    /// The value of a pair that does not merge; larger than every other.
    static let none = UInt64.max

    init(capacity: Int) {
        var size = 16
        while size < capacity * 2 { size *= 2 }
        slots = [UInt64](repeating: Self.none, count: size * 2)
        mask = size - 1
    }

    /// A later merge of the same pair replaces the earlier one.
    mutating func insert(left: Int32, right: Int32, rank: UInt32, result: Int32) {
        let key = Self.key(left, right)
        var place = Int(truncatingIfNeeded: ByteHash.mix(key)) & mask
        while slots[place * 2] != Self.none, slots[place * 2] != key { place = (place + 1) & mask }
        slots[place * 2] = key
        slots[place * 2 + 1] = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: result))
    }

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Rank and result of a pair, or `none`.
    @inline(__always)
    func find(_ left: Int32, _ right: Int32) -> UInt64 {
        let key = Self.key(left, right)
        var place = Int(truncatingIfNeeded: ByteHash.mix(key)) & mask
        return slots.withUnsafeBufferPointer { slots in
            while true {
                let found = slots[place &* 2]
                if found == key { return slots[place &* 2 &+ 1] }
                if found == Self.none { return Self.none }
                place = (place &+ 1) & mask
            }
        }
    }
}

/// Candidate merges, lowest rank first and leftmost among equals: a heap with four children per node.
struct MergeQueue {
    private(set) var storage: [UInt64]

    init(reusing storage: [UInt64]) {
        self.storage = storage
        self.storage.removeAll(keepingCapacity: true)
    }

    /// Adds without keeping order; `build` follows.
    mutating func append(rank: UInt32, place: UInt32) { storage.append(UInt64(rank) << 32 | UInt64(place)) }

    mutating func build() {
        // A sorted list is a heap.
        storage.sort()
    }

    mutating func insert(rank: UInt32, place: UInt32) {
        let value = UInt64(rank) << 32 | UInt64(place)
        storage.append(value)
        storage.withUnsafeMutableBufferPointer { storage in
            var child = storage.count - 1
            while child > 0 {
                let parent = (child - 1) >> 2
                guard storage[parent] > value else { break }
                storage[child] = storage[parent]
                child = parent
            }
            storage[child] = value
        }
    }

    mutating func popFirst() -> UInt64? {
        guard let top = storage.first else { return nil }
        let value = storage.removeLast()
        let count = storage.count
        guard count > 0 else { return top }
        storage.withUnsafeMutableBufferPointer { storage in
            var parent = 0
            while true {
                let first = parent << 2 + 1
                guard first < count else { break }
                var best = first
                var child = first + 1
                let end = min(first + 4, count)
                while child < end {
                    if storage[child] < storage[best] { best = child }
                    child += 1
                }
                guard storage[best] < value else { break }
                storage[parent] = storage[best]
                parent = best
            }
            storage[parent] = value
        }
        return top
    }
}

/// Where a SentencePiece word may be cut before merging: in front of the space mark `▁`, when no merge can cross.
///
/// A merge crosses the cut only if its right part begins with the mark and its left part ends with the character before
/// the cut; the characters for which that happens are known from the list of merges.
struct CutRule: Sendable {
    private let crossing: ScalarSet
    private static let mark: [UInt8] = [0xE2, 0x96, 0x81]

    /// `nil` when cutting could change the result.
    init?(_ merges: [(String, String)], vocabulary: TokenIndex, options: BytePairModel.Options) {
        guard !options.ignoresMerges, options.continuingPrefix == nil, options.endSuffix == nil,
            vocabulary.id(of: Self.mark) >= 0
        else { return nil }
        var last: [UInt32] = []
        for (left, right) in merges where right.utf8.starts(with: Self.mark) {
            // A byte token can stand for any character.
            guard ByteFallback.byte(of: Array(left.utf8)) == nil else { return nil }
            if let scalar = left.unicodeScalars.last { last.append(scalar.value) }
        }
        crossing = ScalarSet(Set(last))
    }

    /// The end of the first part of a word.
    func next(_ bytes: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int {
        var place = start + 1
        while place + 2 < end {
            if bytes[place] == Self.mark[0], bytes[place + 1] == Self.mark[1], bytes[place + 2] == Self.mark[2] {
                var before = place - 1
                while before > start, bytes[before] & 0xC0 == 0x80 { before -= 1 }
                if !crossing.contains(UTF8Scan.scalar(bytes, at: before, end: end).scalar) { return place }
            }
            place += 1
        }
        return end
    }
}
