import AttuneJSON

/// `adapter_config.json` of a LoRA adapter in the form of PEFT. Fields this type does not know are kept and written back.
public struct AdapterConfiguration: Sendable, Equatable {
    /// Which modules an entry such as `target_modules` means.
    public enum Modules: Sendable, Equatable {
        /// Names, each whole or the end after a dot.
        case list([String])
        /// A regular expression for the whole name, or the word `all-linear`.
        case expression(String)
    }

    /// The file format this type writes: the fields and defaults of this version of PEFT.
    public static let peftVersion = "0.21.2"

    /// Rank of the low-rank matrices.
    public var rank = 8
    /// Numerator of the scale.
    public var alpha: Double = 8
    /// Probability that an input element of A is dropped in training.
    public var dropout: Double = 0
    /// Which modules carry a low-rank pair; `nil` leaves it to the model type.
    public var targetModules: Modules?
    /// Modules excepted from `targetModules`.
    public var excludeModules: Modules?
    /// Which biases of the base model are trained and saved: `none`, `all` or `lora_only`.
    public var bias = "none"
    /// Modules trained and saved whole.
    public var modulesToSave: [String]?
    /// Whether the scale is alpha / √rank instead of alpha / rank (Kalajdzievski 2023).
    public var usesRSLoRA = false
    /// Whether weights are split into magnitude and direction (Liu et al. 2024).
    public var usesDoRA = false
    /// Whether B has a bias.
    public var hasLoRABias = false
    /// Whether an embedding and the head tied to it stay tied when saved whole (`ensure_weight_tying`).
    public var tiesWeights = false
    /// Ranks of modules that differ, by a regular expression for the end of their names; the first that matches counts.
    public var rankPattern: [(pattern: String, rank: Int)] = []
    /// Alphas of modules that differ, in the same way.
    public var alphaPattern: [(pattern: String, alpha: Double)] = []
    /// Only these layers, when given.
    public var layersToTransform: [Int]?
    /// The names before a layer's number, when `layersToTransform` is given.
    public var layersPattern: [String]?
    /// How the pair was initialised: `true`, `false` or a name such as `gaussian` or `pissa`.
    public var initialization: JSON = true
    /// Whether weights are stored [in, out] (GPT-2).
    public var fanInFanOut = false
    /// The base model, a hub name or a folder.
    public var baseModel: String?
    /// The revision of the base model.
    public var revision: String?
    /// What the model is for.
    public var taskType: String? = "CAUSAL_LM"
    /// Whether the adapter is loaded frozen.
    public var inferenceMode = true
    /// The version of PEFT that wrote the file, or whose form it follows.
    public var peftVersion = Self.peftVersion
    /// All other fields, those PEFT writes and those nobody knows.
    public var otherFields = JSONObject()

    /// The defaults of PEFT.
    public init() {}

