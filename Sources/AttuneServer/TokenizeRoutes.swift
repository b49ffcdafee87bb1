import AttuneGeneration
import AttuneJSON
import AttuneText
import Hummingbird

/// `/tokenize` and `/detokenize`, as vLLM has them.
enum TokenizeRoutes {
    private static let tokenizeNames: Set<String> = [
        "model", "prompt", "messages", "tools", "add_special_tokens", "add_generation_prompt", "return_token_strs",
        "continue_final_message", "chat_template_kwargs",
    ]

    @Sendable static func tokenize(_ json: JSON, _ call: Call) async throws -> Response {
        let model = call.service.model
        return Responder.response(try await call.service.pool.run { try tokens(of: json, model) })
    }

    @Sendable static func detokenize(_ json: JSON, _ call: Call) async throws -> Response {
        let model = call.service.model
        return Responder.response(try await call.service.pool.run { try text(of: json, model) })
    }

    private static func tokens(of json: JSON, _ model: ServedModel) throws(APIError) -> JSON {
        let fields = Fields(json.objectValue ?? JSONObject())
        try fields.refuseOthers(than: tokenizeNames)
        var entry = model.entries[0]
        if let name = try fields.string("model") { entry = try model.entry(name) }
        let ids: [Int32]
        if fields["messages"] != nil {
            guard fields["prompt"] == nil else { throw .invalid("prompt", "stands beside messages; give one") }
            ids = try entry.renderer.tokens(
                Conversation(fields), tools: try ToolFields(fields), options: try ChatRequest.rendering(fields))
        } else {
            ids = model.tokenizer.ids(
                of: try fields.required("prompt"), addSpecialTokens: try fields.bool("add_special_tokens") ?? true)
        }
        var answer = JSONObject([
            (key: "count", value: JSON(ids.count)), (key: "max_model_len", value: JSON(model.maxModelLength)),
            (key: "tokens", value: .array(ids.map { JSON(Int($0)) })),
        ])
        if try fields.bool("return_token_strs") ?? false {
            answer["token_strs"] = .array(ids.map { .string(model.tokenizer.token(for: $0) ?? "") })
        }
        return .object(answer)
    }

    private static func text(of json: JSON, _ model: ServedModel) throws(APIError) -> JSON {
        let fields = Fields(json.objectValue ?? JSONObject())
        try fields.refuseOthers(than: ["model", "tokens"])
        if let name = try fields.string("model") { _ = try model.entry(name) }
        guard let list = try fields.array("tokens", atMost: 1 << 20) else {
            throw .invalid("tokens", "is missing; give token ids")
        }
        var ids: [Int32] = []
        for id in list { ids.append(try SamplingOptions.token(id, model.vocabularySize, "tokens")) }
        return ["prompt": .string(model.tokenizer.decode(ids, skipSpecialTokens: false))]
    }
}
