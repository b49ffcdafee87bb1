import AttuneJSON
import Dispatch
import Synchronization

/// Text to token ids and back, exact with the `tokenizers` library for every component it names.
///
/// A text goes through five stages: added tokens are cut out, the rest is normalized, cut into words, each word is
/// turned into tokens by the model, and the post-processor adds special tokens. Sections `truncation` and `padding` of
/// a file are ignored. A tokenizer does not change after loading and may be used from several threads at once.
public final class Tokenizer: Sendable {
    private let normalizer: TextNormalizer?
    private let splitter: WordSplitter?
    private let model: WordModel
    /// Whether words reach the model as raw bytes.
    private let keepsBytes: Bool
    private let added: AddedTokens
    private let processor: PostProcessor
    let decoders: [TokenDecoder]
    private let asksOrigin: Bool
    /// The pattern that cuts words as they are tokenized; `splitter` then holds the steps before it.
    private let wordPattern: LinearRegex?
    private let specialIDs: Set<Int32>
    private let scratch = Mutex<[WordScratch]>([])

    /// Texts of the tokens with a role, by the name the role has in `tokenizer_config.json` (`bos_token`, …).
    public let roles: [String: String]

    /// Reads a `tokenizer.json`. Which tokens begin, end and pad a text is not said there; load a folder for that.
    /// - Throws: `TokenizerError` for a damaged file or a component this version does not know.
    public convenience init(json: JSON) throws(TokenizerError) {
        let parts = try TokenizerReader.read(json)
        self.init(parts, roles: parts.unknownToken.map { ["unk_token": $0] } ?? [:])
    }

    init(_ parts: TokenizerReader.Parts, roles: [String: String]) {
        normalizer = parts.normalizer
        let streaming = parts.splitter?.streaming(keepsBytes: parts.keepsBytes)
        splitter = streaming.map(\.before) ?? parts.splitter
        wordPattern = streaming?.pattern
        model = parts.model
        keepsBytes = parts.keepsBytes
        let added = AddedTokens(parts.added, vocabulary: parts.model.vocabulary, normalizer: parts.normalizer)
        self.added = added
        processor = parts.processor
        decoders = parts.decoders
        asksOrigin = parts.normalizer != nil && (parts.splitter?.asksOrigin ?? false)
        self.roles = roles
        specialIDs = Set(added.entryOfID.filter { added.isSpecial($0.value.content) }.keys)
    }

    // MARK: Vocabulary

    /// One more than the highest id.
    public var vocabularySize: Int {
        max(model.vocabulary.idLimit, (added.entryOfID.keys.max().map { Int($0) } ?? -1) + 1)
    }

    /// The token of an id as written in the vocabulary.
    public func token(for id: Int32) -> String? { text(of: id).map { String(decoding: $0, as: UTF8.self) } }

    /// The id of a token as written in the vocabulary.
    public func id(for token: String) -> Int32? {
        if let id = added.id(of: token) { return id }
        let id = model.vocabulary.id(of: token)
        return id >= 0 ? id : nil
    }

    func text(of id: Int32) -> [UInt8]? {
        if let entry = added.entryOfID[id] { return Array(entry.content.utf8) }
        return model.vocabulary.text(of: Int(id)).map { Array($0) }
    }

    /// Whether the id is that of a special token, which `decode` can leave out.
    public func isSpecial(_ id: Int32) -> Bool { specialIDs.contains(id) }

    /// The special tokens with their ids, in the order of the ids.
    public var specialTokens: [(token: String, id: Int32)] {
        added.entryOfID.filter { specialIDs.contains($0.key) }.map { (token: $0.value.content, id: $0.key) }
            .sorted { $0.id < $1.id }
    }

    /// The token that begins a text.
    public var bosTokenID: Int32? { roles["bos_token"].flatMap { id(for: $0) } }
    /// The token that ends a text.
    public var eosTokenID: Int32? { roles["eos_token"].flatMap { id(for: $0) } }
    /// The token that fills short rows.
    public var padTokenID: Int32? { roles["pad_token"].flatMap { id(for: $0) } }
    /// The token for what the vocabulary cannot write.
    public var unkTokenID: Int32? { roles["unk_token"].flatMap { id(for: $0) } }

    // MARK: Encoding

    /// Ids, tokens and offsets of a text.
    /// - Parameter addSpecialTokens: whether the post-processor's tokens (BOS, EOS, …) are put around the text. Special
    ///   tokens written in the text are recognised in any case.
    public func encode(_ text: String, addSpecialTokens: Bool) -> Encoding {
        var text = text
        return text.withUTF8 { buffer in
            var encoding = Encoding()
            withScratch { scratch in
                run(buffer, tracksOrigin: true) { segment in append(segment, &scratch, to: &encoding) }
            }
            processor.apply(to: &encoding, text: buffer, addSpecialTokens: addSpecialTokens)
            return encoding
        }
    }

