import Attune
import AttuneGeneration
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneText
import Foundation

/// A model as requests see it: names, tokenizer, prompt forms, grammars, and the engine that continues texts.
public final class ServedModel: Sendable {
    /// One name of `/v1/models`.
    struct Entry: Sendable {
        var name: String
        /// `nil` for the base.
        var adapter: String?
        var renderer: PromptRenderer
        /// Folder or hub name as it was typed.
        var root: String
    }

    /// All names, the base's first.
    let entries: [Entry]
    let tokenizer: Tokenizer
    let engine: Engine
    let grammars: GrammarCache
    let defaults: SamplingDefaults
    /// Ids the head knows.
    let vocabularySize: Int
    /// Tokens of the longest text.
    public let maxModelLength: Int
    let embedder: Embedder?
    let created = Int(Date().timeIntervalSince1970)

    init(
        entries: [Entry], tokenizer: Tokenizer, engine: Engine, vocabularySize: Int, maxModelLength: Int,
        grammars: GrammarCache, defaults: SamplingDefaults, embedder: Embedder?
    ) {
        self.entries = entries
        self.tokenizer = tokenizer
        self.engine = engine
        self.vocabularySize = vocabularySize
        self.maxModelLength = maxModelLength
        self.grammars = grammars
        self.defaults = defaults
        self.embedder = embedder
    }

    /// A model over any runner, with a chat template and without adapters or embeddings.
    /// - Throws: `TemplateError`.
    package convenience init(
        name: String, template: String, tokenizer: Tokenizer, runner: any ModelRunner, options: EngineOptions,
        defaults: SamplingDefaults = SamplingDefaults()
    ) throws {
        let chat = try ChatTemplate(source: template)
        let renderer = PromptRenderer(
            template: chat, withTools: chat, variables: JSONObject(), tokenizer: tokenizer)
        let text = ServedText(tokenizer, formats: [renderer.toolFormat])
        let trie = TokenTrie(
            text: text, vocabularySize: runner.vocabularySize, endTokens: options.endTokens, markers: text.markers)
        self.init(
            entries: [Entry(name: name, adapter: nil, renderer: renderer, root: name)], tokenizer: tokenizer,
            engine: Engine(runner: runner, text: text, options: options), vocabularySize: runner.vocabularySize,
            maxModelLength: options.maxModelLength, grammars: GrammarCache(trie: trie), defaults: defaults,
            embedder: nil)
    }

    /// Blocks of the cache that nobody holds, and all blocks.
    package var blocks: (free: Int, all: Int) { get async { await engine.blocks } }

