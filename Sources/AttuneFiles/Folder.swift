import AttuneJSON

/// Reading small files whole.
public enum WholeFile {
    /// The bytes of a regular file.
    ///
    /// - Parameter limit: the most bytes to accept; a larger file is an error and is not read.
    /// - Throws: `FilesError`.
    public static func read(_ path: String, limit: Int) throws(FilesError) -> [UInt8] {
        let descriptor = try System.openForReading(path)
        defer { System.closeDescriptor(descriptor) }
        let status = try System.status(ofDescriptor: descriptor, path: path)
        guard status.isRegularFile else {
            throw .invalid(path: path, problem: status.isFolder ? "is a folder, expected a file" : "is no regular file")
        }
        guard status.byteCount <= limit else {
            throw .invalid(path: path, problem: "has \(status.byteCount) bytes, more than the limit of \(limit)")
        }
        var failure: FilesError?
        let bytes = [UInt8](unsafeUninitializedCapacity: status.byteCount) { buffer, count in
            guard let start = buffer.baseAddress, status.byteCount > 0 else { return }
            do throws(FilesError) {
                count = try System.read(descriptor, into: start, count: status.byteCount, path: path)
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    /// A JSON file, at most 64 levels deep; of two equal keys the later wins, as in Python.
    /// - Throws: `FilesError`; a text that is not JSON is `invalid` with the byte where it fails.
    public static func readJSON(_ path: String, limit: Int = 64 << 20) throws(FilesError) -> JSON {
        let bytes = try read(path, limit: limit)
        do throws(JSONError) {
            return try JSON(parsing: bytes)
        } catch { throw .invalid(path: path, problem: "not valid JSON: \(error)") }
    }
}

/// What a program does with folders.
public enum Folder {
    /// The names in a folder, sorted by bytes.
    /// - Throws: `FilesError`.
    public static func names(in path: String) throws(FilesError) -> [String] { try System.names(in: path) }

    /// Whether a folder is at the path.
    public static func exists(_ path: String) -> Bool { System.status(of: path)?.isFolder == true }

    /// Whether a regular file (or a link to one) is at the path.
    public static func hasFile(_ path: String) -> Bool { System.status(of: path)?.isRegularFile == true }

    /// `folder/name`.
    public static func path(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }

    /// The folder a path lies in, and its last component; trailing slashes are ignored.
    public static func split(_ path: String) -> (parent: String, name: String) {
        var bytes = Array(path.utf8)
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else {
            return (".", String(decoding: bytes, as: UTF8.self))
        }
        let parent = slash == 0 ? "/" : String(decoding: bytes[..<slash], as: UTF8.self)
        return (parent, String(decoding: bytes[(slash + 1)...], as: UTF8.self))
    }

    /// Makes a folder and those above it; one that exists is no error.
    /// - Throws: `FilesError`.
    public static func create(_ path: String) throws(FilesError) {
        var missing: [String] = []
        var current = path
        while System.status(of: current) == nil {
            missing.append(current)
            let parent = split(current).parent
            if parent == current { break }
            current = parent
        }
        for folder in missing.reversed() { _ = try System.makeFolder(folder) }
        guard exists(path) else { throw .invalid(path: path, problem: "exists but is no folder; choose another path") }
    }

    /// Removes a file, or a folder with all it holds; links are removed, not followed. What cannot be removed stays.
    public static func remove(_ path: String) {
        guard let status = System.status(of: path, followsLink: false) else { return }
        guard status.isFolder else { return System.removeFile(path) }
        for name in (try? System.names(in: path)) ?? [] { remove(Self.path(path, name)) }
        System.removeEmptyFolder(path)
    }

    /// Removes a folder so that it is never seen half empty under its name: it gets a temporary one first.
    public static func removeWhole(_ path: String) {
        let (parent, name) = split(path)
        let aside = Self.path(parent, "tmp-\(name).\(TemporaryName.suffix())")
        guard (try? System.renameItem(path, to: aside)) != nil else { return }
        remove(aside)
    }

    /// Renames a folder or file within its volume and flushes both lists of names.
    /// - Throws: `FilesError`; then it is where it was.
    public static func move(_ from: String, to path: String) throws(FilesError) {
        try System.renameItem(from, to: path)
        try System.sync(path: split(path).parent)
        try System.sync(path: split(from).parent)
    }

    /// Flushes a folder, its files and the folders in it to the disk.
    static func sync(_ path: String) throws(FilesError) {
        for name in try System.names(in: path) {
            let item = Self.path(path, name)
            guard let status = System.status(of: item, followsLink: false), !status.isLink else { continue }
            if status.isFolder { try sync(item) } else { try System.sync(path: item) }
        }
        try System.sync(path: path)
    }
}
