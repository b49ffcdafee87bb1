import AttuneFiles
import AttuneTensor
import Foundation
import Testing

@Suite struct AtomicFileTests {
    @Test func appearsOnlyWhenCommitted() throws {
        let scratch = try Scratch()
        let path = scratch.path("x")
        do {
            let file = try AtomicFile(path)
            try file.write(Array("new".utf8))
            #expect(!FileManager.default.fileExists(atPath: path))
            #expect(scratch.names.count == 1 && scratch.names[0].hasPrefix(".x.tmp-\(getpid())-"))
            try file.commit()
        }
        #expect(scratch.names == ["x"])
        #expect(try bytes(path) == Array("new".utf8))
    }

    @Test func abandonedFilesLeaveTheOldOne() throws {
        let scratch = try Scratch()
        let path = try scratch.put("old", "x")
        do {
            let file = try AtomicFile(path)
            try file.write([UInt8](repeating: 1, count: 3 << 20))
            #expect(scratch.names.count == 2)
        }
        #expect(scratch.names == ["x"])
        #expect(try bytes(path) == Array("old".utf8))
    }

    @Test func manySmallAndLargeWritesKeepTheirOrder() throws {
        let scratch = try Scratch()
        let file = try AtomicFile(scratch.path("x"))
        var expected: [UInt8] = []
        for step in 0..<200 {
            let piece = [UInt8](repeating: UInt8(step), count: step % 50 == 0 ? 1_500_000 : step * 100)
            try piece.withUnsafeBytes { try file.write($0) }
            expected += piece
        }
        try file.commit()
        #expect(try bytes(scratch.path("x")) == expected)
    }

    @Test func readersOfTheOldFileKeepIt() throws {
        let scratch = try Scratch()
        try scratch.copy("plain.safetensors", as: "x")
        let tensor = try SafetensorsFile(scratch.path("x")).tensor(named: "x")
        try AtomicFile.write([1], to: scratch.path("x"))
        #expect(tensor.floats() == [0, 1, 2])
    }

    @Test func aFullDiskIsAnInputOutputError() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        let descriptor = try System.openForWriting("/dev/full")
        defer { System.closeDescriptor(descriptor) }
        let error = failure {
            try [UInt8](repeating: 1, count: 4096).withUnsafeBytes {
                try System.writeAll($0, to: descriptor, path: "model.safetensors")
            }
        }
        #expect(error?.exitCode == 74)
        #expect(
            error?.description == "model.safetensors: cannot write: No space left on device; "
                + "free some space and run again")
    }

    /// Needs a volume of at most a few megabytes, such as `mount -t tmpfs -o size=1m`, named by the environment.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["ATTUNE_SMALL_VOLUME"] != nil))
    func aFullVolumeKeepsTheOldFile() throws {
        let volume = try #require(ProcessInfo.processInfo.environment["ATTUNE_SMALL_VOLUME"])
        let path = volume + "/model.safetensors"
        try AtomicFile.write(Array("old".utf8), to: path)
        let file = try AtomicFile(path)
        let error = failure { for _ in 0..<64 { try file.write([UInt8](repeating: 1, count: 1 << 20)) } }
        #expect(error?.exitCode == 74 && error?.path == path)
        let names = try Folder.names(in: volume)
        #expect(names == ["model.safetensors"])
        #expect(try bytes(path) == Array("old".utf8))
    }

    @Test func aMissingFolderIsNamed() throws {
        let error = failure { try AtomicFile("/nowhere/there/x") }
        #expect(error?.exitCode == 66 && error?.path == "/nowhere/there")
        #expect(failure { try AtomicFile.write([], to: "") } != nil)
        #expect(failure { try AtomicFile.write([], to: "/tmp/a\0b") } != nil)
    }

    @Test func foldersAppearWholeOrNotAtAll() throws {
        let scratch = try Scratch()
        let final = scratch.path("runs/checkpoint-5")
        do {
            let folder = try AtomicFolder(final)
            try AtomicFile.write([1], to: folder.path(of: "a"))
            #expect(Folder.split(folder.temporaryPath).name.hasPrefix("tmp-checkpoint-5.\(getpid())-"))
        }
        #expect(try Folder.names(in: scratch.path("runs")).isEmpty)
        let folder = try AtomicFolder(final)
        try Folder.create(folder.path(of: "deep/er"))
        try AtomicFile.write([1], to: folder.path(of: "deep/er/a"))
        try folder.commit()
        #expect(try bytes(final + "/deep/er/a") == [1])
        #expect(try Folder.names(in: scratch.path("runs")) == ["checkpoint-5"])
    }

    @Test func anExistingFolderIsReplacedOnlyOnRequest() throws {
        let scratch = try Scratch()
        try scratch.put("old", "x/old")
        let refused = try AtomicFolder(scratch.path("x"))
        #expect(failure { try refused.commit() }?.exitCode == 65)
        #expect(try Folder.names(in: scratch.path("x")) == ["old"])
        let folder = try AtomicFolder(scratch.path("x"))
        try AtomicFile.write([1], to: folder.path(of: "new"))
        try folder.commit(replacingExisting: true)
        #expect(try Folder.names(in: scratch.path("x")) == ["new"])
    }

    @Test func leftoversOfDeadProcessesAreRemoved() throws {
        let scratch = try Scratch()
        // No process has this number: Linux stops at 2^22.
        try scratch.put("", ".x.tmp-2147483647-deadbeef")
        try scratch.put("", "tmp-checkpoint-5.2147483647-deadbeef/a")
        try scratch.put("", ".y.tmp-\(getpid())-deadbeef")
        try scratch.put("", "tmp-notes.txt")
        let removed = AtomicFolder.removeLeftovers(in: scratch.path)
        #expect(removed == [".x.tmp-2147483647-deadbeef", "tmp-checkpoint-5.2147483647-deadbeef"])
        #expect(scratch.names == [".y.tmp-\(getpid())-deadbeef", "tmp-notes.txt"])
    }

    @Test func removingAFolderDoesNotFollowLinks() throws {
        let scratch = try Scratch()
        try scratch.put("keep", "outside/a")
        try scratch.put("", "x/b")
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path("x/link"), withDestinationPath: scratch.path("outside"))
        Folder.remove(scratch.path("x"))
        #expect(scratch.names == ["outside"])
        #expect(try bytes(scratch.path("outside/a")) == Array("keep".utf8))
    }

    @Test func wholeFilesHaveALimit() throws {
        let scratch = try Scratch()
        let path = try scratch.put("12345", "x")
        #expect(try WholeFile.read(path, limit: 5) == Array("12345".utf8))
        #expect(failure { try WholeFile.read(path, limit: 4) }?.exitCode == 65)
        #expect(failure { try WholeFile.read(scratch.path, limit: 4) }?.exitCode == 65)
        let deep = try scratch.put(String(repeating: "[", count: 100), "deep.json")
        #expect(failure { try WholeFile.readJSON(deep) }?.description.contains("nested") == true)
    }
}
