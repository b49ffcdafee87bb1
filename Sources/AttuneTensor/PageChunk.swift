import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
/// Address space in which tensors lie one behind the other, so that many of them smaller than a large page share large pages.
///
/// A mapping of its own for each weight of a small model has no large page at all, and reading it then costs a walk of the page
/// tables every 4 KiB. Runs are zeroed, handed out once and never again; the pages of a run that is given back leave memory at
/// once, the address space when the last run is gone.
final class PageChunk: @unchecked Sendable {
    /// The largest pages that are asked for.
    static let largePage = 2 << 20
    /// Bytes of a chunk that several runs share.
    static let sharedSize = 64 << 20
    /// Larger runs get a chunk of their own.
    static let largestShared = sharedSize / 4

    /// Chunks that hand out runs: of large pages, and of ordinary ones.
    private static let current = Mutex<(large: PageChunk?, ordinary: PageChunk?)>((nil, nil))

    private let base: UnsafeMutableRawPointer
    private let byteCount: Int
    // Guarded by `current`: only the current chunk hands out runs.
    private var used = 0

    /// A zeroed run and the chunk that must be kept until it is given back.
    ///
    /// - Parameter isLarge: whether large pages are asked for, or ordinary ones.
    /// - Throws: `TensorError.outOfMemory`.
    static func run(
        of byteCount: Int, onLargePages isLarge: Bool
    ) throws(TensorError) -> (address: UnsafeMutableRawPointer, chunk: PageChunk) {
        if byteCount > largestShared {
            let chunk = try PageChunk(byteCount: byteCount, onLargePages: isLarge)
            return (chunk.base, chunk)
        }
        return try current.withLock { (kept) throws(TensorError) in
            if let chunk = isLarge ? kept.large : kept.ordinary, let address = chunk.take(byteCount) {
                return (address, chunk)
            }
            let chunk = try PageChunk(byteCount: sharedSize, onLargePages: isLarge)
            if isLarge { kept.large = chunk } else { kept.ordinary = chunk }
            guard let address = chunk.take(byteCount) else { throw .outOfMemory(byteCount: byteCount) }
            return (address, chunk)
        }
    }

    private init(byteCount: Int, onLargePages isLarge: Bool) throws(TensorError) {
        self.byteCount = byteCount
        // The system places mappings at small pages, so a little more is asked for and the ends are cut off.
        let asked = byteCount + Self.largePage
        #if os(Linux)
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        #else
        let flags = MAP_PRIVATE | MAP_ANON
        #endif
        let mapped = mmap(nil, asked, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let start = mapped, start != MAP_FAILED else { throw .outOfMemory(byteCount: byteCount) }
        let skipped = -Int(bitPattern: start) & (Self.largePage - 1)
        base = start + skipped
        if skipped > 0 { munmap(start, skipped) }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let end = (byteCount + page - 1) / page * page
        if asked - skipped > end { munmap(base + end, asked - skipped - end) }
        #if os(Linux)
        // MADV_HUGEPAGE or MADV_NOHUGEPAGE; advice only, so a refusal is no error.
        madvise(base, byteCount, isLarge ? 14 : 15)
        #endif
    }

    deinit { munmap(base, byteCount) }

    private func take(_ count: Int) -> UnsafeMutableRawPointer? {
        let start = (used + 63) & ~63
        guard start + count <= byteCount else { return nil }
        used = start + count
        return base + start
    }

    /// Lets the whole pages of a run leave memory.
    func giveBack(_ address: UnsafeMutableRawPointer, _ count: Int) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let first = (Int(bitPattern: address) + page - 1) / page * page
        let end = (Int(bitPattern: address) + count) / page * page
        guard first < end, let start = UnsafeMutableRawPointer(bitPattern: first) else { return }
        madvise(start, end - first, Int32(MADV_DONTNEED))
    }
}
