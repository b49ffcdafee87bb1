import Attune
import AttuneFiles
import AttuneJSON
import AttuneText
import Foundation

/// Finding and reading what verbs name on the command line.
enum ModelFolder {
    /// The path of a folder or of a cached hub name.
    /// - Throws: `FilesError.missing`.
    static func locate(_ nameOrPath: String) throws -> String {
        try HubCache.locate(nameOrPath, environment: HubCache.processEnvironment)
    }

    /// The tokenizer of a folder, or of a `tokenizer.json` named itself.
    /// - Throws: `FilesError`, `TokenizerError`.
    static func tokenizer(_ nameOrPath: String) throws -> Tokenizer {
        if nameOrPath.hasSuffix(".json"), Folder.hasFile(nameOrPath) {
            return try Tokenizer(json: WholeFile.readJSON(nameOrPath, limit: 1 << 28))
        }
        let folder = try locate(nameOrPath)
        guard ["tokenizer.json", "tokenizer.model"].contains(where: { Folder.hasFile(Folder.path(folder, $0)) }) else {
            throw FilesError.missing(
                path: Folder.path(folder, "tokenizer.json"), hint: "download the tokenizer with the model")
        }
        return try Tokenizer(folder: folder)
    }

    /// Token ids from `1,2,3`.
    /// - Throws: `CommandError`.
    static func tokens(_ list: String, option: String) throws -> [Int32] {
        try list.split(separator: ",").map { part in
            guard let id = Int32(part.filter { $0 != " " }), id >= 0 else {
                throw CommandError.usage("\(option): '\(part)' is no token id; give numbers such as 1,2,3")
            }
            return id
        }
    }

    /// Token ids from a row of a file; `nil` when the row has no such key.
    /// - Throws: `DataError`.
    static func tokens(_ row: Row, key: String) throws -> [Int32]? {
        guard let value = row.fields[key] else { return nil }
        return try (value.arrayValue ?? [.null]).map { element in
            guard let id = element.intValue.flatMap({ Int32(exactly: $0) }), id >= 0 else {
                throw DataError(.badData, "'\(key)' is no list of token ids; write [1, 2, 3]", at: row.source)
            }
            return id
        }
    }
}
