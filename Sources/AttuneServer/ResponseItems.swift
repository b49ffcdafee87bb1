import AttuneJSON
import AttuneText

/// The output of a response as it grows, with the events that tell of it.
struct ResponseItems {
    /// One event of the stream, without its number.
    typealias Event = (type: String, members: JSONObject)

    private enum Item {
        case message(id: String, text: String, logprobs: [JSON])
        case call(id: String, callID: String, name: String, arguments: String)
    }

    private var items: [Item] = []
    private var isOpen = false
    /// Log-probabilities that go with the next piece of text.
    private var pendingLogs: [JSON] = []

    /// Notes the log-probability of a token.
    mutating func note(_ log: JSON) { pendingLogs.append(log) }

    mutating func consume(_ pieces: [ToolCallEvent]) -> [Event] {
        var events: [Event] = []
        for piece in pieces {
            switch piece {
            case .content(let text): append(text, &events)
            case .call(_, let id, let name):
                close("completed", &events)
                begin(.call(id: Call.newID("fc_"), callID: id, name: name, arguments: ""), &events)
            case .arguments(_, let text): extend(text, &events)
            }
        }
        return events
    }

    /// Ends the item under way.
    mutating func finish(isComplete: Bool) -> [Event] {
        var events: [Event] = []
        close(isComplete ? "completed" : "incomplete", &events)
        return events
    }

    /// The items as they stand in a finished response.
    func json(isComplete: Bool) -> JSON {
        .array(
            items.indices.map { place in
                Self.json(items[place], status: isComplete || place + 1 < items.count ? "completed" : "incomplete")
            })
    }

    // MARK: Steps

    private mutating func append(_ text: String, _ events: inout [Event]) {
        let place = items.count - 1
        if isOpen, case .message(let id, let before, let logs) = items[place] {
            items[place] = .message(id: id, text: before + text, logprobs: logs + pendingLogs)
        } else {
            close("completed", &events)
            begin(.message(id: Call.newID("msg_"), text: text, logprobs: pendingLogs), &events)
        }
        guard case .message(let id, _, _)? = items.last else { return }
        events.append(
            event(
                "response.output_text.delta", id,
                [
                    (key: "content_index", value: 0), (key: "delta", value: .string(text)),
                    (key: "logprobs", value: .array(pendingLogs)),
                ]))
        pendingLogs = []
    }

    private mutating func extend(_ text: String, _ events: inout [Event]) {
        guard isOpen, case .call(let id, let callID, let name, let before)? = items.last else { return }
        items[items.count - 1] = .call(id: id, callID: callID, name: name, arguments: before + text)
        events.append(
            event("response.function_call_arguments.delta", id, [(key: "delta", value: .string(text))]))
    }

    private mutating func begin(_ item: Item, _ events: inout [Event]) {
        items.append(item)
        isOpen = true
        var empty = item
        if case .message(let id, _, _) = item { empty = .message(id: id, text: "", logprobs: []) }
        var shown = Self.json(empty, status: "in_progress").objectValue ?? JSONObject()
        if case .message = item { shown["content"] = [] }
        events.append(
            (
                "response.output_item.added",
                JSONObject([
                    (key: "output_index", value: JSON(items.count - 1)), (key: "item", value: .object(shown)),
                ])
            ))
        if case .message(let id, _, _) = item {
            events.append(
                event(
                    "response.content_part.added", id,
                    [(key: "content_index", value: 0), (key: "part", value: Self.part("", []))]))
        }
    }

    private mutating func close(_ status: String, _ events: inout [Event]) {
        guard isOpen, let item = items.last else { return }
        isOpen = false
        switch item {
        case .message(let id, let text, let logs):
            events.append(
                event(
                    "response.output_text.done", id,
                    [
                        (key: "content_index", value: 0), (key: "text", value: .string(text)),
                        (key: "logprobs", value: .array(logs)),
                    ]))
            events.append(
                event(
                    "response.content_part.done", id,
                    [(key: "content_index", value: 0), (key: "part", value: Self.part(text, logs))]))
        case .call(let id, _, let name, let arguments):
            events.append(
                event(
                    "response.function_call_arguments.done", id,
                    [(key: "name", value: .string(name)), (key: "arguments", value: .string(arguments))]))
        }
        events.append(
            (
                "response.output_item.done",
                JSONObject([
                    (key: "output_index", value: JSON(items.count - 1)),
                    (key: "item", value: Self.json(item, status: status)),
                ])
            ))
    }

    private func event(_ type: String, _ id: String, _ members: [(key: String, value: JSON)]) -> Event {
        (
            type,
            JSONObject(
                [(key: "item_id", value: .string(id)), (key: "output_index", value: JSON(items.count - 1))] + members)
        )
    }

    private static func part(_ text: String, _ logs: [JSON]) -> JSON {
        ["type": "output_text", "text": .string(text), "annotations": [], "logprobs": .array(logs)]
    }

    private static func json(_ item: Item, status: String) -> JSON {
        switch item {
        case .message(let id, let text, let logs):
            [
                "type": "message", "id": .string(id), "status": .string(status), "role": "assistant",
                "content": [part(text, logs)],
            ]
        case .call(let id, let callID, let name, let arguments):
            [
                "type": "function_call", "id": .string(id), "call_id": .string(callID), "name": .string(name),
                "arguments": .string(arguments), "status": .string(status),
            ]
        }
    }
}