    /// The ids of a text; several times faster than `encode`.
    public func ids(of text: String, addSpecialTokens: Bool = false) -> [Int32] {
        var text = text
        var ids: [Int32] = []
        text.withUTF8 { buffer in
            ids.reserveCapacity(buffer.count / 3 + 8)
            withScratch { scratch in
                run(buffer, tracksOrigin: false) { segment in
                    segment.text.bytes.withUnsafeBufferPointer { buffer in
                        for piece in segment.pieces {
                            if piece.token >= 0 {
                                ids.append(piece.token)
                            } else {
                                forEachWord(piece, buffer, &scratch) { _, spans in
                                    for span in spans { ids.append(span.id) }
                                }
                            }
                        }
                    }
                }
            }
        }
        if addSpecialTokens { processor.apply(to: &ids) }
        return ids
    }

    /// Encodes many texts on all processors; the order is kept.
    public func encodeBatch(_ texts: [String], addSpecialTokens: Bool) -> [Encoding] {
        concurrentMap(texts) { encode($0, addSpecialTokens: addSpecialTokens) }
    }

    /// The ids of many texts, on all processors; the order is kept.
    public func ids(ofBatch texts: [String], addSpecialTokens: Bool = false) -> [[Int32]] {
        concurrentMap(texts) { ids(of: $0, addSpecialTokens: addSpecialTokens) }
    }

    private func concurrentMap<T: Sendable>(_ texts: [String], _ body: @Sendable (String) -> T) -> [T] {
        guard texts.count > 1 else { return texts.map(body) }
        return [T](unsafeUninitializedCapacity: texts.count) { buffer, count in
            // Every iteration initializes one element of its own.
            nonisolated(unsafe) let base = buffer.baseAddress
            DispatchQueue.concurrentPerform(iterations: texts.count) { place in
                if let base { (base + place).initialize(to: body(texts[place])) }
            }
            count = texts.count
        }
    }

    private func withScratch(_ body: (inout WordScratch) -> Void) {
        var taken = scratch.withLock { $0.popLast() } ?? WordScratch()
        body(&taken)
        scratch.withLock { [taken] pool in pool.append(taken) }
    }

    /// A stretch between added tokens after it was normalized and cut.
    fileprivate struct Segment {
        var text: AlignedText
        var pieces: [TextPiece]
        /// Where the stretch begins in the input.
        var start: Int
    }

    private func run(_ input: UnsafeBufferPointer<UInt8>, tracksOrigin: Bool, _ body: (Segment) -> Void) {
        for piece in added.findPlain(input) {
            let bytes = Array(input[piece.range])
            var segment = Segment(
                text: AlignedText(bytes, tracksOrigin: tracksOrigin || asksOrigin), pieces: [], start: piece.start)
            if piece.token >= 0 {
                segment.pieces = [TextPiece(start: 0, end: bytes.count, token: piece.token)]
                body(segment)
                continue
            }
            normalizer?.apply(to: &segment.text)
            segment.pieces =
                added.hasNormalized
                ? segment.text.bytes.withUnsafeBufferPointer { added.findNormalized($0) }
                : [TextPiece(start: 0, end: segment.text.bytes.count)]
            splitter?.apply(
                to: &segment.text, &segment.pieces, originalStart: piece.start, keepsBytes: keepsBytes)
            body(segment)
        }
    }

    /// Tokenizes a piece word by word. The body gets the start of a word and its tokens.
    @inline(__always)
    private func forEachWord(
        _ piece: TextPiece, _ buffer: UnsafeBufferPointer<UInt8>, _ scratch: inout WordScratch,
        _ body: (Int, UnsafeBufferPointer<TokenSpan>) -> Void
    ) {
        guard let base = buffer.baseAddress else { return }
        if let wordPattern {
            wordPattern.forEachStretch(base, in: piece.range) { start, end in
                tokenize(base, start, end, &scratch, body)
            }
            return
        }
        var start = piece.start
        while start < piece.end {
            var end = piece.end
            if case .bytePair(let model) = model { end = model.firstPart(base, from: start, to: end) }
            tokenize(base, start, end, &scratch, body)
            start = end
        }
    }

