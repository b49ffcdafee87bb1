import AttuneJSON
import AttuneText
import Foundation

/// Tokenizers with expected results: three small ones in the repository, all of them where the reference data lies.
enum TokenizerReference {
    /// One row of `cases.jsonl`.
    struct Case: Sendable {
        var id: Int
        var text: String
        var ids: [Int32]
        var idsSpecial: [Int32]
        var offsets: [Range<Int>]?
        var decoded: String
        var decodedSkip: String
        var decodedSpecial: String
    }

    /// One row of `decode.jsonl`.
    struct DecodeCase: Sendable {
        var id: Int
        var ids: [Int32]
        var decoded: String
        var decodedSkip: String
    }

    static let fixtures = Bundle.module.url(forResource: "Fixtures", withExtension: nil)?.appending(path: "tokenizers")

    /// The folder `tokenizers` of the reference data, if it is on this machine.
    static let full: URL? = {
        let environment = ProcessInfo.processInfo.environment["ATTUNE_REFERENCE"].map { URL(filePath: $0) }
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder = (environment ?? root.deletingLastPathComponent().appending(path: "shared/reference"))
            .appending(path: "tokenizers")
        return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
    }()

    /// All folders with a tokenizer and cases.
    static let folders: [URL] = [fixtures, full].compactMap { $0 }.flatMap { folder in
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().map { folder.appending(path: $0) }
            .filter { FileManager.default.fileExists(atPath: $0.appending(path: "cases.jsonl").path) }
    }

    static func rows(_ url: URL) throws -> [JSON] {
        try Data(contentsOf: url).split(separator: 0x0A).map { try JSON(parsing: Array($0)) }
    }

    static func cases(in folder: URL) throws -> [Case] {
        try rows(folder.appending(path: "cases.jsonl")).map { row in
            let text = row["text"]?.stringValue ?? ""
            let ids = numbers(row["ids"])
            let decoded = row["decoded"]?.stringValue ?? text
            return Case(
                id: row["id"]?.intValue ?? -1, text: text, ids: ids,
                idsSpecial: row["ids_special"].map(numbers) ?? ids,
                offsets: row["byte_offsets"]?.arrayValue?.map { pair in
                    (pair[0]?.intValue ?? 0)..<(pair[1]?.intValue ?? 0)
                },
                decoded: decoded, decodedSkip: row["decoded_skip"]?.stringValue ?? decoded,
                decodedSpecial: row["decoded_special"]?.stringValue ?? decoded)
        }
    }

    static func decodeCases(in folder: URL) throws -> [DecodeCase] {
        try rows(folder.appending(path: "decode.jsonl")).map { row in
            DecodeCase(
                id: row["id"]?.intValue ?? -1, ids: numbers(row["ids"]), decoded: row["decoded"]?.stringValue ?? "",
                decodedSkip: row["decoded_skip"]?.stringValue ?? "")
        }
    }

    static func numbers(_ value: JSON?) -> [Int32] { value?.arrayValue?.map { Int32($0.intValue ?? -1) } ?? [] }

    /// Equality of bytes; `String ==` takes canonically equivalent texts for equal.
    static func same(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }
}
