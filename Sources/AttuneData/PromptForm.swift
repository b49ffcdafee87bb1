import AttuneJSON

/// A text to be tokenized as it is at inference: with the tokenizer's own begin-of-sequence token, or, where the
/// template has already written the special tokens, without.
public struct PromptText: Sendable, Equatable {
    /// The text.
    public var text: String
    /// Whether the tokenizer's begin-of-sequence token goes before it.
    public var addsSpecialTokens: Bool
}

/// A rendered row: the text, and the UTF-8 byte ranges of it that the model must produce.
struct RenderedExample {
    var text: [UInt8]
    /// Ascending, not overlapping; each names the message it belongs to (0 where there are no messages).
    var answers: [TrainedSpan]
    var addsSpecialTokens: Bool
}

/// How a question is put before the model. Training and generation ask for the same prompt through the same function,
/// so what was trained is what is asked.
public enum PromptForm: Sendable {
    /// `### Instruction:` … `### Response:`, a line break after every heading, no preamble.
    case tutorial
    /// Stanford Alpaca as released: preamble, and no line break after `### Response:`.
    case alpaca
    /// Stanford Alpaca as most tools write it: with a line break after `### Response:`.
    case alpacaNewline
    /// The model's own chat template.
    case chat
    /// The row's text as it is.
    case text
    /// A template of the user's.
    case custom(PromptTemplate)

    private static let preamble = "Below is an instruction that describes a task"

    /// The prompt for an instruction, up to where the answer begins. An empty or missing input is no input.
    ///
    /// For `text`, and for a `prompt`/`completion` row, the instruction is the prompt itself.
    /// - Throws: `DataError` when the chat form has no renderer; what the renderer throws.
    public func prompt(
        instruction: String, input: String? = nil, system: String = "", renderer: (any ConversationRenderer)? = nil
    ) throws -> PromptText {
        let input = input ?? ""
        let opening = system.isEmpty ? "" : system + "\n\n"
        switch self {
        case .tutorial:
            let context = input.isEmpty ? "" : "### Input:\n\(input)\n\n"
            return plain("\(opening)### Instruction:\n\(instruction)\n\n\(context)### Response:\n")
        case .alpaca, .alpacaNewline:
            let end = if case .alpacaNewline = self { "\n" } else { "" }
            let task = "appropriately completes the request."
            if input.isEmpty {
                return plain(
                    "\(opening)\(Self.preamble). Write a response that \(task)\n\n"
                        + "### Instruction:\n\(instruction)\n\n### Response:\(end)")
            }
            return plain(
                "\(opening)\(Self.preamble), paired with an input that provides further context. "
                    + "Write a response that \(task)\n\n"
                    + "### Instruction:\n\(instruction)\n\n### Input:\n\(input)\n\n### Response:\(end)")
        case .chat:
            let rendered = try Self.require(renderer).render(
                messages: .array(Self.messages(system: system, instruction: instruction, input: input)), tools: nil,
                variables: JSONObject(), addGenerationPrompt: true)
            return PromptText(text: rendered.text, addsSpecialTokens: false)
        case .text:
            return plain(opening + (input.isEmpty ? instruction : instruction + "\n\n" + input))
        case .custom(let template):
            return plain(template.prompt(system: system, instruction: instruction, input: input))
        }
    }

    /// The prompt of an example, up to where its answer begins.
    /// - Throws: `DataError` when the form does not suit the row; what the renderer throws.
    public func prompt(for example: Example, renderer: (any ConversationRenderer)? = nil) throws -> PromptText {
        switch example.content {
        case .instruction(let system, let instruction, let input, _):
            return try prompt(instruction: instruction, input: input, system: system, renderer: renderer)
        case .completion(let prompt, _):
            if case .chat = self { return try self.prompt(instruction: prompt, renderer: renderer) }
            return plain(prompt)
        case .text(let text):
            return plain(text)
        case .conversation(let messages, let tools, let variables, let answerStart):
            try requireChat(example)
            let end = answerStart ?? Self.lastAnswer(of: messages)
            let rendered = try Self.require(renderer).render(
                messages: .array(Array(messages.prefix(end))), tools: tools, variables: variables,
                addGenerationPrompt: true)
            return PromptText(text: rendered.text, addsSpecialTokens: false)
        }
    }

    /// The whole row with its answer.
    func render(_ example: Example, renderer: (any ConversationRenderer)?) throws -> RenderedExample {
        switch example.content {
        case .instruction(let system, let instruction, let input, let output):
            if case .chat = self {
                let asked = Self.messages(system: system, instruction: instruction, input: input)
                return try conversation(asked, answer: output, renderer)
            }
            var prompt = try prompt(for: example, renderer: renderer).text
            var answer = output
            if case .custom(let template) = self { answer += template.suffix }
            prompt.makeContiguousUTF8()
            return joined(prompt, answer)
        case .completion(let prompt, let completion):
            if case .chat = self {
                return try conversation(
                    Self.messages(system: "", instruction: prompt, input: ""), answer: completion, renderer)
            }
            return joined(prompt, completion)
        case .text(let text):
            return joined("", text)
        case .conversation(let messages, let tools, let variables, _):
            try requireChat(example)
            return try Self.rendered(messages, tools, variables, renderer)
        }
    }

    private func plain(_ text: String) -> PromptText { PromptText(text: text, addsSpecialTokens: true) }

    private func joined(_ prompt: String, _ answer: String) -> RenderedExample {
        let text = Array(prompt.utf8) + Array(answer.utf8)
        return RenderedExample(
            text: text, answers: [TrainedSpan(message: 0, bytes: prompt.utf8.count..<text.count)],
            addsSpecialTokens: true)
    }

    private func conversation(
        _ asked: [JSON], answer: String, _ renderer: (any ConversationRenderer)?
    ) throws -> RenderedExample {
        let messages = asked + [["role": "assistant", "content": .string(answer)]]
        return try Self.rendered(messages, nil, JSONObject(), renderer)
    }

    private static func rendered(
        _ messages: [JSON], _ tools: JSON?, _ variables: JSONObject, _ renderer: (any ConversationRenderer)?
    ) throws -> RenderedExample {
        let rendered = try require(renderer).render(
            messages: .array(messages), tools: tools, variables: variables, addGenerationPrompt: false)
        return RenderedExample(
            text: Array(rendered.text.utf8), answers: rendered.trained, addsSpecialTokens: false)
    }

    private static func messages(system: String, instruction: String, input: String) -> [JSON] {
        let question = input.isEmpty ? instruction : instruction + "\n\n" + input
        let asked: JSON = ["role": "user", "content": .string(question)]
        return system.isEmpty ? [asked] : [["role": "system", "content": .string(system)], asked]
    }

    /// The message with which the last answer begins: after the last thing that is not the assistant's.
    static func lastAnswer(of messages: [JSON]) -> Int {
        guard let last = messages.lastIndex(where: { $0["role"]?.stringValue == "assistant" }) else {
            return messages.count
        }
        var start = last
        while start > 0, messages[start - 1]["role"]?.stringValue == "assistant" { start -= 1 }
        return start
    }

    private func requireChat(_ example: Example) throws(DataError) {
        if case .chat = self { return }
        throw DataError(
            .badData, "a row of messages needs the model's chat template; set prompt_template: chat",
            at: example.source)
    }

    private static func require(
        _ renderer: (any ConversationRenderer)?
    ) throws(DataError) -> any ConversationRenderer {
        guard let renderer else {
            throw DataError(
                .usage, "the model has no chat template; choose prompt_template: tutorial, or add a template")
        }
        return renderer
    }
}
