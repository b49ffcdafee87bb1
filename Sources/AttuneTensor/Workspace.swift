/// Memory planned by name before it is used, then taken in one piece.
///
/// A layout adds its buffers to a `WorkspacePlan` and keeps the handles; a `Workspace` made from the plan hands out the tensor of
/// each handle from one arena. So the printed plan *is* the allocation.
public struct WorkspacePlan: Sendable {
    /// One planned buffer.
    public struct Entry: Sendable {
        /// What it is for, for example `"layers.3.attention.query"`.
        public let name: String
        /// Sizes, outermost first.
        public let shape: [Int]
        /// The element type.
        public let dtype: DType
        /// Where it starts in the arena.
        public let byteOffset: Int
        /// How much it takes, alignment included.
        public let byteCount: Int
    }

    /// The buffers in the order they were asked for.
    public private(set) var entries: [Entry] = []
    /// The size of the arena.
    public private(set) var byteCount = 0

    /// An empty plan.
    public init() {}

    /// Adds a buffer, aligned to a cache line.
    public mutating func add(_ name: String, _ shape: [Int], _ dtype: DType) -> BufferHandle {
        let size = (shape.reduce(1, *) * dtype.byteWidth + 63) & ~63
        entries.append(Entry(name: name, shape: shape, dtype: dtype, byteOffset: byteCount, byteCount: size))
        byteCount += size
        return BufferHandle(index: entries.count - 1)
    }
}

/// Names a buffer of a plan.
public struct BufferHandle: Sendable, Hashable {
    /// Its place in `WorkspacePlan.entries`.
    public let index: Int
}

/// One arena with the buffers of a plan.
public final class Workspace: Sendable {
    /// What was planned.
    public let plan: WorkspacePlan
    private let tensors: [Tensor]

    /// Takes the memory of a plan.
    /// - Throws: `TensorError.outOfMemory`.
    public init(_ plan: WorkspacePlan, on backend: any Backend) throws(TensorError) {
        self.plan = plan
        let storage = try backend.makeStorage(byteCount: plan.byteCount)
        tensors = plan.entries.map {
            Tensor(storage: storage, byteOffset: $0.byteOffset, shape: $0.shape, dtype: $0.dtype)
        }
    }

    /// The tensor of a planned buffer.
    public subscript(handle: BufferHandle) -> Tensor { tensors[handle.index] }

    /// The first `count` rows of a planned buffer.
    public subscript(handle: BufferHandle, rows count: Int) -> Tensor { self[handle, rows: 0..<count] }

    /// Some rows of a planned buffer.
    public subscript(handle: BufferHandle, rows range: Range<Int>) -> Tensor { tensors[handle.index].rows(range) }
}
