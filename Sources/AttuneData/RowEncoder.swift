/// Turns examples into tokens and says which are learned.
///
/// The mask comes from byte positions, never from token ids and never from searching for a marker: a token is learned
/// when it begins inside a range the model must produce. Inference tokenizes the prompt alone, so training must see the
/// same prompt tokens: the row is tokenized whole, and where that does not begin with the tokens of the prompt alone (a
/// token reaches over the edge, or the edge changes a split), the text is cut at the edge and its pieces are tokenized
/// apart. Outside the chat form the tokenizer's begin-of-sequence token goes before the text if the tokenizer would put
/// it there, and the end-of-sequence token after the answer is learned; the chat form takes exactly what the template
/// writes.
public struct RowEncoder: Sendable {
    private let encoder: any TextEncoder
    private let renderer: (any ConversationRenderer)?
    /// How questions are put; `nil` takes what suits each row.
    public let form: PromptForm?
    /// What is learned; `nil` is every assistant turn for conversations and the answer for other rows.
    public let trainOn: TrainOn?

    /// An encoder for one model.
    public init(
        encoder: any TextEncoder, renderer: (any ConversationRenderer)? = nil, form: PromptForm? = nil,
        trainOn: TrainOn? = nil
    ) {
        self.encoder = encoder
        self.renderer = renderer
        self.form = form
        self.trainOn = trainOn
    }

    /// The tokens of a prompt as inference asks it.
    public func encode(_ prompt: PromptText) -> [Int32] {
        let ids = encoder.encode(prompt.text).ids
        guard prompt.addsSpecialTokens, let bos = bosToAdd(before: ids) else { return ids }
        return [bos] + ids
    }

    /// The prompt tokens of an example, up to where its answer begins.
    /// - Throws: `DataError` when the form does not suit the row; what the renderer throws.
    public func encodePrompt(of example: Example) throws -> [Int32] {
        encode(try (form ?? example.preferredForm).prompt(for: example, renderer: renderer))
    }

    /// The whole row.
    /// - Throws: `DataError` with file and line; what the renderer throws.
    public func encode(_ example: Example) throws -> TrainingRow {
        try encodePieces(example).row
    }

    /// The row as stretches of text that are learned or not, in order: for showing a row before training.
    /// - Throws: as `encode`.
    public func explain(_ example: Example) throws -> [(text: String, isTrained: Bool)] {
        let (row, offsets, text) = try encodePieces(example)
        var stretches: [(text: String, isTrained: Bool)] = []
        var written = 0
        var pending: (start: Int, isTrained: Bool)?
        for (place, offset) in offsets.enumerated() {
            guard let offset, offset.upperBound > written else { continue }
            let isTrained = row.trained[place]
            if let open = pending, open.isTrained != isTrained {
                stretches.append((String(decoding: text[open.start..<written], as: UTF8.self), open.isTrained))
                pending = (written, isTrained)
            } else if pending == nil {
                pending = (0, isTrained)
            }
            written = offset.upperBound
        }
        if let open = pending {
            stretches.append((String(decoding: text[open.start..<text.count], as: UTF8.self), open.isTrained))
        }
        if let last = offsets.indices.last, offsets[last] == nil, last > 0 {
            stretches.append(("<end of sequence>", row.trained[last]))
        }
        return stretches
    }

    /// The row, for each token its bytes (`nil` for added special tokens), and the text.
    private func encodePieces(
        _ example: Example
    ) throws -> (row: TrainingRow, offsets: [Range<Int>?], text: [UInt8]) {
        let rendered = try (form ?? example.preferredForm).render(example, renderer: renderer)
        try check(rendered, example)
        let (ids, offsets) = tokenize(rendered)
        let learned = learnedRanges(rendered, example)
        var tokens = ids
        var places: [Range<Int>?] = offsets
        var trained = mask(offsets, learned)
        if rendered.addsSpecialTokens {
            guard let eos = encoder.eosTokenID else {
                throw DataError(
                    .badData, "the tokenizer names no end-of-sequence token; add eos_token to its configuration",
                    at: example.source)
            }
            if tokens.last == eos {
                trained[trained.count - 1] = true
            } else {
                tokens.append(eos)
                places.append(nil)
                trained.append(true)
            }
            if let bos = bosToAdd(before: tokens) {
                tokens.insert(bos, at: 0)
                places.insert(nil, at: 0)
                trained.insert(false, at: 0)
            }
        }
        if let bos = encoder.bosTokenID, tokens.count > 1, tokens[0] == bos, tokens[1] == bos,
            bos != encoder.eosTokenID
        {
            throw DataError(
                .badData, "the row begins with two begin-of-sequence tokens; remove the one in the template or text",
                at: example.source)
        }
        return (TrainingRow(tokens: tokens, trained: trained, source: example.source), places, rendered.text)
    }

    private func bosToAdd(before ids: [Int32]) -> Int32? {
        guard encoder.addsBOS, let bos = encoder.bosTokenID, ids.first != bos else { return nil }
        return bos
    }

    private func check(_ rendered: RenderedExample, _ example: Example) throws(DataError) {
        var end = 0
        for span in rendered.answers {
            guard span.bytes.lowerBound >= end, span.bytes.upperBound <= rendered.text.count else {
                throw DataError(
                    .badData, "the chat template's answer positions do not fit its text; the row cannot be masked",
                    at: example.source)
            }
            end = span.bytes.upperBound
        }
    }

    /// The byte ranges to be learned.
    private func learnedRanges(_ rendered: RenderedExample, _ example: Example) -> [Range<Int>] {
        if trainOn == .all { return [0..<rendered.text.count] }
        guard trainOn == .answer, case .conversation(let messages, _, _, let answerStart) = example.content else {
            if trainOn == nil, case .conversation(_, _, _, let start?) = example.content {
                return rendered.answers.filter { $0.message >= start }.map(\.bytes)
            }
            return rendered.answers.map(\.bytes)
        }
        let start = answerStart ?? PromptForm.lastAnswer(of: messages)
        return rendered.answers.filter { $0.message >= start }.map(\.bytes)
    }

    /// A token is learned when it begins inside a learned range.
    private func mask(_ offsets: [Range<Int>], _ learned: [Range<Int>]) -> [Bool] {
        var current = 0
        return offsets.map { offset in
            while current < learned.count, learned[current].upperBound <= offset.lowerBound { current += 1 }
            return current < learned.count && learned[current].lowerBound <= offset.lowerBound
        }
    }

    /// Tokens of a row whose tokens before each answer are those that inference would see there.
    private func tokenize(_ rendered: RenderedExample) -> (ids: [Int32], offsets: [Range<Int>]) {
        let text = rendered.text
        let whole = encoder.encode(String(decoding: text, as: UTF8.self))
        var cuts: [Int] = []
        for span in rendered.answers where span.bytes.lowerBound > 0 {
            let start = span.bytes.lowerBound
            let prompt = encoder.encode(String(decoding: text[..<start], as: UTF8.self)).ids
            let agrees =
                whole.ids.starts(with: prompt)
                && (prompt.count == whole.ids.count || whole.offsets[prompt.count].lowerBound >= start)
            if !agrees { cuts.append(start) }
        }
        guard !cuts.isEmpty else { return whole }
        var ids: [Int32] = []
        var offsets: [Range<Int>] = []
        for (start, end) in zip([0] + cuts, cuts + [text.count]) where start < end {
            let piece = encoder.encode(String(decoding: text[start..<end], as: UTF8.self))
            ids += piece.ids
            offsets += piece.offsets.map { $0.lowerBound + start..<$0.upperBound + start }
        }
        return (ids, offsets)
    }
}
