#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Something that yields bytes a chunk at a time.
protocol ByteSource: AnyObject {
    /// Appends the next bytes to the buffer; `false` when there are no more.
    func read(into buffer: inout [UInt8]) throws(DataError) -> Bool
}

/// A file read in chunks, so that its size never matters.
final class FileBytes: ByteSource {
    private let path: String
    private let descriptor: Int32
    private static let chunkSize = 1 << 18

    init(path: String) throws(DataError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw DataError(.missingInput, "\(path): cannot open the data file (\(reason)); check the path")
        }
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            throw DataError(.missingInput, "\(path): is a folder; name the data file inside it")
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func read(into buffer: inout [UInt8]) throws(DataError) -> Bool {
        var chunk: [UInt8] = []
        var failure: Int32 = 0
        chunk = [UInt8](unsafeUninitializedCapacity: Self.chunkSize) { space, count in
            var got = 0
            repeat { got = systemRead(descriptor, space.baseAddress, Self.chunkSize) } while got < 0 && errno == EINTR
            if got < 0 { failure = errno }
            count = max(0, got)
        }
        if failure != 0 {
            throw DataError(.inputOutput, "\(path): reading failed (\(String(cString: strerror(failure))))")
        }
        buffer.append(contentsOf: chunk)
        return !chunk.isEmpty
    }
}

/// The C function, out of reach of the method of the same name.
private func systemRead(_ descriptor: Int32, _ space: UnsafeMutablePointer<UInt8>?, _ count: Int) -> Int {
    read(descriptor, space, count)
}

/// Bytes already in memory.
final class MemoryBytes: ByteSource {
    private var bytes: [UInt8]?

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(into buffer: inout [UInt8]) throws(DataError) -> Bool {
        guard let rest = bytes, !rest.isEmpty else { return false }
        bytes = nil
        buffer.append(contentsOf: rest)
        return true
    }
}
