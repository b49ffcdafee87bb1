import AttuneJSON

/// Reads the columns of one row by the parts they play.
struct FieldReader {
    let row: Row
    let columns: ColumnMap

    private func value(_ role: ColumnRole) -> JSON? { columns.column(role).flatMap { row.fields[$0] } }

    private func fail(_ message: String) -> DataError { DataError(.badData, message, at: row.source) }

    /// Text of a column; numbers and booleans as they are written, null as nothing.
    private func text(_ role: ColumnRole) throws(DataError) -> String? {
        switch value(role) {
        case .none: return nil
        case .null: return ""
        case .string(let text): return text
        case .some(let value):
            guard value.arrayValue == nil, value.objectValue == nil else {
                throw fail("column '\(columns.column(role) ?? role.rawValue)' is not text; write it as a string")
            }
            return value.text()
        }
    }

    func instruction(requiresAnswer: Bool) throws(DataError) -> Example.Content? {
        guard value(.instruction) != nil, !requiresAnswer || value(.output) != nil else { return nil }
        guard let instruction = try text(.instruction) else { return nil }
        return .instruction(
            system: try text(.system) ?? "", instruction: instruction, input: try text(.input) ?? "",
            output: try text(.output) ?? "")
    }

    func completion(requiresAnswer: Bool) throws(DataError) -> Example.Content? {
        guard let prompt = value(.prompt), !requiresAnswer || value(.completion) != nil else { return nil }
        if prompt.arrayValue != nil || value(.completion)?.arrayValue != nil {
            guard let asked = prompt.arrayValue, let answers = value(.completion).map({ $0.arrayValue }) ?? [] else {
                throw fail("'prompt' and 'completion' must both be text or both be lists of messages")
            }
            let messages = try chat(asked + answers)
            return .conversation(
                messages: messages, tools: try tools(), variables: try variables(), answerStart: asked.count)
        }
        guard let prompt = try text(.prompt) else { return nil }
        return .completion(prompt: prompt, completion: try text(.completion) ?? "")
    }

    func text() throws(DataError) -> Example.Content? { try text(.text).map { .text($0) } }

    func conversation(_ role: ColumnRole) throws(DataError) -> Example.Content? {
        guard let value = value(role), !value.isNull else { return nil }
        guard let list = try embedded(value, role).arrayValue else {
            throw fail("'\(role.rawValue)' is not a list; write [{\"role\": …, \"content\": …}, …]")
        }
        guard !list.isEmpty else { throw fail("'\(role.rawValue)' is an empty list; remove the row") }
        return .conversation(
            messages: try chat(list), tools: try tools(), variables: try variables(), answerStart: nil)
    }

    /// A value, or the JSON inside it when it is a string.
    private func embedded(_ value: JSON, _ role: ColumnRole) throws(DataError) -> JSON {
        guard let text = value.stringValue else { return value }
        do { return try JSON(parsing: text) } catch {
            throw fail("'\(role.rawValue)' is a string that is not JSON (\(error)); write a list")
        }
    }

    private func tools() throws(DataError) -> JSON? {
        guard let value = value(.tools), !value.isNull, value.stringValue?.isEmpty != true else { return nil }
        let tools = try embedded(value, .tools)
        guard let list = tools.arrayValue else { throw fail("'tools' is not a list of JSON schemas") }
        return list.isEmpty ? nil : tools
    }

    private func variables() throws(DataError) -> JSONObject {
        guard let value = row.fields["chat_template_kwargs"], !value.isNull else { return JSONObject() }
        guard let variables = value.objectValue else { throw fail("'chat_template_kwargs' is not an object") }
        return variables
    }

    /// Messages in `role`/`content` form, from either form.
    private func chat(_ list: [JSON]) throws(DataError) -> [JSON] {
        var messages: [JSON] = []
        messages.reserveCapacity(list.count)
        for (place, message) in list.enumerated() {
            if message["role"]?.stringValue != nil {
                messages.append(message)
            } else if let from = message["from"]?.stringValue {
                messages.append(try shareGPT(message, from: from, place: place))
            } else {
                throw fail("message \(place + 1) has neither 'role' nor 'from'; name who speaks")
            }
        }
        return messages
    }

    private func shareGPT(_ message: JSON, from: String, place: Int) throws(DataError) -> JSON {
        guard let value = message["value"]?.stringValue else {
            throw fail("message \(place + 1) has no text under 'value'")
        }
        let role: String
        switch from {
        case "human", "user": role = "user"
        case "gpt", "assistant", "chatgpt", "bing", "bard", "model": role = "assistant"
        case "system": role = "system"
        case "observation", "tool", "function_response": role = "tool"
        case "function_call":
            guard let calls = try? JSON(parsing: value) else {
                throw fail("message \(place + 1): the function call is not JSON")
            }
            let list = (calls.arrayValue ?? [calls]).map { call -> JSON in ["type": "function", "function": call] }
            return ["role": "assistant", "content": "", "tool_calls": .array(list)]
        default:
            throw fail("message \(place + 1) is from '\(from)'; use human, gpt, system, function_call or observation")
        }
        return ["role": .string(role), "content": .string(value)]
    }

    /// Says which columns there are, what is missing and how to map.
    func unrecognised(requiresAnswer: Bool) -> DataError {
        let found = row.fields.keys.map { "'\($0)'" }.joined(separator: ", ")
        if value(.instruction) != nil, requiresAnswer {
            return fail("column 'output' is missing (found \(found)); add it or map it: columns: {output: NAME}")
        }
        if value(.prompt) != nil, requiresAnswer {
            return fail(
                "column 'completion' is missing (found \(found)); add it or map it: columns: {completion: NAME}")
        }
        return fail(
            "no known columns (found \(found)); expected instruction/output, prompt/completion, messages, "
                + "conversations or text, or map yours: columns: {instruction: NAME, output: NAME}")
    }
}
