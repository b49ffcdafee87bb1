/// Expands gzip (RFC 1952, any number of members) and checks each member's length and CRC-32.
final class GzipBytes: ByteSource {
    private let path: String
    private var inflater: Inflater
    private let limit: Int
    private var expanded = 0
    private var memberBytes: UInt32 = 0
    private var crc = CRC32()
    private var isInsideMember = false
    private var hasEnded = false
    private var memberCount = 0

    /// - Parameter limit: how many bytes may come out in all before the file is taken for a bomb.
    init(path: String, source: any ByteSource, limit: Int) {
        self.path = path
        self.limit = limit
        inflater = Inflater(bits: BitReader(source))
    }

    func read(into buffer: inout [UInt8]) throws(DataError) -> Bool {
        do throws(Inflater.Failure) {
            while !hasEnded {
                if !isInsideMember {
                    guard try readHeader() else { break }
                }
                let start = buffer.count
                if try inflater.produce(into: &buffer) {
                    let added = buffer.count - start
                    expanded += added
                    memberBytes &+= UInt32(truncatingIfNeeded: added)
                    crc.update(buffer[start...])
                    guard expanded <= limit else {
                        throw Inflater.Failure.source(
                            DataError(
                                .badData, "\(path): expands to more than \(limit) bytes; unpack it and name the file"))
                    }
                    return true
                }
                try readTrailer()
            }
            return false
        } catch {
            switch error {
            case .source(let error): throw error
            case .truncated: throw DataError(.badData, "\(path): the gzip file is cut off; copy or download it again")
            case .invalid(let reason):
                throw DataError(.badData, "\(path): damaged gzip file (\(reason)); copy or download it again")
            }
        }
    }

    private func readHeader() throws(Inflater.Failure) -> Bool {
        guard let first = try inflater.bits.byte() else {
            hasEnded = true
            return false
        }
        if memberCount > 0, first == 0 {
            // Tape-style padding after the last member.
            while let byte = try inflater.bits.byte() {
                guard byte == 0 else { throw .invalid("text after the end") }
            }
            hasEnded = true
            return false
        }
        guard first == 0x1F, try inflater.bits.take(8) == 0x8B else { throw .invalid("not a gzip member") }
        guard try inflater.bits.take(8) == 8 else { throw .invalid("unknown compression") }
        let flags = try inflater.bits.take(8)
        guard flags & 0xE0 == 0 else { throw .invalid("unknown flags") }
        _ = try inflater.bits.take(32)
        _ = try inflater.bits.take(16)
        if flags & 4 != 0 {
            for _ in 0..<(try inflater.bits.take(16)) { _ = try inflater.bits.take(8) }
        }
        for flag: UInt32 in [8, 16] where flags & flag != 0 {
            while try inflater.bits.take(8) != 0 {}
        }
        if flags & 2 != 0 { _ = try inflater.bits.take(16) }
        inflater.restart()
        crc = CRC32()
        memberBytes = 0
        memberCount += 1
        isInsideMember = true
        return true
    }

    private func readTrailer() throws(Inflater.Failure) {
        inflater.bits.alignToByte()
        guard try inflater.bits.take(32) == crc.value else { throw .invalid("checksum differs") }
        guard try inflater.bits.take(32) == memberBytes else { throw .invalid("length differs") }
        isInsideMember = false
    }
}

/// The CRC of gzip: polynomial 0xEDB88320, reflected, inverted at both ends.
struct CRC32 {
    private var state: UInt32 = 0xFFFF_FFFF

    /// The checksum of everything so far.
    var value: UInt32 { ~state }

    mutating func update(_ bytes: ArraySlice<UInt8>) {
        var state = state
        for byte in bytes { state = Self.table[Int((state ^ UInt32(byte)) & 0xFF)] ^ state >> 8 }
        self.state = state
    }

    private static let table: [UInt32] = (0..<256).map { start in
        (0..<8).reduce(UInt32(start)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
    }
}
