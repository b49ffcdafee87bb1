import AttuneJSON

/// The messages of a chat request, checked and brought into the shape chat templates read.
struct Conversation {
    /// One object a message: `role`, `content` as one text, and what belongs to tool calls.
    private(set) var messages: [JSON] = []
    private var toolNames: [String: String] = [:]
    private static let roles: Set<String> = ["system", "developer", "user", "assistant", "tool"]
    private static let limit = 4096

    /// Reads `messages`.
    /// - Throws: `APIError` naming the message and member.
    init(_ fields: Fields) throws(APIError) {
        guard let items = try fields.array("messages", atMost: Self.limit) else {
            throw .invalid("messages", "is missing; give an array of messages")
        }
        guard !items.isEmpty else { throw .invalid("messages", "must have at least one message") }
        for (place, item) in items.enumerated() {
            try append(Fields(item, at: "messages[\(place)]"))
        }
    }

    /// Joins messages that were built from other items.
    init(messages: [JSON]) { self.messages = messages }

    private mutating func append(_ message: Fields) throws(APIError) {
        let role = try message.required("role")
        guard Self.roles.contains(role) else {
            throw .invalid(
                message.path + "role",
                "must be system, developer, user, assistant or tool, not \(APIError.quoted(role))")
        }
        var result = JSONObject()
        result["role"] = .string(role == "developer" ? "system" : role)
        let content = try Self.text(message, "content")
        let calls = role == "assistant" ? try Self.calls(message) : []
        guard content != nil || !calls.isEmpty || (role == "assistant" && message["refusal"] != nil) else {
            throw .invalid(message.path + "content", "is missing; give a text")
        }
        let refusal = try message.string("refusal")
        result["content"] = .string(content ?? refusal ?? "")
        if let reasoning = try message.string("reasoning_content") { result["reasoning_content"] = .string(reasoning) }
        if !calls.isEmpty {
            result["tool_calls"] = .array(calls)
            for call in calls {
                if let id = call["id"]?.stringValue { toolNames[id] = call["function"]?["name"]?.stringValue }
            }
        }
        if role == "tool" {
            let id = try message.required("tool_call_id")
            result["tool_call_id"] = .string(id)
            if let name = try message.string("name") ?? toolNames[id] { result["name"] = .string(name) }
        } else if let name = try message.string("name") {
            result["name"] = .string(name)
        }
        messages.append(.object(result))
    }

    /// A content that is a text or a list of text parts.
    static func text(_ message: Fields, _ name: String) throws(APIError) -> String? {
        guard let value = message[name] else { return nil }
        if let text = value.stringValue { return text }
        guard let parts = value.arrayValue else {
            throw .invalid(message.path + name, "must be a string or an array of text parts")
        }
        var texts: [String] = []
        for (place, part) in parts.enumerated() {
            let fields = try Fields(part, at: "\(message.path)\(name)[\(place)]")
            switch try fields.required("type") {
            case "text", "input_text", "output_text": texts.append(try fields.required("text"))
            case "refusal": texts.append(try fields.required("refusal"))
            case let other:
                throw .invalid(
                    fields.path + "type", "\(APIError.quoted(other)) is not taken: this model reads text only")
            }
        }
        return texts.joined(separator: "\n")
    }

    /// Arguments become objects, as most templates want them; `withArgumentsAsText` undoes it.
    private static func calls(_ message: Fields) throws(APIError) -> [JSON] {
        var calls: [JSON] = []
        for (place, item) in (try message.array("tool_calls", atMost: 128) ?? []).enumerated() {
            let call = try Fields(item, at: "\(message.path)tool_calls[\(place)]")
            guard let function = try call.fields("function") else {
                throw .invalid(call.path + "function", "is missing; only calls of functions are known")
            }
            calls.append(
                Self.call(
                    id: try call.required("id"), name: try function.required("name"),
                    arguments: try function.required("arguments")))
        }
        return calls
    }

    /// A tool call as templates read it.
    static func call(id: String, name: String, arguments: String) -> JSON {
        let parsed = try? JSON(parsing: arguments)
        return [
            "id": .string(id), "type": "function",
            "function": [
                "name": .string(name),
                "arguments": parsed?.objectValue == nil ? .string(arguments) : parsed ?? .null,
            ],
        ]
    }

    /// The messages with the arguments of calls as JSON text, for templates that join them to other texts.
    var withArgumentsAsText: [JSON] {
        messages.map { message in
            guard var object = message.objectValue, let calls = object["tool_calls"]?.arrayValue else { return message }
            object["tool_calls"] = .array(
                calls.map { call in
                    guard var outer = call.objectValue, var function = outer["function"]?.objectValue,
                        let arguments = function["arguments"], arguments.stringValue == nil
                    else { return call }
                    function["arguments"] = .string(arguments.text(.spaced))
                    outer["function"] = .object(function)
                    return .object(outer)
                })
            return .object(object)
        }
    }
}
