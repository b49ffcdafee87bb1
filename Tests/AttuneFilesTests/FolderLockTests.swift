import AttuneFiles
import Testing

@Suite struct FolderLockTests {
    @Test func oneWriterAtATime() throws {
        let scratch = try Scratch()
        var first = try FolderLock(scratch.path)
        #expect(first != nil)
        #expect(try FolderLock(scratch.path) == nil)
        try Folder.create(scratch.path("other"))
        #expect(try FolderLock(scratch.path("other")) != nil, "a folder inside is another folder")
        first = nil
        #expect(try FolderLock(scratch.path) != nil)
        #expect(scratch.names == ["other"], "nothing is left behind")
        #expect(throws: FilesError.self) { try FolderLock("/nowhere/there") }
    }
}
