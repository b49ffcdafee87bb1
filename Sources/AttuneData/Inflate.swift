/// Decodes deflate (RFC 1951), a stretch at a time, from bits that a closure-free reader pulls out of a byte source.
struct Inflater {
    /// Why compressed bytes cannot be decoded.
    enum Failure: Error {
        case truncated
        case invalid(String)
        case source(DataError)
    }

    private enum State {
        case header
        case stored(remaining: Int)
        case compressed(literals: HuffmanTable, distances: HuffmanTable)
        case finished
    }

    var bits: BitReader
    private var state = State.header
    private var isLast = false
    /// At most 32 KiB of what came before, then what is new: matches may reach back across calls.
    private var window: [UInt8] = []

    private static let windowSize = 32_768
    private static let stretch = 1 << 17

    init(bits: BitReader) { self.bits = bits }

    /// Starts a new stream on the bits that follow.
    mutating func restart() {
        state = .header
        isLast = false
        window.removeAll(keepingCapacity: true)
    }

    /// Appends the next stretch to the buffer; `false` when the stream has ended.
    mutating func produce(into buffer: inout [UInt8]) throws(Failure) -> Bool {
        if window.count > Self.windowSize { window.removeFirst(window.count - Self.windowSize) }
        let start = window.count
        while window.count - start < Self.stretch {
            switch state {
            case .finished:
                buffer.append(contentsOf: window[start...])
                return window.count > start
            case .header: try readBlockHeader()
            case .stored(let remaining): try copyStored(remaining, until: start + Self.stretch)
            case .compressed(let literals, let distances):
                try decode(literals, distances, until: start + Self.stretch)
            }
        }
        buffer.append(contentsOf: window[start...])
        return true
    }

    private mutating func readBlockHeader() throws(Failure) {
        if isLast {
            state = .finished
            return
        }
        isLast = try bits.take(1) == 1
        switch try bits.take(2) {
        case 0:
            bits.alignToByte()
            let length = try bits.take(16)
            guard try bits.take(16) == ~length & 0xFFFF else { throw .invalid("stored length does not match") }
            state = .stored(remaining: Int(length))
        case 1:
            state = .compressed(literals: Self.fixedLiterals, distances: Self.fixedDistances)
        case 2:
            try readDynamicTables()
        default:
            throw .invalid("unknown block type")
        }
    }

    private mutating func copyStored(_ remaining: Int, until limit: Int) throws(Failure) {
        let count = min(remaining, limit - window.count)
        for _ in 0..<count { window.append(UInt8(truncatingIfNeeded: try bits.take(8))) }
        state = remaining == count ? .header : .stored(remaining: remaining - count)
    }

    private mutating func decode(
        _ literals: HuffmanTable, _ distances: HuffmanTable, until limit: Int
    ) throws(Failure) {
        while window.count < limit {
            let symbol = try bits.symbol(literals)
            if symbol < 256 {
                window.append(UInt8(symbol))
            } else if symbol == 256 {
                state = .header
                return
            } else {
                guard symbol < 286 else { throw .invalid("unknown length symbol") }
                let length = Self.lengthBase[symbol - 257] + Int(try bits.take(Self.lengthExtra[symbol - 257]))
                let code = try bits.symbol(distances)
                guard code < 30 else { throw .invalid("unknown distance symbol") }
                let distance = Self.distanceBase[code] + Int(try bits.take(Self.distanceExtra[code]))
                guard distance <= window.count else { throw .invalid("distance reaches before the start") }
                let from = window.count - distance
                for place in from..<(from + length) { window.append(window[place]) }
            }
        }
    }

    private mutating func readDynamicTables() throws(Failure) {
        let literalCount = Int(try bits.take(5)) + 257
        let distanceCount = Int(try bits.take(5)) + 1
        let codeCount = Int(try bits.take(4)) + 4
        guard literalCount <= 286, distanceCount <= 30 else { throw .invalid("too many symbols") }
        let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
        var codeLengths = [UInt8](repeating: 0, count: 19)
        for place in order.prefix(codeCount) { codeLengths[place] = UInt8(try bits.take(3)) }
        let codes = try HuffmanTable(lengths: codeLengths[...])
        var lengths: [UInt8] = []
        while lengths.count < literalCount + distanceCount {
            let symbol = try bits.symbol(codes)
            var value: UInt8 = 0
            let count: Int
            switch symbol {
            case 0...15: (value, count) = (UInt8(symbol), 1)
            case 16:
                guard let last = lengths.last else { throw .invalid("nothing to repeat") }
                (value, count) = (last, 3 + Int(try bits.take(2)))
            case 17: count = 3 + Int(try bits.take(3))
            default: count = 11 + Int(try bits.take(7))
            }
            lengths.append(contentsOf: repeatElement(value, count: count))
        }
        guard lengths.count == literalCount + distanceCount else { throw .invalid("code lengths overrun") }
        guard lengths[256] != 0 else { throw .invalid("no end-of-block code") }
        state = .compressed(
            literals: try HuffmanTable(lengths: lengths[..<literalCount]),
            distances: try HuffmanTable(lengths: lengths[literalCount...]))
    }

