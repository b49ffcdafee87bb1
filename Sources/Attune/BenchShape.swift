import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor

/// Published model shapes to measure with random weights.
public struct BenchShape: Sendable {
    /// The name on the command line.
    public let name: String
    /// What config.json says of such a model.
    public let config: JSON

    /// The shapes by name.
    public static let all: [BenchShape] = [
        BenchShape(
            name: "pocket",
            config: llama(hidden: 256, layers: 8, heads: 8, kvHeads: 4, intermediate: 768, vocabulary: 6_144)),
        BenchShape(
            name: "smollm2-135m",
            config: llama(hidden: 576, layers: 30, heads: 9, kvHeads: 3, intermediate: 1536, vocabulary: 49_152)),
        BenchShape(
            name: "qwen2.5-0.5b",
            config: qwen(hidden: 896, layers: 24, heads: 14, kvHeads: 2, intermediate: 4864)),
        BenchShape(
            name: "qwen2.5-1.5b",
            config: qwen(hidden: 1536, layers: 28, heads: 12, kvHeads: 2, intermediate: 8960)),
        BenchShape(
            name: "llama-2-7b",
            config: llama(
                hidden: 4096, layers: 32, heads: 32, kvHeads: 32, intermediate: 11_008, vocabulary: 32_000, ties: false)
        ),
    ]

    /// The configuration of a shape.
    /// - Throws: `ModelError` naming the shapes there are.
    public static func configuration(named name: String) throws -> DecoderConfiguration {
        guard let shape = all.first(where: { $0.name == name }) else {
            throw ModelError.mismatch(
                "no shape '\(name)'; there are \(all.map(\.name).joined(separator: ", "))")
        }
        return try DecoderConfiguration(config: shape.config)
    }

    /// The configuration in a model folder.
    /// - Throws: `FilesError`, `ModelError`.
    public static func configuration(folder: String) throws -> DecoderConfiguration {
        try DecoderConfiguration(config: ModelDirectory(folder, requiresWeights: false).config)
    }

    /// A decoder of a shape with random weights.
    /// - Throws: `ModelError`, `TensorError`.
    public static func decoder(
        named name: String, _ type: DType, isNF4: Bool, _ backend: any Backend
    ) throws -> Decoder {
        let configuration = try configuration(named: name)
        let source = TypedSource(source: RandomSource(configuration, seed: 7), dtype: type, backend: backend)
        return try Decoder.load(
            source, configuration: configuration, backend: backend, computeType: type,
            quantization: isNF4 ? QuantizationChoice(isDouble: true) : nil)
    }

    /// The decoder of a model folder.
    /// - Throws: `FilesError`, `ModelError`, `TensorError`.
    public static func decoder(
        folder: String, _ type: DType, isNF4: Bool, _ backend: any Backend
    ) throws -> Decoder {
        let directory = try ModelDirectory(folder)
        return try Decoder.load(
            directory, configuration: DecoderConfiguration(config: directory.config), backend: backend,
            computeType: type, quantization: isNF4 ? QuantizationChoice(isDouble: true) : nil)
    }

    private static func llama(
        hidden: Int, layers: Int, heads: Int, kvHeads: Int, intermediate: Int, vocabulary: Int, ties: Bool = true
    ) -> JSON {
        [
            "model_type": "llama", "hidden_size": JSON(hidden), "num_hidden_layers": JSON(layers),
            "num_attention_heads": JSON(heads), "num_key_value_heads": JSON(kvHeads),
            "intermediate_size": JSON(intermediate), "vocab_size": JSON(vocabulary), "tie_word_embeddings": JSON(ties),
            "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 100_000.0,
        ]
    }

    private static func qwen(hidden: Int, layers: Int, heads: Int, kvHeads: Int, intermediate: Int) -> JSON {
        [
            "model_type": "qwen2", "hidden_size": JSON(hidden), "num_hidden_layers": JSON(layers),
            "num_attention_heads": JSON(heads), "num_key_value_heads": JSON(kvHeads),
            "intermediate_size": JSON(intermediate), "vocab_size": 151_936, "tie_word_embeddings": true,
            "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0,
        ]
    }
}

/// Random weights in the type a checkpoint would have, so that what is kept of them takes what it would take.
private struct TypedSource: DecoderSource {
    let source: RandomSource
    let dtype: DType
    let backend: any Backend

    var path: String { source.path }
    var tensorNames: [String] { source.tensorNames }

    func description(of name: String) -> TensorDescription? {
        source.description(of: name).map { TensorDescription(name: name, dtype: dtype, shape: $0.shape) }
    }

    func tensor(named name: String) throws(FilesError) -> Tensor {
        let values = try source.tensor(named: name)
        do throws(TensorError) {
            let typed = try backend.makeTensor(values.shape, dtype)
            backend.copy(typed, values)
            return typed
        } catch { throw .outOfMemory(path: path, byteCount: values.byteCount) }
    }

    func quantizedTensor(named name: String) throws(FilesError) -> QuantizedTensor? { nil }
}
