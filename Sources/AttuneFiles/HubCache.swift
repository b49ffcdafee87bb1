/// The folder in which the Hugging Face libraries keep what they downloaded. Read only: nothing is fetched.
public enum HubCache {
    /// Looks up a variable of the environment.
    public typealias Environment = @Sendable (String) -> String?

    /// The environment of this process.
    public static let processEnvironment: Environment = { System.environment($0) }

    /// `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`.
    public static func path(environment: Environment = processEnvironment) -> String {
        func value(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        if let cache = value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE") { return cache }
        if let home = value("HF_HOME") { return Folder.path(home, "hub") }
        let cache = value("XDG_CACHE_HOME") ?? Folder.path(value("HOME") ?? "/", ".cache")
        return Folder.path(cache, "huggingface/hub")
    }

    /// Whether a text has the form of a hub name: `name` or `owner/name`.
    public static func isHubName(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), text.utf8.count <= 200, !text.contains("--"), !text.contains("..") else {
            return false
        }
        return parts.allSatisfy { part in
            guard let first = part.first, let last = part.last, isWord(first), isWord(last) else { return false }
            return part.allSatisfy { isWord($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
        }
    }

    /// The folder of a downloaded model: the commit that `refs/REVISION` names, or the only snapshot there is.
    ///
    /// - Returns: `nil` when the model is not in the cache.
    public static func snapshot(
        of name: String, revision: String = "main", environment: Environment = processEnvironment
    ) -> String? {
        guard isHubName(name), isHubName(revision) else { return nil }
        let folderName = "models--" + name.split(separator: "/").joined(separator: "--")
        let model = Folder.path(path(environment: environment), folderName)
        let snapshots = Folder.path(model, "snapshots")
        if let bytes = try? WholeFile.read(Folder.path(model, "refs/\(revision)"), limit: 256) {
            let commit = String(decoding: bytes.filter { $0 > 0x20 }, as: UTF8.self)
            let folder = Folder.path(snapshots, commit)
            if isHubName(commit), !commit.contains("/"), Folder.exists(folder) { return folder }
        }
        let direct = Folder.path(snapshots, revision)
        if Folder.exists(direct) { return direct }
        guard revision == "main", let names = try? Folder.names(in: snapshots), names.count == 1 else { return nil }
        return Folder.path(snapshots, names[0])
    }

    /// The folder a user means: one on disk, or a model in the cache under its hub name.
    ///
    /// - Throws: `FilesError.missing` that says where was looked.
    public static func locate(
        _ nameOrPath: String, environment: Environment = processEnvironment
    ) throws(FilesError) -> String {
        if Folder.exists(nameOrPath) { return nameOrPath }
        if Folder.hasFile(nameOrPath) {
            throw .invalid(path: nameOrPath, problem: "is a file; give the folder that holds it")
        }
        guard isHubName(nameOrPath) else { throw .missing(path: nameOrPath, hint: "no such folder; check the path") }
        if let folder = snapshot(of: nameOrPath, environment: environment) { return folder }
        throw .missing(
            path: nameOrPath,
            hint: "no folder of that name here and no such model in \(path(environment: environment)); "
                + "download it there first or give a folder")
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
