import AttuneTensor

/// A file seen as memory, read only; unmapped with the last tensor that looks into it.
///
/// The system delivers a bus error to whoever reads a page that another program has since cut off. Attune itself never
/// shortens or overwrites a file in place (see `AtomicFile`); checks of whole files should read, not map.
public struct MappedFile: Sendable {
    /// Where the file is.
    public let path: String
    /// The bytes; not writable.
    public let storage: Storage

    /// Maps a regular file.
    /// - Throws: `FilesError`.
    public init(_ path: String) throws(FilesError) {
        self.path = path
        let descriptor = try System.openForReading(path)
        defer { System.closeDescriptor(descriptor) }
        let status = try System.status(ofDescriptor: descriptor, path: path)
        guard status.isRegularFile else {
            throw .invalid(path: path, problem: status.isFolder ? "is a folder, expected a file" : "is no regular file")
        }
        guard status.byteCount > 0 else {
            do throws(TensorError) { storage = try Storage(byteCount: 0) } catch { throw FilesError(error, path: path) }
            return
        }
        let address = try System.map(descriptor, byteCount: status.byteCount, path: path)
        storage = Storage(address: address, byteCount: status.byteCount, device: .cpu, isWritable: false) {
            System.unmap($0, byteCount: $1)
        }
    }

    /// Length of the file.
    public var byteCount: Int { storage.byteCount }

    /// A range of the file; it must lie inside.
    func bytes(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount, "bytes \(range) of \(byteCount)")
        return UnsafeBufferPointer(
            start: (storage.address + range.lowerBound).assumingMemoryBound(to: UInt8.self), count: range.count)
    }

    /// The little-endian number of `width` bytes at an offset, or `nil` where the file ends before.
    func integer(at offset: Int, width: Int) -> UInt64? {
        guard offset >= 0, offset <= byteCount - width else { return nil }
        return bytes(offset..<(offset + width)).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// A tensor over bytes of this file, without a copy where the address suits the type.
    ///
    /// Safetensors files may hold tensors at any offset; those are copied, so every tensor can be read as its type.
    /// The caller has checked that shape, type and range agree.
    func tensor(at offset: Int, shape: [Int], dtype: DType) throws(FilesError) -> Tensor {
        if offset % dtype.byteWidth == 0 {
            return Tensor(storage: storage, byteOffset: offset, shape: shape, dtype: dtype)
        }
        do throws(TensorError) {
            let count = try Tensor.byteCount(shape: shape, dtype: dtype)
            let copy = Tensor(storage: try Storage(byteCount: count), shape: shape, dtype: dtype)
            copy.address.copyMemory(from: storage.address + offset, byteCount: count)
            return copy
        } catch { throw FilesError(error, path: path) }
    }
}
