import AttuneJSON

/// What one row teaches, in one of the four forms data comes in.
public struct Example: Sendable {
    /// The forms.
    public enum Content: Sendable {
        /// Alpaca: an instruction, something it applies to (empty when there is none), and the answer.
        case instruction(system: String, instruction: String, input: String, output: String)
        /// A text and how it goes on.
        case completion(prompt: String, completion: String)
        /// Messages in `role`/`content` form. Those from `answerStart` on are the answer, when the row itself says so.
        case conversation(messages: [JSON], tools: JSON?, variables: JSONObject, answerStart: Int?)
        /// Text without question and answer.
        case text(String)
    }

    /// What the row teaches.
    public var content: Content
    /// Where it stands.
    public var source: RowSource

    /// An example.
    public init(content: Content, source: RowSource) {
        self.content = content
        self.source = source
    }

    /// The prompt form that suits this kind of row when the recipe names none.
    public var preferredForm: PromptForm {
        switch content {
        case .instruction, .completion: .tutorial
        case .conversation: .chat
        case .text: .text
        }
    }

    /// The answer as text; for a conversation the content of its last assistant message. `nil` where there is none.
    public var answer: String? {
        switch content {
        case .instruction(_, _, _, let output): output
        case .completion(_, let completion): completion
        case .conversation(let messages, _, _, _):
            messages.last { $0["role"]?.stringValue == "assistant" }?["content"]?.stringValue
        case .text: nil
        }
    }

    /// What is asked, as text: the basis of every comparison between rows. The first part is what rows of one task
    /// share (instruction, system text), the second what sets them apart.
    public var question: (shared: String, own: String) {
        switch content {
        case .instruction(let system, let instruction, let input, _):
            input.isEmpty ? (system, instruction) : (system.isEmpty ? instruction : system + "\n" + instruction, input)
        case .completion(let prompt, _): ("", prompt)
        case .text(let text): ("", text)
        case .conversation(let messages, _, _, let answerStart):
            Self.question(of: messages, answerStart: answerStart)
        }
    }

    private static func question(of messages: [JSON], answerStart: Int?) -> (shared: String, own: String) {
        let end = answerStart ?? messages.lastIndex { $0["role"]?.stringValue == "assistant" } ?? messages.count
        var shared: [String] = []
        var own: [String] = []
        for message in messages.prefix(end) {
            let text = message["content"].map { $0.stringValue ?? $0.text() } ?? ""
            if ["system", "developer"].contains(message["role"]?.stringValue) {
                shared.append(text)
            } else {
                own.append(text)
            }
        }
        return (shared.joined(separator: "\n"), own.joined(separator: "\n"))
    }
}

extension Example {
    /// Recognises a row: `messages`, ShareGPT `conversations`, Alpaca, `prompt`/`completion` or `text`.
    ///
    /// A missing, null or empty `input` is no input. `messages` and `tools` may be JSON written as a string.
    /// - Parameter requiresAnswer: `false` for rows that only ask, as generation takes them.
    /// - Throws: `DataError` with file and line when no form fits or a column holds the wrong kind of value.
    public init(_ row: Row, columns: ColumnMap = ColumnMap(), requiresAnswer: Bool = true) throws(DataError) {
        let reader = FieldReader(row: row, columns: columns)
        source = row.source
        let recognisers: [(role: ColumnRole, read: () throws(DataError) -> Content?)] = [
            (.messages, { () throws(DataError) in try reader.conversation(.messages) }),
            (.conversations, { () throws(DataError) in try reader.conversation(.conversations) }),
            (.instruction, { () throws(DataError) in try reader.instruction(requiresAnswer: requiresAnswer) }),
            (.prompt, { () throws(DataError) in try reader.completion(requiresAnswer: requiresAnswer) }),
            (.text, { () throws(DataError) in try reader.text() }),
        ]
        // What the user named comes before what merely has a usual name.
        let ordered =
            recognisers.filter { columns.isMapped($0.role) } + recognisers.filter { !columns.isMapped($0.role) }
        for (_, read) in ordered {
            if let content = try read() {
                self.content = content
                return
            }
        }
        throw reader.unrecognised(requiresAnswer: requiresAnswer)
    }

    /// Recognises all rows of some files.
    /// - Throws: `DataError` at the first row that fits no form.
    public static func examples(
        of paths: [String], columns: ColumnMap = ColumnMap(), requiresAnswer: Bool = true
    ) throws(DataError) -> [Example] {
        var examples: [Example] = []
        for path in paths {
            var reader = try RowReader(path: path)
            while let row = try reader.next() {
                examples.append(try Example(row, columns: columns, requiresAnswer: requiresAnswer))
            }
        }
        return examples
    }
}
