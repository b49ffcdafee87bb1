/// The check sum of zip files (ISO 3309, polynomial 0xEDB88320), eight bytes a step.
enum CRC32 {
    // tables[k][b]: the sum of byte b followed by k zero bytes, the eight tables one after another.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
            tables[byte] = value
        }
        for place in 256..<tables.count {
            let before = tables[place - 256]
            tables[place] = tables[Int(before & 0xFF)] ^ (before >> 8)
        }
        return tables
    }()

    /// The sum of a run of bytes, continuing that of the bytes before.
    static func sum(_ bytes: UnsafeBufferPointer<UInt8>, after sum: UInt32 = 0) -> UInt32 {
        tables.withUnsafeBufferPointer { table in
            var crc = ~sum
            var place = 0
            let raw = UnsafeRawBufferPointer(bytes)
            while place + 8 <= raw.count {
                let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: UInt64.self)) ^ UInt64(crc)
                crc = 0
                for step in 0..<8 {
                    crc ^= table[(7 - step) * 256 + Int(truncatingIfNeeded: (word >> (8 * UInt64(step))) & 0xFF)]
                }
                place += 8
            }
            while place < raw.count {
                crc = table[Int((crc ^ UInt32(raw[place])) & 0xFF)] ^ (crc >> 8)
                place += 1
            }
            return ~crc
        }
    }
}

/// What a file weighs and its check sum: enough to notice a truncated or flipped copy.
public struct FileFingerprint: Sendable, Equatable {
    /// Its size.
    public let byteCount: Int
    /// CRC-32 of its bytes.
    public let checkSum: UInt32

    private static let pieceSize = 1 << 20

    /// Reads the whole file. It is read and not mapped, so that a failing disk is an error and no bus error.
    /// - Throws: `FilesError`.
    public init(ofFile path: String) throws(FilesError) {
        let descriptor = try System.openForReading(path)
        defer { System.closeDescriptor(descriptor) }
        guard try System.status(ofDescriptor: descriptor, path: path).isRegularFile else {
            throw .invalid(path: path, problem: "is no regular file")
        }
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceSize, alignment: 16)
        defer { piece.deallocate() }
        guard let start = piece.baseAddress else { throw .outOfMemory(path: path, byteCount: Self.pieceSize) }
        var (count, sum) = (0, UInt32(0))
        while true {
            let got = try System.read(descriptor, into: start, count: Self.pieceSize, path: path)
            sum = CRC32.sum(UnsafeBufferPointer(rebasing: piece.bindMemory(to: UInt8.self)[..<got]), after: sum)
            count += got
            if got < Self.pieceSize { break }
        }
        (byteCount, checkSum) = (count, sum)
    }
}
