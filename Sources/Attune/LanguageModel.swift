import AttuneCPU
import AttuneFiles
import AttuneGeneration
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneText
import Foundation

extension ModelDirectory: DecoderSource {}

/// A model folder opened for use: decoder, tokenizer, chat template, and what the folder says about stopping.
public final class LanguageModel: Sendable {
    /// The folder.
    public let directory: ModelDirectory
    /// What the decoder is made of.
    public let configuration: DecoderConfiguration
    /// The decoder.
    public let decoder: Decoder
    /// The tokenizer.
    public let tokenizer: Tokenizer
    /// The folder's chat templates.
    public let templates: ChatTemplateFolder
    private let quantization: QuantizationChoice?

    private init(
        directory: ModelDirectory, configuration: DecoderConfiguration, decoder: Decoder, tokenizer: Tokenizer,
        templates: ChatTemplateFolder, quantization: QuantizationChoice?
    ) {
        self.directory = directory
        self.configuration = configuration
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.templates = templates
        self.quantization = quantization
    }

    /// The model as its folder has it, loaded as this one was, without adapters.
    /// - Throws: as `load`.
    func reloaded() throws -> LanguageModel {
        try LanguageModel.load(
            directory.path, dtype: decoder.computeType, quantization: quantization, backend: decoder.backend)
    }

    /// Opens a model.
    ///
    /// - Parameters:
    ///   - nameOrPath: a folder in Hugging Face layout, or a cached hub name.
    ///   - dtype: the compute type; `nil` for the checkpoint's own.
    ///   - quantization: quantizes a dense checkpoint while loading.
    ///   - isRandom: starts from random weights; the folder then needs none.
    ///   - seed: of random weights.
    /// - Throws: `FilesError`, `ModelError`, `TokenizerError`.
    public static func load(
        _ nameOrPath: String, dtype: DType? = nil, quantization: QuantizationChoice? = nil, backend: any Backend,
        isRandom: Bool = false, seed: UInt64 = 42
    ) throws -> LanguageModel {
        let directory = try ModelDirectory(nameOrPath, requiresWeights: !isRandom)
        let configuration = try DecoderConfiguration(config: directory.config)
        let type = dtype ?? Self.checkpointType(directory)
        let decoder: Decoder
        if isRandom {
            let deviation = Float(directory.config["initializer_range"]?.doubleValue ?? 0.02)
            decoder = try Decoder.load(
                RandomSource(configuration, seed: seed, deviation: deviation), configuration: configuration,
                backend: backend, computeType: type, quantization: quantization)
        } else {
            decoder = try Decoder.load(
                directory, configuration: configuration, backend: backend, computeType: type,
                quantization: quantization)
        }
        let tokenizer = try Tokenizer(folder: directory.path)
        let templates = try ChatTemplateFolder(URL(filePath: directory.path))
        return LanguageModel(
            directory: directory, configuration: configuration, decoder: decoder, tokenizer: tokenizer,
            templates: templates, quantization: quantization)
    }

    /// The type config.json names, or the embedding's; bfloat16 when it is none the engine computes in.
    public static func checkpointType(_ directory: ModelDirectory) -> DType {
        let named = (directory.config["dtype"] ?? directory.config["torch_dtype"])?.stringValue
        if let type = named.flatMap(DType.init(torchName:)), type.isComputeType { return type }
        let stored = directory.description(of: "model.embed_tokens.weight")?.dtype
        return stored.flatMap { $0.isComputeType ? $0 : nil } ?? .bfloat16
    }

    /// Ids that end an answer: those of generation_config.json, config.json and the tokenizer.
    public var endOfSequence: Set<Int32> {
        var ids: Set<Int32> = []
        for json in [directory.generationConfig, directory.config] {
            guard let value = json?["eos_token_id"] else { continue }
            if let id = value.intValue { ids.insert(Int32(id)) }
            for id in value.arrayValue ?? [] { if let id = id.intValue { ids.insert(Int32(id)) } }
        }
        if let id = tokenizer.eosTokenID { ids.insert(id) }
        return ids
    }

    /// Attaches an adapter saved by this program or PEFT.
    ///
    /// - Returns: the adapter's folder.
    /// - Throws: `FilesError`, or `ModelError` when the adapter and the base do not fit each other.
    @discardableResult
    public func attachAdapter(_ nameOrPath: String, named name: String = "default") throws -> AdapterDirectory {
        let adapter = try AdapterDirectory(nameOrPath)
        try decoder.attach(adapter, named: name)
        return adapter
    }

    /// An engine over the decoder with a cache for `cacheTokens` tokens.
    /// - Parameter reusesPrefixes: whether equal beginnings of prompts are computed once.
    /// - Throws: `TensorError` for memory.
    public func makeLoop(
        cacheTokens: Int, maxSequences: Int = 32, maxBatchedTokens: Int = 512, reusesPrefixes: Bool = true,
        adapters: Set<String> = []
    ) throws -> GenerationLoop {
        var options = EngineOptions()
        options.endTokens = endOfSequence
        options.maxModelLength = min(configuration.maximumPositions, cacheTokens)
        options.adapters = adapters
        options.scheduler.maxSequences = maxSequences
        options.scheduler.maxBatchedTokens = maxBatchedTokens
        options.scheduler.reusesPrefixes = reusesPrefixes
        let runner = try DecoderRunner(
            decoder, cacheRows: cacheTokens, batchRows: max(maxBatchedTokens, maxSequences),
            logitRows: max(maxBatchedTokens, maxSequences))
        return GenerationLoop(runner: runner, text: TokenizerText(tokenizer: tokenizer), options: options)
    }
}
