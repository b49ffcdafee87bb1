import AttuneGeneration
import AttuneJSON
import AttuneText
import Foundation
import Hummingbird

/// `/v1/chat/completions`.
enum ChatCompletions {
    @Sendable static func respond(_ json: JSON, _ call: Call) async throws -> Response {
        let chat = try await call.service.pool.run { try ChatRequest.prepare(json, call) }
        let events = try call.service.submit(chat.request, promptParam: "messages", call)
        call.arrival?.finish()
        let head = AnswerHead(id: Call.newID("chatcmpl-"), model: chat.model)
        guard chat.streams.isOn else {
            let result = try await call.result(of: events, n: chat.request.options.n)
            return Responder.response(answer(result, chat, head, call.service.model.tokenizer))
        }
        return EventStream.response(call.connection) { stream in
            var writer = ChatStream(chat, head, call.service.model.tokenizer)
            try await writer.run(events, call, to: &stream)
        }
    }

    private static func answer(
        _ result: GenerationResult, _ chat: PreparedChat, _ head: AnswerHead, _ tokenizer: Tokenizer
    ) -> JSON {
        var choices: [JSON] = []
        for (index, text) in result.texts.enumerated() {
            var parts = AnswerParts(chat)
            let events = parts.consume(text.text) + parts.finish()
            var content = ""
            var calls: [(id: String, name: String, arguments: String)] = []
            for event in events {
                switch event {
                case .content(let piece): content += piece
                case .call(_, let id, let name): calls.append((id, name, ""))
                case .arguments(let place, let piece): calls[place].arguments += piece
                }
            }
            var message = JSONObject([
                (key: "role", value: "assistant"),
                (key: "content", value: content.isEmpty && !calls.isEmpty ? .null : .string(content)),
                (key: "refusal", value: .null),
            ])
            if !calls.isEmpty {
                message["tool_calls"] = .array(
                    calls.map { call in
                        [
                            "id": .string(call.id), "type": "function",
                            "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
                        ]
                    })
            }
            let logprobs: JSON =
                chat.request.options.logprobs == nil
                ? .null : ["content": .array(text.tokens.map { TokenLog.chat($0, tokenizer) }), "refusal": .null]
            choices.append([
                "index": JSON(index), "message": .object(message), "logprobs": logprobs,
                "finish_reason": .string(parts.reason(text.finish)),
            ])
        }
        return [
            "id": .string(head.id), "object": "chat.completion", "created": JSON(head.created),
            "model": .string(head.model), "choices": .array(choices), "usage": Usage(result).json,
        ]
    }
}

/// What every part of an answer carries.
struct AnswerHead: Sendable {
    var id: String
    var model: String
    var created = Int(Date().timeIntervalSince1970)
}

/// Tokens of a request.
struct Usage: Sendable {
    var prompt = 0
    var completion = 0
    var cached = 0

    init() {}

    init(_ result: GenerationResult) { for text in result.texts { add(text.finish?.usage) } }

    /// Adds one text; its prompt counts once.
    mutating func add(_ usage: GenerationUsage?) {
        guard let usage else { return }
        prompt = max(prompt, usage.promptTokens)
        completion += usage.completionTokens
        cached = max(cached, usage.cachedTokens)
    }

    var json: JSON {
        [
            "prompt_tokens": JSON(prompt), "completion_tokens": JSON(completion),
            "total_tokens": JSON(prompt + completion), "prompt_tokens_details": ["cached_tokens": JSON(cached)],
        ]
    }
}

/// One answer cut into content and tool calls.
struct AnswerParts {
    private var parser: ToolCallParser?
    private let choice: ToolFields.Choice

    init(_ chat: PreparedChat) { self.init(chat.tools, chat.toolFormat) }

    init(_ tools: ToolFields, _ format: ToolCallFormat) {
        choice = tools.choice
        if tools.isActive {
            parser = ToolCallParser(format: format, makeID: { "call_" + ToolCallParser.randomID() })
        }
    }

    mutating func consume(_ text: String) -> [ToolCallEvent] {
        guard !text.isEmpty else { return [] }
        return parser?.consume(text) ?? [.content(text)]
    }

    mutating func finish() -> [ToolCallEvent] { parser?.finish() ?? [] }

    /// OpenAI's reason; a call that was demanded by name ends with `stop`.
    func reason(_ finish: GenerationFinish?) -> String {
        let reason = finish?.reason ?? .abort
        guard reason == .stop, parser?.hasCalls == true else { return reason.rawValue }
        if case .named = choice { return reason.rawValue }
        return FinishReason.toolCalls.rawValue
    }
}

/// The log-probability of a token as answers show it.
enum TokenLog {
    /// A token's text; special tokens show their name.
    static func text(_ id: Int32, _ tokenizer: Tokenizer) -> String {
        tokenizer.isSpecial(id)
            ? tokenizer.token(for: id) ?? "" : String(decoding: tokenizer.bytes(of: id), as: UTF8.self)
    }

    private static func entry(_ id: Int32, _ logprob: Float?, _ tokenizer: Tokenizer) -> JSONObject {
        let bytes =
            tokenizer.isSpecial(id) ? Array((tokenizer.token(for: id) ?? "").utf8) : tokenizer.bytes(of: id)
        return JSONObject([
            (key: "token", value: .string(String(decoding: bytes, as: UTF8.self))),
            (key: "logprob", value: number(logprob)),
            (key: "bytes", value: .array(bytes.map { JSON(Int($0)) })),
        ])
    }

    /// JSON has no infinity; OpenAI writes -9999 for what cannot be.
    static func number(_ logprob: Float?) -> JSON {
        guard let logprob else { return .null }
        return JSON(logprob.isFinite ? Double(logprob) : -9999)
    }

    /// An element of `logprobs.content`.
    static func chat(_ token: GeneratedToken, _ tokenizer: Tokenizer) -> JSON {
        var object = entry(token.id, token.logprob, tokenizer)
        object["top_logprobs"] = .array(token.top.map { .object(entry($0.id, $0.logprob, tokenizer)) })
        return .object(object)
    }
}
