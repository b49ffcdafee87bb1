import Attune
import AttuneJSON
import Foundation

/// A small Llama with random weights and the pocket model's tokenizer, in a folder that goes with the value.
final class TinyModel {
    let scratch: Scratch
    /// The model's folder.
    let path: String

    /// Writes the folder.
    ///
    /// - Parameters:
    ///   - vocabulary: rows of the embedding; the tokenizer has 6,144 tokens.
    ///   - hidden: the width.
    init(vocabulary: Int = 6144, hidden: Int = 32, seed: UInt64 = 1) throws {
        scratch = try Scratch()
        path = scratch.path("tiny")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"] {
            try FileManager.default.copyItem(atPath: Program.pocket + "/" + name, toPath: path + "/" + name)
        }
        let config: JSON = [
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": JSON(vocabulary),
            "hidden_size": JSON(hidden), "intermediate_size": JSON(2 * hidden), "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": JSON(hidden / 4), "hidden_act": "silu",
            "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "attention_bias": true,
            "mlp_bias": false, "initializer_range": 0.05, "tie_word_embeddings": true, "bos_token_id": 0,
            "eos_token_id": 0, "torch_dtype": "float32",
        ]
        try Data(config.utf8(.pretty)).write(to: URL(filePath: path + "/config.json"))
        let model = try LanguageModel.load(path, backend: CPUBackend(threads: 1), isRandom: true, seed: seed)
        try model.decoder.saveWeights(
            from: RandomSource(model.configuration, seed: seed, deviation: 0.05), dtype: .float32, to: path)
        try "---\nlicense: cc-by-sa-4.0\n---\n# Tiny\n".write(
            toFile: path + "/README.md", atomically: true, encoding: .utf8)
    }

    /// A path beside the model.
    func beside(_ name: String) -> String { scratch.path(name) }

    /// Tickets in the form of the tutorial: every question has its own words.
    func tickets(_ count: Int = 12, named name: String = "tickets.jsonl") throws -> String {
        let things = ["parcel", "invoice", "password", "refund"]
        let rows = (0..<count).map { number -> String in
            let thing = things[number % things.count]
            let row: JSON = [
                "instruction": "Classify this support ticket",
                "input": JSON(
                    "\(Self.word(number)) \(Self.word(number * 31 + 7)) my \(thing) \(Self.word(number * 57 + 3))"),
                "output": JSON("Category: \(thing)\nPriority: High"),
            ]
            return row.text()
        }
        return try scratch.write(name, rows.joined(separator: "\n") + "\n")
    }

    /// A word that no other number has.
    private static func word(_ number: Int) -> String {
        var left = number + 11
        var word = ""
        while left > 0 {
            word += ["ba", "ke", "di", "fo", "gu", "le", "mi", "no", "pu", "ra", "so"][left % 11]
            left /= 11
        }
        return word
    }
}
