import AttuneFiles
import AttuneTensor
import Testing

@Suite struct SafetensorsTests {
    @Test func readsWhatTheReferenceWrote() throws {
        let file = try SafetensorsFile(fixture("mixed.safetensors"))
        #expect(file.metadata == ["format": "pt"])
        #expect(file.tensorNames.count == 21)
        #expect(file.tensorNames.first == "u64")
        let a = try file.tensor(named: "a.weight")
        #expect(a.shape == [3, 2] && a.dtype == .float32)
        #expect(a.floats() == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
        #expect(!a.storage.isWritable)
        #expect(try file.tensor(named: "half").floats() == [0.5, -1, 65504])
        #expect(try file.tensor(named: "brain").floats() == [1.5, -2])
        let scalar = try file.tensor(named: "scalar")
        #expect(scalar.shape == [] && scalar.floats() == [3.25])
        let empty = try file.tensor(named: "empty")
        #expect(empty.shape == [0, 3] && empty.count == 0)
        #expect(try file.tensor(named: "four").shape == [1, 4])
        #expect(bytes(of: try file.tensor(named: "four")) == [0x12, 0x34])
        #expect(values(of: try file.tensor(named: "long")) == [-1, 0x1p40])
        #expect(file.contains("quo\"te\\ back\nline é 😀 \u{1}\u{7F}"))
    }

    @Test(arguments: ["mixed", "plain", "none", "bits", "adapter_varied/adapter_model"])
    func writesWhatTheReferenceWrites(_ name: String) throws {
        let path = fixture(name + ".safetensors")
        let file = try SafetensorsFile(path)
        let scratch = try Scratch()
        // In an order that is not the file's, so that the writer has to sort.
        let names = file.tensorNames.sorted { $0.count == $1.count ? $0 < $1 : $0.count < $1.count }
        let tensors = try names.map { ($0, try file.tensor(named: $0)) }
        let metadata = file.metadata.isEmpty ? nil : file.metadata
        try SafetensorsWriter.write(tensors: tensors, metadata: metadata, to: scratch.path("all"))
        #expect(try bytes(scratch.path("all")) == bytes(path))
        // One at a time gives the same file, and asks for each once.
        var asked: [String] = []
        try SafetensorsWriter.write(
            names.compactMap { file.description(of: $0) }, metadata: metadata, to: scratch.path("lazy")
        ) { description in
            asked.append(description.name)
            return try file.tensor(named: description.name)
        }
        #expect(try bytes(scratch.path("lazy")) == bytes(path))
        #expect(asked == file.tensorNames)
        #expect(scratch.names == ["all", "lazy"])
    }

    @Test func writesRowsThatStandApart() throws {
        let scratch = try Scratch()
        let matrix = try Tensor((0..<12).map { Float($0) }, shape: [3, 4])
        try SafetensorsWriter.write(tensors: [("x", matrix.columns(1..<3))], to: scratch.path("x"))
        #expect(try SafetensorsFile(scratch.path("x")).tensor(named: "x").floats() == [1, 2, 5, 6, 9, 10])
    }

    @Test func copiesATensorThatLiesUnaligned() throws {
        let scratch = try Scratch()
        let header =
            #"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
            + #""f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}"#
        let data: [UInt8] = [9, 0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]
        let path = try scratch.put(safetensors(header, data), "x")
        let tensor = try SafetensorsFile(path).tensor(named: "f")
        #expect(tensor.floats() == [1, 2])
        #expect(Int(bitPattern: tensor.address) % 4 == 0)
    }

    @Test func viewsOutliveTheFileValue() throws {
        func open() throws -> Tensor { try SafetensorsFile(fixture("plain.safetensors")).tensor(named: "x") }
        #expect(try open().floats() == [0, 1, 2])
    }

    @Test func missingNamesAndFilesAreMissingInput() throws {
        let file = try SafetensorsFile(fixture("plain.safetensors"))
        #expect(failure { try file.tensor(named: "y") }?.exitCode == 66)
        #expect(failure { try SafetensorsFile("/nowhere/x.safetensors") }?.exitCode == 66)
        #expect(failure { try SafetensorsFile(fixture("sharded")) }?.exitCode == 65)
    }

    @Test func refusesToWriteTwoTensorsOfOneName() throws {
        let scratch = try Scratch()
        let x = try Tensor([Float(1)], shape: [1])
        #expect(failure { try SafetensorsWriter.write(tensors: [("x", x), ("x", x)], to: scratch.path("x")) } != nil)
        #expect(
            failure { try SafetensorsWriter.write(tensors: [("__metadata__", x)], to: scratch.path("x")) } != nil)
        #expect(scratch.names.isEmpty)
    }

    @Test func failingProducerLeavesTheOldFile() throws {
        struct Stop: Error {}
        let scratch = try Scratch()
        let path = try scratch.put("old", "x")
        #expect(throws: Stop.self) {
            try SafetensorsWriter.write([TensorDescription(name: "a", dtype: .float32, shape: [1])], to: path) { _ in
                throw Stop()
            }
        }
        #expect(try bytes(path) == Array("old".utf8))
        #expect(scratch.names == ["x"])
    }
}

/// A file with this header and data, the header not padded.
func safetensors(_ header: String, _ data: [UInt8] = []) -> [UInt8] { safetensors(Array(header.utf8), data) }

func safetensors(_ header: [UInt8], _ data: [UInt8] = []) -> [UInt8] {
    .number(UInt64(header.count), 8) + header + data
}
