import AttuneTensor
import CAttuneKernels

extension CPUBackend {
    /// How many block scales share a nested scale in bitsandbytes.
    private static var nestedBlockSize: Int { 256 }

    /// Quantizes a dense matrix bit for bit as bitsandbytes does.
    ///
    /// The offset of nested scales is their mean, summed here in float64; the original sums in float32, so the last bit of
    /// the offset may differ.
    public func quantize(
        _ source: Tensor, format: QuantizationFormat, blockSize: Int, doubleQuantization: Bool
    ) throws(TensorError) -> QuantizedTensor {
        guard source.dtype.isComputeType, source.shape.count == 2, source.count > 0 else {
            throw .unsupported("cannot quantize a tensor of shape \(source.shape) and type \(source.dtype)")
        }
        var view = matrix(source)
        if format == .int8 {
            let codes = try Tensor(zeros: source.shape, .int8)
            let absmax = try Tensor(zeros: [source.rows])
            attune_quantize_int8(
                machine.pool, codes.address.assumingMemoryBound(to: Int8.self), floats(absmax, source.rows), &view)
            return QuantizedTensor(
                format: .int8, shape: source.shape, blockSize: source.columns, codes: codes, absmax: absmax,
                codebook: try Tensor(zeros: [0]), originalType: source.dtype)
        }
        guard blockSize >= 2, blockSize % 2 == 0 else {
            throw .unsupported("block size \(blockSize): use 32, 64, 128, … 4096")
        }
        let count = source.count
        let blocks = (count + blockSize - 1) / blockSize
        let codes = try Tensor(zeros: [(count + 1) / 2, 1], .uint8)
        let absmax = try Tensor(zeros: [blocks])
        let codebook = try Tensor(zeros: [16])
        let isFP4: Int32 = format == .fp4 ? 1 : 0
        attune_4bit_codebook(floats(codebook, 16), isFP4)
        attune_quantize_4bit(
            machine.pool, codes.address.assumingMemoryBound(to: UInt8.self), floats(absmax, blocks), &view,
            Int64(blockSize), isFP4)
        var result = QuantizedTensor(
            format: format, shape: source.shape, blockSize: blockSize, codes: codes, absmax: absmax,
            codebook: codebook, originalType: source.dtype)
        if doubleQuantization {
            result.nested = try nest(absmax)
            result.absmax = try Tensor(zeros: [0])
        }
        return result
    }

    /// Block scales in eight bits around their mean.
    private func nest(_ absmax: Tensor) throws(TensorError) -> QuantizedTensor.NestedScales {
        let values = absmax.floats()
        let offset = Float(values.reduce(into: 0.0) { $0 += Double($1) } / Double(values.count))
        let codes = try Tensor(zeros: [values.count], .uint8)
        let nested = try Tensor(zeros: [(values.count + Self.nestedBlockSize - 1) / Self.nestedBlockSize])
        let map = try Tensor(zeros: [256])
        attune_dynamic_map(floats(map, 256), 1)
        attune_quantize_8bit(
            codes.address.assumingMemoryBound(to: UInt8.self), floats(nested, nested.count),
            values.map { $0 - offset }, Int64(values.count), Int64(Self.nestedBlockSize), floats(map, 256))
        return QuantizedTensor.NestedScales(
            codes: codes, absmax: nested, codebook: map, offset: offset, blockSize: Self.nestedBlockSize)
    }

    /// The dense values of a quantized matrix.
    public func dequantize(_ out: Tensor, _ source: QuantizedTensor) {
        precondition(out.count == source.shape.reduce(1, *), "dequantize of \(source.shape) to \(out.shape)")
        do {
            let weight = try pack(.quantized(source), computeType: .float32)
            unpack(out, weight)
        } catch {
            preconditionFailure("dequantize: \(error)")
        }
    }
}
