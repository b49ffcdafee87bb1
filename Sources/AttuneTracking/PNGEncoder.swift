/// Writes PNG (W3C recommendation, third edition): eight bits of red, green and blue, every row filtered against the
/// one above, compressed by `Deflater`.
enum PNGEncoder {
    /// A file from `width · height · 3` bytes, rows from the top.
    /// - Precondition: there are as many bytes as the size says.
    static func encode(_ pixels: [UInt8], width: Int, height: Int) -> [UInt8] {
        precondition(pixels.count == width * height * 3 && width > 0, "three bytes a pixel")
        let stride = width * 3
        var filtered: [UInt8] = []
        filtered.reserveCapacity(pixels.count + height)
        for row in 0..<height {
            // Filter 2, Up: what stays the same down a column becomes zero.
            filtered.append(2)
            for place in (row * stride)..<((row + 1) * stride) {
                filtered.append(pixels[place] &- (row == 0 ? 0 : pixels[place - stride]))
            }
        }
        var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        file += chunk("IHDR", bigEndian(UInt32(width)) + bigEndian(UInt32(height)) + [8, 2, 0, 0, 0])
        // 144 dots an inch: two pixels for each point.
        file += chunk("pHYs", bigEndian(5669) + bigEndian(5669) + [1])
        file += chunk("IDAT", [0x78, 0x9C] + Deflater.compress(filtered) + bigEndian(adler32(filtered)))
        return file + chunk("IEND", [])
    }

    private static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        return bigEndian(UInt32(data.count)) + body + bigEndian(crc32(body))
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
    }

    static func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(0xFFFF_FFFF as UInt32) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ $0 >> 8 }
    }

    private static let table: [UInt32] = (0..<256).map { start in
        (0..<8).reduce(UInt32(start)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
    }

    static func adler32(_ bytes: [UInt8]) -> UInt32 {
        var (a, b): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            a = (a + UInt32(byte)) % 65521
            b = (b + a) % 65521
        }
        return b << 16 | a
    }
}

/// Deflate (RFC 1951) in one block with the fixed codes; matches are found through a table of the last place of every
/// three bytes.
enum Deflater {
    static func compress(_ bytes: [UInt8]) -> [UInt8] {
        var out = BitWriter()
        out.add(1, bits: 1)
        out.add(1, bits: 2)
        var last = [Int](repeating: -1, count: 1 << 15)
        func slot(_ place: Int) -> Int {
            let key = UInt32(bytes[place]) | UInt32(bytes[place + 1]) << 8 | UInt32(bytes[place + 2]) << 16
            return Int((key &* 2_654_435_769) >> 17)
        }
        var place = 0
        while place < bytes.count {
            var length = 0
            var distance = 0
            if place + 3 <= bytes.count {
                let found = last[slot(place)]
                last[slot(place)] = place
                if found >= 0, place - found <= 32_768 {
                    let limit = min(258, bytes.count - place)
                    while length < limit, bytes[found + length] == bytes[place + length] { length += 1 }
                    distance = place - found
                }
            }
            if length >= 3 {
                out.addLength(length)
                out.addDistance(distance)
                for skipped in (place + 1)..<(place + length) where skipped + 3 <= bytes.count {
                    last[slot(skipped)] = skipped
                }
                place += length
            } else {
                out.addLiteral(Int(bytes[place]))
                place += 1
            }
        }
        out.addLiteral(256)
        return out.finished()
    }

    private struct BitWriter {
        private var bytes: [UInt8] = []
        private var buffer: UInt32 = 0
        private var count: UInt32 = 0

        mutating func add(_ value: UInt32, bits: UInt32) {
            buffer |= value << count
            count += bits
            while count >= 8 {
                bytes.append(UInt8(truncatingIfNeeded: buffer))
                buffer >>= 8
                count -= 8
            }
        }

        /// Codes are written from their highest bit.
        private mutating func addCode(_ code: UInt32, bits: UInt32) {
            var reversed: UInt32 = 0
            for bit in 0..<bits where code >> bit & 1 == 1 { reversed |= 1 << (bits - 1 - bit) }
            add(reversed, bits: bits)
        }

        mutating func addLiteral(_ symbol: Int) {
            switch symbol {
            case ..<144: addCode(UInt32(0x30 + symbol), bits: 8)
            case ..<256: addCode(UInt32(0x190 + symbol - 144), bits: 9)
            case ..<280: addCode(UInt32(symbol - 256), bits: 7)
            default: addCode(UInt32(0xC0 + symbol - 280), bits: 8)
            }
        }

        /// Lengths 3…258: four symbols to each count of extra bits from 11 on; 258 has its own.
        mutating func addLength(_ length: Int) {
            if length == 258 { return addLiteral(285) }
            let offset = length - 3
            guard offset >= 8 else { return addLiteral(257 + offset) }
            let extra = offset.bitWidth - 1 - offset.leadingZeroBitCount - 2
            addLiteral(257 + 4 * extra + offset >> extra)
            add(UInt32(offset & (1 << extra - 1)), bits: UInt32(extra))
        }

        /// Distances 1…32768: two symbols to each count of extra bits from 5 on.
        mutating func addDistance(_ distance: Int) {
            let offset = distance - 1
            guard offset >= 4 else { return addCode(UInt32(offset), bits: 5) }
            let extra = offset.bitWidth - 1 - offset.leadingZeroBitCount - 1
            addCode(UInt32(2 * extra + offset >> extra), bits: 5)
            add(UInt32(offset & (1 << extra - 1)), bits: UInt32(extra))
        }

        mutating func finished() -> [UInt8] {
            if count > 0 { add(0, bits: 8 - count) }
            return bytes
        }
    }
}
