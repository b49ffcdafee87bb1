import Attune
import AttuneData
import AttuneGeneration
import AttuneJSON
import AttuneText

/// Turns conversations into the tokens a model was trained to continue.
struct PromptRenderer: Sendable {
    private enum Form {
        /// The model's own chat template, and the one for conversations with tools.
        case template(ChatTemplate, withTools: ChatTemplate, variables: JSONObject)
        /// A form of one question and one answer, by its recipe name.
        case prompt(PromptForm, RowEncoder, name: String)
    }

    private let form: Form
    private let tokenizer: Tokenizer
    /// How the model writes tool calls, for reading them and for demanding them.
    let toolFormat: ToolCallFormat
    let toolForm: ToolCallForm
    /// For the line at the start.
    let description: String
    /// Instructions of the training rows, whose messages are parted into instruction and input.
    private let instructions: [String]

    /// Options of a template a request may set. Whatever else a template reads is the operator's.
    static let allowedVariables: Set<String> = [
        "enable_thinking", "thinking", "preserve_thinking", "reasoning_effort", "date_string",
    ]

    /// How a conversation is to be put.
    struct Options: Sendable {
        var addsGenerationPrompt = true
        var continuesLastMessage = false
        var variables = JSONObject()
    }

    /// A chat template.
    /// - Parameter toolFormat: how calls are written; read off the template where not given.
    init(
        template: ChatTemplate, withTools: ChatTemplate, variables: JSONObject, tokenizer: Tokenizer,
        toolFormat: ToolCallFormat? = nil, description: String = "the model's chat template"
    ) {
        form = .template(template, withTools: withTools, variables: variables)
        self.toolFormat = toolFormat ?? ToolCallFormat(templateSource: withTools.source)
        toolForm = ToolCallForm(self.toolFormat, templateSource: withTools.source)
        self.description = "\(description), tool calls as \(self.toolFormat.rawValue)"
        instructions = []
        self.tokenizer = tokenizer
    }

    /// A form without roles.
    init(form: PromptForm, name: String, instructions: [String], encoder: RowEncoder, tokenizer: Tokenizer) {
        self.form = .prompt(form, encoder, name: name)
        toolFormat = .json
        toolForm = ToolCallForm(.json, templateSource: "")
        description = "the prompt form '\(name)'"
        self.instructions = instructions.sorted { $0.utf8.count > $1.utf8.count }
        self.tokenizer = tokenizer
    }

    /// Tokens of a conversation.
    /// - Throws: `APIError` where the model has no way to say it.
    func tokens(_ conversation: Conversation, tools: ToolFields, options: Options) throws(APIError) -> [Int32] {
        switch form {
        case .template(let plain, let withTools, let variables):
            let hasTools = tools.isActive
            let template = hasTools ? withTools : plain
            var all = variables
            for (name, value) in options.variables.members { all[name] = value }
            let tools = hasTools ? tools.json : nil
            let text: String
            do {
                text = try render(template, conversation.messages, tools, all, options)
            } catch  where error.kind != .raised {
                // Some templates join the arguments of calls to other texts.
                do {
                    text = try render(template, conversation.withArgumentsAsText, tools, all, options)
                } catch {
                    throw .invalid("messages", "the model's chat template cannot show them: \(error.description)")
                }
            } catch {
                throw .invalid("messages", "the model's chat template refuses them: \(error.description)")
            }
            return tokenizer.ids(of: text)
        case .prompt(let form, let encoder, let name):
            guard !tools.isActive else {
                throw .invalid("tools", "this model was tuned with the form '\(name)', which has no place for tools")
            }
            do {
                return encoder.encode(try prompt(conversation.messages, form, options))
            } catch let error as APIError {
                throw error
            } catch {
                throw .invalid("messages", "\(error)")
            }
        }
    }

    private func render(
        _ template: ChatTemplate, _ messages: [JSON], _ tools: [JSON]?, _ variables: JSONObject, _ options: Options
    ) throws(TemplateError) -> String {
        let text = try template.render(
            ChatTemplate.context(
                messages: messages, tools: tools,
                addsGenerationPrompt: options.addsGenerationPrompt && !options.continuesLastMessage,
                variables: variables)
        ).utf8
        guard options.continuesLastMessage, let last = messages.last?["content"]?.stringValue else {
            return String(decoding: text, as: UTF8.self)
        }
        // The text goes on where the last message's content ends.
        let content = Array(last.utf8)
        var end = text.count
        while end >= content.count, !text[(end - content.count)..<end].elementsEqual(content) { end -= 1 }
        return String(decoding: end >= content.count ? text[..<end] : text[...], as: UTF8.self)
    }

    /// The conversation in a form of single questions: earlier questions and answers stand before the last, and the system's text
    /// where the form puts it.
    private func prompt(_ messages: [JSON], _ form: PromptForm, _ options: Options) throws -> PromptText {
        var system: [String] = []
        var question: [String] = []
        var before = ""
        func asked() throws -> PromptText {
            let (instruction, input) = parted(question.joined(separator: "\n\n"))
            var prompt = try form.prompt(
                instruction: instruction, input: input, system: system.joined(separator: "\n\n"))
            prompt.text = before + prompt.text
            return prompt
        }
        for (place, message) in messages.enumerated() {
            let content = message["content"]?.stringValue ?? ""
            switch message["role"]?.stringValue {
            case "system": system.append(content)
            case "user": question.append(content)
            case "assistant":
                guard message["tool_calls"] == nil else {
                    throw APIError.invalid("messages[\(place)].tool_calls", "this model's form has no tool calls")
                }
                var prompt = try asked()
                if place == messages.count - 1, options.continuesLastMessage {
                    prompt.text += content
                    return prompt
                }
                before = prompt.text + content + "\n\n"
                system = []
                question = []
            default:
                throw APIError.invalid("messages[\(place)].role", "this model's form has no tool results")
            }
        }
        return try asked()
    }

    /// `Classify this support ticket: My package is lost` is an instruction of the training rows and its input.
    private func parted(_ question: String) -> (instruction: String, input: String?) {
        for instruction in instructions where question.utf8.starts(with: instruction.utf8) {
            let rest = question.utf8.dropFirst(instruction.utf8.count)
            var separators = rest.prefix { " \t\r\n:".utf8.contains($0) }
            guard !separators.isEmpty, separators.contains(where: { ":\n".utf8.contains($0) }) else { continue }
            separators = rest.dropFirst(separators.count)
            if !separators.isEmpty { return (instruction, String(Substring(separators))) }
        }
        return (question, nil)
    }
}
