/// How tokens are chosen and when a text ends. Names and ranges follow OpenAI and vLLM.
public struct SamplingOptions: Sendable, Equatable {
    /// Divides the logits; 0 takes the most likely token. Range 0…2.
    public var temperature: Float = 1
    /// Keeps the smallest set of most likely tokens whose probabilities reach this. Range (0, 1].
    public var topP: Float = 1
    /// Keeps this many most likely tokens (ties with the last stay); 0 for all.
    public var topK: Int = 0
    /// Keeps tokens at least this fraction as likely as the most likely. Range 0…1.
    public var minP: Float = 0
    /// Divides positive and multiplies negative logits of tokens seen in prompt or output (Keskar et al. 2019). Range (0, 10].
    public var repetitionPenalty: Float = 1
    /// Subtracted once from the logit of every token generated before. Range −2…2.
    public var presencePenalty: Float = 0
    /// Subtracted for each time a token was generated before. Range −2…2.
    public var frequencyPenalty: Float = 0
    /// Added to single logits. Values −100…100.
    public var logitBias: [Int32: Float] = [:]
    /// Names the random numbers; equal seeds give equal texts whatever else is in the batch. `nil` draws one.
    public var seed: UInt64?
    /// At most this many new tokens.
    public var maxNewTokens: Int = 256
    /// Stop tokens are withheld until this many tokens were generated.
    public var minTokens: Int = 0
    /// Texts that end the generation; they are cut off.
    public var stop: [String] = []
    /// Token ids that end the generation beside the model's own.
    public var stopTokenIDs: [Int32] = []
    /// Whether a matched stop text stays in the output.
    public var includesStopText = false
    /// Generates past the model's end tokens.
    public var ignoresEndOfText = false
    /// How many most likely alternatives are reported a token; `nil` reports no log-probabilities at all.
    public var logprobs: Int?
    /// How many texts to generate for the prompt.
    public var n: Int = 1
    /// Reports the prompt's log-probabilities too.
    public var echo = false

    /// The defaults of OpenAI.
    public init() {}

    /// The most likely token at every step.
    public static func greedy(maxNewTokens: Int) -> SamplingOptions {
        var options = SamplingOptions()
        options.temperature = 0
        options.maxNewTokens = maxNewTokens
        return options
    }

    /// Whether tokens seen so far change the logits.
    var hasPenalty: Bool { repetitionPenalty != 1 || presencePenalty != 0 || frequencyPenalty != 0 }
    /// Whether logits are changed before a token is chosen.
    var changesLogits: Bool { hasPenalty || !logitBias.isEmpty }
    /// Whether the largest of the model's logits is taken, and nothing told about the others.
    var takesLargestLogit: Bool { temperature == 0 && logprobs == nil && !changesLogits }

    /// Upper limits on what one request may ask for.
    public enum Limit {
        /// Texts a prompt.
        public static let n = 16
        /// Alternatives a token.
        public static let logprobs = 20
        /// Stop texts.
        public static let stopCount = 16
        /// Bytes of a stop text.
        public static let stopBytes = 256
        /// Stop token ids.
        public static let stopTokenCount = 128
        /// Entries of the bias.
        public static let logitBiasCount = 1024
    }

    /// Checks every range.
    /// - Throws: `GenerationError.invalidParameter` naming the parameter as it is called in a request.
    public func validate(vocabularySize: Int) throws(GenerationError) {
        try Self.check("temperature", temperature, in: 0...2)
        try Self.check("top_p", topP, in: 0...1)
        guard topP > 0 else { throw .invalidParameter(name: "top_p", message: "must be greater than 0 and at most 1") }
        guard topK >= 0 else {
            throw .invalidParameter(name: "top_k", message: "must be 0 or -1 (all tokens) or a positive number")
        }
        try Self.check("min_p", minP, in: 0...1)
        try Self.check("repetition_penalty", repetitionPenalty, in: 0...10)
        guard repetitionPenalty > 0 else {
            throw .invalidParameter(name: "repetition_penalty", message: "must be greater than 0 and at most 10")
        }
        try Self.check("presence_penalty", presencePenalty, in: -2...2)
        try Self.check("frequency_penalty", frequencyPenalty, in: -2...2)
        try Self.check("logit_bias", count: logitBias.count, in: 0...Limit.logitBiasCount)
        for (id, bias) in logitBias {
            try Self.check("logit_bias", id: id, vocabularySize)
            try Self.check("logit_bias", bias, in: -100...100)
        }
        guard maxNewTokens >= (echo ? 0 : 1) else {
            throw .invalidParameter(name: "max_tokens", message: "must be at least 1")
        }
        guard minTokens >= 0, minTokens <= maxNewTokens else {
            throw .invalidParameter(
                name: "min_tokens", message: "must lie between 0 and max_tokens (\(maxNewTokens)), not \(minTokens)")
        }
        try Self.check("stop", count: stop.count, in: 0...Limit.stopCount)
        for text in stop {
            guard !text.utf8.isEmpty, text.utf8.count <= Limit.stopBytes else {
                throw .invalidParameter(name: "stop", message: "each text must have 1 to \(Limit.stopBytes) bytes")
            }
        }
        try Self.check("stop_token_ids", count: stopTokenIDs.count, in: 0...Limit.stopTokenCount)
        for id in stopTokenIDs { try Self.check("stop_token_ids", id: id, vocabularySize) }
        if let logprobs {
            guard (0...Limit.logprobs).contains(logprobs) else {
                throw .invalidParameter(
                    name: "top_logprobs", message: "must lie between 0 and \(Limit.logprobs), not \(logprobs)")
            }
        }
        guard (1...Limit.n).contains(n) else {
            throw .invalidParameter(name: "n", message: "must lie between 1 and \(Limit.n), not \(n)")
        }
    }

    private static func check(
        _ name: String, _ value: Float, in range: ClosedRange<Float>
    ) throws(GenerationError) {
        guard range.contains(value) else {  // false for NaN
            throw .invalidParameter(
                name: name, message: "must lie between \(range.lowerBound) and \(range.upperBound), not \(value)")
        }
    }

    private static func check(_ name: String, count: Int, in range: ClosedRange<Int>) throws(GenerationError) {
        guard range.contains(count) else {
            throw .invalidParameter(name: name, message: "has \(count) entries, at most \(range.upperBound) are taken")
        }
    }

    private static func check(_ name: String, id: Int32, _ vocabularySize: Int) throws(GenerationError) {
        guard id >= 0, Int(id) < vocabularySize else {
            throw .invalidParameter(
                name: name, message: "token id \(id) lies outside the vocabulary of \(vocabularySize)")
        }
    }
}
