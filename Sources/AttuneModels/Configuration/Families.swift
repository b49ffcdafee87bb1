import AttuneJSON
import AttuneTensor

/// The decoder families, one description each. To add one, see "Adding a family" in CONTRIBUTING.md.
enum Family: String, CaseIterable {
    case llama, mistral, qwen2, qwen3, gemma2, gemma3 = "gemma3_text", phi3, smollm3, granite, olmo2

    /// Fills in what makes the family different from Llama, whose rules `configuration` starts with.
    func describe(_ configuration: inout DecoderConfiguration, _ reader: ConfigurationReader) throws(ModelError) {
        switch self {
        case .llama:
            try Self.readBiases(&configuration, reader)
        case .mistral:
            try Self.setWindow(&configuration, reader.optionalSize("sliding_window")) { _ in true }
        case .qwen2:
            configuration.hasQKVBias = true
            try Self.readQwenWindows(&configuration, reader)
        case .qwen3:
            configuration.queryKeyNorm = .perHead
            try Self.readBiases(&configuration, reader)
            configuration.hasMLPBias = false
            try Self.readQwenWindows(&configuration, reader)
        case .gemma2, .gemma3:
            try describeGemma(&configuration, reader)
        case .phi3:
            configuration.isFused = true
            try Self.setWindow(&configuration, reader.optionalSize("sliding_window")) { _ in true }
        case .smollm3:
            try Self.readBiases(&configuration, reader)
            let interval = try reader.size("no_rope_layer_interval", default: 4)
            let listed = reader.json["no_rope_layers"]?.arrayValue?.compactMap(\.intValue)
            if let listed, listed.count != configuration.layerCount {
                throw reader.bad("no_rope_layers", "one number a layer")
            }
            for index in configuration.layers.indices {
                // The list says 1 where a layer *has* rope, whatever its name suggests.
                let turns = listed.map { $0[index] != 0 } ?? !(index + 1).isMultiple(of: interval)
                configuration.layers[index].rope = turns ? 0 : nil
            }
            let window = try reader.optionalSize("sliding_window")
            let slides = try reader.bool("use_sliding_window", default: false)
            let layers = configuration.layers
            Self.setWindow(&configuration, slides ? window : nil) { layers[$0].rope == nil }
        case .granite:
            try Self.readBiases(&configuration, reader)
            configuration.embeddingScale = Float(try reader.number("embedding_multiplier", default: 1))
            configuration.residualScale = Float(try reader.number("residual_multiplier", default: 1))
            configuration.attentionScale = Float(try reader.number("attention_multiplier", default: 1))
            let scaling = try reader.number("logits_scaling", default: 1)
            guard scaling != 0 else { throw reader.bad("logits_scaling", "a number other than 0") }
            configuration.logitScale = Float(1 / scaling)
        case .olmo2:
            try Self.readBiases(&configuration, reader)
            configuration.hasMLPBias = false
            configuration.normPlacement = .after
            configuration.queryKeyNorm = .allHeads
        }
        try Self.readLayerTypes(&configuration, reader)
    }

    private func describeGemma(
        _ configuration: inout DecoderConfiguration, _ reader: ConfigurationReader
    ) throws(ModelError) {
        configuration.normOffset = 1
        configuration.normPlacement = .both
        configuration.activation = .geluTanh
        configuration.embeddingScale = Float(configuration.hiddenSize).squareRoot()
        try Self.readBiases(&configuration, reader)
        configuration.hasMLPBias = false
        let scalar = try reader.number("query_pre_attn_scalar", default: 256)
        guard scalar > 0 else { throw reader.bad("query_pre_attn_scalar", "positive") }
        configuration.attentionScale = Float(1 / scalar.squareRoot())
        let window = try reader.optionalSize("sliding_window") ?? 4096
        if self == .gemma2 {
            configuration.attentionSoftcap = Float(try reader.optionalNumber("attn_logit_softcapping") ?? 0)
            configuration.logitSoftcap = Float(try reader.optionalNumber("final_logit_softcapping") ?? 0)
            if reader.json["attn_logit_softcapping"] == nil { configuration.attentionSoftcap = 50 }
            if reader.json["final_logit_softcapping"] == nil { configuration.logitSoftcap = 30 }
            Self.setWindow(&configuration, window) { $0.isMultiple(of: 2) }
            return
        }
        if try reader.bool("use_bidirectional_attention", default: false) {
            throw .badModel(
                "config.json: use_bidirectional_attention is an encoder's; only causal models are supported")
        }
        // The reference applies neither cap in Gemma 3 unless the file names one; its attention ignores its cap.
        configuration.logitSoftcap = Float(try reader.optionalNumber("final_logit_softcapping") ?? 0)
        configuration.queryKeyNorm = .perHead
        let pattern = try reader.size("sliding_window_pattern", default: 6)
        Self.setWindow(&configuration, window) { !($0 + 1).isMultiple(of: pattern) }
        let head = configuration.headDimension
        let positions = configuration.maximumPositions
        configuration.ropes = [
            try RopeConfiguration(
                reader, layerType: "full_attention", headDimension: head, maximumPositions: positions,
                defaultTheta: 1_000_000),
            try RopeConfiguration(
                reader, layerType: "sliding_attention", headDimension: head, maximumPositions: positions,
                defaultTheta: 10_000, legacyThetaKey: "rope_local_base_freq", usesLegacyScaling: false),
        ]
    }

