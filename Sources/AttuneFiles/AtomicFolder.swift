/// A folder that appears whole or not at all, such as a checkpoint: filled under another name, everything in it flushed,
/// then renamed. A folder that is never committed is removed.
public final class AtomicFolder {
    /// Where the folder will be.
    public let path: String
    /// Where it is filled: `tmp-NAME.PID-RANDOM` beside its final place.
    public let temporaryPath: String
    private let parent: String
    private var isOpen = true

    /// Makes the temporary folder, and the folders above it where they are missing.
    /// - Throws: `FilesError`.
    public init(_ path: String) throws(FilesError) {
        self.path = path
        let (parent, name) = Folder.split(path)
        self.parent = parent
        try Folder.create(parent)
        while true {
            let candidate = Folder.path(parent, "tmp-\(name).\(TemporaryName.suffix())")
            if try System.makeFolder(candidate) {
                temporaryPath = candidate
                return
            }
        }
    }

    deinit { if isOpen { Folder.remove(temporaryPath) } }

    /// Where to write a file of this folder.
    public func path(of name: String) -> String { Folder.path(temporaryPath, name) }

    /// Flushes everything and puts the folder in its place.
    ///
    /// - Parameter replacingExisting: whether a folder of that name with something in it may be replaced. It is moved
    ///   aside first and removed last, so at every moment one of the two is whole on the disk.
    /// - Throws: `FilesError`; then what was in the place before still is.
    public func commit(replacingExisting: Bool = false) throws(FilesError) {
        precondition(isOpen, "commit of the finished folder \(path)")
        try Folder.sync(temporaryPath)
        let old = System.status(of: path, followsLink: false)
        if old != nil, !isEmptyFolder {
            guard replacingExisting else {
                throw .invalid(path: path, problem: "exists already and is not empty; choose another path or remove it")
            }
            let aside = Folder.path(parent, "tmp-\(Folder.split(path).name).\(TemporaryName.suffix())")
            try System.renameItem(path, to: aside)
            do throws(FilesError) {
                try System.renameItem(temporaryPath, to: path)
            } catch {
                try? System.renameItem(aside, to: path)
                throw error
            }
            isOpen = false
            try System.sync(path: parent)
            Folder.remove(aside)
        } else {
            try System.renameItem(temporaryPath, to: path)
            isOpen = false
            try System.sync(path: parent)
        }
    }

    /// Removes what crashed writers left in a folder: unfinished files and folders whose process is gone.
    /// - Returns: the names removed.
    @discardableResult
    public static func removeLeftovers(in folder: String) -> [String] {
        var removed: [String] = []
        for name in (try? System.names(in: folder)) ?? [] {
            guard let process = TemporaryName.process(of: name), !System.isRunning(process) else { continue }
            Folder.remove(Folder.path(folder, name))
            removed.append(name)
        }
        return removed
    }

    private var isEmptyFolder: Bool { (try? System.names(in: path))?.isEmpty == true }
}
