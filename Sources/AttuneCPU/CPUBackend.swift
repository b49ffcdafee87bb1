import AttuneTensor
import CAttuneKernels
import Synchronization

/// The instruction sets the CPU kernels exist for, in rising order.
public enum InstructionSet: Int32, Sendable, CaseIterable {
    /// Plain loops, the oracle of the others.
    case scalar = 0
    /// Compiler vectors on the baseline of the architecture (SSE2, NEON).
    case portable = 1
    /// AVX2 with FMA and F16C.
    case avx2 = 2
    /// AVX-512 F, BW, VL and DQ.
    case avx512 = 3
    /// AVX-512 with the bfloat16 dot product.
    case avx512bf16 = 4

    /// Whether this machine has it.
    public var isAvailable: Bool { attune_kernels_table(rawValue) != nil }
    /// The fastest this machine has.
    public static var best: InstructionSet { InstructionSet(rawValue: attune_best_isa()) ?? .scalar }
}

/// The operations of a decoder on the cores of this machine.
///
/// A thin door: every method checks shapes and calls one C kernel, which cuts the work into items for its own threads. Results
/// are the same bits for any number of threads, and a row's result is the same alone and in a batch.
/// Operations of one backend run one at a time; calls from several threads wait for each other.
public final class CPUBackend: Backend {
    /// How many threads work, the caller included.
    public let threads: Int
    /// The instruction set in use.
    public let instructionSet: InstructionSet
    let usesLargePages: Bool
    /// The pool and its table; every C operation locks it.
    let machine: Machine
    /// What attention derives from a segment table, kept for the next layer.
    let attentionPlans = Mutex<AttentionPlan?>(nil)

    /// Starts the threads.
    ///
    /// - Parameters:
    ///   - threads: `nil` for the cores this process may use.
    ///   - isa: `nil` for the fastest set the machine has.
    ///   - largePages: whether memory lies on large pages. Generating reads all weights for each token and is a fifth faster with
    ///     them; training reads each many times from cache, gains nothing and begins later, as the system must find and clear
    ///     them.
    /// - Throws: `TensorError.unsupported` when the machine lacks the set or refuses threads.
    public init(threads: Int? = nil, isa: InstructionSet? = nil, largePages: Bool = true) throws(TensorError) {
        let count = max(1, threads ?? Int(attune_online_cores()))
        let set = isa ?? .best
        guard set.isAvailable else {
            throw .unsupported("this machine has no \(set) instructions; leave the choice to the backend")
        }
        guard let pool = attune_machine_create(Int32(clamping: count), set.rawValue) else {
            throw .unsupported("could not start \(count) CPU threads; ask for fewer")
        }
        self.threads = count
        instructionSet = set
        usesLargePages = largePages
        machine = Machine(pool)
    }

    /// `"cpu (avx512bf16, 2 threads)"`.
    public var name: String { "cpu (\(instructionSet), \(threads) thread\(threads == 1 ? "" : "s"))" }
    /// Host memory.
    public var device: Device { .cpu }

    /// Zeroed host memory.
    public func makeStorage(byteCount: Int) throws(TensorError) -> Storage {
        try Storage(byteCount: byteCount, onLargePages: usesLargePages)
    }

    /// Sets every byte to zero.
    public func zero(_ tensor: Tensor) {
        if tensor.isContiguous {
            tensor.address.initializeMemory(as: UInt8.self, repeating: 0, count: tensor.byteCount)
            return
        }
        for row in 0..<tensor.rows {
            (tensor.address + row * tensor.rowStride * tensor.dtype.byteWidth)
                .initializeMemory(as: UInt8.self, repeating: 0, count: tensor.columns * tensor.dtype.byteWidth)
        }
    }

    /// Copies elements, converting between compute types.
    public func copy(_ out: Tensor, _ inp: Tensor) {
        checkSame(out, inp)
        if !out.dtype.isComputeType || !inp.dtype.isComputeType {
            precondition(out.dtype == inp.dtype, "copy from \(inp.dtype) to \(out.dtype)")
            let width = inp.dtype.byteWidth
            for row in 0..<inp.rows {
                (out.address + row * out.rowStride * width)
                    .copyMemory(from: inp.address + row * inp.rowStride * width, byteCount: inp.columns * width)
            }
            return
        }
        var target = matrix(out)
        var source = matrix(inp)
        attune_copy(machine.pool, &target, &source)
    }
}

/// Owns the C pool.
final class Machine: @unchecked Sendable {
    /// The C object; every operation on it takes its lock, so it may be shared.
    let pool: OpaquePointer

    init(_ pool: OpaquePointer) { self.pool = pool }
    deinit { attune_machine_destroy(pool) }
}

// MARK: Views for C

/// The number C knows a compute type by.
func kernelType(_ dtype: DType) -> Int32 {
    switch dtype {
    case .float32: Int32(ATTUNE_F32)
    case .bfloat16: Int32(ATTUNE_BF16)
    case .float16: Int32(ATTUNE_F16)
    default: preconditionFailure("\(dtype) is no compute type")
    }
}

/// A tensor as the kernels see it.
func matrix(_ tensor: Tensor) -> attune_matrix {
    precondition(tensor.storage.device == .cpu, "the CPU backend works on host memory")
    return attune_matrix(
        data: tensor.address, rows: Int64(tensor.rows), columns: Int64(tensor.columns),
        stride: Int64(tensor.rowStride), dtype: kernelType(tensor.dtype))
}

/// Calls `body` with the view of a tensor that may be missing.
func withMatrix<R>(_ tensor: Tensor?, _ body: (UnsafePointer<attune_matrix>?) -> R) -> R {
    guard let tensor else { return body(nil) }
    return withUnsafePointer(to: matrix(tensor)) { body($0) }
}

/// The floats of a dense float32 tensor of `count` elements.
func floats(_ tensor: Tensor, _ count: Int) -> UnsafeMutablePointer<Float> {
    precondition(
        tensor.dtype == .float32 && tensor.isContiguous && tensor.count == count,
        "expected \(count) dense float32, got \(tensor.shape) \(tensor.dtype)")
    return tensor.address.assumingMemoryBound(to: Float.self)
}

/// The floats of a tensor that may be missing.
func optionalFloats(_ tensor: Tensor?, _ count: Int) -> UnsafeMutablePointer<Float>? {
    tensor.map { floats($0, count) }
}

/// Stops the program where two tensors differ in their rows or columns.
func checkSame(_ a: Tensor, _ b: Tensor) {
    precondition(a.rows == b.rows && a.columns == b.columns, "shapes differ: \(a.shape) and \(b.shape)")
}
