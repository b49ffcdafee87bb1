import AttuneJSON

/// How a model's chat template writes a tool call.
public struct ToolCallForm: Sendable, Equatable {
    /// Before each call (`<tool_call>\n`).
    public var prefix: String
    /// After each call (`\n</tool_call>`).
    public var suffix: String
    /// The member that holds the tool's name.
    public var nameKey: String
    /// The member that holds the arguments.
    public var argumentsKey: String
    /// Stands between the calls of one answer.
    public var separator: String
    /// Stands between a bare name and its arguments (`[ARGS]`); `nil` where both are members of one object.
    public var nameEnd: String?
    /// Stands between the name and an id of nine letters and digits (`[CALL_ID]`), where the form has ids.
    public var idMark: String?

    /// Joins the parts.
    public init(
        prefix: String, suffix: String, nameKey: String = "name", argumentsKey: String = "arguments",
        separator: String = "\n", nameEnd: String? = nil, idMark: String? = nil
    ) {
        self.prefix = prefix
        self.suffix = suffix
        self.nameKey = nameKey
        self.argumentsKey = argumentsKey
        self.separator = separator
        self.nameEnd = nameEnd
        self.idMark = idMark
    }

    /// Hermes and Qwen.
    public static let hermes = ToolCallForm(prefix: "<tool_call>\n", suffix: "\n</tool_call>")
    /// Llama 3: a bare object.
    public static let llama3 = ToolCallForm(prefix: "", suffix: "", argumentsKey: "parameters", separator: "; ")
    /// Mistral: one list behind a marker; made for one call at a time.
    public static let mistral = ToolCallForm(prefix: "[TOOL_CALLS][", suffix: "]", separator: "")
    /// Mistral since 2025: name, perhaps an id, and arguments behind marks of their own.
    public static func mistralNamed(hasID: Bool) -> ToolCallForm {
        ToolCallForm(
            prefix: "[TOOL_CALLS]", suffix: "", separator: "", nameEnd: "[ARGS]", idMark: hasID ? "[CALL_ID]" : nil)
    }
}

/// A tool as grammars need it.
public struct ToolSignature: Sendable {
    /// The tool's name.
    public var name: String
    /// JSON Schema of its arguments; `true` for anything.
    public var parameters: JSON

    /// Joins the two.
    public init(name: String, parameters: JSON) {
        self.name = name
        self.parameters = parameters
    }
}

extension Grammar {
    /// One call without what stands around it: a listed name with arguments that satisfy its schema.
    public static func toolCallObject(_ tools: [ToolSignature], form: ToolCallForm) -> Grammar {
        .choice(
            tools.map { tool in
                if let end = form.nameEnd {
                    let id = form.idMark.map { [Grammar.literal($0), .regex("[a-zA-Z0-9]{9}")] } ?? []
                    return .sequence([.literal(tool.name)] + id + [.literal(end), .json(schema: tool.parameters)])
                }
                return .sequence([
                    .literal("{\"\(form.nameKey)\": "), .literal(JSON.string(tool.name).text()),
                    .literal(", \"\(form.argumentsKey)\": "), .json(schema: tool.parameters), .literal("}"),
                ])
            })
    }

    /// At least one call and nothing else (`tool_choice: required`, or a named tool when one is listed).
    public static func toolCalls(
        _ tools: [ToolSignature], form: ToolCallForm, isParallel: Bool = false
    ) -> Grammar {
        let call = Grammar.sequence([
            .literal(form.prefix), toolCallObject(tools, form: form), .literal(form.suffix),
        ])
        guard isParallel else { return call }
        return .sequence([
            call, .repeated(.sequence([.literal(form.separator), call]), atLeast: 0, atMost: 15),
        ])
    }

    /// Free text in which every call that begins is a valid one (`tool_choice: auto`).
    ///
    /// Where calls have no marker before them, whatever opens with a bracket is one, so that no answer is half a call.
    public static func textWithToolCalls(
        _ tools: [ToolSignature], form: ToolCallForm, isParallel: Bool = true
    ) -> Grammar {
        guard form.prefix.isEmpty else {
            let call = Grammar.sequence([toolCallObject(tools, form: form), .literal(form.suffix)])
            return .text(triggers: [Trigger(form.prefix, then: call)], repeats: isParallel)
        }
        let calls = toolCalls(tools, form: form, isParallel: isParallel)
        let tag = "<|python_tag|>"
        let rest = Grammar.text(triggers: [], repeats: true)
        return .choice([
            calls, .sequence([.literal(tag), calls]), .regex("\\s*"),
            .sequence([.regex("\\s*[^\\s{\\[<]|\\s*<[^|]"), rest]),
        ])
    }
}
