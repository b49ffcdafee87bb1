import AttuneTensor
import CAttuneKernels
import Synchronization

/// A weight in panels of 64 outputs; see `attune_weight` for the bytes.
final class CPUPackedWeight: PackedWeight {
    let outFeatures: Int
    let inFeatures: Int
    let computeType: DType
    let quantization: QuantizationFormat?
    let kind: Int32
    let data: Storage
    let scales: Storage?
    /// What the kernels read: addresses of `data` and `scales`, which live as long as this.
    nonisolated(unsafe) let view: attune_weight
    /// Counts the times new values were written; what was made of earlier ones no longer holds.
    let revision = Atomic(0)

    init(
        out: Int, inp: Int, computeType: DType, quantization: QuantizationFormat?, kind: Int32, blockSize: Int,
        codebook: [Float], on backend: CPUBackend
    ) throws(TensorError) {
        outFeatures = out
        inFeatures = inp
        self.computeType = computeType
        self.quantization = quantization
        self.kind = kind
        data = try backend.makeStorage(
            byteCount: Int(attune_weight_data_bytes(kind, kernelType(computeType), Int64(out), Int64(inp))))
        let scaleCount = Int(attune_weight_scale_count(kind, Int64(out), Int64(inp), Int64(blockSize)))
        scales = scaleCount > 0 ? try backend.makeStorage(byteCount: scaleCount * 4) : nil
        var view = attune_weight()
        view.kind = kind
        view.dtype = kernelType(computeType)
        view.out = Int64(out)
        view.in = Int64(inp)
        view.data = UnsafeRawPointer(data.address)
        view.scales = UnsafePointer(scales?.address.assumingMemoryBound(to: Float.self))
        view.block = Int64(blockSize)
        withUnsafeMutableBytes(of: &view.codebook) { bytes in
            codebook.withUnsafeBytes { bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(64))) }
        }
        self.view = view
    }

    var byteCount: Int { data.byteCount + (scales?.byteCount ?? 0) }

    /// The scales as floats.
    var scalePointer: UnsafeMutablePointer<Float>? { scales?.address.assumingMemoryBound(to: Float.self) }
}

/// The packed weight of this backend behind the protocol.
func cpuWeight(_ weight: any PackedWeight) -> CPUPackedWeight {
    guard let weight = weight as? CPUPackedWeight else {
        preconditionFailure("the weight was packed by another backend")
    }
    return weight
}

extension CPUBackend {
    /// Lays a matrix out in panels.
    public func pack(_ source: WeightSource, computeType: DType) throws(TensorError) -> any PackedWeight {
        guard computeType.isComputeType else { throw .unsupported("cannot compute in \(computeType)") }
        switch source {
        case .dense(let tensor):
            guard tensor.shape.count == 2, tensor.count > 0, tensor.dtype.isComputeType else {
                throw .unsupported("cannot pack a weight of shape \(tensor.shape) and type \(tensor.dtype)")
            }
            let weight = try CPUPackedWeight(
                out: tensor.rows, inp: tensor.columns, computeType: computeType, quantization: nil,
                kind: Int32(ATTUNE_WEIGHT_DENSE), blockSize: 0, codebook: [], on: self)
            repack(weight, tensor)
            return weight
        case .quantized(let source):
            return try packQuantized(source, computeType: computeType)
        }
    }

    /// Writes new dense values into a packed weight of the same shape.
    public func repack(_ weight: any PackedWeight, _ source: Tensor) {
        let weight = cpuWeight(weight)
        precondition(weight.quantization == nil, "a quantized weight cannot be repacked")
        precondition(
            source.rows == weight.outFeatures && source.columns == weight.inFeatures,
            "repack of [\(weight.outFeatures), \(weight.inFeatures)] from \(source.shape)")
        weight.revision.add(1, ordering: .relaxed)
        var view = matrix(source)
        attune_pack_dense(machine.pool, weight.data.address, kernelType(weight.computeType), &view)
    }

    /// The dense values of a packed weight.
    public func unpack(_ out: Tensor, _ weight: any PackedWeight) {
        let weight = cpuWeight(weight)
        precondition(
            out.rows == weight.outFeatures && out.columns == weight.inFeatures,
            "unpack of [\(weight.outFeatures), \(weight.inFeatures)] to \(out.shape)")
        var target = matrix(out)
        var view = weight.view
        attune_unpack(machine.pool, &target, &view)
    }

