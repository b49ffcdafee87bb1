#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Where a storage lies.
public enum Device: Sendable, Hashable {
    /// Host memory.
    case cpu
    /// The memory of a CUDA device.
    case cuda(Int)
}

/// A run of bytes on one device, freed with the last reference to it.
///
/// `@unchecked Sendable` because the address never changes after `init`; who may write is a matter of ownership: during a
/// step the engine that planned a workspace writes its storages, and weights are read only once loaded.
public final class Storage: @unchecked Sendable {
    /// The first byte; an address on `device`.
    public let address: UnsafeMutableRawPointer
    /// How many bytes.
    public let byteCount: Int
    /// Where the bytes lie.
    public let device: Device
    /// Whether the bytes may be written (a mapped file's may not).
    public let isWritable: Bool
    private let release: @Sendable (UnsafeMutableRawPointer, Int) -> Void

    /// Bytes obtained elsewhere.
    /// - Parameter release: called once with the address and the count.
    public init(
        address: UnsafeMutableRawPointer, byteCount: Int, device: Device, isWritable: Bool,
        release: @escaping @Sendable (UnsafeMutableRawPointer, Int) -> Void
    ) {
        self.address = address
        self.byteCount = byteCount
        self.device = device
        self.isWritable = isWritable
        self.release = release
    }

    deinit { release(address, byteCount) }

    /// Zeroed host memory.
    ///
    /// - Parameter onLargePages: whether what is not small asks for large pages, which take longer to get and less time to read.
    /// - Throws: `TensorError.outOfMemory`.
    public convenience init(byteCount: Int, onLargePages: Bool = false) throws(TensorError) {
        let size = max(byteCount, 64)
        if size < Self.mappingThreshold {
            guard let address = aligned_alloc(64, (size + 63) & ~63) else {
                throw .outOfMemory(byteCount: byteCount)
            }
            memset(address, 0, size)
            self.init(address: address, byteCount: byteCount, device: .cpu, isWritable: true) { address, _ in
                free(address)
            }
            return
        }
        let (address, chunk) = try PageChunk.run(of: size, onLargePages: onLargePages)
        self.init(address: address, byteCount: byteCount, device: .cpu, isWritable: true) { address, count in
            chunk.giveBack(address, max(count, 64))
        }
    }

    private static let mappingThreshold = 64 << 10

    /// Lets whole pages of a mapped file leave memory, after what they hold was copied elsewhere; reading them again brings them
    /// back from the file. Does nothing where the storage may be written.
    public func evict(_ range: Range<Int>) {
        guard !isWritable, device == .cpu else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let first = (Int(bitPattern: address) + range.lowerBound + page - 1) / page * page
        let end = (Int(bitPattern: address) + range.upperBound) / page * page
        guard first < end, let start = UnsafeMutableRawPointer(bitPattern: first) else { return }
        madvise(start, end - first, Int32(MADV_DONTNEED))
    }
}

/// What can go wrong with tensors themselves.
public enum TensorError: Error, Sendable, CustomStringConvertible {
    /// The system or device refused memory.
    case outOfMemory(byteCount: Int)
    /// A shape whose size does not fit the machine's integers or the bytes at hand.
    case sizeMismatch(String)
    /// The backend has no kernel for this combination.
    case unsupported(String)

    /// One line.
    public var description: String {
        switch self {
        case .outOfMemory(let byteCount): "out of memory: could not get \(byteCount) bytes"
        case .sizeMismatch(let text): text
        case .unsupported(let text): text
        }
    }
}
