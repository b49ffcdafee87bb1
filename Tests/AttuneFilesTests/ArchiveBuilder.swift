/// Builds PyTorch's zip files with chosen lies in them.
struct ArchiveBuilder {
    struct Entry {
        var name: String
        var data: [UInt8]
        /// Name in the header before the data, when it should differ.
        var localName: String?
        var method: UInt64 = 0
        var flags: UInt64 = 0
        var checksum: UInt64?
        var localSize: UInt64?
        var size: UInt64?
        /// Sizes in the 64-bit extra field.
        var isWide = false
    }

    var entries: [Entry]
    var prefix: [UInt8] = []
    var suffix: [UInt8] = []
    /// Added to the directory's offset of every entry.
    var shift: UInt64 = 0
    var hasWideEnd = false
    var wideCountLie: UInt64 = 0

    /// The sum, by the definition: one bit at a time.
    static func checksum(_ bytes: [UInt8]) -> UInt64 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0xEDB8_8320 : crc >> 1 }
        }
        return UInt64(~crc)
    }

    var bytes: [UInt8] {
        var file = prefix
        var directory: [UInt8] = []
        for entry in entries {
            let offset = UInt64(file.count) + shift
            let sum = entry.checksum ?? Self.checksum(entry.data)
            let size = entry.size ?? UInt64(entry.data.count)
            let local = entry.localSize ?? size
            let localName = Array((entry.localName ?? entry.name).utf8)
            func extra(_ size: UInt64) -> [UInt8] {
                entry.isWide ? .number(1, 2) + .number(16, 2) + .number(size, 8) + .number(size, 8) : []
            }
            func narrow(_ size: UInt64) -> [UInt8] { .number(entry.isWide ? 0xFFFF_FFFF : size, 4) }
            file += .number(0x0403_4B50, 4) + .number(0, 2) + .number(entry.flags, 2) + .number(entry.method, 2)
            file += .number(0, 4) + .number(sum, 4) + narrow(local) + narrow(local)
            file += .number(UInt64(localName.count), 2) + .number(UInt64(extra(local).count), 2)
            file += localName + extra(local) + entry.data
            directory += .number(0x0201_4B50, 4) + .number(0, 4) + .number(entry.flags, 2) + .number(entry.method, 2)
            directory += .number(0, 4) + .number(sum, 4) + narrow(size) + narrow(size)
            directory += .number(UInt64(entry.name.utf8.count), 2) + .number(UInt64(extra(size).count), 2)
            directory += .number(0, 2) + .number(0, 2) + .number(0, 2) + .number(0, 4) + .number(offset, 4)
            directory += Array(entry.name.utf8) + extra(size)
        }
        let start = UInt64(file.count)
        let (count, size) = (UInt64(entries.count), UInt64(directory.count))
        file += directory
        if hasWideEnd {
            let wide = UInt64(file.count)
            file += .number(0x0606_4B50, 4) + .number(44, 8) + .number(0, 4) + .number(0, 8)
            file += .number(count + wideCountLie, 8) + .number(count + wideCountLie, 8)
            file += .number(size, 8) + .number(start, 8)
            file += .number(0x0706_4B50, 4) + .number(0, 4) + .number(wide, 8) + .number(1, 4)
        }
        file += .number(0x0605_4B50, 4) + .number(0, 4) + .number(count, 2) + .number(count, 2)
        file += .number(size, 4) + .number(start, 4) + .number(0, 2)
        return file + suffix
    }

    /// A checkpoint of one float32 tensor `x` = [1, 2].
    static var valid: ArchiveBuilder {
        ArchiveBuilder(entries: [
            Entry(name: "m/data.pkl", data: Pickle.checkpoint(Pickle.tensor())),
            Entry(name: "m/data/0", data: [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]),
        ])
    }

    /// The valid archive with another pickle.
    static func holding(_ pickle: [UInt8]) -> [UInt8] {
        var archive = valid
        archive.entries[0].data = pickle
        return archive.bytes
    }
}

/// Assembles pickles.
enum Pickle {
    static func text(_ text: String) -> [UInt8] { [0x58] + .number(UInt64(text.utf8.count), 4) + Array(text.utf8) }
    static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
    static func long(_ value: Int64) -> [UInt8] { [0x8A, 8] + .number(UInt64(bitPattern: value), 8) }
    static func tuple(_ items: [[UInt8]]) -> [UInt8] { Array("(".utf8) + items.flatMap { $0 } + Array("t".utf8) }
    static func call(_ function: [UInt8], _ arguments: [[UInt8]]) -> [UInt8] {
        function + tuple(arguments) + Array("R".utf8)
    }

    static func tensor(
        type: String = "FloatStorage", key: String = "0", count: Int64 = 2, offset: Int64 = 0, size: [Int64] = [2],
        stride: [Int64] = [1]
    ) -> [UInt8] {
        let storage =
            tuple([text("storage"), global("torch", type), text(key), text("cpu"), long(count)]) + Array("Q".utf8)
        return call(
            global("torch._utils", "_rebuild_tensor_v2"),
            [
                storage, long(offset), tuple(size.map(long)), tuple(stride.map(long)), [0x89],
                call(global("collections", "OrderedDict"), []),
            ])
    }

    static func checkpoint(_ value: [UInt8]) -> [UInt8] {
        [0x80, 2] + Array("}(".utf8) + text("x") + value + Array("u.".utf8)
    }
}
