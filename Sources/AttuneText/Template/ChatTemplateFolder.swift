import AttuneJSON
import Foundation

/// The chat templates of a model's folder, and the special tokens they read.
public struct ChatTemplateFolder: Sendable {
    /// The templates by name; the ordinary one is called `default`, others in use are `tool_use` and `rag`.
    public let templates: [(name: String, source: String)]
    /// `bos_token`, `eos_token` and their like, as texts.
    public let specialTokens: JSONObject

    /// Reads the folder of a model.
    ///
    /// `chat_template.jinja` wins over `chat_template.json`, and that over `chat_template` in `tokenizer_config.json`,
    /// which is a text or a list of `{name, template}`. `additional_chat_templates/NAME.jinja` adds to them. A folder
    /// without any has no templates, which is no error.
    ///
    /// - Throws: `ChatTemplateFolderError` when a file is there but cannot be read or parsed.
    public init(_ folder: URL) throws(ChatTemplateFolderError) {
        var found: [(name: String, source: String)] = []
        func add(_ name: String, _ source: String) {
            found.removeAll { $0.name == name }
            found.append((name, source))
        }
        var tokens = JSONObject()
        if let config = try Self.json(folder, "tokenizer_config.json") {
            switch config["chat_template"] {
            case .string(let source)?: add("default", source)
            case .array(let entries)?:
                for entry in entries {
                    guard let name = entry["name"]?.stringValue, let source = entry["template"]?.stringValue else {
                        throw ChatTemplateFolderError(
                            file: "tokenizer_config.json",
                            message: "chat_template is a list whose entries lack 'name' or 'template'")
                    }
                    add(name, source)
                }
            case nil, .null?: break
            default:
                throw ChatTemplateFolderError(
                    file: "tokenizer_config.json", message: "chat_template is neither a text nor a list")
            }
            tokens = Self.specialTokens(config)
        }
        if let map = try Self.json(folder, "special_tokens_map.json") {
            for (name, value) in Self.specialTokens(map).members where tokens[name] == nil { tokens[name] = value }
        }
        if let file = try Self.json(folder, "chat_template.json"), let source = file["chat_template"]?.stringValue {
            add("default", source)
        }
        if let source = try Self.text(folder, "chat_template.jinja") { add("default", source) }
        let extra = folder.appendingPathComponent("additional_chat_templates")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: extra.path)) ?? []
        for name in names.sorted() where name.hasSuffix(".jinja") {
            if let source = try Self.text(extra, name) { add(String(name.dropLast(6)), source) }
        }
        templates = found
        specialTokens = tokens
    }

    /// The source of a template by name. Without a name: `tool_use` when there are tools and such a template, otherwise
    /// `default`, otherwise the only one there is.
    public func source(named name: String? = nil, hasTools: Bool = false) -> String? {
        func find(_ name: String) -> String? { templates.first { $0.name == name }?.source }
        if let name { return find(name) }
        if hasTools, let source = find("tool_use") { return source }
        return find("default") ?? (templates.count == 1 ? templates.first?.source : nil)
    }

    /// Every `…_token` of a tokenizer's configuration, written as text or as an object with `content`.
    private static func specialTokens(_ config: JSON) -> JSONObject {
        var tokens = JSONObject()
        for (name, value) in config.objectValue?.members ?? [] where name.hasSuffix("_token") {
            if let text = value.stringValue ?? value["content"]?.stringValue { tokens[name] = .string(text) }
        }
        return tokens
    }

    /// No file of these is larger in practice; a larger one is refused before it is read.
    private static let maximumBytes = 64 << 20

    private static func bytes(_ folder: URL, _ name: String) throws(ChatTemplateFolderError) -> [UInt8]? {
        let path = folder.appendingPathComponent(name).path
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        do {
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
            guard size <= maximumBytes else {
                throw ChatTemplateFolderError(file: name, message: "it is larger than \(maximumBytes) bytes")
            }
            return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch let error as ChatTemplateFolderError {
            throw error
        } catch {
            throw ChatTemplateFolderError(file: name, message: "it cannot be read; check its permissions")
        }
    }

    private static func text(_ folder: URL, _ name: String) throws(ChatTemplateFolderError) -> String? {
        guard let bytes = try bytes(folder, name) else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ChatTemplateFolderError(file: name, message: "it is not UTF-8")
        }
        return text
    }

    private static func json(_ folder: URL, _ name: String) throws(ChatTemplateFolderError) -> JSON? {
        guard let bytes = try bytes(folder, name) else { return nil }
        do {
            return try JSON(parsing: bytes)
        } catch {
            throw ChatTemplateFolderError(file: name, message: "\(error)")
        }
    }
}

/// A file with chat templates that cannot be used.
public struct ChatTemplateFolderError: Error, Sendable, CustomStringConvertible {
    /// The file's name in the model's folder.
    public let file: String
    /// What is wrong with it.
    public let message: String

    /// One line that says what and where.
    public var description: String { "chat template in '\(file)': \(message)" }
}
