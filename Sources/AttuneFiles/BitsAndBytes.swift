import AttuneJSON
import AttuneTensor

/// Matrices in few bits, in the form in which bitsandbytes and transformers keep them in a checkpoint.
///
/// Four bits, beside `X.weight` (uint8 [⌈n/2⌉, 1]): `X.weight.absmax`, `.quant_map`, with double quantization
/// `.nested_absmax` and `.nested_quant_map`, and `.quant_state.bitsandbytes__nf4` (or `fp4`), a JSON text as bytes.
/// Eight bits, beside `X.weight` (int8 [rows, columns]): `X.SCB` float32 [rows] and `X.weight_format` (0, row-major).
extension TensorSource {
    /// The quantized matrix under a name such as `model.layers.0.mlp.up_proj.weight`.
    ///
    /// - Returns: `nil` when the tensor is missing or is an ordinary one.
    /// - Throws: `FilesError`; `invalid` when its parts do not fit together.
    public func quantizedTensor(named name: String) throws(FilesError) -> QuantizedTensor? {
        for format in [QuantizationFormat.nf4, .fp4] where contains(BitsAndBytes.stateName(name, format)) {
            return try fourBitTensor(named: name, format)
        }
        guard let scales = BitsAndBytes.scaleName(name), contains(scales), description(of: name)?.dtype == .int8 else {
            return nil
        }
        return try eightBitTensor(named: name, scales: scales)
    }

    private func fourBitTensor(named name: String, _ format: QuantizationFormat) throws(FilesError) -> QuantizedTensor {
        func invalid(_ problem: String) -> FilesError {
            .invalid(path: path, problem: "quantized tensor '\(name)': \(problem)")
        }
        let stored = try tensor(named: BitsAndBytes.stateName(name, format))
        guard stored.dtype == .uint8, stored.byteCount <= 1 << 16 else { throw invalid("its state is no short text") }
        let text = UnsafeBufferPointer(
            start: UnsafePointer(stored.address.assumingMemoryBound(to: UInt8.self)), count: stored.byteCount)
        let state: JSON
        do throws(JSONError) { state = try JSON(parsing: text) } catch { throw invalid("its state: \(error)") }
        guard state["quant_type"]?.stringValue == format.rawValue, let blockSize = state["blocksize"]?.intValue,
            (1...1 << 20).contains(blockSize), let dtype = state["dtype"]?.stringValue.flatMap(DType.init(torchName:)),
            dtype.isComputeType, let sizes = state["shape"]?.arrayValue, sizes.count <= 8
        else { throw invalid("its state lacks a valid quant_type, blocksize, dtype or shape") }
        let shape = sizes.compactMap(\.intValue)
        guard shape.count == sizes.count, let byteCount = try? Tensor.byteCount(shape: shape, dtype: .uint8) else {
            throw invalid("impossible shape")
        }
        let blocks = (byteCount + blockSize - 1) / blockSize
        // Some trainers store the codes as another type (bnb_4bit_quant_storage); the bytes are the same.
        let weight = try tensor(named: name)
        guard weight.byteCount == (byteCount + 1) / 2 else {
            throw invalid("\(weight.byteCount) bytes for \(byteCount) codes of four bits")
        }
        let codes = Tensor(
            storage: weight.storage, byteOffset: weight.byteOffset, shape: [weight.byteCount], dtype: .uint8)
        func part(_ suffix: String, _ dtype: DType, count: Int) throws(FilesError) -> Tensor {
            let part = try tensor(named: name + suffix)
            guard part.dtype == dtype, part.count == count else {
                throw invalid(
                    "'\(suffix)' is \(part.dtype.rawValue) \(part.shape), expected \(count) \(dtype.rawValue)")
            }
            return part.reshaped([count])
        }
        let codebook = try part(".quant_map", .float32, count: 16)
        guard contains(name + ".nested_absmax") else {
            return QuantizedTensor(
                format: format, shape: shape, blockSize: blockSize, codes: codes,
                absmax: try part(".absmax", .float32, count: blocks), codebook: codebook, originalType: dtype)
        }
        guard let nestedSize = state["nested_blocksize"]?.intValue, (1...1 << 20).contains(nestedSize),
            let offset = state["nested_offset"]?.doubleValue, Float(offset).isFinite,
            state["nested_dtype"]?.stringValue == "float32"
        else { throw invalid("its state lacks a valid nested_blocksize, nested_offset or nested_dtype") }
        let nested = QuantizedTensor.NestedScales(
            codes: try part(".absmax", .uint8, count: blocks),
            absmax: try part(".nested_absmax", .float32, count: (blocks + nestedSize - 1) / nestedSize),
            codebook: try part(".nested_quant_map", .float32, count: 256), offset: Float(offset), blockSize: nestedSize)
        return QuantizedTensor(
            format: format, shape: shape, blockSize: blockSize, codes: codes, absmax: try emptyFloats(),
            codebook: codebook, nested: nested, originalType: dtype)
    }

