import AttuneGeneration
import AttuneJSON
import AttuneText

/// A request that was read and is ready for the engine.
struct PreparedChat: Sendable {
    /// The name the answer carries.
    var model: String
    var request: GenerationRequest
    var tools: ToolFields
    var toolFormat: ToolCallFormat
    var streams = StreamFields()
}

/// `stream` and `stream_options`.
struct StreamFields: Sendable {
    /// Whether the answer comes in pieces.
    var isOn = false
    /// Whether a last piece tells the tokens used.
    var includesUsage = false
    /// Whether every piece does (vLLM's `continuous_usage_stats`).
    var isContinuous = false

    init() {}

    init(_ fields: Fields) throws(APIError) {
        isOn = try fields.bool("stream") ?? false
        guard let options = try fields.fields("stream_options") else { return }
        guard isOn else { throw .invalid("stream_options", "needs stream: true") }
        try options.refuseOthers(than: ["include_usage", "include_obfuscation", "continuous_usage_stats"])
        _ = try options.bool("include_obfuscation")
        includesUsage = try options.bool("include_usage") ?? false
        isContinuous = try options.bool("continuous_usage_stats") ?? false && includesUsage
    }
}

/// Members of requests that are taken for the clients' sake and change no answer.
enum Ignored {
    /// They name the caller, the vendor's bookkeeping or its price lists.
    static let names: Set<String> = [
        "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    ]

    /// Members that are only taken with the one value this server has.
    static func check(_ fields: Fields) throws(APIError) {
        if try fields.bool("skip_special_tokens") == false {
            throw .invalid("skip_special_tokens", "special tokens never stand in answers; leave it out or give true")
        }
        if let modalities = try fields.array("modalities", atMost: 8),
            modalities.contains(where: { $0.stringValue != "text" })
        {
            throw .invalid("modalities", "this model writes text only")
        }
    }

    /// Names `check` reads.
    static let checkedNames: Set<String> = ["skip_special_tokens", "modalities"]
}

/// Reads `/v1/chat/completions`.
enum ChatRequest {
    private static let names: Set<String> = [
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "logprobs",
        "top_logprobs", "response_format", "chat_template_kwargs", "reasoning_effort", "add_generation_prompt",
        "continue_final_message", "cache_salt",
    ]
    private static let known = names.union(SamplingOptions.fieldNames).union(ToolFields.fieldNames)
        .union(OutputForm.guidedNames).union(Ignored.names).union(Ignored.checkedNames)

    /// Checks and renders; slow, for the text pool.
    static func prepare(_ json: JSON, _ call: Call) throws(APIError) -> PreparedChat {
        let fields = Fields(json.objectValue ?? JSONObject())
        let model = call.service.model
        let entry = try model.entry(try fields.required("model"))
        try fields.refuseOthers(than: known)
        try Ignored.check(fields)
        var options = try SamplingOptions(fields, defaults: model.defaults, vocabularySize: model.vocabularySize)
        let older = try fields.integer("max_tokens", in: 1...Int.max)
        options.maxNewTokens =
            try fields.integer("max_completion_tokens", in: 1...Int.max) ?? older ?? model.maxModelLength
        options.logprobs = try logprobs(fields)
        let tools = try ToolFields(fields)
        let prompt = try entry.renderer.tokens(
            Conversation(fields), tools: tools, options: try rendering(fields))
        let form = OutputForm.joined(try OutputForm.read(fields), tools, entry.renderer.toolForm)
        let streams = try StreamFields(fields)
        return PreparedChat(
            model: entry.name,
            request: GenerationRequest(
                prompt: prompt, options: options, adapter: entry.adapter,
                cacheSalt: try fields.string("cache_salt") ?? "", constraint: try call.service.constraint(form)),
            tools: tools, toolFormat: entry.renderer.toolFormat, streams: streams)
    }

    private static func logprobs(_ fields: Fields) throws(APIError) -> Int? {
        let isAsked = try fields.bool("logprobs") ?? false
        let top = try fields.integer("top_logprobs", in: 0...SamplingOptions.Limit.logprobs)
        guard isAsked || top == nil else { throw .invalid("top_logprobs", "needs logprobs: true") }
        return isAsked ? top ?? 0 : nil
    }

    /// How the conversation is to be put.
    static func rendering(_ fields: Fields) throws(APIError) -> PromptRenderer.Options {
        var options = PromptRenderer.Options()
        let adds = try fields.bool("add_generation_prompt")
        options.continuesLastMessage = try fields.bool("continue_final_message") ?? false
        if options.continuesLastMessage, adds == true {
            throw .invalid("continue_final_message", "cannot stand beside add_generation_prompt: true")
        }
        options.addsGenerationPrompt = adds ?? true
        if let effort = try fields.string("reasoning_effort") {
            options.variables["reasoning_effort"] = .string(effort)
        }
        for (name, value) in try fields.fields("chat_template_kwargs")?.object.members ?? [] {
            guard PromptRenderer.allowedVariables.contains(name) else {
                throw .invalid(
                    "chat_template_kwargs",
                    "\(APIError.quoted(name)) is not among those a request may set: "
                        + PromptRenderer.allowedVariables.sorted().joined(separator: ", "))
            }
            guard value.arrayValue == nil, value.objectValue == nil else {
                throw .invalid("chat_template_kwargs", "\(name) must be a text, a number, true or false")
            }
            options.variables[name] = value
        }
        return options
    }
}
