import AttuneFiles
import AttuneJSON
import AttuneTensor
import Testing

@Suite struct TorchCheckpointTests {
    @Test(arguments: ["state.bin", "nested.bin", "protocol4.bin"])
    func readsWhatTorchSaved(_ name: String) throws {
        let checkpoint = try TorchCheckpoint(fixture(name))
        let expected = try WholeFile.readJSON(fixture("state.json"))
        let members = try #require(expected.objectValue).members
        #expect(checkpoint.tensorNames == members.map(\.key))
        for (name, value) in members {
            let tensor = try checkpoint.tensor(named: name)
            #expect(tensor.shape == value["shape"]?.arrayValue?.compactMap(\.intValue), "\(name)")
            #expect(tensor.dtype.torchName == value["dtype"]?.stringValue)
            #expect(tensor.isContiguous)
            #expect(checkpoint.description(of: name)?.shape == tensor.shape)
            if name == "eight" {
                #expect(bytes(of: tensor) == [0x38, 0xC0])
            } else {
                #expect(values(of: tensor) == value["values"]?.arrayValue?.compactMap(\.doubleValue), "\(name)")
            }
        }
        // Dense tensors are views of the file; gathered ones are not.
        #expect(try !checkpoint.tensor(named: "dense").storage.isWritable)
        #expect(try checkpoint.tensor(named: "transposed").storage.isWritable)
    }

    @Test func theOldFormatIsExplained() throws {
        let error = failure { try TorchCheckpoint(fixture("legacy.bin")) }
        #expect(error?.exitCode == 65)
        #expect(error?.description.contains("before 1.6") == true)
    }

    @Test func foreignObjectsAreNamedAndRefused() throws {
        let error = failure { try TorchCheckpoint(fixture("foreign.bin")) }
        #expect(error?.description.contains("argparse.Namespace") == true)
    }

    @Test func theBuilderOfTheAttacksMakesValidFiles() throws {
        let scratch = try Scratch()
        var wide = ArchiveBuilder.valid
        wide.hasWideEnd = true
        wide.entries[1].isWide = true
        for archive in [ArchiveBuilder.valid, wide] {
            let path = try scratch.put(archive.bytes, "x.bin")
            #expect(try TorchCheckpoint(path).tensor(named: "x").floats() == [1, 2])
        }
    }