    private func eightBitTensor(named name: String, scales: String) throws(FilesError) -> QuantizedTensor {
        let codes = try tensor(named: name)
        let absmax = try tensor(named: scales)
        guard codes.shape.count == 2, absmax.dtype == .float32, absmax.count == codes.shape[0] else {
            throw .invalid(
                path: path, problem: "quantized tensor '\(name)': \(codes.shape) codes but \(absmax.shape) scales")
        }
        let formatName = String(name.dropLast(6)) + "weight_format"
        if contains(formatName) {
            let format = try tensor(named: formatName)
            guard format.dtype == .uint8, format.count == 1, format.address.load(as: UInt8.self) == 0 else {
                throw .unsupported(
                    path: path,
                    problem: "'\(formatName)' is not row-major; save the model again with bitsandbytes 0.45 or later")
            }
        }
        return QuantizedTensor(
            format: .int8, shape: codes.shape, blockSize: codes.shape[1], codes: codes,
            absmax: absmax.reshaped([absmax.count]), codebook: try emptyFloats(), originalType: .float16)
    }

    private func emptyFloats() throws(FilesError) -> Tensor {
        do throws(TensorError) { return try Tensor(zeros: [0]) } catch { throw FilesError(error, path: path) }
    }
}

/// The writing side of the bitsandbytes form.
public enum BitsAndBytes {
    /// What a checkpoint holds for a quantized matrix, names and bytes as bitsandbytes writes them
    /// (`QuantState.as_dict(packed=True)`, `Linear8bitLt`).
    ///
    /// - Parameters:
    ///   - tensor: on the host.
    ///   - name: the name of the matrix, which ends in `weight`.
    /// - Throws: `FilesError.outOfMemory`, or `invalid` for an eight-bit matrix whose name does not end so.
    public static func entries(
        for tensor: QuantizedTensor, name: String
    ) throws(FilesError) -> [(name: String, tensor: Tensor)] {
        if tensor.format == .int8 { return try eightBitEntries(for: tensor, name: name) }
        var entries: [(name: String, tensor: Tensor)] = [
            (name, tensor.codes.reshaped([tensor.codes.count, 1])),
            (name + ".absmax", tensor.nested?.codes ?? tensor.absmax), (name + ".quant_map", tensor.codebook),
        ]
        if let nested = tensor.nested {
            entries.append((name + ".nested_absmax", nested.absmax))
            entries.append((name + ".nested_quant_map", nested.codebook))
        }
        var state = JSONObject([
            ("quant_type", .string(tensor.format.rawValue)), ("blocksize", JSON(tensor.blockSize)),
            ("dtype", .string(tensor.originalType.torchName)), ("shape", .array(tensor.shape.map { JSON($0) })),
        ])
        if let nested = tensor.nested {
            state["nested_blocksize"] = JSON(nested.blockSize)
            state["nested_dtype"] = "float32"
            state["nested_offset"] = JSON(Double(nested.offset))
        }
        let bytes = JSON.object(state).utf8(.spaced)
        entries.append((stateName(name, tensor.format), try byteTensor(bytes, shape: [bytes.count], name)))
        return entries
    }

    private static func eightBitEntries(
        for tensor: QuantizedTensor, name: String
    ) throws(FilesError) -> [(name: String, tensor: Tensor)] {
        guard let scales = scaleName(name) else {
            throw .invalid(path: name, problem: "the name of an eight-bit matrix must end in 'weight'")
        }
        return [
            (name, tensor.codes), (scales, tensor.absmax),
            (String(name.dropLast(6)) + "weight_format", try byteTensor([0], shape: [], name)),
        ]
    }

    private static func byteTensor(_ bytes: [UInt8], shape: [Int], _ name: String) throws(FilesError) -> Tensor {
        do throws(TensorError) {
            let tensor = try Tensor(zeros: shape, .uint8)
            bytes.withUnsafeBytes { source in
                if let base = source.baseAddress { tensor.address.copyMemory(from: base, byteCount: source.count) }
            }
            return tensor
        } catch { throw FilesError(error, path: name) }
    }

    static func stateName(_ name: String, _ format: QuantizationFormat) -> String {
        "\(name).quant_state.bitsandbytes__\(format.rawValue)"
    }

    /// `X.weight` → `X.SCB`.
    static func scaleName(_ name: String) -> String? {
        name == "weight" || name.hasSuffix(".weight") ? String(name.dropLast(6)) + "SCB" : nil
    }
}
