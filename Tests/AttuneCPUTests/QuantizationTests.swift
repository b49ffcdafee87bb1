import AttuneCPU
import AttuneTensor
import Testing

@Suite struct QuantizationTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let set: InstructionSet
        let dtype: DType
        let format: QuantizationFormat
        let rows: Int, columns: Int
        let nested: Bool
        var testDescription: String { "\(set) \(dtype) \(format) \(rows)×\(columns) nested \(nested)" }
    }

    static let cases: [Case] = Fixture.instructionSets.flatMap { set in
        Fixture.computeTypes.flatMap { dtype in
            QuantizationFormat.allCases.flatMap { format in
                [(130, 192, true), (64, 64, false), (5, 200, true), (3, 7, false)].map {
                    Case(set: set, dtype: dtype, format: format, rows: $0.0, columns: $0.1, nested: $0.2)
                }
            }
        }
    }

    /// Every use of a packed quantized weight sees the bits that dequantizing and rounding gives.
    @Test(arguments: cases) func packedEqualsDequantized(_ test: Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        let source = try randomTensor(test.rows, test.columns, .float32, seed: 1)
        let quantized = try backend.quantize(
            source, format: test.format, blockSize: 64, doubleQuantization: test.nested)
        let dense = try Tensor(zeros: [test.rows, test.columns], test.dtype)
        backend.dequantize(dense, quantized)
        #expect(error(dense, doubles(source)) < 0.2, "four bits are near the source")
        let packed = try backend.pack(.quantized(quantized), computeType: test.dtype)
        let plain = try backend.pack(.dense(dense), computeType: test.dtype)
        let unpacked = try Tensor(zeros: [test.rows, test.columns], test.dtype)
        backend.unpack(unpacked, packed)
        #expect(bytes(unpacked) == bytes(dense))
        for rows in [1, 2, 3, 4, 5, 9, 40] { try compare(backend, packed, plain, rows) }
        #expect(packed.byteCount < plain.byteCount || test.rows * test.columns < 2000)
    }

    /// Both directions of both weights, bit for bit; few rows take other kernels than many.
    private func compare(
        _ backend: CPUBackend, _ packed: any PackedWeight, _ plain: any PackedWeight, _ rows: Int
    ) throws {
        let (out, inp, dtype) = (packed.outFeatures, packed.inFeatures, packed.computeType)
        let x = try randomTensor(rows, inp, dtype, seed: 2)
        let y = try Tensor(zeros: [rows, out], dtype)
        let expected = try Tensor(zeros: [rows, out], dtype)
        let low = LowRankTerm(
            input: try randomTensor(rows, 5, dtype, seed: 3),
            weight: try backend.pack(.dense(randomTensor(out, 5, dtype, seed: 4)), computeType: dtype))
        for extra in [nil, low] {
            backend.linear(y, x, packed, bias: nil, extra: extra, scale: 1, residual: nil)
            backend.linear(expected, x, plain, bias: nil, extra: extra, scale: 1, residual: nil)
            #expect(bytes(y) == bytes(expected), "\(rows) rows")
        }
        let dx = try Tensor(zeros: [rows, inp], dtype)
        let dexpected = try Tensor(zeros: [rows, inp], dtype)
        backend.linearInputGradient(dx, y, packed, extra: nil, scale: 1, residual: nil)
        backend.linearInputGradient(dexpected, y, plain, extra: nil, scale: 1, residual: nil)
        #expect(bytes(dx) == bytes(dexpected), "\(rows) rows")
    }

    /// Scales outside the range the fast expansion is exact in take the plain path, with the same bits.
    @Test func extremeScalesKeepTheirBits() throws {
        let backend = try CPUBackend(threads: 1)
        for factor: Float in [1e-36, 1e-30, 1e30, 1e36] {
            let source = try randomTensor(64, 64, .float32, seed: 1, scale: factor)
            let quantized = try backend.quantize(source, format: .nf4, blockSize: 64, doubleQuantization: false)
            let dense = try Tensor(zeros: [64, 64], .bfloat16)
            backend.dequantize(dense, quantized)
            let unpacked = try Tensor(zeros: [64, 64], .bfloat16)
            backend.unpack(unpacked, try backend.pack(.quantized(quantized), computeType: .bfloat16))
            #expect(bytes(unpacked) == bytes(dense))
            let packed = try backend.pack(.quantized(quantized), computeType: .bfloat16)
            try compare(backend, packed, try backend.pack(.dense(dense), computeType: .bfloat16), 2)
        }
    }

    @Test func wrongPartsAreRefused() throws {
        let backend = try CPUBackend(threads: 1)
        let source = try randomTensor(8, 64, .float32, seed: 1)
        var quantized = try backend.quantize(source, format: .nf4, blockSize: 64, doubleQuantization: false)
        quantized.absmax = try Tensor(zeros: [3])
        #expect(throws: TensorError.self) { try backend.pack(.quantized(quantized), computeType: .float32) }
        quantized.blockSize = 0
        #expect(throws: TensorError.self) { try backend.pack(.quantized(quantized), computeType: .float32) }
    }
}