    /// The entry a request names, compared by bytes.
    /// - Throws: `APIError` 404.
    func entry(_ name: String) throws(APIError) -> Entry {
        guard let entry = entries.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
            throw .unknownModel(name)
        }
        return entry
    }

    /// Opens a model folder, its adapters, and an engine over them.
    ///
    /// - Parameter nameOrPath: a folder or a cached hub name; also the served name unless the options give others.
    /// - Throws: `ServerError`, and what opening a model throws.
    public static func open(_ nameOrPath: String, _ options: ServedModelOptions, backend: any Backend) throws
        -> ServedModel
    {
        let names = try servedNames(nameOrPath, options)
        let model = try LanguageModel.load(
            nameOrPath, dtype: options.dtype, quantization: options.quantization, backend: backend,
            isRandom: options.isRandom)
        let base = try renderer(model, folder: model.directory.path, options)
        var entries = names.map { Entry(name: $0, adapter: nil, renderer: base, root: nameOrPath) }
        for adapter in options.adapters {
            let folder = try model.attachAdapter(adapter.folder, named: adapter.name).path
            entries.append(
                Entry(
                    name: adapter.name, adapter: adapter.name, renderer: try renderer(model, folder: folder, options),
                    root: adapter.folder))
        }
        let (length, cacheTokens) = try lengths(model, options)
        var engineOptions = EngineOptions()
        engineOptions.endTokens = model.endOfSequence
        engineOptions.maxModelLength = length
        engineOptions.adapters = Set(options.adapters.map(\.name))
        engineOptions.maxWaitingRequests = options.maxWaitingRequests
        engineOptions.maxWaitingTokens = options.maxWaitingTokens
        engineOptions.streamBufferBytes = options.streamBufferBytes
        engineOptions.slowReaderTimeout = options.slowReaderTimeout
        engineOptions.scheduler.maxSequences = options.maxSequences
        engineOptions.scheduler.maxBatchedTokens = options.maxBatchedTokens
        engineOptions.scheduler.reusesPrefixes = options.reusesPrefixes
        let rows = max(options.maxBatchedTokens, options.maxSequences)
        let runner = try DecoderRunner(model.decoder, cacheRows: cacheTokens, batchRows: rows, logitRows: rows)
        let text = ServedText(model.tokenizer, formats: entries.map(\.renderer.toolFormat))
        let engine = Engine(runner: runner, text: text, options: engineOptions)
        let trie = TokenTrie(
            text: text, vocabularySize: runner.vocabularySize, endTokens: model.endOfSequence, markers: text.markers)
        return ServedModel(
            entries: entries, tokenizer: model.tokenizer, engine: engine, vocabularySize: runner.vocabularySize,
            maxModelLength: length, grammars: GrammarCache(trie: trie),
            defaults: options.usesGenerationConfig
                ? SamplingDefaults(generationConfig: model.directory.generationConfig) : SamplingDefaults(),
            embedder: try Embedder(model.decoder, engine: engine, rows: options.maxBatchedTokens))
    }

    /// Lines that say how the model will answer.
    public var startLines: [String] {
        var lines = ["sampling defaults: \(defaults.description)"]
        for entry in entries {
            lines.append("model \(LogText.escaped(entry.name)): \(entry.renderer.description)")
        }
        lines.append("at most \(maxModelLength) tokens a text")
        return lines
    }

    // MARK: Opening

    private static func servedNames(_ typed: String, _ options: ServedModelOptions) throws -> [String] {
        for name in options.servedNames + options.adapters.map(\.name) where !isName(name) {
            throw ServerError(
                "\(APIError.quoted(name)) is no name for a model; use 1 to 96 letters, digits, '.', '_' and '-'",
                isUsage: true)
        }
        let names = options.servedNames.isEmpty ? [typed] : options.servedNames
        var seen: Set<ByteString> = []
        for name in names + options.adapters.map(\.name) where !seen.insert(ByteString(name)).inserted {
            throw ServerError("the model name \(APIError.quoted(name)) is given twice", isUsage: true)
        }
        return names
    }

    /// Whether a name is `[A-Za-z0-9._-]{1,96}`.
    static func isName(_ name: String) -> Bool {
        (1...96).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// Tokens of a text and of the cache. Where nothing is asked for, a text is as long as the model allows or the cache holds.
    private static func lengths(_ model: LanguageModel, _ options: ServedModelOptions) throws -> (Int, Int) {
        let perToken = max(1, KVCache.bytesPerToken(model.decoder))
        let positions = model.configuration.maximumPositions
        let asked = options.maxModelLength ?? positions
        guard asked >= 1, asked <= positions else {
            throw ServerError(
                "--max-model-len \(asked): the model has \(positions) positions; give 1 to \(positions)", isUsage: true)
        }
        let budget = (options.cacheBytes ?? 1 << 30) / perToken / 16 * 16
        let wanted = (asked + 15) / 16 * 16
        guard budget >= wanted || options.maxModelLength == nil, budget >= 16 else {
            throw ServerError(
                "a text of \(wanted) tokens needs \(wanted * perToken) bytes of cache; "
                    + "lower --max-model-len or raise --kv-cache-memory-bytes", isUsage: true)
        }
        let useful = wanted * options.maxSequences
        let tokens = options.cacheBytes == nil ? min(budget, max(wanted, useful)) : budget
        return (min(asked, tokens), tokens)
    }

    private static func renderer(
        _ model: LanguageModel, folder: String, _ options: ServedModelOptions
    ) throws -> PromptRenderer {
        if let source = options.chatTemplate {
            // The operator's own choice, as a prompt template would be: no contract speaks about it.
            let template = try ChatTemplate(source: source)
            return PromptRenderer(
                template: template, withTools: template, variables: model.templates.specialTokens,
                tokenizer: model.tokenizer, toolFormat: options.toolFormat, description: "the chat template given")
        }
        let own = try PromptContract(folder: folder)
        let contract = try own ?? PromptContract(folder: model.directory.path)
        let template = try model.renderer()
        let name = options.promptTemplate ?? contract?.template ?? (template == nil ? "tutorial" : "chat")
        let (form, encoder) = try model.prompts(template: options.promptTemplate, contract: contract)
        if options.promptTemplate == nil {
            try contract?.check(form: form, encoder: encoder, renderer: template, folder: folder)
        }
        guard case .chat = form else {
            return PromptRenderer(
                form: form, name: name, instructions: contract?.instructions ?? [], encoder: encoder,
                tokenizer: model.tokenizer)
        }
        guard let plain = model.templates.source() else {
            throw ServerError("the model has no chat template; give --prompt-template tutorial or add a template")
        }
        let tools = model.templates.source(hasTools: true) ?? plain
        return PromptRenderer(
            template: try ChatTemplate(source: plain), withTools: try ChatTemplate(source: tools),
            variables: model.templates.specialTokens, tokenizer: model.tokenizer, toolFormat: options.toolFormat)
    }
}
