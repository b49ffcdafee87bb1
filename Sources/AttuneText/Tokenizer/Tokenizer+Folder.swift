import AttuneJSON
import Foundation

extension Tokenizer {
    /// Loads the tokenizer of a model folder: `tokenizer.json`, or a SentencePiece `tokenizer.model` where that is
    /// missing, with the names of the special tokens from `tokenizer_config.json` and `special_tokens_map.json`.
    ///
    /// As in `transformers`, `add_bos_token` or `add_eos_token` in `tokenizer_config.json` decide over the
    /// post-processor's tokens when they are given.
    /// - Throws: `TokenizerError`.
    public convenience init(folder: URL) throws(TokenizerError) {
        let config = try Self.readJSON(folder.appending(path: "tokenizer_config.json"))
        let map = try Self.readJSON(folder.appending(path: "special_tokens_map.json"))
        var roles: [String: String] = [:]
        for role in Self.roleNames {
            if let text = Self.tokenText(config?[role]) ?? Self.tokenText(map?[role]) { roles[role] = text }
        }
        let file = folder.appending(path: "tokenizer.json")
        var parts: TokenizerReader.Parts
        if let json = try Self.readJSON(file) {
            do { parts = try TokenizerReader.read(json) } catch {
                throw TokenizerError("\(file.path): \(error.description)")
            }
            if let unknown = parts.unknownToken, roles["unk_token"] == nil { roles["unk_token"] = unknown }
        } else {
            let model = folder.appending(path: "tokenizer.model")
            guard let bytes = Self.readBytes(model) else {
                throw TokenizerError(
                    "\(folder.path): neither tokenizer.json nor tokenizer.model; download the tokenizer with the model")
            }
            do {
                let file = try SentencePieceFile(bytes)
                parts = try file.parts(config: config)
                for (role, text) in file.roles where roles[role] == nil { roles[role] = text }
            } catch { throw TokenizerError("\(model.path): \(error.description)") }
        }
        Self.applyAddedTokens(config, to: &parts)
        try Self.applyBoundaryTokens(config, roles, to: &parts, folder: folder)
        self.init(parts, roles: roles)
    }

    /// Loads the tokenizer of a model folder.
    /// - Throws: `TokenizerError`.
    public convenience init(folder: String) throws(TokenizerError) { try self.init(folder: URL(filePath: folder)) }

    private static let roleNames = [
        "bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token",
    ]

    private static func readBytes(_ url: URL) -> [UInt8]? { (try? Data(contentsOf: url)).map { Array($0) } }

    private static func readJSON(_ url: URL) throws(TokenizerError) -> JSON? {
        guard let bytes = readBytes(url) else { return nil }
        do { return try JSON(parsing: bytes) } catch { throw TokenizerError("\(url.path): \(error.description)") }
    }

    /// A token is written as a string or as an object with its flags.
    private static func tokenText(_ value: JSON?) -> String? { value?.stringValue ?? value?["content"]?.stringValue }

    /// Tokens that `tokenizer_config.json` adds beyond the tokenizer file, in the order of their ids.
    private static func applyAddedTokens(_ config: JSON?, to parts: inout TokenizerReader.Parts) {
        guard let members = config?["added_tokens_decoder"]?.objectValue?.members else { return }
        let known = Set(parts.added.map { ByteString($0.content) })
        let numbered = members.compactMap { member in Int(member.key).map { (id: $0, value: member.value) } }
        for (_, value) in numbered.sorted(by: { $0.id < $1.id }) {
            guard let content = value["content"]?.stringValue, !known.contains(ByteString(content)) else { continue }
            let special = value["special"]?.boolValue ?? false
            parts.added.append(
                AddedTokens.Entry(
                    content: content, singleWord: value["single_word"]?.boolValue ?? false,
                    stripsLeft: value["lstrip"]?.boolValue ?? false, stripsRight: value["rstrip"]?.boolValue ?? false,
                    normalized: value["normalized"]?.boolValue ?? !special, special: special))
        }
    }

    private static func applyBoundaryTokens(
        _ config: JSON?, _ roles: [String: String], to parts: inout TokenizerReader.Parts, folder: URL
    ) throws(TokenizerError) {
        let addsBOS = config?["add_bos_token"]?.boolValue
        let addsEOS = config?["add_eos_token"]?.boolValue
        guard addsBOS != nil || addsEOS != nil else { return }
        let added = AddedTokens(parts.added, vocabulary: parts.model.vocabulary, normalizer: parts.normalizer)
        func token(_ role: String, _ isWanted: Bool?) throws(TokenizerError) -> [PostProcessor.SpecialToken] {
            guard isWanted == true, let text = roles[role] else { return [] }
            let id = added.id(of: text) ?? parts.model.vocabulary.id(of: text)
            guard id >= 0 else {
                throw TokenizerError("\(folder.path): \(role) '\(text)' is not in the vocabulary; correct its name")
            }
            return [PostProcessor.SpecialToken(id: id, text: text)]
        }
        let template = PostProcessor.Step.template(
            before: try token("bos_token", addsBOS), after: try token("eos_token", addsEOS))
        parts.processor.steps =
            parts.processor.steps.filter { step in
                if case .trimOffsets = step { true } else { false }
            } + [template]
    }
}