    static let attacks: [(name: String, bytes: [UInt8], problem: String)] = [
        ("empty file", [], "neither zip nor pickle"),
        ("text", Array("hello".utf8), "neither zip nor pickle"),
        ("cut off", Array(ArchiveBuilder.valid.bytes.dropLast(30)), "no end record"),
        ("trailing bytes", changed { $0.suffix = [1] }, "no end record"),
        ("prefix before the archive", changed { $0.prefix = Array("#!/bin/sh\n".utf8) }, "neither zip nor pickle"),
        ("directory shifted", changed { $0.shift = 1 }, "disagree"),
        ("directory far away", changed { $0.shift = 0xFFFF_0000 }, "disagree"),
        ("end records disagree", changed { ($0.hasWideEnd, $0.wideCountLie) = (true, 1) }, "disagree"),
        ("compressed", changed { $0.entries[1].method = 8 }, "compressed"),
        ("encrypted", changed { $0.entries[1].flags = 1 }, "encrypted"),
        ("other local name", changed { $0.entries[1].localName = "m/data/1" }, "disagree"),
        ("other local size", changed { $0.entries[1].localSize = 4 }, "disagree"),
        ("size past the end", changed { $0.entries[1].size = 1 << 20 }, "past the end"),
        (
            "size into the next entry", changed { $0.entries[0].size = UInt64($0.entries[0].data.count + 10) },
            "overlaps"
        ),
        ("traversal", changed { $0.entries[1].name = "m/../../etc/passwd" }, "outside the archive"),
        ("absolute name", changed { $0.entries[1].name = "/etc/passwd" }, "outside the archive"),
        ("backslashes", changed { $0.entries[1].name = "m\\..\\x" }, "outside the archive"),
        ("same name twice", changed { $0.entries.append($0.entries[1]) }, "two entries"),
        ("no pickle", changed { $0.entries.removeFirst() }, "data.pkl"),
        ("two pickles", changed { $0.entries.append(.init(name: "n/data.pkl", data: [])) }, "data.pkl"),
        ("wrong sum of the pickle", changed { $0.entries[0].checksum = 1 }, "check sum"),
        ("missing storage", changed { $0.entries.removeLast() }, "no data"),
        (
            "big-endian", changed { $0.entries.append(.init(name: "m/byteorder", data: Array("big".utf8))) },
            "big-endian"
        ),
        // What the pickle asks for
        (
            "os.system",
            ArchiveBuilder.holding(
                Pickle.checkpoint(Pickle.call(Pickle.global("os", "system"), [Pickle.text("id")]))), "'os.system'"
        ),
        (
            "eval by a stacked name",
            ArchiveBuilder.holding(
                Pickle.checkpoint(Pickle.text("builtins") + Pickle.text("eval") + [0x93])), "'builtins.eval'"
        ),
        (
            "torch.load inside", ArchiveBuilder.holding(Pickle.checkpoint(Pickle.global("torch", "load"))),
            "'torch.load'"
        ),
        ("an instance", ArchiveBuilder.holding(Pickle.checkpoint(Array("(ios\nsystem\n".utf8))), "0x69"),
        (
            "a new object", ArchiveBuilder.holding(Pickle.checkpoint(Pickle.global("torch", "Size") + [0x29, 0x81])),
            "0x81"
        ),
        (
            "a call of a type",
            ArchiveBuilder.holding(
                Pickle.checkpoint(Pickle.call(Pickle.global("torch", "FloatStorage"), []))), "calls a type"
        ),
        (
            "a call of no name", ArchiveBuilder.holding(Pickle.checkpoint(Pickle.text("a") + Array(")R".utf8))),
            "no name"
        ),
        (
            "a state for a tensor",
            ArchiveBuilder.holding(
                Pickle.checkpoint(Pickle.tensor() + Array("}b".utf8))), "foreign object"
        ),
        (
            "a sparse tensor",
            ArchiveBuilder.holding(
                Pickle.checkpoint(Pickle.global("torch._utils", "_rebuild_sparse_tensor"))), "_rebuild_sparse_tensor"
        ),
        // Malformed
        ("empty pickle", ArchiveBuilder.holding([]), "too early"),
        ("empty stack", ArchiveBuilder.holding([0x80, 2] + Array("R.".utf8)), "malformed"),
        ("mark without list", ArchiveBuilder.holding([0x80, 2] + Array("(e.".utf8)), "malformed"),
        ("pop below a mark", ArchiveBuilder.holding([0x80, 2] + Array("}}(s.".utf8)), "malformed"),
        ("text longer than the file", ArchiveBuilder.holding([0x80, 2, 0x58, 0xFF, 0xFF, 0xFF, 0xFF]), "too early"),
        ("unknown memo", ArchiveBuilder.holding([0x80, 2] + Array("h".utf8) + [9]), "malformed"),
        ("number of 255 bytes", ArchiveBuilder.holding([0x80, 2, 0x8A, 255]), "255 bytes"),
        ("no dictionary", ArchiveBuilder.holding([0x80, 2] + Array("].".utf8)), "no dictionary"),
        // Tensors that lie
        ("count larger than the data", tensor(Pickle.tensor(count: 3)), "not 3 elements"),
        ("count smaller than the data", tensor(Pickle.tensor(count: 1)), "not 1 elements"),
        ("count that overflows", tensor(Pickle.tensor(count: 1 << 62)), "elements"),
        ("shape past the end", tensor(Pickle.tensor(size: [3])), "outside its data"),
        ("stride past the end", tensor(Pickle.tensor(stride: [2])), "outside its data"),
        ("offset past the end", tensor(Pickle.tensor(offset: 1)), "outside its data"),
        ("negative stride", tensor(Pickle.tensor(stride: [-1])), "malformed"),
        ("negative offset", tensor(Pickle.tensor(offset: -1)), "outside its data"),
        ("stride overflow", tensor(Pickle.tensor(size: [1 << 32], stride: [1 << 32])), "outside its data"),
        ("count overflow", tensor(Pickle.tensor(size: [1 << 32, 1 << 32], stride: [0, 0])), "outside its data"),
        ("repeated without end", tensor(Pickle.tensor(size: [1 << 40], stride: [0])), "repeats"),
        ("sizes without strides", tensor(Pickle.tensor(size: [1, 2])), "outside its data"),
        ("storage elsewhere", tensor(Pickle.tensor(key: "../../0")), "no data"),
    ]

