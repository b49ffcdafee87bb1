import AttuneJSON

/// A rendered conversation and the bytes a model must produce in it.
public struct AssistantSpans: Sendable {
    /// Bytes that an assistant message stands for.
    public struct Span: Sendable, Equatable {
        /// The place of the message in `messages`.
        public var message: Int
        /// Where its bytes are in the rendering: after the generation prompt, up to and with the end-of-turn marker.
        public var range: Range<Int>
    }

    /// The rendering of the whole conversation.
    public let rendering: Rendering
    /// The bytes to learn, in order. A message may have several spans, when something else was written in between.
    public let spans: [Span]
}

extension ChatTemplate {
    /// Renders a conversation and finds what of it the assistant has to say.
    ///
    /// Templates with `{% generation %}` say it themselves. For the others the interpreter knows which loop iteration,
    /// and so which message, wrote each byte; from an assistant's bytes the generation prompt is taken off the front.
    /// The prompt is what the template appends when the conversation before that message is rendered for generation.
    /// That rendering need not be the beginning of the whole one (Qwen 3 drops earlier reasoning), so its end is
    /// compared with the beginning of the message's own bytes.
    ///
    /// - Throws: `TemplateError`: of kind `spans`, with the reason, when the template gives no usable spans, otherwise
    ///   as `render` does.
    public func assistantSpans(
        _ context: JSONObject, options: TemplateOptions = TemplateOptions()
    ) throws(TemplateError) -> AssistantSpans {
        let full = try render(context, options: options)
        guard case .array(let messages)? = context["messages"] else {
            throw TemplateError(.spans, "there is no list 'messages'")
        }
        let roles = messages.map { $0["role"]?.stringValue ?? "" }
        if hasGenerationBlocks { return generationSpans(full, roles) }
        var finder = AssistantSpanFinder(
            template: self, context: context, messages: messages, roles: roles, options: options, full: full)
        return AssistantSpans(rendering: full, spans: try finder.find())
    }

    private func generationSpans(_ full: Rendering, _ roles: [String]) -> AssistantSpans {
        var spans: [AssistantSpans.Span] = []
        for mark in full.marks where mark.kind == .generation && mark.end > mark.begin {
            let writer = full.messageSpans.first { $0.range.contains(mark.begin) }?.message
            spans.append(AssistantSpans.Span(message: writer ?? mark.message, range: mark.begin..<mark.end))
        }
        return AssistantSpans(rendering: full, spans: spans.sorted { $0.range.lowerBound < $1.range.lowerBound })
    }
}

/// The search for the spans of one conversation.
private struct AssistantSpanFinder {
    let template: ChatTemplate
    let context: JSONObject
    let messages: [JSON]
    let roles: [String]
    let options: TemplateOptions
    let full: Rendering
    /// Generation prompts that fitted as a whole, by the role before them; most templates have one.
    private var knownPrompts: [String: [UInt8]] = [:]

    init(
        template: ChatTemplate, context: JSONObject, messages: [JSON], roles: [String], options: TemplateOptions,
        full: Rendering
    ) {
        self.template = template
        self.context = context
        self.messages = messages
        self.roles = roles
        self.options = options
        self.full = full
    }

    mutating func find() throws(TemplateError) -> [AssistantSpans.Span] {
        var spans: [AssistantSpans.Span] = []
        for (place, role) in roles.enumerated() where role == "assistant" {
            guard let turn = turn(of: place) else {
                if isSilent(messages[place]) { continue }
                throw TemplateError(
                    .spans,
                    "message \(place) (assistant) leaves no bytes that can be traced to it; "
                        + "the template does not walk through 'messages', or drops this one")
            }
            let begin = headerEnd(of: place, turn)
            let end = turnEnd(of: place, turn, after: begin)
            spans.append(contentsOf: pieces(of: place, begin, end))
        }
        return spans
    }

    /// Whether a message has nothing to say, so that a template may leave it out.
    private func isSilent(_ message: JSON) -> Bool {
        let hasText = message["content"].map { content in
            switch content {
            case .string(let text): !text.isEmpty
            case .array(let parts): !parts.isEmpty
            default: false
            }
        }
        return !(hasText ?? false) && (message["tool_calls"]?.arrayValue?.isEmpty ?? true)
    }

    /// The bytes written for a message: the last of its iterations that shows some of its content, or else any.
    private func turn(of message: Int) -> Range<Int>? {
        var best: Range<Int>?
        var bestHasContent = false
        for mark in full.marks where mark.kind == .turn && mark.message == message && mark.end > mark.begin {
            if let best, best.lowerBound <= mark.begin, mark.end <= best.upperBound { continue }
            let hasContent = firstContent(of: message, in: mark.begin..<mark.end) != nil
            if bestHasContent, !hasContent { continue }
            // Iterations are noted inner first, so a later one around this one replaces it.
            best = mark.begin..<mark.end
            bestHasContent = hasContent
        }
        return best
    }

    private func firstContent(of message: Int, in range: Range<Int>) -> Int? {
        var first: Int?
        for mark in full.marks where mark.kind == .content && mark.message == message {
            guard mark.end > range.lowerBound, mark.begin < range.upperBound else { continue }
            first = min(first ?? .max, max(mark.begin, range.lowerBound))
        }
        return first
    }

    // MARK: the beginning

