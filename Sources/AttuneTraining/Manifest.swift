import AttuneFiles
import AttuneJSON

/// Size and check sum of every file of a checkpoint, written last: a folder whose manifest verifies is whole.
enum Manifest {
    static let name = "manifest.json"
    private static let format: JSON = "attune-checkpoint-1"

    static func write(to staged: AtomicFolder) throws(FilesError) {
        var members = JSONObject()
        for name in try files(in: staged.temporaryPath) { members[name] = try describe(staged.path(of: name)) }
        let manifest: JSON = ["format": format, "files": .object(members)]
        try AtomicFile.write(manifest.utf8(.pretty), to: staged.path(of: name))
    }

    /// - Parameter required: files that must be among those listed.
    /// - Throws: `FilesError` naming the first file that is not what was saved.
    static func verify(_ folder: String, required: [String]) throws(FilesError) {
        let path = Folder.path(folder, name)
        guard Folder.exists(folder) else { throw .missing(path: folder, hint: "is it the path of a checkpoint?") }
        guard Folder.hasFile(path) else { throw .invalid(path: path, problem: "is missing") }
        let manifest = try WholeFile.readJSON(path)
        guard manifest["format"] == format, let files = manifest["files"]?.objectValue else {
            throw .invalid(path: path, problem: "is no manifest of a checkpoint")
        }
        for name in required where files[name]?.objectValue == nil {
            throw .invalid(path: path, problem: "does not list \(name)")
        }
        for (name, expected) in files.members {
            let file = Folder.path(folder, name)
            guard !name.split(separator: "/").contains("..") else {
                throw .invalid(path: path, problem: "lists a file outside its folder")
            }
            guard Folder.hasFile(file) else { throw .invalid(path: file, problem: "is missing") }
            guard try describe(file) == expected else {
                throw .invalid(path: file, problem: "differs from what was saved")
            }
        }
    }

    /// Regular files under a folder, by their paths inside it.
    private static func files(in folder: String, under prefix: String = "") throws(FilesError) -> [String] {
        var paths: [String] = []
        for name in try Folder.names(in: folder) {
            let path = Folder.path(folder, name)
            if Folder.exists(path) {
                paths += try files(in: path, under: prefix + name + "/")
            } else {
                paths.append(prefix + name)
            }
        }
        return paths
    }

    private static func describe(_ path: String) throws(FilesError) -> JSON {
        let fingerprint = try FileFingerprint(ofFile: path)
        return ["bytes": JSON(fingerprint.byteCount), "crc32": JSON(Int(fingerprint.checkSum))]
    }
}