    /// Keeps the bits; scales in eight bits become float32.
    private func packQuantized(_ source: QuantizedTensor, computeType: DType) throws(TensorError) -> CPUPackedWeight {
        let (out, inp) = try matrixSize(source)
        if source.format == .int8 {
            let weight = try CPUPackedWeight(
                out: out, inp: inp, computeType: computeType, quantization: .int8, kind: Int32(ATTUNE_WEIGHT_INT8),
                blockSize: 0, codebook: [], on: self)
            attune_pack_int8(
                machine.pool, weight.data.address.assumingMemoryBound(to: Int8.self), weight.scalePointer,
                source.codes.address.assumingMemoryBound(to: Int8.self),
                source.absmax.address.assumingMemoryBound(to: Float.self), Int64(out), Int64(inp))
            return weight
        }
        let absmax = try blockScales(source)
        let codebook = source.codebook.floats()
        // A panel keeps sixteen codes of a row together.
        let rowsHoldWholeBlocks = inp % source.blockSize == 0 && source.blockSize % 16 == 0
        // The fast expansion rounds by arithmetic that needs room in the exponent.
        let isOrdinary =
            absmax.allSatisfy { $0 == 0 || (abs($0) > 0x1p-80 && abs($0) < 0x1p80) }
            && codebook.allSatisfy { $0 == 0 || (abs($0) > 0x1p-20 && abs($0) < 0x1p20) }
        let kind = Int32(rowsHoldWholeBlocks && isOrdinary ? ATTUNE_WEIGHT_4BIT : ATTUNE_WEIGHT_4BIT_LOOSE)
        let weight = try CPUPackedWeight(
            out: out, inp: inp, computeType: computeType, quantization: source.format, kind: kind,
            blockSize: source.blockSize, codebook: codebook, on: self)
        let codes = source.codes.address.assumingMemoryBound(to: UInt8.self)
        guard let scales = weight.scalePointer else { return weight }
        absmax.withUnsafeBufferPointer { absmax in
            guard let base = absmax.baseAddress else { return }
            if kind == Int32(ATTUNE_WEIGHT_4BIT) {
                attune_pack_4bit(
                    machine.pool, weight.data.address.assumingMemoryBound(to: UInt8.self), scales, codes, base,
                    Int64(out), Int64(inp), Int64(source.blockSize))
            } else {
                weight.data.address.copyMemory(from: codes, byteCount: (out * inp + 1) / 2)
                scales.update(from: base, count: absmax.count)
            }
        }
        return weight
    }

    /// Rows and columns of a quantized matrix whose parts have the sizes its shape asks for.
    func matrixSize(_ source: QuantizedTensor) throws(TensorError) -> (Int, Int) {
        guard source.shape.count == 2, source.shape.allSatisfy({ $0 > 0 }) else {
            throw .unsupported("cannot pack a quantized weight of shape \(source.shape)")
        }
        let count = try Tensor.byteCount(shape: source.shape, dtype: .uint8)
        if source.format == .int8 {
            guard source.codes.count == count, source.absmax.count == source.shape[0],
                source.codes.isContiguous, source.absmax.dtype == .float32
            else { throw .sizeMismatch("int8 weight of shape \(source.shape) has parts of other sizes") }
        } else {
            guard source.blockSize > 0, source.codes.dtype.bitWidth == 8, source.codes.isContiguous,
                source.codes.count >= (count + 1) / 2, source.codebook.count == 16
            else { throw .sizeMismatch("four-bit weight of shape \(source.shape) has parts of other sizes") }
        }
        return (source.shape[0], source.shape[1])
    }

    /// One float32 scale a block.
    func blockScales(_ source: QuantizedTensor) throws(TensorError) -> [Float] {
        let blocks = (source.shape.reduce(1, *) + source.blockSize - 1) / source.blockSize
        guard let nested = source.nested else {
            guard source.absmax.count == blocks, source.absmax.dtype.isComputeType else {
                throw .sizeMismatch("\(source.absmax.count) scales for \(blocks) blocks")
            }
            return source.absmax.floats()
        }
        guard nested.codes.count == blocks, nested.codes.dtype.bitWidth == 8, nested.codes.isContiguous,
            nested.blockSize > 0, nested.codebook.count == 256,
            nested.absmax.count == (blocks + nested.blockSize - 1) / nested.blockSize
        else { throw .sizeMismatch("nested scales do not fit \(blocks) blocks") }
        let codes = nested.codes.address.assumingMemoryBound(to: UInt8.self)
        let map = nested.codebook.floats()
        let absmax = nested.absmax.floats()
        return (0..<blocks).map { map[Int(codes[$0])] * absmax[$0 / nested.blockSize] + nested.offset }
    }
}
