import AttuneGeneration
import AttuneJSON

/// What a model says about sampling when the request does not.
public struct SamplingDefaults: Sendable, Equatable {
    /// See `SamplingOptions`.
    public var temperature: Float = 1
    /// See `SamplingOptions`.
    public var topP: Float = 1
    /// See `SamplingOptions`.
    public var topK = 0
    /// See `SamplingOptions`.
    public var minP: Float = 0
    /// See `SamplingOptions`.
    public var repetitionPenalty: Float = 1
    /// Where the values come from.
    public var source = "OpenAI's defaults"

    /// OpenAI's defaults.
    public init() {}

    /// Those of `generation_config.json`, as vLLM takes them; a value outside its range is passed over.
    public init(generationConfig json: JSON?) {
        func value(_ name: String, _ range: ClosedRange<Float>) -> Float? {
            guard let number = json?[name]?.doubleValue.map({ Float($0) }), range.contains(number) else { return nil }
            source = "generation_config.json"
            return number
        }
        if let number = value("temperature", 0...2) { temperature = number }
        if let number = value("top_p", 0.0001...1) { topP = number }
        if let number = value("top_k", 0...1_000_000) { topK = Int(number) }
        if let number = value("min_p", 0...1) { minP = number }
        if let number = value("repetition_penalty", 0.0001...10) { repetitionPenalty = number }
    }

    /// One line for the start of the server.
    public var description: String {
        "temperature \(temperature), top_p \(topP), top_k \(topK), min_p \(minP), "
            + "repetition_penalty \(repetitionPenalty) (\(source))"
    }
}

extension SamplingOptions {
    /// Parameters that `init(_:defaults:vocabularySize:)` reads.
    static let fieldNames: Set<String> = [
        "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
        "logit_bias", "seed", "min_tokens", "stop", "stop_token_ids", "include_stop_str_in_output", "ignore_eos", "n",
    ]

    /// Reads what chat and completion requests have in common.
    /// - Throws: `APIError` naming the parameter.
    init(_ fields: Fields, defaults: SamplingDefaults, vocabularySize: Int) throws(APIError) {
        self.init()
        temperature = try fields.number("temperature", in: 0...2) ?? defaults.temperature
        topP = try fields.number("top_p", in: 0...1) ?? defaults.topP
        guard topP > 0 else { throw .invalid(fields.path + "top_p", "must be greater than 0 and at most 1") }
        topK = max(0, try fields.integer("top_k", in: -1...Int(Int32.max)) ?? defaults.topK)
        minP = try fields.number("min_p", in: 0...1) ?? defaults.minP
        repetitionPenalty = try fields.number("repetition_penalty", in: 0...10) ?? defaults.repetitionPenalty
        guard repetitionPenalty > 0 else {
            throw .invalid(fields.path + "repetition_penalty", "must be greater than 0 and at most 10")
        }
        presencePenalty = try fields.number("presence_penalty", in: -2...2) ?? 0
        frequencyPenalty = try fields.number("frequency_penalty", in: -2...2) ?? 0
        logitBias = try Self.bias(fields, vocabularySize)
        seed = try fields.integer("seed", in: Int.min...Int.max).map { UInt64(bitPattern: Int64($0)) }
        minTokens = try fields.integer("min_tokens", in: 0...Int.max) ?? 0
        stop = try Self.stops(fields)
        for item in try fields.array("stop_token_ids", atMost: Limit.stopTokenCount) ?? [] {
            stopTokenIDs.append(try Self.token(item, vocabularySize, fields.path + "stop_token_ids"))
        }
        includesStopText = try fields.bool("include_stop_str_in_output") ?? false
        ignoresEndOfText = try fields.bool("ignore_eos") ?? false
        n = try fields.integer("n", in: 1...Limit.n) ?? 1
    }

    private static func bias(_ fields: Fields, _ vocabularySize: Int) throws(APIError) -> [Int32: Float] {
        let name = fields.path + "logit_bias"
        guard let entries = try fields.fields("logit_bias")?.object.members else { return [:] }
        guard entries.count <= Limit.logitBiasCount else {
            throw .invalid(name, "has \(entries.count) entries; at most \(Limit.logitBiasCount) are taken")
        }
        var bias: [Int32: Float] = [:]
        for (key, value) in entries {
            guard let id = Int32(key), id >= 0, Int(id) < vocabularySize else {
                throw .invalid(
                    name, "\(APIError.quoted(key)) is no token id of the vocabulary of \(vocabularySize)")
            }
            guard let number = value.doubleValue, (-100...100).contains(number) else {
                throw .invalid(name, "each value must be a number between -100 and 100")
            }
            bias[id] = Float(number)
        }
        return bias
    }

    private static func stops(_ fields: Fields) throws(APIError) -> [String] {
        let name = fields.path + "stop"
        guard let value = fields["stop"] else { return [] }
        let items: [JSON]
        if value.stringValue != nil {
            items = [value]
        } else {
            items = try fields.array("stop", atMost: Limit.stopCount) ?? []
        }
        var stops: [String] = []
        for item in items {
            guard let text = item.stringValue, !text.isEmpty, text.utf8.count <= Limit.stopBytes else {
                throw .invalid(name, "each text must be a string of 1 to \(Limit.stopBytes) bytes")
            }
            stops.append(text)
        }
        return stops
    }

    /// A token id within the vocabulary.
    static func token(_ json: JSON, _ vocabularySize: Int, _ name: String) throws(APIError) -> Int32 {
        guard let id = json.intValue, id >= 0, id < vocabularySize else {
            throw .invalid(name, "must be token ids between 0 and \(vocabularySize - 1)")
        }
        return Int32(id)
    }
}
