#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The system calls of this room, with typed errors. No other file here imports the C library.
package enum System {
    /// What lies at a path.
    struct Status {
        var isFolder: Bool
        var isRegularFile: Bool
        var isLink: Bool
        var byteCount: Int
    }

    // MARK: Errors and environment

    static func message(of code: Int32) -> String { String(cString: strerror(code)) }
    static func isFull(_ code: Int32) -> Bool { code == ENOSPC || code == EDQUOT }
    static func isAbsence(_ code: Int32) -> Bool { code == ENOENT || code == ENOTDIR }
    static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
    static var processIdentifier: Int32 { getpid() }

    /// Whether a process with this number exists; one we may not signal does.
    static func isRunning(_ process: Int32) -> Bool { kill(process, 0) == 0 || errno == EPERM }

    /// A Swift string with a zero byte would reach the system cut short and name another file.
    private static func check(_ path: String) throws(FilesError) {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw .missing(path: path, hint: "a path may not be empty or hold a zero byte")
        }
    }

    // MARK: Descriptors

    static func openForReading(_ path: String) throws(FilesError) -> Int32 {
        try open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, operation: "open")
    }

    /// Creates a file that must not exist yet; `nil` when it does.
    static func createNew(_ path: String) throws(FilesError) -> Int32? {
        try check(path)
        while true {
            #if canImport(Darwin)
            let descriptor = Darwin.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            #else
            let descriptor = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            #endif
            if descriptor >= 0 { return descriptor }
            let code = errno
            if code == EEXIST { return nil }
            if code != EINTR { throw FilesError(path: path, operation: "create", code: code) }
        }
    }

    /// Opens what exists for writing, as the tests do with `/dev/full`.
    package static func openForWriting(_ path: String) throws(FilesError) -> Int32 {
        try open(path, O_WRONLY | O_CLOEXEC, operation: "open")
    }

    private static func open(_ path: String, _ flags: Int32, operation: String) throws(FilesError) -> Int32 {
        try check(path)
        while true {
            let descriptor = openat(AT_FDCWD, path, flags)
            if descriptor >= 0 { return descriptor }
            let code = errno
            if code != EINTR { throw FilesError(path: path, operation: operation, code: code) }
        }
    }

    package static func closeDescriptor(_ descriptor: Int32) { _ = close(descriptor) }

    /// Whether an open file or folder could be locked for this holder alone.
    static func lock(_ descriptor: Int32) -> Bool {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code != EINTR { return code != EWOULDBLOCK }
        }
        return true
    }

    static func status(ofDescriptor descriptor: Int32, path: String) throws(FilesError) -> Status {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw FilesError(path: path, operation: "examine", code: errno)
        }
        return Status(status)
    }

    /// What lies at a path, or `nil` when nothing does.
    static func status(of path: String, followsLink: Bool = true) -> Status? {
        guard (try? check(path)) != nil else { return nil }
        var status = stat()
        guard (followsLink ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
        return Status(status)
    }

    /// Reads until `count` bytes or the end of the file.
    static func read(
        _ descriptor: Int32, into target: UnsafeMutableRawPointer, count: Int, path: String
    ) throws(FilesError) -> Int {
        var done = 0
        while done < count {
            #if canImport(Darwin)
            let got = Darwin.read(descriptor, target + done, min(count - done, 1 << 30))
            #elseif canImport(Glibc)
            let got = Glibc.read(descriptor, target + done, min(count - done, 1 << 30))
            #else
            let got = Musl.read(descriptor, target + done, min(count - done, 1 << 30))
            #endif
            if got == 0 { break }
            if got < 0 {
                let code = errno
                if code == EINTR { continue }
                throw FilesError(path: path, operation: "read", code: code)
            }
            done += got
        }
        return done
    }

    /// Writes all bytes; `path` is only named in the error.
    package static func writeAll(
        _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String
    ) throws(FilesError) {
        guard let start = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let put = write(descriptor, start + done, min(bytes.count - done, 1 << 30))
            if put < 0 {
                let code = errno
                if code == EINTR { continue }
                throw FilesError(path: path, operation: "write", code: code)
            }
            done += put
        }
    }

    static func sync(_ descriptor: Int32, path: String) throws(FilesError) {
        while fsync(descriptor) != 0 {
            let code = errno
            if code == EINTR { continue }
            // Pipes and some network file systems cannot sync; that is no loss of data we could prevent.
            if code == EINVAL || code == ENOTSUP { return }
            throw FilesError(path: path, operation: "sync", code: code)
        }
    }

    /// Flushes a file or a folder's list of names to the disk.
    static func sync(path: String) throws(FilesError) {
        let descriptor = try openForReading(path)
        defer { closeDescriptor(descriptor) }
        try sync(descriptor, path: path)
    }

    /// Maps a whole file for reading; the count must be positive.
    static func map(_ descriptor: Int32, byteCount: Int, path: String) throws(FilesError) -> UnsafeMutableRawPointer {
        let mapped = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else { throw FilesError(path: path, operation: "map", code: errno) }
        return mapped
    }

    static func unmap(_ address: UnsafeMutableRawPointer, byteCount: Int) { munmap(address, byteCount) }

    // MARK: Names

    static func renameItem(_ from: String, to path: String) throws(FilesError) {
        guard rename(from, path) == 0 else { throw FilesError(path: path, operation: "rename into place", code: errno) }
    }

    static func removeFile(_ path: String) { _ = unlink(path) }

    static func removeEmptyFolder(_ path: String) { _ = rmdir(path) }

    /// Makes one folder; `false` when something of that name exists.
    static func makeFolder(_ path: String) throws(FilesError) -> Bool {
        try check(path)
        if mkdir(path, 0o777) == 0 { return true }
        let code = errno
        if code == EEXIST { return false }
        // Nobody asked for something that should be there, so this is no missing input.
        throw .inputOutput(path: path, operation: "create the folder", code: code)
    }

    /// The names in a folder, sorted by bytes, without `.` and `..`.
    static func names(in path: String) throws(FilesError) -> [String] {
        try check(path)
        guard let stream = opendir(path) else { throw FilesError(path: path, operation: "list", code: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let item = readdir(stream) {
            let name = withUnsafePointer(to: &item.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) {
                    String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}

extension System.Status {
    fileprivate init(_ status: stat) {
        let kind = status.st_mode & S_IFMT
        isFolder = kind == S_IFDIR
        isRegularFile = kind == S_IFREG
        isLink = kind == S_IFLNK
        byteCount = Int(status.st_size)
    }
}
