import AttuneCPU
import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor
import Foundation

/// A tiny Llama whose weights follow from a formula that `dev/golden/training.py` repeats.
struct TinyModel: DecoderSource {
    static let vocabulary = 80
    static let config: JSON = [
        "model_type": "llama", "vocab_size": 80, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu",
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false,
        "bos_token_id": 1, "eos_token_id": 2,
    ]

    let configuration: DecoderConfiguration
    /// A token whose embedding is no number, so that rows with it have no loss.
    var poisonedToken: Int?
    private let names: RandomSource

    init(poisonedToken: Int? = nil) throws {
        configuration = try DecoderConfiguration(config: Self.config)
        names = RandomSource(configuration, seed: 0)
        self.poisonedToken = poisonedToken
    }

    var path: String { "tiny" }
    var tensorNames: [String] { names.tensorNames }
    func description(of name: String) -> TensorDescription? { names.description(of: name) }
    func quantizedTensor(named name: String) throws(FilesError) -> QuantizedTensor? { nil }

    func tensor(named name: String) throws(FilesError) -> Tensor {
        guard let shape = description(of: name)?.shape else { throw .missing(path: path, hint: name) }
        let seed = UInt64(name.utf8.reduce(0) { $0 + Int($1) } * 7 + name.utf8.count)
        let isNorm = name.contains("norm")
        var values = Self.numbers(seed, shape.reduce(1, *)).map { Float((isNorm ? 1 : 0) + 0.25 * ($0 - 0.5)) }
        if let poisonedToken, name.hasSuffix("embed_tokens.weight") { values[poisonedToken * shape[1]] = .nan }
        do { return try Tensor(values, shape: shape) } catch { throw .outOfMemory(path: path, byteCount: 0) }
    }

    /// Uniform in [0, 1): a counter through a bijection, the upper 24 bits.
    static func numbers(_ seed: UInt64, _ count: Int) -> [Double] {
        (1...UInt64(count)).map { place in
            var x = place &* 0x9E37_79B9_7F4A_7C15 &+ seed &* 0xBF58_476D_1CE4_E5B9
            x = (x ^ (x >> 31)) &* 0x94D0_49BB_1331_11EB
            x ^= x >> 29
            return Double(x >> 40) * 0x1p-24
        }
    }

    /// Rows that can be learned: an opening that all have, letters, a mark, and the same letters 20 higher.
    static func rows(_ count: Int, from first: Int = 0, opening: Int = 0) -> [TrainingRow] {
        (first..<first + count).map { index in
            let draws = numbers(UInt64(1000 + index), 8)
            let letters = draws[1..<(3 + Int(draws[0] * 5))].map { Int32(3 + Int($0 * 16)) }
            let tokens =
                [1] + (0..<opening).map { Int32(61 + $0 % 17) } + letters + [60] + letters.map { $0 + 20 } + [2]
            let trained = tokens.indices.map { $0 >= opening + letters.count + 2 }
            return TrainingRow(tokens: tokens, trained: trained, source: RowSource(file: "tiny.jsonl", line: index + 1))
        }
    }
}

/// A folder that goes with the value.
final class Scratch {
    let path = FileManager.default.temporaryDirectory.appending(path: "attune-training-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func path(_ name: String) -> String { path + "/" + name }
    func names(_ folder: String = "") throws -> [String] { try Folder.names(in: folder.isEmpty ? path : path(folder)) }
}
