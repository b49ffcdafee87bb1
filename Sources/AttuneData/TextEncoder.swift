import AttuneJSON

/// What this room needs of a tokenizer.
public protocol TextEncoder: Sendable {
    /// Token ids and, for each, the UTF-8 byte range of the text it stands for. Adds no special tokens; special tokens
    /// written in the text are recognised.
    func encode(_ text: String) -> (ids: [Int32], offsets: [Range<Int>])
    /// The token that ends an answer.
    var eosTokenID: Int32? { get }
    /// The token that begins a text.
    var bosTokenID: Int32? { get }
    /// Whether the tokenizer puts its begin-of-sequence token before a text that is not a rendered conversation.
    var addsBOS: Bool { get }
}

/// A part of a rendered conversation that the model must produce.
public struct TrainedSpan: Sendable, Equatable {
    /// The place in the list of messages of the one it belongs to.
    public var message: Int
    /// UTF-8 bytes of the rendered text, the mark that ends the turn included.
    public var bytes: Range<Int>

    /// A span.
    public init(message: Int, bytes: Range<Int>) {
        self.message = message
        self.bytes = bytes
    }
}

/// A conversation as the model's chat template writes it.
public struct RenderedConversation: Sendable {
    /// The text, special tokens and all.
    public var text: String
    /// What the assistant said, in order, not overlapping.
    public var trained: [TrainedSpan]

    /// A rendering.
    public init(text: String, trained: [TrainedSpan]) {
        self.text = text
        self.trained = trained
    }
}

/// What this room needs of a chat template.
public protocol ConversationRenderer: Sendable {
    /// Renders messages.
    /// - Parameters:
    ///   - messages: a list of `{role, content, …}`.
    ///   - tools: a list of JSON schemas.
    ///   - variables: further variables of the template, as a row's `chat_template_kwargs` gives them.
    func render(
        messages: JSON, tools: JSON?, variables: JSONObject, addGenerationPrompt: Bool
    ) throws -> RenderedConversation
}
