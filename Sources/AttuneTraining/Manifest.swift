import AttuneFiles
import AttuneJSON

/// Size and check sum of every file of a checkpoint, written last: a folder whose manifest verifies is whole.
enum Manifest {
    static func write(to staged: AtomicFolder) throws {
        var files = JSONObject()
        for name in try Folder.names(in: staged.temporaryPath) where Folder.hasFile(staged.path(of: name)) {
            files[name] = try describe(staged.path(of: name))
        }
        let manifest: JSON = ["format": "attune-checkpoint-1", "files": .object(files)]
        try AtomicFile.write(manifest.utf8(.pretty), to: staged.path(of: CheckpointStore.manifestName))
    }

    /// - Throws: `FilesError.invalid` naming the first file that is not what was saved.
    static func verify(_ folder: String) throws {
        let path = Folder.path(folder, CheckpointStore.manifestName)
        let manifest = try WholeFile.readJSON(path)
        guard let files = manifest["files"]?.objectValue, !files.isEmpty else {
            throw FilesError.invalid(path: path, problem: "lists no files; the checkpoint is not whole")
        }
        for (name, expected) in files.members {
            let file = Folder.path(folder, name)
            guard try describe(file) == expected else {
                throw FilesError.invalid(path: file, problem: "differs from what was saved; use an earlier checkpoint")
            }
        }
    }

    private static func describe(_ path: String) throws -> JSON {
        let fingerprint = try FileFingerprint(ofFile: path)
        return ["bytes": JSON(fingerprint.byteCount), "crc32": JSON(Int(fingerprint.checkSum))]
    }
}