    @inline(__always)
    private func tokenize(
        _ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ scratch: inout WordScratch,
        _ body: (Int, UnsafeBufferPointer<TokenSpan>) -> Void
    ) {
        let count = end - start
        let isKept = count <= WordCache.maximumWord
        let hash = isKept ? ByteHash.hash(base + start, count: count) : 0
        if isKept, let found = scratch.cache.find(base + start, count: count, hash: hash) {
            scratch.cache.withSpans(found) { body(start, $0) }
            return
        }
        scratch.spans.removeAll(keepingCapacity: true)
        model.tokenize(UnsafeBufferPointer(start: base + start, count: count), &scratch)
        if isKept { scratch.cache.insert(base + start, count: count, hash: hash, scratch.spans) }
        scratch.spans.withUnsafeBufferPointer { body(start, $0) }
    }

    private func append(_ segment: Segment, _ scratch: inout WordScratch, to encoding: inout Encoding) {
        segment.text.bytes.withUnsafeBufferPointer { buffer in
            for piece in segment.pieces {
                if piece.token >= 0 {
                    encoding.ids.append(piece.token)
                    encoding.tokens.append(String(decoding: buffer[piece.range], as: UTF8.self))
                    encoding.offsets.append(segment.origin(piece.range))
                    continue
                }
                forEachWord(piece, buffer, &scratch) { start, spans in
                    for span in spans {
                        let range = (start + Int(span.start))..<(start + Int(span.end))
                        encoding.ids.append(span.id)
                        encoding.tokens.append(tokenText(span.id, buffer[range]))
                        encoding.offsets.append(segment.origin(range))
                    }
                }
            }
        }
    }

    /// The text an encoding shows: the vocabulary's, except that a Unigram model shows unknown stretches as they are.
    private func tokenText(_ id: Int32, _ surface: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        if case .unigram(let model) = model, id == model.unknownID {
            return String(decoding: surface, as: UTF8.self)
        }
        return model.vocabulary.text(of: Int(id)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    // MARK: Decoding

    /// The text of ids. Ids outside the vocabulary are passed over.
    public func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String {
        if case .byteLevel? = decoders.first, decoders.count == 1 {
            return decodeByteLevel(ids, skipSpecialTokens: skipSpecialTokens)
        }
        var decoder = StreamDecoder(self, skipSpecialTokens: skipSpecialTokens)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ids.count * 4)
        for id in ids { bytes.append(contentsOf: decoder.pushBytes(id)) }
        bytes.append(contentsOf: decoder.finishBytes())
        return String(decoding: bytes, as: UTF8.self)
    }

    private func decodeByteLevel(_ ids: [Int32], skipSpecialTokens: Bool) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ids.count * 4)
        for id in ids where !(skipSpecialTokens && isSpecial(id)) {
            if case .bytePair(let model) = model, added.entryOfID[id] == nil, let raw = model.rawBytes(of: Int(id)) {
                bytes.append(contentsOf: raw)
            } else if let text = text(of: id) {
                bytes.append(contentsOf: ByteAlphabet.bytes(of: String(decoding: text, as: UTF8.self)) ?? text)
            }
        }
        var assembler = UTF8Assembler()
        let text = assembler.push(bytes)
        return String(decoding: text + assembler.finish(), as: UTF8.self)
    }

    /// The raw bytes a token adds when it is appended to a running text; they may be part of a character. Empty for an
    /// id outside the vocabulary.
    public func bytes(of id: Int32) -> [UInt8] {
        guard var token = text(of: id) else { return [] }
        for decoder in decoders {
            switch decoder {
            case .byteLevel:
                token = ByteAlphabet.bytes(of: String(decoding: token, as: UTF8.self)) ?? token
            case .replace(let pattern, let content): token = DecodingStage.replacing(token, pattern, content)
            case .byteFallback: if let byte = ByteFallback.byte(of: token) { return [byte] }
            case .metaspace(let replacement, _): token = DecodingStage.replacing(token, .text(replacement), [0x20])
            case .wordPiece(let prefix, _):
                token = token.starts(with: prefix) ? Array(token.dropFirst(prefix.count)) : [0x20] + token
            case .bytePair(let suffix): token = DecodingStage.replacing(token, .text(suffix), [0x20])
            case .ctc(let pad, let delimiter, _):
                token = DecodingStage.replacing(token, .text(pad), [])
                token = DecodingStage.replacing(token, .text(delimiter), [0x20])
            case .joinBySpaces: token = [0x20] + token
            case .fuse, .strip: break
            }
        }
        return token
    }
}

extension Tokenizer.Segment {
    /// The bytes of the input that a stretch of the segment stands for.
    fileprivate func origin(_ range: Range<Int>) -> Range<Int> {
        let origin = text.origin(of: range)
        return (start + origin.lowerBound)..<(start + origin.upperBound)
    }
}