    /// Reads a configuration.
    ///
    /// - Parameter path: named in errors.
    /// - Throws: `FilesError`; `unsupported` for an adapter that is no LoRA of PEFT.
    public init(_ json: JSON, path: String) throws(FilesError) {
        let fields = Fields(json: json, path: path)
        guard var rest = json.objectValue else { throw fields.invalid("is no JSON object") }
        if rest["peft_type"] == nil, rest["fine_tune_type"] != nil || rest["lora_parameters"] != nil {
            throw .unsupported(path: path, problem: "is an adapter of MLX; convert it to PEFT's form first")
        }
        let type = try fields.text("peft_type")
        guard type == "LORA" else {
            throw .unsupported(
                path: path, problem: "peft_type is \(type.map { "'\($0)'" } ?? "missing"); Attune reads 'LORA' adapters"
            )
        }
        rank = try fields.count("r") ?? rank
        alpha = try fields.number("lora_alpha") ?? alpha
        dropout = try fields.number("lora_dropout") ?? dropout
        guard (0...1).contains(dropout) else { throw fields.invalid("lora_dropout \(dropout) is no probability") }
        targetModules = try fields.modules("target_modules")
        excludeModules = try fields.modules("exclude_modules")
        bias = try fields.text("bias") ?? bias
        guard ["none", "all", "lora_only"].contains(bias) else {
            throw fields.invalid("bias '\(bias)' is not one of none, all, lora_only")
        }
        modulesToSave = try fields.texts("modules_to_save")
        usesRSLoRA = try fields.flag("use_rslora") ?? false
        usesDoRA = try fields.flag("use_dora") ?? false
        hasLoRABias = try fields.flag("lora_bias") ?? false
        tiesWeights = try fields.flag("ensure_weight_tying") ?? false
        for (key, value) in try fields.object("rank_pattern") {
            guard let rank = value.intValue, (1...1 << 20).contains(rank) else {
                throw fields.invalid("rank_pattern '\(key)' is no positive number")
            }
            rankPattern.append((key, rank))
        }
        for (key, value) in try fields.object("alpha_pattern") {
            guard let alpha = value.doubleValue else { throw fields.invalid("alpha_pattern '\(key)' is no number") }
            alphaPattern.append((key, alpha))
        }
        layersToTransform = try fields.layers("layers_to_transform")
        layersPattern = try fields.texts("layers_pattern")
        initialization = rest["init_lora_weights"] ?? true
        fanInFanOut = try fields.flag("fan_in_fan_out") ?? false
        baseModel = try fields.text("base_model_name_or_path")
        revision = try fields.text("revision")
        taskType = try fields.text("task_type")
        inferenceMode = try fields.flag("inference_mode") ?? false
        peftVersion = try fields.text("peft_version") ?? Self.peftVersion
        for key in JSON.object(AdapterConfiguration().knownFields).objectValue?.keys ?? [] { rest[key] = nil }
        otherFields = rest
    }

    /// Features that change what the adapter computes and that Attune does not have, by the names of their fields. An
    /// adapter with any of them must not be used: it would run and be wrong.
    public var unsupportedFeatures: [String] {
        var features = [
            "alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "megatron_config",
            "monteclora_config", "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora",
            "velora_config",
        ].filter { name in
            switch otherFields[name] {
            case nil, .null, .bool(false): false
            case .array(let values): !values.isEmpty
            case .object(let object): !object.isEmpty
            default: true
            }
        }
        if hasLoRABias { features.append("lora_bias") }
        // These change the base itself when they begin; over a clean base the pair alone is another model.
        if let name = initialization.stringValue,
            ["pissa", "corda", "olora", "loftq", "lora_ga"].contains(where: name.hasPrefix)
        {
            features.append("init_lora_weights '\(name)' (save it again with path_initial_model_for_weight_conversion)")
        }
        return features
    }

    /// All fields, those at their defaults too, as PEFT writes them.
    public var json: JSON {
        var object = JSONObject(Self.peftDefaults.members)
        for (key, value) in otherFields.members { object[key] = value }
        for (key, value) in knownFields.members { object[key] = value }
        return .object(object)
    }

    /// Equality of what is written.
    public static func == (left: AdapterConfiguration, right: AdapterConfiguration) -> Bool { left.json == right.json }
}

extension AdapterConfiguration {
    /// Fields PEFT writes that have no property here.
    private static let peftDefaults = JSONObject([
        ("alora_invocation_tokens", nil), ("arrow_config", nil), ("auto_mapping", nil), ("corda_config", nil),
        ("eva_config", nil), ("kasa_config", nil), ("layer_replication", nil),
        ("loftq_config", [:]), ("lora_ga_config", nil), ("megatron_config", nil), ("megatron_core", "megatron.core"),
        ("monteclora_config", nil), ("qalora_group_size", 16), ("target_parameters", nil),
        ("trainable_token_indices", nil), ("use_bdlora", nil), ("use_qalora", false), ("velora_config", nil),
    ])

