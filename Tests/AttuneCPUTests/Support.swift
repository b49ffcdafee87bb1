import AttuneCPU
import AttuneTensor
import Testing

/// What every suite needs: backends of each instruction set, reproducible numbers, and a tolerance for every type.
enum Fixture {
    /// The sets this machine has.
    static let instructionSets = InstructionSet.allCases.filter(\.isAvailable)
    /// The compute types.
    static let computeTypes: [DType] = [.float32, .bfloat16, .float16]

    /// How far a result may lie from the truth, relative to the size of what is summed: a few roundings of the type.
    static func tolerance(_ dtype: DType) -> Double {
        switch dtype {
        case .bfloat16: 1.0 / 128
        case .float16: 1.0 / 1024
        default: 2e-6
        }
    }
}

/// A small counter-based generator (SplitMix64), so that every test sees the same numbers.
struct Numbers {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in ±1.
    mutating func unit() -> Float { Float(Int64(bitPattern: next()) >> 40) / Float(1 << 23) }

    /// Roughly normal.
    mutating func normal() -> Float { (unit() + unit() + unit() + unit()) * 0.866 }
}

/// A tensor of random values of a type, with `gap` elements between its rows.
func randomTensor(
    _ rows: Int, _ columns: Int, _ dtype: DType, seed: UInt64, scale: Float = 1, gap: Int = 0
) throws -> Tensor {
    let whole = try Tensor(zeros: [rows, columns + gap], dtype)
    let view = gap == 0 ? whole : whole.columns(gap / 2..<gap / 2 + columns)
    var numbers = Numbers(seed)
    fill(whole) { _, _ in 7 }
    fill(view) { _, _ in numbers.normal() * scale }
    return view
}

/// Writes values by position, rounded to the type of the tensor.
func fill(_ tensor: Tensor, _ value: (Int, Int) -> Float) {
    for row in 0..<tensor.rows {
        for column in 0..<tensor.columns {
            let place = tensor.address + (row * tensor.rowStride + column) * tensor.dtype.byteWidth
            let number = value(row, column)
            switch tensor.dtype {
            case .float32: place.storeBytes(of: number, as: Float.self)
            case .bfloat16: place.storeBytes(of: BFloat16(number).bits, as: UInt16.self)
            default: place.storeBytes(of: halfBits(number), as: UInt16.self)
            }
        }
    }
}

/// IEEE half bits, to nearest even.
func halfBits(_ value: Float) -> UInt16 {
    #if arch(x86_64) && os(macOS)
    preconditionFailure("no Float16 here")
    #else
    return Float16(value).bitPattern
    #endif
}

/// The elements as rows of doubles.
func doubles(_ tensor: Tensor) -> [[Double]] {
    let flat = tensor.floats()
    return (0..<tensor.rows).map { row in
        flat[row * tensor.columns..<(row + 1) * tensor.columns].map(Double.init)
    }
}

/// The raw bytes of the elements, row by row.
func bytes(_ tensor: Tensor) -> [UInt8] {
    var result: [UInt8] = []
    for row in 0..<tensor.rows {
        let start = tensor.address + row * tensor.rowStride * tensor.dtype.byteWidth
        result.append(
            contentsOf: UnsafeRawBufferPointer(start: start, count: tensor.columns * tensor.dtype.byteWidth))
    }
    return result
}

/// The largest difference between a tensor and the truth, over the truth's largest magnitude.
func error(_ tensor: Tensor, _ truth: [[Double]]) -> Double {
    var worst = 0.0
    var size = 1e-30
    for (row, expected) in zip(doubles(tensor), truth) {
        for (a, b) in zip(row, expected) {
            if !(abs(a - b) <= worst) { worst = a.isNaN || b.isNaN ? .infinity : abs(a - b) }
            size = max(size, abs(b))
        }
    }
    return worst / size
}

/// a·bᵀ in float64.
func product(_ a: [[Double]], transposed b: [[Double]]) -> [[Double]] {
    a.map { row in b.map { other in zip(row, other).reduce(0) { $0 + $1.0 * $1.1 } } }
}

/// Rows as columns.
func transposed(_ a: [[Double]]) -> [[Double]] {
    guard let first = a.first else { return [] }
    return first.indices.map { j in a.map { $0[j] } }
}
