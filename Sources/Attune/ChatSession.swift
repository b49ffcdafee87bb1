import AttuneData
import AttuneGeneration
import AttuneJSON

/// A conversation with a model: what was said goes into every next prompt, where the prompt form has turns.
public final class ChatSession {
    private let answering: Answering
    private let adapter: String?
    private let system: String?
    private let options: SamplingOptions
    /// What was said so far, the system text first where there is one.
    public private(set) var messages: [JSON] = []

    /// Begins a conversation.
    ///
    /// - Parameters:
    ///   - adapter: the name of an attached adapter; `nil` for the base alone.
    ///   - system: what stands before the conversation.
    public init(_ answering: Answering, adapter: String?, system: String? = nil, options: SamplingOptions) {
        self.answering = answering
        self.adapter = adapter
        self.system = system
        self.options = options
        reset()
    }

    /// Whether earlier turns are part of the prompt: only the chat form has turns, under others each question stands alone.
    public var remembers: Bool { if case .chat = answering.form { true } else { false } }

    /// Forgets what was said.
    public func reset() { messages = system.map { [["role": "system", "content": JSON($0)]] } ?? [] }

    /// Answers, handing out the text as it comes. Where the conversation no longer fits the context, its oldest turns are left
    /// out of the prompt.
    ///
    /// - Throws: `GenerationError` when even the question alone does not fit.
    @discardableResult
    public func reply(to text: String, onText: (String) -> Void) throws -> String {
        let asked: JSON = ["role": "user", "content": JSON(text)]
        let answer = try answering.stream(try prompt(asked), options: options, adapter: adapter, onText: onText)
        if remembers { messages += [asked, ["role": "assistant", "content": JSON(answer.text)]] }
        return answer.text
    }

    private func prompt(_ asked: JSON) throws -> [Int32] {
        guard remembers else {
            return try answering.tokens(
                instruction: asked["content"]?.stringValue ?? "", input: nil, system: system ?? "")
        }
        let limit = answering.loop.options.maxModelLength - options.maxNewTokens
        let start = system == nil ? 0 : 1
        var first = start
        while true {
            let kept = Array(messages[..<start] + messages[first...]) + [asked]
            let tokens = try answering.tokens(messages: .array(kept), tools: nil)
            if tokens.count <= limit || first >= messages.count { return tokens }
            first += 2
        }
    }
}

extension Answering {
    /// Answers one prompt, handing out the text as it comes.
    ///
    /// - Throws: `GenerationError` for an impossible prompt, or when the computation fails.
    public func stream(
        _ prompt: [Int32], options: SamplingOptions, adapter: String?, onText: (String) -> Void
    ) throws -> GeneratedText {
        var result = GenerationResult(n: 1)
        var fresh = ""
        _ = try loop.submit(GenerationRequest(prompt: prompt, options: options, adapter: adapter)) { event in
            result.apply(event)
            switch event {
            case .token(_, let token): fresh += token.text
            case .finished(_, let finish): fresh += finish.text
            case .prompt: break
            }
        }
        while !result.isFinished, loop.step() {
            if !fresh.isEmpty { onText(fresh) }
            fresh = ""
        }
        if let error = result.texts[0].finish?.error { throw error }
        return result.texts[0]
    }
}
