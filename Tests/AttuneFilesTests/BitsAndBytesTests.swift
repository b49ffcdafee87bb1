import AttuneFiles
import AttuneTensor
import Testing

@Suite struct BitsAndBytesTests {
    private static func open() throws -> SafetensorsFile { try SafetensorsFile(fixture("bits.safetensors")) }

    @Test func readsNF4WithDoubleQuantization() throws {
        let tensor = try #require(try Self.open().quantizedTensor(named: "nf4.weight"))
        #expect(tensor.format == .nf4 && tensor.shape == [24, 40] && tensor.blockSize == 64)
        #expect(tensor.codes.shape == [480] && tensor.codes.dtype == .uint8)
        #expect(tensor.originalType == .bfloat16)
        #expect(tensor.codebook.floats().first == -1 && tensor.codebook.floats().last == 1)
        let nested = try #require(tensor.nested)
        #expect(nested.codes.shape == [15] && nested.absmax.shape == [1] && nested.codebook.shape == [256])
        #expect(nested.blockSize == 256 && nested.offset > 1)
        #expect(tensor.absmax.count == 0)
    }

    @Test func readsFP4AndInt8() throws {
        let file = try Self.open()
        let four = try #require(try file.quantizedTensor(named: "fp4.weight"))
        #expect(four.format == .fp4 && four.nested == nil && four.absmax.shape == [15])
        let eight = try #require(try file.quantizedTensor(named: "int8.weight"))
        #expect(eight.format == .int8 && eight.codes.shape == [24, 40] && eight.absmax.shape == [24])
        #expect(try file.quantizedTensor(named: "int8.SCB") == nil)
        #expect(try file.quantizedTensor(named: "nothing.weight") == nil)
    }

    @Test func writesTheBytesOfBitsAndBytes() throws {
        let file = try Self.open()
        let scratch = try Scratch()
        var entries: [(name: String, tensor: Tensor)] = []
        for name in ["nf4.weight", "fp4.weight", "int8.weight"] {
            let tensor = try #require(try file.quantizedTensor(named: name))
            entries += try BitsAndBytes.entries(for: tensor, name: name)
        }
        try SafetensorsWriter.write(tensors: entries, metadata: ["format": "pt"], to: scratch.path("x"))
        #expect(try bytes(scratch.path("x")) == bytes(fixture("bits.safetensors")))
    }

    /// Each part changed in turn: the checks must notice.
    @Test(arguments: [
        "nf4.weight", "nf4.weight.absmax", "nf4.weight.quant_map", "nf4.weight.nested_absmax",
        "nf4.weight.nested_quant_map", "fp4.weight.absmax", "int8.SCB",
    ])
    func partsThatDoNotFitAreRefused(_ changed: String) throws {
        let file = try Self.open()
        let scratch = try Scratch()
        let tensors = try file.tensorNames.map { name in
            let tensor = try file.tensor(named: name)
            guard name == changed else { return (name, tensor) }
            return (
                name, Tensor(storage: tensor.storage, byteOffset: tensor.byteOffset, shape: [2], dtype: tensor.dtype)
            )
        }
        try SafetensorsWriter.write(tensors: tensors, to: scratch.path("x"))
        let damaged = try SafetensorsFile(scratch.path("x"))
        let name = changed.hasPrefix("int8") ? "int8.weight" : String(changed.prefix(10))
        #expect(failure { try damaged.quantizedTensor(named: name) }?.exitCode == 65)
    }

    @Test(arguments: [
        "", "x", "{}", #"{"quant_type":"nf4","blocksize":0,"dtype":"float32","shape":[24,40]}"#,
        #"{"quant_type":"fp4","blocksize":64,"dtype":"float32","shape":[24,40]}"#,
        #"{"quant_type":"nf4","blocksize":64,"dtype":"int64","shape":[24,40]}"#,
        #"{"quant_type":"nf4","blocksize":64,"dtype":"float32","shape":[24,-40]}"#,
        #"{"quant_type":"nf4","blocksize":64,"dtype":"float32","shape":[4611686018427387904,4611686018427387904]}"#,
        #"{"quant_type":"nf4","blocksize":64,"dtype":"float32","shape":[24,40]}"#,
    ])
    func statesThatLieAreRefused(_ state: String) throws {
        let file = try Self.open()
        let scratch = try Scratch()
        let text = try Tensor(zeros: [state.utf8.count], .uint8)
        for (place, byte) in state.utf8.enumerated() {
            text.address.storeBytes(of: byte, toByteOffset: place, as: UInt8.self)
        }
        let tensors = try file.tensorNames.filter { $0.hasPrefix("nf4") }.map { name in
            (name, name.contains("quant_state") ? text : try file.tensor(named: name))
        }
        try SafetensorsWriter.write(tensors: tensors, to: scratch.path("x"))
        let damaged = try SafetensorsFile(scratch.path("x"))
        #expect(failure { try damaged.quantizedTensor(named: "nf4.weight") }?.exitCode == 65)
    }
}
