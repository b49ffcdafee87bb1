/// Keeps a folder for one writer. Others are refused until it is let go: with this value, or with the process, however that ends.
public final class FolderLock {
    private let descriptor: Int32

    /// Takes the folder; `nil` when somebody else has it.
    ///
    /// A file system that knows no locks refuses nobody.
    /// - Throws: `FilesError` when the folder cannot be opened.
    public init?(_ path: String) throws(FilesError) {
        descriptor = try System.openForReading(path)
        guard System.lock(descriptor) else { return nil }
    }

    deinit { System.closeDescriptor(descriptor) }
}
