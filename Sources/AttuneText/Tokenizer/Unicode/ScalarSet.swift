/// A set of Unicode scalar values as sorted, disjoint, closed ranges.
struct ScalarSet: Sendable, Equatable {
    /// Sorted, not touching each other.
    private(set) var ranges: [ClosedRange<UInt32>] = []

    static let lastScalar: UInt32 = 0x10FFFF

    init() {}

    init(_ ranges: [ClosedRange<UInt32>]) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = self.ranges.last, range.lowerBound <= last.upperBound &+ 1 {
                if range.upperBound > last.upperBound {
                    self.ranges[self.ranges.count - 1] = last.lowerBound...range.upperBound
                }
            } else {
                self.ranges.append(range)
            }
        }
    }

    init(_ scalars: some Sequence<UInt32>) { self.init(scalars.map { $0...$0 }) }

    /// Every value from 0 to 10FFFF, the surrogates included; texts hold none.
    static let all = ScalarSet([0...lastScalar])

    /// Reads alternating gaps and lengths in hexadecimal, the form of the generated tables.
    init(gapsAndLengths text: some Sequence<UInt8>) {
        var position: UInt32 = 0
        var gap: UInt32?
        for number in HexadecimalWords(text) {
            if let start = gap {
                ranges.append((position + start)...(position + start + number - 1))
                position += start + number
                gap = nil
            } else {
                gap = number
            }
        }
    }

    func contains(_ scalar: UInt32) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if scalar < ranges[middle].lowerBound {
                high = middle
            } else if scalar > ranges[middle].upperBound {
                low = middle + 1
            } else {
                return true
            }
        }
        return false
    }

    var isEmpty: Bool { ranges.isEmpty }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    var inverted: ScalarSet {
        var result = ScalarSet()
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { result.ranges.append(next...(range.lowerBound - 1)) }
            next = range.upperBound + 1
        }
        if next <= Self.lastScalar { result.ranges.append(next...Self.lastScalar) }
        return result
    }

    func intersection(_ other: ScalarSet) -> ScalarSet { inverted.union(other.inverted).inverted }
}

/// The hexadecimal numbers of a text, anything else between them.
struct HexadecimalWords: Sequence, IteratorProtocol {
    private var bytes: [UInt8]
    private var place = 0

    init(_ text: some Sequence<UInt8>) { bytes = Array(text) }

    mutating func next() -> UInt32? {
        while place < bytes.count, Self.digit(bytes[place]) == nil { place += 1 }
        guard place < bytes.count else { return nil }
        var value: UInt32 = 0
        while place < bytes.count, let digit = Self.digit(bytes[place]) {
            value = value << 4 | digit
            place += 1
        }
        return value
    }

    private static func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        default: nil
        }
    }
}

/// A small number for every scalar, in two stages: blocks of 256, equal blocks stored once.
struct ScalarTable: Sendable {
    private let blockOf: [UInt16]
    private let blocks: [UInt8]

    /// - Parameter assignments: values for ranges; later ones win; scalars of none have 0.
    init(_ assignments: [(set: ScalarSet, value: UInt8)]) {
        var flat = [UInt8](repeating: 0, count: 0x110000)
        for (set, value) in assignments {
            for range in set.ranges {
                for place in Int(range.lowerBound)...Int(range.upperBound) { flat[place] = value }
            }
        }
        self.init(flat: flat)
    }

    /// - Parameter flat: 0x110000 values.
    init(flat: [UInt8]) {
        var known: [ArraySlice<UInt8>: UInt16] = [:]
        var blocks: [UInt8] = []
        var blockOf: [UInt16] = []
        for start in stride(from: 0, to: flat.count, by: 256) {
            let block = flat[start..<start + 256]
            if let place = known[block] {
                blockOf.append(place)
            } else {
                let place = UInt16(blocks.count >> 8)
                known[block] = place
                blockOf.append(place)
                blocks.append(contentsOf: block)
            }
        }
        self.blocks = blocks
        self.blockOf = blockOf
    }

    /// The value of a scalar up to 10FFFF.
    @inline(__always)
    subscript(scalar: UInt32) -> UInt8 {
        blocks[Int(blockOf[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)]
    }
}
