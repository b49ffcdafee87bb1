import AttuneTensor
import Foundation
import Testing

@Suite struct StorageTests {
    /// Of every size: below what shares pages, sharing them, larger than what shares.
    static let sizes = [0, 1, 100, 65_535, 65_536, 70_001, 3 << 20, 16 << 20, (16 << 20) + 1, 40 << 20]

    @Test(arguments: [false, true]) func memoryIsZeroedAlignedAndItsOwn(onLargePages: Bool) throws {
        for round in 0..<3 {
            let storages = try Self.sizes.map { try Storage(byteCount: $0, onLargePages: onLargePages) }
            for (index, storage) in storages.enumerated() {
                #expect(Int(bitPattern: storage.address) % 64 == 0)
                let bytes = UnsafeMutableRawBufferPointer(start: storage.address, count: storage.byteCount)
                #expect(bytes.allSatisfy { $0 == 0 }, "round \(round), \(storage.byteCount) bytes")
                memset(storage.address, Int32(index + 1), storage.byteCount)
            }
            for (index, storage) in storages.enumerated() {
                let bytes = UnsafeRawBufferPointer(start: storage.address, count: storage.byteCount)
                #expect(
                    bytes.allSatisfy { $0 == UInt8(index + 1) }, "\(storage.byteCount) bytes are written by one only")
            }
        }
    }

    @Test func manyThreadsTakeMemoryAtOnce() async throws {
        let places = try await withThrowingTaskGroup(of: [Storage].self) { group in
            for task in 0..<8 {
                group.addTask {
                    try (0..<40).map {
                        try Storage(byteCount: 64 << 10 | (task * 40 + $0) * 64, onLargePages: $0 % 2 == 0)
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let sorted = places.map { (Int(bitPattern: $0.address), $0.byteCount) }.sorted { $0.0 < $1.0 }
        for (one, next) in zip(sorted, sorted.dropFirst()) { #expect(one.0 + one.1 <= next.0) }
    }

    #if os(Linux)
    /// How many of the pages wholly inside a range are in memory.
    private func residentPages(_ address: UnsafeMutableRawPointer, _ count: Int) -> Int {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let first = (Int(bitPattern: address) + page - 1) / page * page
        let pages = (Int(bitPattern: address) + count) / page - first / page
        var states = [UInt8](repeating: 0, count: pages)
        mincore(UnsafeMutableRawPointer(bitPattern: first), pages * page, &states)
        return states.count { $0 & 1 == 1 }
    }

    /// One of many runs of a chunk that is given back leaves memory though its neighbours stay.
    @Test func whatIsGivenBackLeavesMemory() throws {
        let size = 5 << 20 | 64
        var storages: [Storage?] = try (0..<9).map { _ in
            let storage = try Storage(byteCount: size)
            memset(storage.address, 1, size)
            return storage
        }
        let middle = try #require(storages[4]).address
        #expect(residentPages(middle, size) > 1000)
        storages[4] = nil
        #expect(residentPages(middle, size) == 0)
        for case .some(let storage) in storages {
            #expect(UnsafeRawBufferPointer(start: storage.address, count: size).allSatisfy { $0 == 1 })
        }
    }
    #endif

    @Test func tooMuchIsAnError() {
        #expect(throws: TensorError.self) { try Storage(byteCount: 1 << 46) }
    }
}
