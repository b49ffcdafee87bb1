import AttuneJSON
import AttuneTensor

/// A model folder in the layout of Hugging Face: `config.json`, weights in one file or in shards, tokenizer files.
///
/// Weights are looked for in the order of transformers: `model.safetensors`, its index, `pytorch_model.bin`, its index.
/// All shards are opened and checked at once, so a model that opens is complete. Code in the folder is never run.
public struct ModelDirectory: TensorSource {
    /// The folder.
    public let path: String
    /// `config.json`; an empty object when weights were not asked for and there is none.
    public let config: JSON
    /// `generation_config.json`.
    public let generationConfig: JSON?
    /// The names of all tensors, in the order of the index or file.
    public let tensorNames: [String]
    private let sources: [any TensorSource]
    private let home: [ByteString: Int]

    /// Opens a folder, or a model in the Hugging Face cache by its hub name.
    ///
    /// - Parameters:
    ///   - nameOrPath: a folder, or `owner/name`.
    ///   - requiresWeights: whether a folder without `config.json` and weights is an error; commands that only tokenize
    ///     or render need neither.
    /// - Throws: `FilesError`; a missing shard is `missing` and names the file.
    public init(
        _ nameOrPath: String, requiresWeights: Bool = true,
        environment: HubCache.Environment = HubCache.processEnvironment
    ) throws(FilesError) {
        let folder = try HubCache.locate(nameOrPath, environment: environment)
        path = folder
        let configPath = Folder.path(folder, "config.json")
        if Folder.hasFile(configPath) {
            config = try WholeFile.readJSON(configPath)
            guard config.objectValue != nil else { throw .invalid(path: configPath, problem: "is no JSON object") }
        } else if requiresWeights {
            let isAdapter = Folder.hasFile(Folder.path(folder, AdapterDirectory.configurationName))
            throw .missing(
                path: configPath,
                hint: isAdapter
                    ? "this folder is an adapter; give its base model, and the adapter apart from it"
                    : "give a folder in Hugging Face layout")
        } else {
            config = .object(JSONObject())
        }
        let generationPath = Folder.path(folder, "generation_config.json")
        generationConfig = Folder.hasFile(generationPath) ? try WholeFile.readJSON(generationPath) : nil

        guard let weights = try Self.openWeights(folder) else {
            if requiresWeights { throw Self.noWeights(folder) }
            (sources, tensorNames, home) = ([], [], [:])
            return
        }
        sources = weights.sources
        tensorNames = weights.names.map(\.name)
        var home: [ByteString: Int] = [:]
        home.reserveCapacity(weights.names.count)
        for (name, source) in weights.names { home[ByteString(name)] = source }
        self.home = home
    }

    /// Whether there is a tensor of that name.
    public func contains(_ name: String) -> Bool { home[ByteString(name)] != nil }

    /// Type and shape of a tensor.
    public func description(of name: String) -> TensorDescription? {
        home[ByteString(name)].flatMap { sources[$0].description(of: name) }
    }

    /// A tensor, a view of its file where possible.
    /// - Throws: `FilesError`.
    public func tensor(named name: String) throws(FilesError) -> Tensor {
        guard let place = home[ByteString(name)] else { throw noTensor(name) }
        return try sources[place].tensor(named: name)
    }

    /// The weight files, in order.
    public var weightFiles: [String] { sources.map(\.path) }

    // MARK: Other files

    /// The path of a file of the folder, or `nil` when there is none of that name.
    public func file(_ name: String) -> String? {
        let path = Folder.path(self.path, name)
        return Folder.hasFile(path) ? path : nil
    }

    /// `tokenizer.json`.
    public var tokenizerFile: String? { file("tokenizer.json") }
    /// `tokenizer_config.json`; older models keep their chat template in it.
    public var tokenizerConfigFile: String? { file("tokenizer_config.json") }
    /// `special_tokens_map.json`.
    public var specialTokensFile: String? { file("special_tokens_map.json") }
    /// The files that travel with a model when its weights are written anew, as full paths.
    public var companionFiles: [String] {
        let fixed = [
            "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
            "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja",
            "chat_template.json",
        ]
        return fixed.compactMap(file)
    }

    /// The places of a chat template outside `tokenizer_config.json`, the first counts: `chat_template.jinja` (the
    /// template itself), `chat_template.json` (under the key `chat_template`).
    public var chatTemplateFiles: [String] { ["chat_template.jinja", "chat_template.json"].compactMap(file) }

    /// Named templates beside the default one: `additional_chat_templates/NAME.jinja`.
    public var additionalChatTemplates: [(name: String, path: String)] {
        let folder = Folder.path(path, "additional_chat_templates")
        return ((try? Folder.names(in: folder)) ?? []).filter { $0.hasSuffix(".jinja") }
            .map { (String($0.dropLast(6)), Folder.path(folder, $0)) }
    }

    /// A sentence for the user when the model brings Python code (`auto_map`), which is not run.
    public var codeNotice: String? {
        guard let map = config["auto_map"]?.objectValue, !map.isEmpty else { return nil }
        return
            "\(path): config.json names Python code (auto_map); Attune does not run it and uses its own model instead"
    }

    // MARK: Weights

    private static func openWeights(
        _ folder: String
    ) throws(FilesError) -> (sources: [any TensorSource], names: [(name: String, source: Int)])? {
        for (single, isSafetensors) in [("model.safetensors", true), ("pytorch_model.bin", false)] {
            let path = Folder.path(folder, single)
            if Folder.hasFile(path) {
                let source = try open(path, isSafetensors)
                return ([source], source.tensorNames.map { ($0, 0) })
            }
            let indexPath = path + ".index.json"
            guard Folder.hasFile(indexPath) else { continue }
            let index = try ShardIndex(indexPath)
            var sources: [any TensorSource] = []
            for name in index.fileNames {
                let path = Folder.path(folder, name)
                guard Folder.hasFile(path) else {
                    throw .missing(path: path, hint: "\(single).index.json names this shard; download it again")
                }
                sources.append(try open(path, name.hasSuffix(".safetensors")))
            }
            for (name, file) in index.tensors where !sources[file].contains(name) {
                throw .invalid(
                    path: indexPath, problem: "says '\(name)' is in \(index.fileNames[file]), but it is not there")
            }
            return (sources, index.tensors.map { ($0.name, $0.file) })
        }
        return nil
    }

    private static func open(_ path: String, _ isSafetensors: Bool) throws(FilesError) -> any TensorSource {
        isSafetensors ? try SafetensorsFile(path) : try TorchCheckpoint(path)
    }

    private static func noWeights(_ folder: String) -> FilesError {
        let names = (try? Folder.names(in: folder)) ?? []
        if let other = names.first(where: { $0.hasSuffix(".gguf") || $0.hasSuffix(".h5") || $0.hasSuffix(".msgpack") })
        {
            return .unsupported(path: folder, problem: "no safetensors or PyTorch weights in it, only '\(other)'")
        }
        return .missing(
            path: Folder.path(folder, "model.safetensors"),
            hint: "no weights in the folder (model.safetensors, pytorch_model.bin or an index of shards)")
    }
}
