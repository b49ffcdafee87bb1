/// A prompt to be continued.
public struct GenerationRequest: Sendable {
    /// Token ids, at least one.
    public var prompt: [Int32]
    /// How to choose tokens and when to stop.
    public var options: SamplingOptions
    /// The adapter's name; `nil` for the base model.
    public var adapter: String?
    /// Requests share cached prompts only within one salt.
    public var cacheSalt: String
    /// A grammar in its first state.
    public var constraint: (any TokenConstraint)?
    /// The request is aborted when it has not finished this long after it was taken.
    public var timeLimit: Duration?

    /// Joins the parts.
    public init(
        prompt: [Int32], options: SamplingOptions = SamplingOptions(), adapter: String? = nil, cacheSalt: String = "",
        constraint: (any TokenConstraint)? = nil, timeLimit: Duration? = nil
    ) {
        self.prompt = prompt
        self.options = options
        self.adapter = adapter
        self.cacheSalt = cacheSalt
        self.constraint = constraint
        self.timeLimit = timeLimit
    }
}

/// Why a text ended, by OpenAI's names.
public enum FinishReason: String, Sendable, CaseIterable {
    /// An end token, a stop token, a stop text, or the end of the grammar.
    case stop
    /// The token limit.
    case length
    /// Cancelled, timed out, or the engine was shut down.
    case abort
    /// The text is a tool call; set by those who parse the text.
    case toolCalls = "tool_calls"
    /// This text's computation failed.
    case error
}

/// What ended a text with the reason `stop`.
public enum StopCause: Sendable, Equatable {
    /// A token id.
    case token(Int32)
    /// A stop text.
    case text(String)
    /// The grammar was complete.
    case grammar
}

/// Token counts of one text.
public struct GenerationUsage: Sendable, Equatable {
    /// Tokens of the prompt.
    public var promptTokens: Int
    /// Tokens generated, the end token included.
    public var completionTokens: Int
    /// Tokens of the prompt found in the cache.
    public var cachedTokens: Int
}

/// One generated token.
public struct GeneratedToken: Sendable, Equatable {
    /// The id.
    public var id: Int32
    /// Text that became certain with it; empty for end tokens and while a stop text may be starting.
    public var text: String
    /// ln p, where asked for.
    public var logprob: Float?
    /// The most likely tokens, best first, where asked for.
    public var top: [TokenLogprob]
}

/// How a text ended.
public struct GenerationFinish: Sendable, Equatable {
    /// The reason.
    public var reason: FinishReason
    /// What stopped it, for the reason `stop`.
    public var cause: StopCause?
    /// Text that was held back until the end; belongs after the text of the last token.
    public var text: String
    /// Token counts.
    public var usage: GenerationUsage
    /// What failed, for the reason `error`.
    public var error: GenerationError?
}

/// What the engine reports of a request. The index counts its texts from 0 (see `SamplingOptions.n`).
public enum GenerationEvent: Sendable {
    /// Log-probabilities of the prompt's tokens, for `echo`; the first token has none.
    case prompt([SampledToken])
    /// A text grew by a token.
    case token(index: Int, GeneratedToken)
    /// A text ended. A request's last event is the last of its `n` ends.
    case finished(index: Int, GenerationFinish)
}

/// One finished text.
public struct GeneratedText: Sendable, Equatable {
    /// The text.
    public var text = ""
    /// Its tokens, an end token included.
    public var tokens: [GeneratedToken] = []
    /// How it ended.
    public var finish: GenerationFinish?

    /// The ids of its tokens.
    public var ids: [Int32] { tokens.map(\.id) }
}

/// All texts of one prompt.
public struct GenerationResult: Sendable, Equatable {
    /// One for each of `SamplingOptions.n`.
    public var texts: [GeneratedText]
    /// For `echo`: the prompt's tokens with their log-probabilities.
    public var prompt: [SampledToken] = []

    /// An empty result for `n` texts.
    public init(n: Int) { texts = [GeneratedText](repeating: GeneratedText(), count: n) }

    /// Whether every text has ended.
    public var isFinished: Bool { texts.allSatisfy { $0.finish != nil } }

    /// Adds an event.
    public mutating func apply(_ event: GenerationEvent) {
        switch event {
        case .prompt(let tokens): prompt = tokens
        case .token(let index, let token):
            texts[index].text += token.text
            texts[index].tokens.append(token)
        case .finished(let index, let finish):
            texts[index].text += finish.text
            texts[index].finish = finish
        }
    }
}
