import AttuneGeneration
import AttuneJSON
import Hummingbird

/// `/v1/responses`, without memory between requests.
enum Responses {
    @Sendable static func respond(_ json: JSON, _ call: Call) async throws -> Response {
        let prepared = try await call.service.pool.run { try ResponseRequest.prepare(json, call) }
        let events = try call.service.submit(prepared.chat.request, promptParam: "input", call)
        call.arrival?.finish()
        let head = AnswerHead(id: Call.newID("resp_"), model: prepared.chat.model)
        guard prepared.chat.streams.isOn else {
            let result = try await call.result(of: events, n: 1)
            var writer = ResponseStream(prepared, head, call)
            for token in result.texts[0].tokens { _ = writer.take(token) }
            let finish = result.texts[0].finish
            _ = writer.finish(finish)
            return Responder.response(writer.object(finish))
        }
        return EventStream.response(call.connection) { stream in
            var writer = ResponseStream(prepared, head, call)
            try await writer.run(events, to: &stream)
        }
    }
}

/// One response on its way.
struct ResponseStream {
    private let prepared: ResponseRequest.Prepared
    private let head: AnswerHead
    private let call: Call
    private var parts: AnswerParts
    private var items = ResponseItems()
    private var number = 0

    init(_ prepared: ResponseRequest.Prepared, _ head: AnswerHead, _ call: Call) {
        self.prepared = prepared
        self.head = head
        self.call = call
        parts = AnswerParts(prepared.chat)
    }

    mutating func take(_ token: GeneratedToken) -> [ResponseItems.Event] {
        if prepared.includesLogprobs { items.note(TokenLog.chat(token, call.service.model.tokenizer)) }
        return items.consume(parts.consume(token.text))
    }

    mutating func finish(_ finish: GenerationFinish?) -> [ResponseItems.Event] {
        items.consume(parts.consume(finish?.text ?? "") + parts.finish())
            + items.finish(isComplete: finish?.reason == .stop)
    }

    mutating func run(
        _ events: AsyncThrowingStream<GenerationEvent, any Error>, to stream: inout EventStream
    ) async throws {
        for type in ["response.created", "response.in_progress"] {
            try await send(type, JSONObject([(key: "response", value: object(nil))]), to: &stream)
        }
        for try await event in events {
            switch event {
            case .prompt: break
            case .token(_, let token):
                for event in take(token) { try await send(event.type, event.members, to: &stream) }
            case .finished(_, let finish):
                for event in self.finish(finish) { try await send(event.type, event.members, to: &stream) }
                var type = "response.completed"
                if finish.reason == .length || finish.reason == .abort { type = "response.incomplete" }
                if finish.reason == .error {
                    _ = call.failure(finish.error)
                    type = "response.failed"
                }
                return try await send(type, JSONObject([(key: "response", value: object(finish))]), to: &stream)
            }
        }
        throw CancellationError()
    }

    private mutating func send(_ type: String, _ members: JSONObject, to stream: inout EventStream) async throws {
        let numbered = JSONObject(
            [(key: "type", value: .string(type)), (key: "sequence_number", value: JSON(number))] + members.members)
        number += 1
        try await stream.send(.object(numbered), event: type)
    }

    /// The response as it stands; without an end it is still in progress.
    func object(_ finish: GenerationFinish?) -> JSON {
        var status = "in_progress"
        var details: JSON = .null
        var error: JSON = .null
        switch finish?.reason {
        case nil: break
        case .stop?, .toolCalls?: status = "completed"
        case .length?:
            status = "incomplete"
            details = ["reason": "max_output_tokens"]
        case .abort?:
            status = "incomplete"
            details = ["reason": "abort"]
        case .error?:
            status = "failed"
            error = ["code": "server_error", "message": .string(APIError.internal(call.id).message)]
        }
        var usage: JSON = .null
        if let finish {
            let counts = finish.usage
            usage = [
                "input_tokens": JSON(counts.promptTokens),
                "input_tokens_details": ["cached_tokens": JSON(counts.cachedTokens)],
                "output_tokens": JSON(counts.completionTokens), "output_tokens_details": ["reasoning_tokens": 0],
                "total_tokens": JSON(counts.promptTokens + counts.completionTokens),
            ]
        }
        return .object(
            JSONObject(
                [
                    (key: "id", value: .string(head.id)), (key: "object", value: "response"),
                    (key: "created_at", value: JSON(head.created)), (key: "status", value: .string(status)),
                    (key: "background", value: false), (key: "error", value: error),
                    (key: "incomplete_details", value: details), (key: "model", value: .string(head.model)),
                    (key: "output", value: finish == nil ? [] : items.json(isComplete: status == "completed")),
                ] + prepared.echoed.members + [
                    (key: "previous_response_id", value: .null), (key: "store", value: false),
                    (key: "truncation", value: "disabled"), (key: "usage", value: usage),
                ]))
    }
}
