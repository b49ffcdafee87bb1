import AttuneJSON
import AttuneTensor

/// Writes safetensors files, byte for byte as the reference library does, without building them in memory.
///
/// Tensors stand by falling type (the order of the format's type list), then by name; the header is compact JSON padded
/// with spaces to a multiple of eight bytes. Several metadata pairs are sorted by key (the reference's order is random).
public enum SafetensorsWriter {
    /// Writes tensors that are at hand.
    /// - Throws: `FilesError`; then no file is left and an older one is untouched.
    public static func write(
        tensors: [(name: String, tensor: Tensor)], metadata: [String: String]? = nil, to path: String
    ) throws(FilesError) {
        let descriptions = tensors.map {
            TensorDescription(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape)
        }
        let (header, order) = try layout(descriptions, metadata: metadata, path: path)
        let file = try AtomicFile(path)
        try file.write(header)
        for place in order { try file.write(tensors[place].tensor) }
        try file.commit()
    }

    /// Writes tensors that are made one at a time, each asked for once, in the order of the file.
    ///
    /// - Parameter produce: makes the tensor of a description; type and shape must be those described.
    /// - Throws: `FilesError` and what `produce` throws; then no file is left and an older one is untouched.
    public static func write(
        _ descriptions: [TensorDescription], metadata: [String: String]? = nil, to path: String,
        produce: (TensorDescription) throws -> Tensor
    ) throws {
        let (header, order) = try layout(descriptions, metadata: metadata, path: path)
        let file = try AtomicFile(path)
        try file.write(header)
        for place in order {
            let description = descriptions[place]
            let tensor = try produce(description)
            precondition(
                tensor.dtype == description.dtype && tensor.shape == description.shape,
                "\(description.name): made \(tensor.dtype) \(tensor.shape), described \(description)")
            try file.write(tensor)
        }
        try file.commit()
    }

    /// The header with its length, and the order of the tensors in the file.
    static func layout(
        _ descriptions: [TensorDescription], metadata: [String: String]?, path: String
    ) throws(FilesError) -> (header: [UInt8], order: [Int]) {
        let order = descriptions.indices.sorted {
            let (left, right) = (descriptions[$0], descriptions[$1])
            if left.dtype != right.dtype { return rank(left.dtype) > rank(right.dtype) }
            return left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
        }
        var header = [UInt8](repeating: 0, count: 8) + Array("{".utf8)
        func appendString(_ text: String) { JSON.write(text, to: &header, escapesNonASCII: false) }
        func append(_ text: String) { header.append(contentsOf: text.utf8) }
        if let metadata {
            appendString(SafetensorsHeader.metadataKey)
            append(":")
            let keys = metadata.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            header += JSON.object(JSONObject(keys.map { ($0, .string(metadata[$0] ?? "")) })).utf8(.compact)
        }
        var offset = 0
        var names: Set<ByteString> = []
        for place in order {
            let description = descriptions[place]
            guard description.name != SafetensorsHeader.metadataKey, names.insert(ByteString(description.name)).inserted
            else { throw .invalid(path: path, problem: "two tensors named '\(description.name)' to write; drop one") }
            let byteCount: Int
            do throws(TensorError) {
                byteCount = try Tensor.byteCount(shape: description.shape, dtype: description.dtype)
            } catch { throw .invalid(path: path, problem: "tensor '\(description.name)': \(error)") }
            let (end, overflow) = offset.addingReportingOverflow(byteCount)
            guard !overflow else { throw .invalid(path: path, problem: "the tensors exceed what a file can hold") }
            if header.count > 9 { append(",") }
            appendString(description.name)
            append(":{\"dtype\":\"\(description.dtype.rawValue)\",\"shape\":[")
            append(description.shape.map(String.init).joined(separator: ","))
            append("],\"data_offsets\":[\(offset),\(end)]}")
            offset = end
        }
        append("}")
        while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
        let length = header.count - 8
        guard length <= SafetensorsHeader.maximumByteCount, order.count <= SafetensorsHeader.maximumTensorCount else {
            throw .invalid(path: path, problem: "\(order.count) tensors are too many for one file; write shards")
        }
        for place in 0..<8 { header[place] = UInt8(truncatingIfNeeded: length >> (8 * place)) }
        return (header, order)
    }

    /// The place of a type in the format's list.
    private static func rank(_ dtype: DType) -> Int {
        switch dtype {
        case .bool: 0
        case .float4e2m1: 1
        case .uint8: 2
        case .int8: 3
        case .float8e5m2: 4
        case .float8e4m3: 5
        case .float8e8m0: 6
        case .int16: 7
        case .uint16: 8
        case .float16: 9
        case .bfloat16: 10
        case .int32: 11
        case .uint32: 12
        case .float32: 13
        case .complex64: 14
        case .float64: 15
        case .int64: 16
        case .uint64: 17
        }
    }
}

extension AtomicFile {
    /// Appends the elements of a host tensor, row after row.
    /// - Throws: `FilesError`.
    public func write(_ tensor: Tensor) throws(FilesError) {
        precondition(tensor.storage.device == .cpu, "copy a device tensor to the host before writing it")
        if tensor.isContiguous {
            try write(UnsafeRawBufferPointer(start: tensor.address, count: tensor.byteCount))
            return
        }
        precondition(tensor.dtype.bitWidth >= 8, "rows of four-bit elements cannot stand apart")
        let rowBytes = tensor.columns * tensor.dtype.byteWidth
        for row in 0..<tensor.rows {
            let start = tensor.address + row * tensor.rowStride * tensor.dtype.byteWidth
            try write(UnsafeRawBufferPointer(start: start, count: rowBytes))
        }
    }
}
