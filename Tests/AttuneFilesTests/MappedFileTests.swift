import AttuneFiles
import AttuneTensor
import Testing

@Suite struct MappedFileTests {
    /// Pages that were let go come back from the file; memory that has no file behind it keeps what it holds.
    @Test func evictedPagesComeBack() throws {
        let count = 1 << 21
        let pattern = (0..<count).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let scratch = try Scratch()
        let path = scratch.path("x")
        let file = try AtomicFile(path)
        try pattern.withUnsafeBytes { try file.write($0) }
        try file.commit()
        let mapped = try MappedFile(path).storage
        let own = try Storage(byteCount: count)
        pattern.withUnsafeBytes { own.address.copyMemory(from: $0.baseAddress!, byteCount: count) }
        for storage in [mapped, own] {
            #expect(UnsafeRawBufferPointer(start: storage.address, count: count).elementsEqual(pattern))
            storage.evict(5000..<count - 7)
            #expect(UnsafeRawBufferPointer(start: storage.address, count: count).elementsEqual(pattern))
        }
    }
}
