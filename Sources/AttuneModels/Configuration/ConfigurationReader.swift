import AttuneJSON
import AttuneTensor

/// Reads members of config.json with checks, so that no impossible value gets past the door.
struct ConfigurationReader {
    let json: JSON

    /// The largest size any dimension may have; far above every known model, far below overflow.
    static let limit = 1 << 24

    func string(_ key: String) -> String? { json[key]?.stringValue }

    func bool(_ key: String, default value: Bool) throws(ModelError) -> Bool {
        guard let member = json[key], !member.isNull else { return value }
        guard let flag = member.boolValue else { throw bad(key, "true or false") }
        return flag
    }

    /// A positive whole number; missing and null give the default, and no default means it is required.
    func size(_ key: String, default value: Int? = nil) throws(ModelError) -> Int {
        guard let member = json[key], !member.isNull else {
            guard let value else { throw .badModel("config.json: '\(key)' is missing") }
            return value
        }
        guard let size = member.intValue, size > 0, size <= Self.limit else { throw bad(key, "a whole number from 1") }
        return size
    }

    func optionalSize(_ key: String) throws(ModelError) -> Int? {
        guard let member = json[key], !member.isNull else { return nil }
        guard let size = member.intValue, size >= 0, size <= Self.limit else { throw bad(key, "a whole number") }
        return size == 0 ? nil : size
    }

    func number(_ key: String, default value: Double) throws(ModelError) -> Double {
        guard let member = json[key], !member.isNull else { return value }
        guard let number = member.doubleValue, number.isFinite else { throw bad(key, "a number") }
        return number
    }

    func optionalNumber(_ key: String) throws(ModelError) -> Double? {
        guard let member = json[key], !member.isNull else { return nil }
        return try number(key, default: 0)
    }

    func numbers(_ key: String, count: Int) throws(ModelError) -> [Double] {
        guard let values = json[key]?.arrayValue?.compactMap(\.doubleValue), values.count == count,
            values.allSatisfy({ $0.isFinite && $0 > 0 })
        else { throw bad(key, "\(count) positive numbers") }
        return values
    }

    func bad(_ key: String, _ wanted: String) -> ModelError {
        let text = json[key]?.text() ?? "nothing"
        return .badModel(
            "config.json: '\(key)' must be \(wanted), got \(text.count > 100 ? text.prefix(100) + "…" : text)")
    }
}

extension RopeConfiguration {
    /// From `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before).
    ///
    /// - Parameters:
    ///   - layerType: the member to take when there is one entry a layer type (Gemma 3).
    ///   - defaultTheta: the family's base when the file names none.
    init(
        _ reader: ConfigurationReader, layerType: String? = nil, headDimension: Int, maximumPositions: Int,
        defaultTheta: Double, legacyThetaKey: String = "rope_theta", usesLegacyScaling: Bool = true
    ) throws(ModelError) {
        var parameters = reader.json["rope_parameters"]
        if let layerType, let nested = parameters?[layerType] { parameters = nested }
        if parameters?.isNull ?? true { parameters = usesLegacyScaling ? reader.json["rope_scaling"] : nil }
        if let parameters, parameters.objectValue == nil, !parameters.isNull {
            throw .badModel(
                "config.json: 'rope_scaling' must be an object with 'rope_type', got \(parameters.text().prefix(100))")
        }
        let rope = ConfigurationReader(json: parameters ?? .null)

        theta = try rope.number("rope_theta", default: reader.number(legacyThetaKey, default: defaultTheta))
        guard theta > 1 else { throw rope.bad("rope_theta", "above 1") }
        let partial = try rope.number(
            "partial_rotary_factor", default: reader.number("partial_rotary_factor", default: 1))
        guard partial > 0, partial <= 1 else { throw rope.bad("partial_rotary_factor", "between 0 and 1") }
        rotaryDimension = Int(Double(headDimension) * partial)
        guard rotaryDimension >= 2, rotaryDimension.isMultiple(of: 2) else {
            throw .badModel("config.json: \(rotaryDimension) rotated elements a head; an even number is needed")
        }

        var type = rope.string("rope_type") ?? rope.string("type") ?? "default"
        if reader.string("model_type") == "phi3", type == "su" || type == "yarn" { type = "longrope" }
        let original = try rope.optionalSize("original_max_position_embeddings")
        let outer = try reader.optionalSize("original_max_position_embeddings")
        let originalPositions = outer ?? original ?? maximumPositions
        switch type {
        case "default":
            scaling = .none
        case "linear":
            scaling = .linear(factor: try Self.factor(rope))
        case "dynamic":
            scaling = .dynamic(factor: try Self.factor(rope), maximumPositions: maximumPositions)
        case "llama3":
            let low = try rope.number("low_freq_factor", default: 1)
            let high = try rope.number("high_freq_factor", default: 4)
            guard low > 0, high > low else { throw rope.bad("high_freq_factor", "above low_freq_factor") }
            scaling = .llama3(
                factor: try Self.factor(rope), lowFrequency: low, highFrequency: high,
                originalPositions: Double(originalPositions))
        case "yarn":
            let factor =
                try rope.optionalNumber("factor") ?? Double(maximumPositions) / Double(originalPositions)
            let scale = { (m: Double) in factor <= 1 ? 1 : 0.1 * m * ScalarMath.log(factor) + 1 }
            let mscale = try rope.optionalNumber("mscale") ?? 0
            let mscaleAll = try rope.optionalNumber("mscale_all_dim") ?? 0
            let inferred = mscale != 0 && mscaleAll != 0 ? scale(mscale) / scale(mscaleAll) : scale(1)
            scaling = .yarn(
                factor: factor, attentionFactor: try rope.optionalNumber("attention_factor") ?? inferred,
                betaFast: try rope.number("beta_fast", default: 32), betaSlow: try rope.number("beta_slow", default: 1),
                originalPositions: Double(originalPositions), truncates: try rope.bool("truncate", default: true))
        case "longrope":
            let pairs = rotaryDimension / 2
            let factor =
                try rope.optionalNumber("factor") ?? Double(maximumPositions) / Double(originalPositions)
            let inferred =
                factor <= 1
                ? 1
                : (1 + ScalarMath.log(factor) / ScalarMath.log(Double(originalPositions))).squareRoot()
            scaling = .longrope(
                short: try rope.numbers("short_factor", count: pairs),
                long: try rope.numbers("long_factor", count: pairs),
                attentionFactor: try rope.optionalNumber("attention_factor") ?? inferred,
                originalPositions: originalPositions)
        default:
            throw .badModel(
                "config.json: rope_type '\(type)' is unknown; known: default, linear, dynamic, llama3, yarn, longrope")
        }
    }

    private static func factor(_ rope: ConfigurationReader) throws(ModelError) -> Double {
        let factor = try rope.number("factor", default: 0)
        guard factor > 0 else { throw rope.bad("factor", "a positive number") }
        return factor
    }
}
