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

    /// Joins the parts.
    public init(
        prefix: String, suffix: String, nameKey: String = "name", argumentsKey: String = "arguments",
        separator: String = "\n"
    ) {
        self.prefix = prefix
        self.suffix = suffix
        self.nameKey = nameKey
        self.argumentsKey = argumentsKey
        self.separator = separator
    }

    /// Hermes and Qwen.
    public static let hermes = ToolCallForm(prefix: "<tool_call>\n", suffix: "\n</tool_call>")
    /// Llama 3: a bare object.
    public static let llama3 = ToolCallForm(prefix: "", suffix: "", argumentsKey: "parameters", separator: "; ")
    /// Mistral: one list behind a marker; made for one call at a time.
    public static let mistral = ToolCallForm(prefix: "[TOOL_CALLS][", suffix: "]", separator: "")
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
    /// The object of one call: a listed name with arguments that satisfy its schema.
    public static func toolCallObject(_ tools: [ToolSignature], form: ToolCallForm) -> Grammar {
        .choice(
            tools.map { tool in
                .sequence([
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

    /// Free text in which every call that begins is a valid one (`tool_choice: auto`); needs a form with a prefix.
    public static func textWithToolCalls(
        _ tools: [ToolSignature], form: ToolCallForm, isParallel: Bool = true
    ) -> Grammar {
        let call = Grammar.sequence([toolCallObject(tools, form: form), .literal(form.suffix)])
        return .text(triggers: [Trigger(form.prefix, then: call)], repeats: isParallel)
    }
}
