import AttuneJSON
import AttuneTensor

/// A safetensors file, mapped and checked as a whole when opened; tensors are views of it.
///
/// Not checked are the values: a file may hold NaN.
public struct SafetensorsFile: TensorSource {
    /// The string pairs under `__metadata__`.
    public let metadata: [String: String]
    /// The names in the order of the data.
    public let tensorNames: [String]
    private let file: MappedFile
    private let header: SafetensorsHeader
    private let index: [ByteString: Int]

    /// Maps a file and checks every rule of the format.
    /// - Throws: `FilesError`.
    public init(_ path: String) throws(FilesError) {
        file = try MappedFile(path)
        header = try SafetensorsHeader(file)
        metadata = header.metadata
        tensorNames = header.entries.map(\.name)
        var index: [ByteString: Int] = [:]
        index.reserveCapacity(header.entries.count)
        for (place, entry) in header.entries.enumerated() { index[ByteString(entry.name)] = place }
        self.index = index
    }

    /// Where the file is.
    public var path: String { file.path }

    /// Whether there is a tensor of that name, also one of a type the engine does not know.
    public func contains(_ name: String) -> Bool { index[ByteString(name)] != nil }

    /// Type and shape of a tensor.
    public func description(of name: String) -> TensorDescription? {
        guard let place = index[ByteString(name)], let dtype = header.entries[place].dtype else { return nil }
        return TensorDescription(name: name, dtype: dtype, shape: header.entries[place].shape)
    }

    /// A tensor as a view of the file; one that lies unaligned for its type is copied.
    /// - Throws: `FilesError`.
    public func tensor(named name: String) throws(FilesError) -> Tensor {
        guard let place = index[ByteString(name)] else { throw noTensor(name) }
        let entry = header.entries[place]
        guard let dtype = entry.dtype else {
            throw .unsupported(
                path: path, problem: "tensor '\(name)' has type \(entry.typeName); convert the model first")
        }
        return try file.tensor(at: header.dataStart + entry.begin, shape: entry.shape, dtype: dtype)
    }
}
