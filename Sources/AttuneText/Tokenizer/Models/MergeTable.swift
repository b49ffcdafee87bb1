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
