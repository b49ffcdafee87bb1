/// A file that appears whole or not at all: written aside, flushed, renamed, the folder flushed.
///
/// Writing in place would also corrupt a file that is mapped at that moment, this program's own tensors included. A file
/// that is never committed leaves nothing behind.
public final class AtomicFile {
    /// Where the file will be.
    public let path: String
    private let parent: String
    private let temporaryPath: String
    private var descriptor: Int32
    private var buffer: [UInt8] = []
    private static let bufferSize = 1 << 20

    /// Starts a file beside its final place.
    /// - Throws: `FilesError`.
    public init(_ path: String) throws(FilesError) {
        self.path = path
        let (parent, name) = Folder.split(path)
        self.parent = parent
        while true {
            let candidate = Folder.path(parent, ".\(name).tmp-\(TemporaryName.suffix())")
            do throws(FilesError) {
                if let descriptor = try System.createNew(candidate) {
                    self.descriptor = descriptor
                    temporaryPath = candidate
                    return
                }
            } catch { throw Self.renamed(error, path) }
        }
    }

    deinit { discard() }

    /// Appends bytes. After an error nothing of the file is left.
    /// - Throws: `FilesError`; a full disk is `inputOutput` and names the final path.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(FilesError) {
        if bytes.count < Self.bufferSize {
            buffer.append(contentsOf: bytes)
            if buffer.count >= Self.bufferSize { try flush() }
        } else {
            try flush()
            try put(bytes)
        }
    }

    /// Appends bytes.
    /// - Throws: `FilesError`.
    public func write(_ bytes: [UInt8]) throws(FilesError) {
        buffer.append(contentsOf: bytes)
        if buffer.count >= Self.bufferSize { try flush() }
    }

    /// Puts the file in its place; an older one of that name is replaced in one step.
    /// - Throws: `FilesError`; then the older one is still there.
    public func commit() throws(FilesError) {
        precondition(descriptor >= 0, "commit after the end of the file \(path)")
        try flush()
        do throws(FilesError) {
            try System.sync(descriptor, path: path)
            System.closeDescriptor(descriptor)
            descriptor = -1
            try System.renameItem(temporaryPath, to: path)
        } catch {
            if descriptor >= 0 { System.closeDescriptor(descriptor) }
            descriptor = -1
            System.removeFile(temporaryPath)
            throw error
        }
        try System.sync(path: parent)
    }

    /// Writes a whole file.
    /// - Throws: `FilesError`.
    public static func write(_ bytes: [UInt8], to path: String) throws(FilesError) {
        let file = try AtomicFile(path)
        try file.write(bytes)
        try file.commit()
    }

    private func flush() throws(FilesError) {
        guard !buffer.isEmpty else { return }
        let bytes = buffer
        buffer.removeAll(keepingCapacity: true)
        var failure: FilesError?
        bytes.withUnsafeBytes { bytes in
            do throws(FilesError) { try put(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    private func put(_ bytes: UnsafeRawBufferPointer) throws(FilesError) {
        do throws(FilesError) {
            try System.writeAll(bytes, to: descriptor, path: path)
        } catch {
            discard()  // at once: on a full disk the space matters
            throw error
        }
    }

    private func discard() {
        guard descriptor >= 0 else { return }
        System.closeDescriptor(descriptor)
        descriptor = -1
        System.removeFile(temporaryPath)
    }

    /// The user knows the final path, not the temporary one.
    private static func renamed(_ error: FilesError, _ path: String) -> FilesError {
        switch error {
        case .missing: .missing(path: Folder.split(path).parent, hint: "create the folder first")
        case .inputOutput(_, let operation, let code): .inputOutput(path: path, operation: operation, code: code)
        default: error
        }
    }
}

/// Names of unfinished files and folders: they end in the process number and a random part.
enum TemporaryName {
    static func suffix() -> String {
        "\(System.processIdentifier)-\(String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16))"
    }

    /// The process that made an unfinished file or folder, or `nil` for any other name.
    static func process(of name: String) -> Int32? {
        let tail: Substring
        if name.hasPrefix("tmp-"), let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) {
            tail = name[name.utf8.index(after: dot)...]
        } else if name.hasPrefix("."), let mark = name.utf8.lastIndex(of: UInt8(ascii: ".")),
            name[mark...].hasPrefix(".tmp-")
        {
            tail = name[mark...].dropFirst(5)
        } else {
            return nil
        }
        let parts = tail.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].utf8.count == 8, UInt32(parts[1], radix: 16) != nil else { return nil }
        return Int32(parts[0]).flatMap { $0 > 0 ? $0 : nil }
    }
}