    private static func changed(_ change: (inout ArchiveBuilder) -> Void) -> [UInt8] {
        var archive = ArchiveBuilder.valid
        change(&archive)
        return archive.bytes
    }

    private static func tensor(_ pickle: [UInt8]) -> [UInt8] { ArchiveBuilder.holding(Pickle.checkpoint(pickle)) }

    @Test(arguments: attacks.indices)
    func isRefused(_ place: Int) throws {
        let attack = Self.attacks[place]
        let scratch = try Scratch()
        let path = try scratch.put(attack.bytes, "x.bin")
        let error = failure { try TorchCheckpoint(path) }
        #expect(error?.exitCode == 65, "\(attack.name)")
        let text = error?.description ?? ""
        #expect(text.contains(attack.problem), "\(attack.name): \(text)")
        #expect(text.hasPrefix(path) && !text.contains("\n"))
    }

    /// Found by the fuzzer: such a stride is legal, since it is never walked, and its product with the width overflowed.
    @Test func strideOfASingleElementMayBeAnyNumber() throws {
        let scratch = try Scratch()
        let pickle = Pickle.tensor(size: [2, 1], stride: [0, .max])
        let path = try scratch.put(Self.tensor(pickle), "x.bin")
        #expect(try TorchCheckpoint(path).tensor(named: "x").floats() == [1, 1])
    }

    @Test func damagedDataIsFoundWhenItIsRead() throws {
        let scratch = try Scratch()
        let path = try scratch.put(Self.changed { $0.entries[1].checksum = 1 }, "x.bin")
        let checkpoint = try TorchCheckpoint(path)
        #expect(failure { try checkpoint.tensor(named: "x") }?.description.contains("check sum") == true)
    }

    /// A million lists in each other: nothing here may recurse.
    @Test func depthCostsNoStack() throws {
        let scratch = try Scratch()
        let depth = 1_000_000
        let nested =
            [UInt8](repeating: UInt8(ascii: "]"), count: depth)
            + [UInt8](repeating: UInt8(ascii: "a"), count: depth - 1)
        let path = try scratch.put(ArchiveBuilder.holding(Pickle.checkpoint(nested)), "x.bin")
        #expect(try TorchCheckpoint(path).tensorNames.isEmpty)
        let tooDeep = [UInt8](repeating: UInt8(ascii: "]"), count: 1 << 21)
        let other = try scratch.put(ArchiveBuilder.holding(Pickle.checkpoint(tooDeep)), "y.bin")
        #expect(failure { try TorchCheckpoint(other) }?.description.contains("too much memory") == true)
    }

    @Test func damagedFilesEndInAnErrorOrAValue() throws {
        let original = try bytes(fixture("state.bin"))
        let scratch = try Scratch()
        var refused = 0
        for step in 0..<600 {
            var damaged = original
            damaged[(step * 37) % damaged.count] ^= UInt8(1 + step % 255)
            let path = try scratch.put(damaged, "x")
            do {
                let file = try TorchCheckpoint(path)
                for name in file.tensorNames { _ = try file.tensor(named: name).byteCount }
            } catch { refused += 1 }
        }
        #expect(refused > 200)
    }

    /// The same with the pickle's own sum made right again, so that the damage reaches the machine.
    @Test func damagedPicklesEndInAnErrorOrAValue() throws {
        let pickle = Pickle.checkpoint(Pickle.tensor())
        let scratch = try Scratch()
        var refused = 0
        for place in pickle.indices {
            for change: UInt8 in [1, 7, 0x40, 0x80, 0xFF] {
                var damaged = pickle
                damaged[place] ^= change
                let path = try scratch.put(ArchiveBuilder.holding(damaged), "x")
                do {
                    let file = try TorchCheckpoint(path)
                    for name in file.tensorNames { _ = try file.tensor(named: name).byteCount }
                } catch { refused += 1 }
            }
        }
        #expect(refused > 300)
    }
}
