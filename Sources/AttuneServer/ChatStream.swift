import AttuneGeneration
import AttuneJSON
import AttuneText

/// Writes a chat answer as it comes.
struct ChatStream {
    private let chat: PreparedChat
    private let head: AnswerHead
    private let tokenizer: Tokenizer
    private var parts: [AnswerParts]
    /// Tokens whose text was held back; their log-probabilities go with the next piece.
    private var pendingLogs: [[JSON]]
    private var usage = Usage()
    /// Tokens of all texts so far.
    private var written = 0

    init(_ chat: PreparedChat, _ head: AnswerHead, _ tokenizer: Tokenizer) {
        self.chat = chat
        self.head = head
        self.tokenizer = tokenizer
        let n = chat.request.options.n
        parts = (0..<n).map { _ in AnswerParts(chat) }
        pendingLogs = [[JSON]](repeating: [], count: n)
    }

    mutating func run(
        _ events: AsyncThrowingStream<GenerationEvent, any Error>, _ call: Call, to stream: inout EventStream
    ) async throws {
        for index in parts.indices {
            try await send(["role": "assistant", "content": ""], index, to: &stream)
        }
        var open = parts.count
        for try await event in events {
            switch event {
            case .prompt: break
            case .token(let index, let token):
                written += 1
                if chat.request.options.logprobs != nil { pendingLogs[index].append(TokenLog.chat(token, tokenizer)) }
                let pieces = parts[index].consume(token.text)
                try await send(pieces, index, to: &stream)
            case .finished(let index, let finish):
                open -= 1
                usage.add(finish.usage)
                if finish.reason == .error || (finish.reason == .abort && call.isOverdue) {
                    let error = finish.reason == .error ? call.failure(finish.error) : call.overdue
                    try await stream.send(error.json)
                    return try await stream.sendDone()
                }
                let pieces = parts[index].consume(finish.text) + parts[index].finish()
                try await send(pieces, index, to: &stream)
                try await send([:], index, reason: parts[index].reason(finish), to: &stream)
            }
        }
        guard open == 0 else { throw CancellationError() }
        if chat.streams.includesUsage {
            var chunk = chunk([])
            chunk["usage"] = usage.json
            try await stream.send(.object(chunk))
        }
        try await stream.sendDone()
    }

    private mutating func send(_ pieces: [ToolCallEvent], _ index: Int, to stream: inout EventStream) async throws {
        for piece in pieces {
            switch piece {
            case .content(let text): try await send(["content": .string(text)], index, to: &stream)
            case .call(let place, let id, let name):
                let call: JSON = [
                    "index": JSON(place), "id": .string(id), "type": "function",
                    "function": ["name": .string(name), "arguments": ""],
                ]
                try await send(["tool_calls": [call]], index, to: &stream)
            case .arguments(let place, let text):
                let call: JSON = ["index": JSON(place), "function": ["arguments": .string(text)]]
                try await send(["tool_calls": [call]], index, to: &stream)
            }
        }
    }

    private mutating func send(
        _ delta: JSON, _ index: Int, reason: String? = nil, to stream: inout EventStream
    ) async throws {
        var logs: JSON = .null
        if !pendingLogs[index].isEmpty {
            logs = ["content": .array(pendingLogs[index]), "refusal": .null]
            pendingLogs[index] = []
        }
        let choice: JSON = [
            "index": JSON(index), "delta": delta, "logprobs": logs,
            "finish_reason": reason.map(JSON.string) ?? .null,
        ]
        try await stream.send(.object(chunk([choice])))
    }

    private func chunk(_ choices: [JSON]) -> JSONObject {
        var object = JSONObject([
            (key: "id", value: .string(head.id)), (key: "object", value: "chat.completion.chunk"),
            (key: "created", value: JSON(head.created)), (key: "model", value: .string(head.model)),
            (key: "choices", value: .array(choices)),
        ])
        if chat.streams.isContinuous {
            var usage = Usage()
            usage.prompt = chat.request.prompt.count
            usage.completion = written
            object["usage"] = usage.json
        } else if chat.streams.includesUsage {
            object["usage"] = .null
        }
        return object
    }
}
