import AttuneData
import AttuneGeneration
import AttuneJSON
import AttuneText

/// The tokenizer as the engine sees it.
public struct TokenizerText: TokenText {
    let tokenizer: Tokenizer

    /// Wraps a tokenizer.
    public init(tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    /// A decoder of one text's tokens; special tokens leave no text.
    public func makeStreamDecoder() -> any TextStream { Stream(decoder: StreamDecoder(tokenizer)) }
    /// What a token appends to running text.
    public func bytes(of id: Int32) -> [UInt8] { tokenizer.bytes(of: id) }
    /// Whether a token is no text.
    public func isSpecial(_ id: Int32) -> Bool { tokenizer.isSpecial(id) }

    private struct Stream: TextStream {
        var decoder: StreamDecoder
        mutating func push(_ id: Int32) -> String { decoder.push(id) }
        mutating func finish() -> String { decoder.finish() }
    }
}

/// The tokenizer as data preparation sees it.
public struct TokenizerEncoder: TextEncoder {
    let tokenizer: Tokenizer
    /// Whether encoding with special tokens begins with the begin-of-sequence token.
    public let addsBOS: Bool

    /// Wraps a tokenizer.
    public init(_ tokenizer: Tokenizer) {
        self.tokenizer = tokenizer
        let bos = tokenizer.bosTokenID
        addsBOS = bos != nil && tokenizer.ids(of: "x", addSpecialTokens: true).first == bos
    }

    /// Ids and byte ranges.
    public func encode(_ text: String) -> (ids: [Int32], offsets: [Range<Int>]) {
        let encoding = tokenizer.encode(text, addSpecialTokens: false)
        return (encoding.ids, encoding.offsets)
    }
    /// The token that ends an answer.
    public var eosTokenID: Int32? { tokenizer.eosTokenID }
    /// The token that begins a text.
    public var bosTokenID: Int32? { tokenizer.bosTokenID }
}

/// A chat template as data preparation sees it.
public struct TemplateRenderer: ConversationRenderer {
    let template: ChatTemplate
    let variables: JSONObject

    /// Compiles a template.
    /// - Parameter variables: what every rendering gets: `bos_token` and its like.
    /// - Throws: `TemplateError`.
    public init(_ source: String, variables: JSONObject) throws(TemplateError) {
        template = try ChatTemplate(source: source)
        self.variables = variables
    }

    /// The text, and what of it the assistant has to say.
    public func render(
        messages: JSON, tools: JSON?, variables: JSONObject, addGenerationPrompt: Bool
    ) throws -> RenderedConversation {
        var all = self.variables
        for (name, value) in variables.members { all[name] = value }
        let context = ChatTemplate.context(
            messages: messages.arrayValue ?? [], tools: tools?.arrayValue, addsGenerationPrompt: addGenerationPrompt,
            variables: all)
        if addGenerationPrompt {
            return RenderedConversation(text: try template.render(context).text, trained: [])
        }
        let spans = try template.assistantSpans(context)
        return RenderedConversation(
            text: spans.rendering.text,
            trained: spans.spans.map { TrainedSpan(message: $0.message, bytes: $0.range) })
    }
}
