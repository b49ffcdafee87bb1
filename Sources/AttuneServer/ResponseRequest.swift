import AttuneGeneration
import AttuneJSON

/// Reads `/v1/responses`. Nothing is kept between requests, so whatever refers to an earlier one is refused.
enum ResponseRequest {
    /// A request ready for the engine.
    struct Prepared: Sendable {
        var chat: PreparedChat
        /// Members of the request that the answer repeats.
        var echoed: JSONObject
        var includesLogprobs: Bool
    }

    private static let names: Set<String> = [
        "model", "input", "instructions", "text", "top_logprobs", "max_output_tokens", "stream", "stream_options",
        "include", "reasoning", "truncation", "previous_response_id", "conversation", "background", "prompt",
        "max_tool_calls", "chat_template_kwargs", "cache_salt",
    ]
    private static let known = names.union(SamplingOptions.fieldNames).union(ToolFields.fieldNames)
        .union(Ignored.names).subtracting(["n"])

    /// Checks and renders; slow, for the text pool.
    static func prepare(_ json: JSON, _ call: Call) throws(APIError) -> Prepared {
        let fields = Fields(json.objectValue ?? JSONObject())
        let model = call.service.model
        let entry = try model.entry(try fields.required("model"))
        try fields.refuseOthers(than: known)
        try refuseState(fields)
        var options = try SamplingOptions(fields, defaults: model.defaults, vocabularySize: model.vocabularySize)
        options.maxNewTokens = try fields.integer("max_output_tokens", in: 1...Int.max) ?? model.maxModelLength
        let top = try fields.integer("top_logprobs", in: 0...SamplingOptions.Limit.logprobs)
        let includesLogprobs = try includes(fields, "message.output_text.logprobs")
        if includesLogprobs { options.logprobs = top ?? 0 }
        let tools = try ToolFields(fields, isFlat: true)
        var rendering = PromptRenderer.Options()
        if let effort = try fields.fields("reasoning")?.string("effort") {
            rendering.variables["reasoning_effort"] = .string(effort)
        }
        let kwargs = try ChatRequest.rendering(
            Fields(
                JSONObject([
                    (key: "chat_template_kwargs", value: fields["chat_template_kwargs"] ?? .null)
                ])))
        for (name, value) in kwargs.variables.members { rendering.variables[name] = value }
        let prompt = try entry.renderer.tokens(try conversation(fields), tools: tools, options: rendering)
        var form: OutputForm?
        if let text = try fields.fields("text"), let format = try text.fields("format") {
            form = try OutputForm.responseFormat(format)
        }
        form = OutputForm.joined(form, tools, entry.renderer.toolForm)
        let streams = try StreamFields(fields)
        let chat = PreparedChat(
            model: entry.name,
            request: GenerationRequest(
                prompt: prompt, options: options, adapter: entry.adapter,
                cacheSalt: try fields.string("cache_salt") ?? "", constraint: try call.service.constraint(form)),
            tools: tools, toolFormat: entry.renderer.toolFormat, streams: streams)
        return Prepared(chat: chat, echoed: echoed(fields, options), includesLogprobs: includesLogprobs)
    }

    private static func refuseState(_ fields: Fields) throws(APIError) {
        for name in ["previous_response_id", "conversation", "prompt"] where fields[name] != nil {
            throw .invalid(name, "this server keeps nothing between requests; send the whole conversation as input")
        }
        if try fields.bool("background") == true {
            throw .invalid("background", "this server keeps nothing between requests; wait for the answer")
        }
        if let truncation = try fields.string("truncation"), truncation != "disabled" {
            throw .invalid("truncation", "must be disabled: no part of a conversation is dropped silently")
        }
    }

    private static func includes(_ fields: Fields, _ wanted: String) throws(APIError) -> Bool {
        let known: Set<String> = ["message.output_text.logprobs", "reasoning.encrypted_content"]
        var isFound = false
        for item in try fields.array("include", atMost: 16) ?? [] {
            guard let name = item.stringValue, known.contains(name) else {
                throw .invalid("include", "may only name \(known.sorted().joined(separator: " and "))")
            }
            isFound = isFound || name == wanted
        }
        return isFound
    }

    private static func echoed(_ fields: Fields, _ options: SamplingOptions) -> JSONObject {
        JSONObject([
            (key: "instructions", value: fields["instructions"] ?? .null),
            (key: "max_output_tokens", value: fields["max_output_tokens"] ?? .null),
            (key: "metadata", value: fields["metadata"] ?? [:]),
            (key: "parallel_tool_calls", value: fields["parallel_tool_calls"] ?? true),
            (key: "reasoning", value: fields["reasoning"] ?? ["effort": .null, "summary": .null]),
            (key: "temperature", value: JSON(Double(options.temperature))),
            (key: "text", value: fields["text"] ?? ["format": ["type": "text"]]),
            (key: "tool_choice", value: fields["tool_choice"] ?? "auto"),
            (key: "tools", value: fields["tools"] ?? []),
            (key: "top_p", value: JSON(Double(options.topP))),
        ])
    }

    // MARK: Input

    /// The items as messages; calls that follow an assistant's text belong to its message.
    private static func conversation(_ fields: Fields) throws(APIError) -> Conversation {
        var messages: [JSON] = []
        if let text = try fields.string("instructions"), !text.isEmpty {
            messages.append(["role": "system", "content": .string(text)])
        }
        guard let input = fields["input"] else { throw .invalid("input", "is missing; give a text or items") }
        if let text = input.stringValue {
            messages.append(["role": "user", "content": .string(text)])
        } else {
            for (place, item) in (try fields.array("input", atMost: 4096) ?? []).enumerated() {
                try append(Fields(item, at: "input[\(place)]"), to: &messages)
            }
        }
        let object: JSONObject = JSONObject([(key: "messages", value: .array(messages))])
        do {
            return try Conversation(Fields(object))
        } catch {
            // The messages are made here; only an empty list can be wrong, and that is the input's doing.
            throw .invalid("input", error.message)
        }
    }

    private static func append(_ item: Fields, to messages: inout [JSON]) throws(APIError) {
        switch try item.string("type") ?? "message" {
        case "message":
            let role = try item.required("role")
            guard let content = try Conversation.text(item, "content") else {
                throw .invalid(item.path + "content", "is missing; give a text")
            }
            guard ["system", "developer", "user", "assistant"].contains(role) else {
                throw .invalid(item.path + "role", "must be system, developer, user or assistant")
            }
            messages.append(["role": .string(role), "content": .string(content)])
        case "function_call":
            let call: JSON = [
                "id": .string(try item.required("call_id")), "type": "function",
                "function": [
                    "name": .string(try item.required("name")), "arguments": .string(try item.required("arguments")),
                ],
            ]
            if case .object(var last)? = messages.last, last["role"] == "assistant" {
                last["tool_calls"] = .array((last["tool_calls"]?.arrayValue ?? []) + [call])
                messages[messages.count - 1] = .object(last)
            } else {
                messages.append(["role": "assistant", "content": "", "tool_calls": [call]])
            }
        case "function_call_output":
            let id = try item.required("call_id")
            guard let output = try Conversation.text(item, "output") else {
                throw .invalid(item.path + "output", "is missing; give a text")
            }
            messages.append(["role": "tool", "tool_call_id": .string(id), "content": .string(output)])
        case "reasoning": break
        case let other:
            throw .invalid(
                item.path + "type",
                "\(APIError.quoted(other)) is not taken; give message, function_call or function_call_output")
        }
    }
}
