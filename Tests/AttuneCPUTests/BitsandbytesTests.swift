import AttuneCPU
import AttuneTensor
import CAttuneKernels
import Foundation
import Testing

/// Bytes of a hexadecimal text.
private func unhex(_ text: String) -> [UInt8] {
    let digits = Array(text.utf8).map { $0 < 58 ? $0 - 48 : $0 - 87 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] * 16 + digits[$0 + 1] }
}

/// A tensor holding the given bytes.
private func tensor(_ hex: String, _ shape: [Int], _ dtype: DType) throws -> Tensor {
    let result = try Tensor(zeros: shape, dtype)
    unhex(hex).withUnsafeBytes {
        if let base = $0.baseAddress { result.address.copyMemory(from: base, byteCount: $0.count) }
    }
    return result
}

/// The formats bit for bit as bitsandbytes writes them.
@Suite struct BitsandbytesTests {
    private typealias Golden = BitsandbytesGolden

    static let matrices: [(DType, QuantizationFormat, String, String, String)] = [
        (.float32, .nf4, Golden.float32Nf4Codes, Golden.float32Nf4Absmax, Golden.float32Nf4Values),
        (.float32, .fp4, Golden.float32Fp4Codes, Golden.float32Fp4Absmax, Golden.float32Fp4Values),
        (.bfloat16, .nf4, Golden.bfloat16Nf4Codes, Golden.bfloat16Nf4Absmax, Golden.bfloat16Nf4Values),
        (.bfloat16, .fp4, Golden.bfloat16Fp4Codes, Golden.bfloat16Fp4Absmax, Golden.bfloat16Fp4Values),
        (.float16, .nf4, Golden.float16Nf4Codes, Golden.float16Nf4Absmax, Golden.float16Nf4Values),
        (.float16, .fp4, Golden.float16Fp4Codes, Golden.float16Fp4Absmax, Golden.float16Fp4Values),
    ]

    @Test(arguments: Fixture.instructionSets) func fourBitMatrices(_ set: InstructionSet) throws {
        let backend = try CPUBackend(threads: 2, isa: set)
        for (dtype, format, codes, absmax, values) in Self.matrices {
            let source = try randomTensor(10, 67, dtype, seed: 11)
            let result = try backend.quantize(source, format: format, blockSize: 64, doubleQuantization: false)
            #expect(bytes(result.codes) == unhex(codes), "\(dtype) \(format)")
            #expect(bytes(result.absmax) == unhex(absmax), "\(dtype) \(format)")
            let dense = try Tensor(zeros: [10, 67], dtype)
            backend.dequantize(dense, result)
            #expect(bytes(dense.rows(0..<2)) == unhex(values), "\(dtype) \(format)")
        }
        #expect(unhex(Golden.float32Nf4Codes) != unhex(Golden.bfloat16Nf4Codes), "the comparison can fail")
    }

    @Test(arguments: [QuantizationFormat.nf4, .fp4]) func valuesOnTheBoundaries(_ format: QuantizationFormat) throws {
        let backend = try CPUBackend(threads: 1)
        let isNF4 = format == .nf4
        let source = try tensor(isNF4 ? Golden.nf4Boundaries : Golden.fp4Boundaries, [4, 64], .float32)
        let result = try backend.quantize(source, format: format, blockSize: 64, doubleQuantization: false)
        #expect(bytes(result.codes) == unhex(isNF4 ? Golden.nf4BoundaryCodes : Golden.fp4BoundaryCodes))
    }

    @Test func nestedScales() throws {
        let backend = try CPUBackend(threads: 2)
        let source = try randomTensor(150, 128, .float32, seed: 12)
        let result = try backend.quantize(source, format: .nf4, blockSize: 64, doubleQuantization: true)
        let nested = try #require(result.nested)
        let offset = try tensor(Golden.nestedOffset, [1], .float32).floats()[0]
        #expect(abs(nested.offset - offset) <= offset.ulp)
        #expect(bytes(nested.codebook) == unhex(Golden.signedMap))
        if nested.offset == offset {
            #expect(bytes(nested.absmax) == unhex(Golden.nestedAbsmax))
            // The library's CUDA kernels name the nearest code; its table on a processor may name the neighbour.
            #expect(bytes(nested.codes) == unhex(Golden.nestedNearestCodes))
            let pairs = zip(bytes(nested.codes), unhex(Golden.nestedCodes))
            #expect(pairs.allSatisfy { abs(Int($0) - Int($1)) <= 1 })
            #expect(pairs.filter { $0 != $1 }.count <= 2)
        }
        var map = [Float](repeating: 0, count: 256)
        attune_dynamic_map(&map, 0)
        #expect(map.withUnsafeBytes { Array($0) } == unhex(Golden.unsignedMap))
    }

    /// Three steps with gradients of many orders of magnitude: the bytes bitsandbytes' CUDA rule stores.
    @Test func eightBitAdamW() throws {
        let backend = try CPUBackend(threads: 2)
        let count = 600
        let parameter = try randomTensor(1, count, .float32, seed: 13)
        let moments = EightBitMoments(
            firstCodes: try Tensor(zeros: [count], .uint8), secondCodes: try Tensor(zeros: [count], .uint8),
            firstAbsmax: try Tensor(zeros: [3]), secondAbsmax: try Tensor(zeros: [3]))
        for step in 1...3 {
            let sizes = try randomTensor(1, count, .float32, seed: UInt64(30 + step)).floats()
            let signs = try randomTensor(1, count, .float32, seed: UInt64(20 + step)).floats()
            let gradient = try Tensor(
                zip(signs, sizes).map { scalbn($0, Int(($1 * 8).rounded(.down))) }, shape: [1, count])
            backend.adamW8Bit(
                parameter, gradient: gradient, moments: moments,
                AdamWStep(
                    learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, step: step,
                    gradientScale: 0.5))
        }
        let first = bytes(moments.firstCodes)
        let second = bytes(moments.secondCodes)
        #expect(first == unhex(Golden.adamw8FirstCodes))
        #expect(second == unhex(Golden.adamw8SecondCodes))
        #expect(second.contains(0) && first.contains(126) && first.contains(127), "the rare codes are among them")
        let golden = try tensor(Golden.adamw8Parameter, [1, count], .float32)
        // Where v was rounded to 0, a parameter goes far; each is compared with its own size.
        #expect(zip(parameter.floats(), golden.floats()).allSatisfy { abs($0 - $1) <= 1e-5 * abs($1) + 1e-6 })
        let absmax = try tensor(Golden.adamw8FirstAbsmax, [1, 3], .float32)
        #expect(error(moments.firstAbsmax, doubles(absmax)) < 1e-6)
        let squares = try tensor(Golden.adamw8SecondAbsmax, [1, 3], .float32)
        #expect(error(moments.secondAbsmax, doubles(squares)) < 1e-6)
    }
}