    private static let lengthBase = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthExtra = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBase = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145,
        8193, 12289, 16385, 24577,
    ]
    private static let distanceExtra = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]
    private static let fixedLiterals = HuffmanTable(
        complete: (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
    private static let fixedDistances = HuffmanTable(complete: [UInt8](repeating: 5, count: 30))
}

/// A canonical prefix code as one direct table: the next bits, lowest first, index the symbol and its length.
struct HuffmanTable {
    /// Bits of the longest code.
    let width: Int
    /// `symbol << 4 | length`; 0 where no code begins with these bits.
    let entries: [UInt16]

    init(lengths: ArraySlice<UInt8>) throws(Inflater.Failure) {
        // Kraft: the sum of 2^(15 - length) may not pass 2^15, or two codes would begin alike.
        let used = lengths.reduce(0) { $0 + ($1 == 0 ? 0 : 1 << (15 - Int($1))) }
        guard used <= 1 << 15 else { throw .invalid("over-subscribed code") }
        self.init(complete: Array(lengths))
    }

    /// - Precondition: the lengths are at most 15 and not over-subscribed.
    init(complete lengths: [UInt8]) {
        let width = Int(lengths.max() ?? 0)
        var entries = [UInt16](repeating: 0, count: 1 << width)
        var code = 0
        if width > 0 {
            for length in 1...width {
                for (symbol, wanted) in lengths.enumerated() where Int(wanted) == length {
                    var place = 0
                    for bit in 0..<length where code >> bit & 1 == 1 { place |= 1 << (length - 1 - bit) }
                    while place < entries.count {
                        entries[place] = UInt16(symbol) << 4 | UInt16(length)
                        place += 1 << length
                    }
                    code += 1
                }
                code <<= 1
            }
        }
        self.width = width
        self.entries = entries
    }
}

/// Bits of a byte source, lowest bit of each byte first.
struct BitReader {
    private let source: any ByteSource
    private var input: [UInt8] = []
    private var position = 0
    private var buffer: UInt64 = 0
    private var count = 0

    init(_ source: any ByteSource) { self.source = source }

    private mutating func nextByte() throws(Inflater.Failure) -> UInt8? {
        if position == input.count {
            input.removeAll(keepingCapacity: true)
            position = 0
            do { guard try source.read(into: &input) else { return nil } } catch { throw .source(error) }
        }
        position += 1
        return input[position - 1]
    }

    private mutating func fill(_ wanted: Int) throws(Inflater.Failure) {
        while count < wanted, let byte = try nextByte() {
            buffer |= UInt64(byte) << UInt64(count)
            count += 8
        }
    }

    /// The next bits as a number.
    /// - Precondition: `wanted` is at most 32.
    mutating func take(_ wanted: Int) throws(Inflater.Failure) -> UInt32 {
        try fill(wanted)
        guard count >= wanted else { throw .truncated }
        let value = UInt32(truncatingIfNeeded: buffer & (1 << UInt64(wanted) - 1))
        buffer >>= UInt64(wanted)
        count -= wanted
        return value
    }

    /// The next symbol of a code.
    mutating func symbol(_ table: HuffmanTable) throws(Inflater.Failure) -> Int {
        try fill(table.width)
        let entry = table.entries[Int(buffer & (1 << UInt64(table.width) - 1))]
        guard entry != 0 else { throw count < table.width ? .truncated : .invalid("no such code") }
        let length = Int(entry & 15)
        guard length <= count else { throw .truncated }
        buffer >>= UInt64(length)
        count -= length
        return Int(entry >> 4)
    }

    /// Forgets what is left of the current byte.
    mutating func alignToByte() {
        buffer >>= UInt64(count & 7)
        count -= count & 7
    }

    /// The next whole byte, or `nil` at the end. Call it only on a byte boundary.
    mutating func byte() throws(Inflater.Failure) -> UInt8? {
        try fill(8)
        return count >= 8 ? UInt8(try take(8)) : nil
    }
}
