/// A fast hash of short byte strings; the tables that use it verify every hit byte by byte.
enum ByteHash {
    private static let seed: UInt64 = 0x9E37_79B9_7F4A_7C15
    private static let multiplier: UInt64 = 0xD6E8_FEB8_6659_FD93

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        let product = (value ^ seed).multipliedFullWidth(by: multiplier)
        return product.high ^ product.low
    }

    @inline(__always)
    static func hash(_ bytes: UnsafePointer<UInt8>, count: Int) -> UInt64 {
        let raw = UnsafeRawPointer(bytes)
        var state = UInt64(truncatingIfNeeded: count) &* seed
        var place = 0
        while place &+ 8 <= count {
            state = mix(state ^ raw.loadUnaligned(fromByteOffset: place, as: UInt64.self))
            place &+= 8
        }
        if place < count {
            var tail: UInt64 = 0
            var shift: UInt64 = 0
            while place < count {
                tail |= UInt64(bytes[place]) << shift
                shift &+= 8
                place &+= 1
            }
            state = mix(state ^ tail)
        }
        return state
    }

    @inline(__always)
    static func equal(_ left: UnsafePointer<UInt8>, _ right: UnsafePointer<UInt8>, count: Int) -> Bool {
        let (left, right) = (UnsafeRawPointer(left), UnsafeRawPointer(right))
        var place = 0
        while place &+ 8 <= count {
            guard
                left.loadUnaligned(fromByteOffset: place, as: UInt64.self)
                    == right.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            else { return false }
            place &+= 8
        }
        while place < count {
            guard
                left.load(fromByteOffset: place, as: UInt8.self) == right.load(fromByteOffset: place, as: UInt8.self)
            else { return false }
            place &+= 1
        }
        return true
    }
}

/// Texts with their ids: a list by id and a hash table by bytes.
struct TokenIndex: Sendable {
    private var arena: [UInt8] = []
    private var entries: [Entry] = []
    /// Places in `entries`, -1 for a free slot; the size is a power of two.
    private var slots: [Int32]
    /// For each id its place in `entries`, or -1.
    private var entryOfID: [Int32] = []

    private struct Entry {
        var start: Int32
        var count: Int32
        var id: Int32
    }

    /// Beyond this an id in a file is taken for damage.
    static let maximumID = 1 << 24

    init(capacity: Int) {
        var size = 16
        while size < capacity * 2 { size *= 2 }
        slots = [Int32](repeating: -1, count: size)
        entries.reserveCapacity(capacity)
        arena.reserveCapacity(capacity * 8)
    }

    /// How many different texts there are.
    var count: Int { entries.count }

    /// One more than the highest id.
    var idLimit: Int { entryOfID.count }

    /// Adds a text or gives a known one a new id.
    mutating func insert(_ text: UnsafeBufferPointer<UInt8>, id: Int32) {
        if entries.count * 2 >= slots.count { grow() }
        let slot = find(text)
        if slots[slot] >= 0 {
            entries[Int(slots[slot])].id = id
        } else {
            slots[slot] = Int32(entries.count)
            entries.append(Entry(start: Int32(arena.count), count: Int32(text.count), id: id))
            arena.append(contentsOf: text)
        }
        let place = slots[slot]
        while entryOfID.count <= Int(id) { entryOfID.append(-1) }
        entryOfID[Int(id)] = place
    }

    mutating func insert(_ text: String, id: Int32) {
        var text = text
        text.withUTF8 { insert($0, id: id) }
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 2)
        for (place, entry) in entries.enumerated() {
            let slot = arena.withUnsafeBufferPointer { arena in
                find(UnsafeBufferPointer(rebasing: arena[Int(entry.start)..<Int(entry.start + entry.count)]))
            }
            slots[slot] = Int32(place)
        }
    }

    /// The slot that holds the text, or the free slot where it belongs.
    @inline(__always)
    private func find(_ text: UnsafeBufferPointer<UInt8>) -> Int {
        let mask = slots.count - 1
        guard let base = text.baseAddress, text.count > 0 else {
            var slot = 0
            while slots[slot] >= 0, entries[Int(slots[slot])].count != 0 { slot = (slot + 1) & mask }
            return slot
        }
        var slot = Int(truncatingIfNeeded: ByteHash.hash(base, count: text.count)) & mask
        return arena.withUnsafeBufferPointer { arena in
            while slots[slot] >= 0 {
                let entry = entries[Int(slots[slot])]
                if Int(entry.count) == text.count, let start = arena.baseAddress,
                    ByteHash.equal(start + Int(entry.start), base, count: text.count)
                {
                    return slot
                }
                slot = (slot + 1) & mask
            }
            return slot
        }
    }

    /// The id of a text, or -1.
    @inline(__always)
    func id(of text: UnsafeBufferPointer<UInt8>) -> Int32 {
        let place = slots[find(text)]
        return place < 0 ? -1 : entries[Int(place)].id
    }

    /// The id of a text, or -1.
    func id(of text: String) -> Int32 {
        var text = text
        return text.withUTF8 { id(of: $0) }
    }

    /// The id of a text, or -1.
    func id(of text: [UInt8]) -> Int32 { text.withUnsafeBufferPointer { id(of: $0) } }

    /// The text of an id.
    func text(of id: Int) -> ArraySlice<UInt8>? {
        guard id >= 0, id < entryOfID.count, entryOfID[id] >= 0 else { return nil }
        let entry = entries[Int(entryOfID[id])]
        return arena[Int(entry.start)..<Int(entry.start + entry.count)]
    }
}