    private mutating func headerEnd(of message: Int, _ turn: Range<Int>) -> Int {
        let text = full.utf8
        let role = message > 0 ? roles[message - 1] : ""
        if let known = knownPrompts[role], starts(text, turn.lowerBound, known) {
            return turn.lowerBound + known.count
        }
        var prompts: [[UInt8]] = []
        if let before = prompted(Array(messages[..<message])) {
            // The simple case: the conversation so far, as prompted, is the beginning of the whole.
            if before.utf8.count <= turn.upperBound, starts(text, 0, before.utf8) {
                let end = max(before.utf8.count, turn.lowerBound)
                knownPrompts[role] = Array(text[turn.lowerBound..<end])
                return end
            }
            prompts = tails(before, Array(messages[..<message]))
        } else if let other = prompted([["role": "user", "content": "."]]) {
            prompts = tails(other, [["role": "user", "content": "."]])
        }
        let limit = firstContent(of: message, in: turn) ?? turn.upperBound
        for prompt in prompts {
            // The prompt may begin with bytes that the previous turn has already written.
            for written in 0...min(prompt.count, turn.lowerBound)
            where starts(text, turn.lowerBound - written, prompt)
                && turn.lowerBound - written + prompt.count <= turn.upperBound
            {
                let end = turn.lowerBound - written + prompt.count
                if written == 0 { knownPrompts[role] = prompt }
                return end
            }
            // Or follow something that closes an earlier turn.
            var place = turn.lowerBound + 1
            while place + prompt.count <= limit {
                if starts(text, place, prompt) { return place + prompt.count }
                place += 1
            }
        }
        return turn.lowerBound + (prompts.map { commonPrefix($0, turn.lowerBound..<limit) }.max() ?? 0)
    }

    private func prompted(_ messages: [JSON], adds: Bool = true) -> Rendering? {
        var context = context
        context["messages"] = .array(messages)
        context["add_generation_prompt"] = .bool(adds)
        return try? template.render(context, options: options)
    }

    /// What may be the generation prompt at the end of a rendering: what follows the last turn, and what the request
    /// for a prompt adds; the longer first.
    private func tails(_ rendering: Rendering, _ messages: [JSON]) -> [[UInt8]] {
        var tails: [[UInt8]] = []
        if let last = rendering.messageSpans.last {
            tails.append(Array(rendering.utf8[last.range.upperBound...]))
        }
        if let plain = prompted(messages, adds: false), starts(rendering.utf8, 0, plain.utf8) {
            tails.append(Array(rendering.utf8[plain.utf8.count...]))
        }
        return tails.filter { !$0.isEmpty }.sorted { $0.count > $1.count }
    }

    private func starts(_ text: [UInt8], _ place: Int, _ prefix: [UInt8]) -> Bool {
        guard place >= 0, place + prefix.count <= text.count else { return false }
        return text[place..<(place + prefix.count)].elementsEqual(prefix)
    }

    /// How far a prompt fits, without stopping inside a marker such as `<|…|>` or a character.
    private func commonPrefix(_ prompt: [UInt8], _ range: Range<Int>) -> Int {
        var count = 0
        while count < prompt.count, count < range.count, prompt[count] == full.utf8[range.lowerBound + count] {
            count += 1
        }
        guard count < prompt.count else { return count }
        while count > 0, prompt[count] & 0xC0 == 0x80 { count -= 1 }
        let matched = prompt[..<count]
        for (open, close) in [("<", ">"), ("[", "]")] {
            guard let start = matched.lastIndex(of: open.utf8.first ?? 0) else { continue }
            if !matched[start...].contains(close.utf8.first ?? 0) { return start }
        }
        return count
    }

    // MARK: the end

    /// The end of a turn without the white space that templates put after the end-of-turn marker.
    private func turnEnd(of message: Int, _ turn: Range<Int>, after begin: Int) -> Int {
        let text = full.utf8
        var contentEnd = begin
        for mark in full.marks where mark.kind == .content && mark.message == message && mark.begin < turn.upperBound {
            contentEnd = max(contentEnd, min(mark.end, turn.upperBound))
        }
        // The marker may be left to what follows the loop.
        if case .string(let marker)? = context["eos_token"], !marker.isEmpty,
            starts(text, turn.upperBound, Array(marker.utf8))
        {
            return turn.upperBound + marker.utf8.count
        }
        let tail = TemplateText(Array(text[contentEnd..<turn.upperBound]))
        let kept = tail.strippedRange(nil, leading: false).upperBound
        return kept > 0 ? contentEnd + kept : turn.upperBound
    }

    /// The span without what other messages wrote inside it, such as tool results shown within the caller's turn.
    private func pieces(of message: Int, _ begin: Int, _ end: Int) -> [AssistantSpans.Span] {
        guard begin < end else { return [] }
        var foreign: [Range<Int>] = []
        for mark in full.marks where mark.message != message && mark.end > begin && mark.begin < end {
            let isTurn = mark.kind == .turn && mark.begin >= begin && mark.end <= end
            let isQuoted =
                mark.kind == .content && roles.indices.contains(mark.message) && roles[mark.message] != "assistant"
            if isTurn || isQuoted { foreign.append(max(mark.begin, begin)..<min(mark.end, end)) }
        }
        foreign.sort { $0.lowerBound < $1.lowerBound }
        var spans: [AssistantSpans.Span] = []
        var place = begin
        for gap in foreign {
            if gap.lowerBound > place {
                spans.append(AssistantSpans.Span(message: message, range: place..<gap.lowerBound))
            }
            place = max(place, gap.upperBound)
        }
        if place < end { spans.append(AssistantSpans.Span(message: message, range: place..<end)) }
        return spans
    }
}
