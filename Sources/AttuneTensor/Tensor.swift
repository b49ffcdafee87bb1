/// A view of elements in a storage, rows of equal length one after another.
///
/// The last dimension is dense; rows of a matrix may stand apart (`rowStride`), so a column range of a matrix is a
/// tensor too. All other dimensions are dense over rows.
public struct Tensor: Sendable {
    /// The bytes this is a view of.
    public let storage: Storage
    /// Where the first element lies, in bytes from the start of the storage.
    public let byteOffset: Int
    /// How many rows of `columns` elements.
    public let rows: Int
    /// Length of the last dimension; 1 for a scalar.
    public let columns: Int
    /// The type of an element.
    public let dtype: DType
    /// Elements from the start of one row to the next.
    public let rowStride: Int
    // Views of matrices are made hundreds of times a token, so a matrix keeps no array; `nil` for those.
    private let otherShape: [Int]?

    /// Sizes, outermost first; empty for a scalar.
    public var shape: [Int] { otherShape ?? [rows, columns] }

    /// A view; it must lie inside the storage.
    public init(storage: Storage, byteOffset: Int = 0, shape: [Int], dtype: DType, rowStride: Int? = nil) {
        self.storage = storage
        self.byteOffset = byteOffset
        rows = shape.dropLast().reduce(1, *)
        columns = shape.last ?? 1
        otherShape = shape.count == 2 ? nil : shape
        self.dtype = dtype
        self.rowStride = rowStride ?? columns
        checkExtent()
    }

    /// A view of a matrix; it must lie inside the storage.
    public init(storage: Storage, byteOffset: Int, rows: Int, columns: Int, dtype: DType, rowStride: Int) {
        self.storage = storage
        self.byteOffset = byteOffset
        self.rows = rows
        self.columns = columns
        otherShape = nil
        self.dtype = dtype
        self.rowStride = rowStride
        checkExtent()
    }

    private func checkExtent() {
        precondition(
            byteOffset >= 0 && byteOffset + byteExtent <= storage.byteCount,
            "tensor \(shape) \(dtype) at \(byteOffset) exceeds its storage of \(storage.byteCount) bytes")
    }

    /// A zeroed tensor in host memory.
    /// - Throws: `TensorError.outOfMemory`.
    public init(zeros shape: [Int], _ dtype: DType = .float32) throws(TensorError) {
        let count = shape.reduce(1, *)
        self.init(storage: try Storage(byteCount: count * dtype.byteWidth), shape: shape, dtype: dtype)
    }

    /// Host floats as a tensor.
    /// - Throws: `TensorError.outOfMemory`.
    public init(_ values: [Float], shape: [Int]) throws(TensorError) {
        precondition(values.count == shape.reduce(1, *), "\(values.count) values for shape \(shape)")
        try self.init(zeros: shape, .float32)
        values.withUnsafeBytes { if let base = $0.baseAddress { address.copyMemory(from: base, byteCount: $0.count) } }
    }

    /// Host integers as a tensor.
    /// - Throws: `TensorError.outOfMemory`.
    public init(_ values: [Int32], shape: [Int]) throws(TensorError) {
        precondition(values.count == shape.reduce(1, *), "\(values.count) values for shape \(shape)")
        try self.init(zeros: shape, .int32)
        values.withUnsafeBytes { if let base = $0.baseAddress { address.copyMemory(from: base, byteCount: $0.count) } }
    }

    /// Number of elements.
    public var count: Int { rows * columns }
    /// Whether the rows stand one directly after another.
    public var isContiguous: Bool { rowStride == columns || rows <= 1 }
    /// Address of the first element.
    public var address: UnsafeMutableRawPointer { storage.address + byteOffset }
    /// Bytes of the elements, gaps between rows not counted.
    public var byteCount: Int { (count * dtype.bitWidth + 7) / 8 }

    /// Bytes from the first element to the end of the last.
    private var byteExtent: Int {
        guard count > 0 else { return 0 }
        if dtype.bitWidth < 8 { return byteCount }
        return ((rows - 1) * rowStride + columns) * dtype.byteWidth
    }

    /// The same elements under another shape; only for dense tensors.
    public func reshaped(_ shape: [Int]) -> Tensor {
        precondition(isContiguous && shape.reduce(1, *) == count, "cannot view \(self.shape) as \(shape)")
        return Tensor(storage: storage, byteOffset: byteOffset, shape: shape, dtype: dtype)
    }

    /// Some rows of a matrix (a tensor of more dimensions is seen as a matrix of its rows).
    public func rows(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(shape)")
        return Tensor(
            storage: storage, byteOffset: byteOffset + range.lowerBound * rowStride * dtype.byteWidth,
            rows: range.count, columns: columns, dtype: dtype, rowStride: rowStride)
    }

    /// Some columns of a matrix, as a view with gaps between its rows.
    public func columns(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns \(range) of \(shape)")
        return Tensor(
            storage: storage, byteOffset: byteOffset + range.lowerBound * dtype.byteWidth,
            rows: rows, columns: range.count, dtype: dtype, rowStride: rowStride)
    }

    /// The elements as float32, converted where needed; only for host tensors of a compute type.
    public func floats() -> [Float] {
        precondition(storage.device == .cpu, "floats() reads host memory")
        var result: [Float] = []
        result.reserveCapacity(count)
        for row in 0..<rows {
            let start = address + row * rowStride * dtype.byteWidth
            switch dtype {
            case .float32:
                result.append(
                    contentsOf: UnsafeBufferPointer(start: start.assumingMemoryBound(to: Float.self), count: columns))
            case .bfloat16:
                let bits = UnsafeBufferPointer(start: start.assumingMemoryBound(to: UInt16.self), count: columns)
                for value in bits { result.append(BFloat16(bits: value).float) }
            case .float16:
                let bits = UnsafeBufferPointer(start: start.assumingMemoryBound(to: UInt16.self), count: columns)
                for value in bits { result.append(Self.float(half: value)) }
            default:
                preconditionFailure("floats() of \(dtype)")
            }
        }
        return result
    }

    /// The elements of a dense int32 tensor in host memory.
    public func integers() -> [Int32] {
        precondition(storage.device == .cpu && dtype == .int32 && isContiguous, "integers() of \(dtype)")
        return Array(UnsafeBufferPointer(start: address.assumingMemoryBound(to: Int32.self), count: count))
    }

    /// The value of IEEE half-precision bits (`Float16` is missing on x86 macOS, so the bits are taken apart here).
    public static func float(half bits: UInt16) -> Float {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10) & 0x1F
        let mantissa = Float(bits & 0x3FF)
        switch exponent {
        case 0: return sign * mantissa * 0x1p-24
        case 31: return mantissa == 0 ? sign * .infinity : .nan
        default: return sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + mantissa * 0x1p-10)
        }
    }
}

extension Tensor {
    /// Bytes a shape needs, or an error where the product does not fit.
    ///
    /// - Throws: `TensorError.sizeMismatch` on overflow or a negative size.
    public static func byteCount(shape: [Int], dtype: DType) throws(TensorError) -> Int {
        var bits = dtype.bitWidth
        for size in shape {
            let (product, overflow) = bits.multipliedReportingOverflow(by: size)
            guard size >= 0, !overflow else { throw .sizeMismatch("shape \(shape) has an impossible size") }
            bits = product
        }
        guard bits % 8 == 0 else {
            throw .sizeMismatch("shape \(shape) of \(dtype.rawValue) does not fill whole bytes")
        }
        return bits / 8
    }
}
