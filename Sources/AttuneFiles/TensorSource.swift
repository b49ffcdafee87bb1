import AttuneTensor

/// Name, type and shape of a tensor, without its elements.
public struct TensorDescription: Sendable, Equatable {
    /// The name in the checkpoint.
    public var name: String
    /// The type of an element.
    public var dtype: DType
    /// Sizes, outermost first.
    public var shape: [Int]

    /// Collects the parts.
    public init(name: String, dtype: DType, shape: [Int]) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
    }

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }
    /// Bytes in a file.
    public var byteCount: Int { (count * dtype.bitWidth + 7) / 8 }
}

/// Something that holds tensors under names: a safetensors file, a PyTorch archive, a model folder.
public protocol TensorSource: Sendable {
    /// Where it lies, for messages.
    var path: String { get }
    /// All names, in the order of the file.
    var tensorNames: [String] { get }
    /// Whether there is a tensor of that name.
    func contains(_ name: String) -> Bool
    /// Type and shape of a tensor, or `nil` when there is none of that name or its type is one the engine lacks.
    func description(of name: String) -> TensorDescription?
    /// The tensor; a view of the mapped file where that is possible.
    /// - Throws: `FilesError`; `missing` when there is none of that name.
    func tensor(named name: String) throws(FilesError) -> Tensor
}

extension TensorSource {
    /// Whether there is a tensor of that name and of a known type.
    public func contains(_ name: String) -> Bool { description(of: name) != nil }

    /// The error for a name that is not there.
    func noTensor(_ name: String) -> FilesError {
        .missing(path: path, hint: "no tensor '\(name)' in it; check that this is the right model")
    }
}
