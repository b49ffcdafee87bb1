import AttuneFiles
import AttuneFuzzing
import AttuneTensor
import Foundation
import Testing

/// Files made from their parts with some parts wrong, since random bytes rarely get past the first check: each ends in
/// tensors or one `FilesError` of one line.
@Suite struct FilesFuzzTests {
    private func run(
        _ stream: UInt64, make: (inout Chance) -> [UInt8], read: (String) throws -> Void
    ) throws -> FuzzRun {
        let scratch = try Scratch()
        return try FuzzRun(
            stream: stream, iterations: 3000, make: make,
            read: { try read(try scratch.put($0, "x")) },
            isRefusal: { error in
                guard let error = error as? FilesError else { return false }
                return !error.description.contains("\n") && error.exitCode == 65
            })
    }

    /// Reads every byte of every tensor, so that a view outside the file cannot hide.
    private func touch(_ source: any TensorSource) throws {
        for name in source.tensorNames {
            let tensor = try source.tensor(named: name)
            let raw = UnsafeRawBufferPointer(start: tensor.address, count: tensor.byteCount)
            _ = raw.reduce(UInt8(0)) { $0 &+ $1 }
        }
    }

    @Test func safetensors() throws {
        let outcome = try run(1, make: { $0.safetensors() }, read: { try touch(try SafetensorsFile($0)) })
        #expect(outcome.accepted > outcome.count / 20 && outcome.refused > outcome.count / 20)
        #expect(outcome.findings.isEmpty)
    }

    @Test func archives() throws {
        let outcome = try run(2, make: { $0.archive() }, read: { try touch(try TorchCheckpoint($0)) })
        #expect(outcome.accepted > outcome.count / 20 && outcome.refused > outcome.count / 20)
        #expect(outcome.findings.isEmpty)
    }

    @Test func pickles() throws {
        let outcome = try run(
            3, make: { ArchiveBuilder.holding($0.pickle()) }, read: { try touch(try TorchCheckpoint($0)) })
        #expect(outcome.refused > outcome.count / 2)
        #expect(outcome.findings.isEmpty)
    }
}

/// The makers of odd files.
extension Chance {
    mutating func safetensors() -> [UInt8] {
        var place = 0
        var entries: [String] = []
        for number in 0..<below(6) {
            let (type, width) = pick([("F32", 4), ("U8", 1), ("BF16", 2), ("I64", 8), ("BOOL", 1), ("F64", 8)])
            var shape = (0..<below(4)).map { _ in Int64(below(4)) }
            let size = Int(shape.reduce(1, *)) * width
            var (begin, end) = (Int64(place), Int64(place + size))
            place += size
            if rarely(20), !shape.isEmpty { shape[below(shape.count)] = pick(Self.edges) }
            if rarely(20) { begin = pick(Self.edges) }
            if rarely(20) { end = pick(Self.edges) }
            let name = rarely(15) ? "t0" : rarely(15) ? "__metadata__" : "t\(number)"
            entries.append("\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}")
        }
        if rarely(3) { entries.insert("\"__metadata__\":{\"k\":\(rarely(10) ? "1" : "\"v\"")}", at: 0) }
        var header = Array("{\(entries.joined(separator: ","))}".utf8)
        if rarely(20) { header[below(header.count)] = UInt8(truncatingIfNeeded: next()) }
        header += [UInt8](repeating: 0x20, count: below(9))
        let length = rarely(30) ? UInt64(bitPattern: pick(Self.edges)) : UInt64(header.count)
        let data = [UInt8](repeating: 1, count: rarely(20) ? below(200) : place)
        return .number(length, 8) + header + data
    }

    mutating func archive() -> [UInt8] {
        var archive = ArchiveBuilder.valid
        archive.hasWideEnd = rarely(2)
        if rarely(6) {
            archive.entries.append(.init(name: pick(["m/version", "m/x", "..", "m/data/0"]), data: [0x33]))
        }
        let which = below(archive.entries.count)
        archive.entries[which].isWide = rarely(3)
        switch below(14) {
        case 0: archive.entries[which].flags = UInt64(below(1 << 16))
        case 1: archive.entries[which].method = UInt64(below(20))
        case 2: archive.entries[which].size = UInt64(bitPattern: pick(Self.edges))
        case 3: archive.entries[which].localSize = UInt64(bitPattern: pick(Self.edges))
        case 4: archive.entries[which].checksum = next() & 0xFFFF_FFFF
        case 5: archive.shift = UInt64(bitPattern: pick(Self.edges)) & 0xFFFF_FFFF
        case 6: archive.wideCountLie = UInt64(bitPattern: pick(Self.edges)) & 0xFF
        case 7: archive.entries[which].localName = pick(["", "x", "m/data/0"])
        default: break
        }
        var bytes = archive.bytes
        if rarely(4) { bytes[below(bytes.count)] = UInt8(truncatingIfNeeded: next()) }
        if rarely(10) {
            // Eight bytes of an edge value over the records at the end, where the offsets are.
            let value = [UInt8].number(UInt64(bitPattern: pick(Self.edges)), 8)
            let start = bytes.count - 8 - below(min(150, bytes.count - 8))
            bytes.replaceSubrange(start..<(start + 8), with: value)
        }
        if rarely(20) { bytes.removeLast(below(bytes.count)) }
        return bytes
    }

    mutating func pickle() -> [UInt8] {
        if rarely(2) {
            // A tensor with odd numbers.
            func dimensions(_ chance: inout Chance) -> [Int64] {
                (0..<chance.below(4)).map { _ in
                    chance.rarely(3) ? chance.pick(Self.edges) : Int64(chance.below(3))
                }
            }
            let type = pick(["FloatStorage", "ByteStorage", "DoubleStorage", "float32", "UntypedStorage"])
            let count: Int64 = rarely(4) ? pick(Self.edges) : pick([2, 8, 1])
            let offset = rarely(3) ? pick(Self.edges) : 0
            let (size, stride) = (dimensions(&self), dimensions(&self))
            return Pickle.checkpoint(
                Pickle.tensor(type: type, count: count, offset: offset, size: size, stride: stride))
        }
        // A run of instructions, valid ones among others.
        let codes =
            Array("(N)]}taesuqrhjcQRbKMJGX.".utf8) + [0x80, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x93, 0x94]
        var program: [UInt8] = [0x80, 2]
        for _ in 0..<(5 + below(60)) {
            switch below(8) {
            case 0: program += Pickle.text(pick(["storage", "0", "x", "torch", "Size"]))
            case 1:
                program += Pickle.global(
                    pick(["torch", "torch._utils", "collections"]),
                    pick(["_rebuild_tensor_v2", "OrderedDict", "Size", "FloatStorage", "_rebuild_parameter"]))
            case 2: program += Pickle.long(pick(Self.edges))
            case 3: program += Pickle.tensor(count: pick(Self.edges))
            default: program.append(rarely(30) ? UInt8(truncatingIfNeeded: next()) : pick(codes))
            }
        }
        return program + Array(".".utf8)
    }
}