    private static func readBiases(
        _ configuration: inout DecoderConfiguration, _ reader: ConfigurationReader
    ) throws(ModelError) {
        configuration.hasQKVBias = try reader.bool("attention_bias", default: false)
        configuration.hasOutputBias = configuration.hasQKVBias
        configuration.hasMLPBias = try reader.bool("mlp_bias", default: false)
    }

    private static func readQwenWindows(
        _ configuration: inout DecoderConfiguration, _ reader: ConfigurationReader
    ) throws(ModelError) {
        guard try reader.bool("use_sliding_window", default: false) else { return }
        let first = try reader.optionalSize("max_window_layers") ?? 0
        setWindow(&configuration, try reader.optionalSize("sliding_window")) { $0 >= first }
    }

    private static func setWindow(
        _ configuration: inout DecoderConfiguration, _ window: Int?, where slides: (Int) -> Bool
    ) {
        for index in configuration.layers.indices where slides(index) {
            configuration.layers[index].window = window ?? 0
        }
    }

    /// `layer_types` overrules the family's pattern where the file has it.
    private static func readLayerTypes(
        _ configuration: inout DecoderConfiguration, _ reader: ConfigurationReader
    ) throws(ModelError) {
        let listed = reader.json["layer_types"]?.arrayValue?.compactMap(\.stringValue)
        if let listed {
            guard listed.count == configuration.layerCount else {
                throw reader.bad("layer_types", "one name a layer (\(configuration.layerCount))")
            }
            let window = try reader.optionalSize("sliding_window") ?? 4096
            for (index, type) in listed.enumerated() {
                switch type {
                case "full_attention": configuration.layers[index].window = 0
                case "sliding_attention": configuration.layers[index].window = window
                default: throw .badModel("config.json: layer type '\(type)' is not supported")
                }
            }
        }
        guard configuration.ropes.count == 2 else { return }
        for index in configuration.layers.indices {
            configuration.layers[index].rope = configuration.layers[index].window == 0 ? 0 : 1
        }
    }
}

extension DecoderConfiguration {
    /// The families this program knows, by `model_type`.
    public static var knownFamilies: [String] { Family.allCases.map(\.rawValue) }

    /// Reads a config.json.
    ///
    /// - Throws: `ModelError` naming the member and what it should be.
    public init(config: JSON) throws(ModelError) {
        let reader = ConfigurationReader(json: config)
        guard config.objectValue != nil else { throw .badModel("config.json: an object is expected") }
        guard let type = reader.string("model_type") else {
            throw .badModel("config.json: 'model_type' is missing; is this a Hugging Face model folder?")
        }
        guard let family = Family(rawValue: type) else {
            throw .badModel(
                "config.json: model_type '\(type)' is not supported; supported: "
                    + Self.knownFamilies.joined(separator: ", "))
        }
        let hidden = try reader.size("hidden_size")
        let heads = try reader.size("num_attention_heads")
        let kvHeads = try reader.size("num_key_value_heads", default: heads)
        let head = try reader.size("head_dim", default: hidden / heads)
        let layerCount = try reader.size("num_hidden_layers")
        guard layerCount <= 1024 else { throw reader.bad("num_hidden_layers", "at most 1024") }
        guard heads.isMultiple(of: kvHeads) else { throw reader.bad("num_key_value_heads", "a divisor of \(heads)") }
        guard head <= 1024 else { throw reader.bad("head_dim", "at most 1024") }

        self.family = type
        hiddenSize = hidden
        intermediateSize = try reader.size("intermediate_size")
        headCount = heads
        kvHeadCount = kvHeads
        headDimension = head
        vocabularySize = try reader.size("vocab_size")
        maximumPositions = try reader.size("max_position_embeddings", default: 2048)
        layers = Array(repeating: Layer(window: 0, rope: 0), count: layerCount)
        let theta: Double = family == .smollm3 ? 2_000_000 : 10_000
        ropes = [
            try RopeConfiguration(
                reader, headDimension: head, maximumPositions: maximumPositions, defaultTheta: theta)
        ]
        normEpsilon = Float(
            try reader.number("rms_norm_eps", default: family == .olmo2 || family == .phi3 ? 1e-5 : 1e-6))
        guard normEpsilon >= 0 else { throw reader.bad("rms_norm_eps", "at least 0") }
        let tied = family == .gemma2 || family == .gemma3 || family == .smollm3
        tiesEmbeddings = try reader.bool("tie_word_embeddings", default: tied)
        attentionScale = 1 / Float(head).squareRoot()
        switch reader.string("hidden_activation") ?? reader.string("hidden_act") ?? "silu" {
        case "silu", "swish": activation = .silu
        case "gelu_pytorch_tanh", "gelu_new", "gelu_fast": activation = .geluTanh
        case "gelu": activation = .gelu
        default: throw reader.bad("hidden_act", "silu, gelu or gelu_pytorch_tanh")
        }
        try family.describe(&self, reader)
    }
}
