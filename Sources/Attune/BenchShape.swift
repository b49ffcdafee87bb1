import AttuneJSON
import AttuneModels

/// Published model shapes to measure with random weights.
public struct BenchShape: Sendable {
    /// The name on the command line.
    public let name: String
    /// What config.json says of such a model.
    public let config: JSON

    /// The shapes by name.
    public static let all: [BenchShape] = [
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
