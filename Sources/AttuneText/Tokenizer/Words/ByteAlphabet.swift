/// The printable characters that stand for the 256 byte values in byte-level vocabularies (GPT-2).
enum ByteAlphabet {
    /// For each byte its scalar: printable Latin-1 stands for itself, the rest follow from U+0100 on.
    static let scalarOfByte: [UInt32] = {
        var next: UInt32 = 0x100
        return (UInt32(0)..<256).map { byte in
            if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte) {
                return byte
            }
            defer { next += 1 }
            return next
        }
    }()

    /// For each byte the UTF-8 of its scalar.
    static let textOfByte: [[UInt8]] = scalarOfByte.map { scalar in
        var text: [UInt8] = []
        text.append(scalar: scalar)
        return text
    }

    /// For scalars below U+0200 the byte, or -1.
    private static let byteOfScalar: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x200)
        for (byte, scalar) in scalarOfByte.enumerated() { table[Int(scalar)] = Int16(byte) }
        return table
    }()

    /// The bytes a token stands for, or `nil` when it holds a character that is not of the alphabet.
    static func bytes(of token: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        for scalar in token.unicodeScalars {
            guard scalar.value < 0x200, case let byte = byteOfScalar[Int(scalar.value)], byte >= 0 else { return nil }
            bytes.append(UInt8(byte))
        }
        return bytes
    }
}
