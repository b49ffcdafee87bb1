import AttuneJSON

/// `model.safetensors.index.json`: which file of a model holds which tensor.
struct ShardIndex {
    /// The files, in the order in which tensors first name them.
    var fileNames: [String] = []
    /// Every tensor with the place of its file in `fileNames`, in the order of the index.
    var tensors: [(name: String, file: Int)] = []

    /// Reads an index. File names must be plain: an index may not lead out of its folder.
    init(_ path: String) throws(FilesError) {
        guard let map = try WholeFile.readJSON(path)["weight_map"]?.objectValue else {
            throw .invalid(path: path, problem: "no 'weight_map' object in it")
        }
        var places: [ByteString: Int] = [:]
        for (name, value) in map.members {
            guard let fileName = value.stringValue, Self.isPlain(fileName) else {
                throw .invalid(
                    path: path,
                    problem: "tensor '\(name)' is mapped to \(value.text()), which is no file name within the folder")
            }
            let place = places[ByteString(fileName)] ?? fileNames.count
            if place == fileNames.count {
                fileNames.append(fileName)
                places[ByteString(fileName)] = place
            }
            tensors.append((name, place))
        }
        guard !tensors.isEmpty else { throw .invalid(path: path, problem: "its 'weight_map' is empty") }
    }

    /// Whether a text is a file name and nothing that leads elsewhere.
    static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".."
            && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") || $0 < 0x20 }
    }
}