    private var knownFields: JSONObject {
        func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
        func list(_ values: [String]?) -> JSON { values.map { .array($0.map { .string($0) }) } ?? .null }
        /// PEFT's alphas are whole numbers unless someone gave a fraction.
        func whole(_ value: Double) -> JSON { Int(exactly: value).map { JSON($0) } ?? JSON(value) }
        func modules(_ value: Modules?) -> JSON {
            switch value {
            case .list(let names): list(names)
            case .expression(let expression): .string(expression)
            case nil: .null
            }
        }
        let ranks = rankPattern.map { (key: $0.pattern, value: JSON($0.rank)) }
        let alphas = alphaPattern.map { (key: $0.pattern, value: whole($0.alpha)) }
        return JSONObject([
            ("alpha_pattern", .object(JSONObject(alphas))), ("base_model_name_or_path", text(baseModel)),
            ("bias", .string(bias)), ("ensure_weight_tying", .bool(tiesWeights)),
            ("exclude_modules", modules(excludeModules)),
            ("fan_in_fan_out", .bool(fanInFanOut)),
            ("inference_mode", .bool(inferenceMode)), ("init_lora_weights", initialization),
            (
                "layers_pattern",
                layersPattern?.count == 1 ? text(layersPattern?[0]) : list(layersPattern)
            ),
            ("layers_to_transform", layersToTransform.map { .array($0.map { JSON($0) }) } ?? .null),
            ("lora_alpha", whole(alpha)), ("lora_bias", .bool(hasLoRABias)), ("lora_dropout", JSON(dropout)),
            ("modules_to_save", list(modulesToSave)), ("peft_type", "LORA"), ("peft_version", .string(peftVersion)),
            ("r", JSON(rank)), ("rank_pattern", .object(JSONObject(ranks))), ("revision", text(revision)),
            ("target_modules", modules(targetModules)), ("task_type", text(taskType)), ("use_dora", .bool(usesDoRA)),
            ("use_rslora", .bool(usesRSLoRA)),
        ])
    }
}

/// Typed access to fields that may be missing or `null`, with errors that name them.
private struct Fields {
    var json: JSON
    var path: String

    func invalid(_ problem: String) -> FilesError { .invalid(path: path, problem: problem) }

    private func value(_ key: String) -> JSON? {
        guard let value = json[key], !value.isNull else { return nil }
        return value
    }

    private func typed<Value>(_ key: String, _ kind: String, _ convert: (JSON) -> Value?) throws(FilesError) -> Value? {
        guard let value = value(key) else { return nil }
        guard let result = convert(value) else {
            throw invalid("'\(key)' is \(value.text().prefix(60)), expected \(kind)")
        }
        return result
    }

    func text(_ key: String) throws(FilesError) -> String? { try typed(key, "a string", \.stringValue) }
    func flag(_ key: String) throws(FilesError) -> Bool? { try typed(key, "true or false", \.boolValue) }
    func number(_ key: String) throws(FilesError) -> Double? { try typed(key, "a number", \.doubleValue) }

    func count(_ key: String) throws(FilesError) -> Int? {
        try typed(key, "a positive number") { $0.intValue.flatMap { (1...1 << 20).contains($0) ? $0 : nil } }
    }

    /// A list of strings; a single one stands for a list of one.
    func texts(_ key: String) throws(FilesError) -> [String]? {
        try typed(key, "a list of strings") { value in
            if let text = value.stringValue { return [text] }
            guard let values = value.arrayValue else { return nil }
            let texts = values.compactMap(\.stringValue)
            return texts.count == values.count ? texts : nil
        }
    }

    func modules(_ key: String) throws(FilesError) -> AdapterConfiguration.Modules? {
        if let text = value(key)?.stringValue { return .expression(text) }
        return try texts(key).map { .list($0) }
    }

    /// A list of layer numbers; a single one stands for a list of one.
    func layers(_ key: String) throws(FilesError) -> [Int]? {
        try typed(key, "a list of layer numbers") { value in
            if let layer = value.intValue { return [layer] }
            guard let values = value.arrayValue else { return nil }
            let layers = values.compactMap(\.intValue)
            return layers.count == values.count ? layers : nil
        }
    }

    func object(_ key: String) throws(FilesError) -> [(key: String, value: JSON)] {
        try typed(key, "an object", \.objectValue)?.members ?? []
    }
}
