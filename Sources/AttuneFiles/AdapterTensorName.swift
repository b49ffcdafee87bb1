/// The name of a tensor in an adapter file of PEFT, taken apart.
///
/// `base_model.model.` + module + part, such as `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`. A name
/// without a part is a plain one: a module saved whole, or a bias of the base model.
public struct AdapterTensorName: Sendable, Hashable {
    /// What a tensor is at its module.
    public enum Part: String, Sendable, CaseIterable {
        /// A, [rank, in].
        case a = ".lora_A.weight"
        /// B, [out, rank].
        case b = ".lora_B.weight"
        /// Bias of B, [out].
        case bBias = ".lora_B.bias"
        /// DoRA's magnitudes, [out].
        case magnitude = ".lora_magnitude_vector"
        /// A of an embedding, [rank, vocabulary].
        case embeddingA = ".lora_embedding_A"
        /// B of an embedding, [dimension, rank].
        case embeddingB = ".lora_embedding_B"
    }

    /// What PEFT puts before every name.
    public static let prefix = "base_model.model."

    /// The module as the base model names it; for a plain name the whole name of the tensor.
    public var module: String
    /// Which part, or `nil` for a plain name.
    public var part: Part?

    /// Puts a name together.
    public init(module: String, part: Part?) {
        self.module = module
        self.part = part
    }

    /// The name of a whole tensor of the base model, such as a trained bias or a saved module's weight.
    ///
    /// - Parameter carriesPair: whether its module also carries a low-rank pair. PEFT has then wrapped the module, and the
    ///   tensor is found in its `base_layer`.
    public init(baseTensor name: String, carriesPair: Bool) {
        var segments = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        if carriesPair { segments.insert("base_layer", at: segments.count - 1) }
        self.init(module: segments.joined(separator: "."), part: nil)
    }

    /// Takes a name of a file apart; `nil` when PEFT's prefix is missing.
    public init?(parsing name: String) {
        guard name.hasPrefix(Self.prefix) else { return nil }
        let rest = String(name.dropFirst(Self.prefix.count))
        for part in Part.allCases {
            // Versions of PEFT differ in whether the magnitudes are a parameter or a module with a weight.
            for suffix in part == .magnitude ? [part.rawValue, part.rawValue + ".weight"] : [part.rawValue]
            where rest.hasSuffix(suffix) && rest.utf8.count > suffix.utf8.count {
                self.init(module: String(rest.dropLast(suffix.count)), part: part)
                return
            }
        }
        self.init(module: rest, part: nil)
    }

    /// The name in a file.
    public var fileName: String { Self.prefix + module + (part?.rawValue ?? "") }
}
