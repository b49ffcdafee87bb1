import AttuneJSON

/// A SentencePiece model (`tokenizer.model`): a protocol buffer with pieces, how it was trained, and how it normalizes.
///
/// It becomes the same parts that `transformers` makes of it: for BPE with byte fallback those of Llama (with
/// `add_dummy_prefix`) or Gemma (without), for Unigram those of T5 and its relatives.
struct SentencePieceFile {
    private enum Kind: UInt64 {
        case unigram = 1
        case bytePair = 2
    }

    private enum PieceType: UInt64 {
        case normal = 1
        case unknown, control, userDefined, unused, byte
    }

    private struct Piece {
        var text = ""
        var score = 0.0
        var type = PieceType.normal
    }

    private var pieces: [Piece] = []
    private var kind: Kind?
    private var byteFallback = false
    private var unknownID = 0
    private var beginID = 1
    private var endID = 2
    private var padID = -1
    private var characterMap: [UInt8] = []
    private var addsDummyPrefix = true
    private var removesExtraSpaces = true

    init(_ bytes: [UInt8]) throws(TokenizerError) {
        var reader = ProtobufReader(bytes[...])
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let message)): pieces.append(try Self.readPiece(message))
            case (2, .bytes(let message)): try readTrainer(message)
            case (3, .bytes(let message)): try readNormalizer(message)
            default: break
            }
        }
        guard !pieces.isEmpty else {
            throw TokenizerError(
                "no SentencePiece pieces; a tiktoken 'tokenizer.model' needs its tokenizer.json instead")
        }
    }

    private static func readPiece(_ message: ArraySlice<UInt8>) throws(TokenizerError) -> Piece {
        var piece = Piece()
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let text)):
                guard let text = String(validating: text, as: UTF8.self) else {
                    throw TokenizerError("a SentencePiece piece is not UTF-8; the file is damaged")
                }
                piece.text = text
            case (2, .word32(let bits)): piece.score = Double(Float(bitPattern: bits))
            case (3, .integer(let type)): piece.type = PieceType(rawValue: type) ?? .normal
            default: break
            }
        }
        return piece
    }

    private mutating func readTrainer(_ message: ArraySlice<UInt8>) throws(TokenizerError) {
        var reader = ProtobufReader(message)
        // The default kind of the format.
        kind = .unigram
        while let field = try reader.next() {
            guard case .integer(let value) = field.value else { continue }
            switch field.number {
            case 3: kind = Kind(rawValue: value)
            case 35: byteFallback = value != 0
            case 40: unknownID = Int(Int32(truncatingIfNeeded: value))
            case 41: beginID = Int(Int32(truncatingIfNeeded: value))
            case 42: endID = Int(Int32(truncatingIfNeeded: value))
            case 43: padID = Int(Int32(truncatingIfNeeded: value))
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ message: ArraySlice<UInt8>) throws(TokenizerError) {
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (2, .bytes(let map)): characterMap = Array(map)
            case (3, .integer(let value)): addsDummyPrefix = value != 0
            case (4, .integer(let value)): removesExtraSpaces = value != 0
            default: break
            }
        }
    }

    /// Which pieces begin, end and pad a text.
    var roles: [String: String] {
        var roles: [String: String] = [:]
        for (role, id) in [
            ("unk_token", unknownID), ("bos_token", beginID), ("eos_token", endID), ("pad_token", padID),
        ] where pieces.indices.contains(id) {
            roles[role] = pieces[id].text
        }
        return roles
    }

    /// The components of the tokenizer.
    func parts(config: JSON?) throws(TokenizerError) -> TokenizerReader.Parts {
        guard pieces.indices.contains(unknownID) else {
            throw TokenizerError("SentencePiece unk_id \(unknownID) is not a piece; the file is damaged")
        }
        var parts: TokenizerReader.Parts
        switch kind {
        case .bytePair: parts = try bytePairParts()
        case .unigram: parts = try unigramParts()
        case nil:
            throw TokenizerError("a SentencePiece model of kind word or character is not supported; use BPE or Unigram")
        }
        parts.unknownToken = pieces[unknownID].text
        parts.added = pieces.filter { $0.type == .control || $0.type == .unknown || $0.type == .userDefined }.map {
            AddedTokens.Entry(content: $0.text, normalized: false, special: $0.type != .userDefined)
        }
        return parts
    }

    private static let mark: [UInt8] = [0xE2, 0x96, 0x81]

    private func bytePairParts() throws(TokenizerError) -> TokenizerReader.Parts {
        var vocabulary = TokenIndex(capacity: pieces.count)
        for (id, piece) in pieces.enumerated() { vocabulary.insert(piece.text, id: Int32(id)) }
        var options = BytePairModel.Options()
        options.unknownToken = pieces[unknownID].text
        options.fusesUnknown = true
        options.byteFallback = byteFallback
        let model = try BytePairModel(
            vocabulary: vocabulary, merges: merges(vocabulary), options: options, rawBytes: false)
        var parts = TokenizerReader.Parts(model: .bytePair(model))
        let spaces = TextNormalizer.replace(.text([0x20]), with: Self.mark)
        parts.normalizer = addsDummyPrefix ? .sequence([.prepend(Self.mark), spaces]) : spaces
        parts.decoders = [.replace(.text(Self.mark), with: [0x20]), .byteFallback, .fuse]
        if addsDummyPrefix { parts.decoders.append(.strip(content: [0x20], start: 1, stop: 0)) }
        if addsDummyPrefix, pieces.indices.contains(beginID) {
            let token = PostProcessor.SpecialToken(id: Int32(beginID), text: pieces[beginID].text)
            parts.processor.steps = [.template(before: [token], after: [])]
        }
        return parts
    }

    private func unigramParts() throws(TokenizerError) -> TokenizerReader.Parts {
        let model = try UnigramModel(
            pieces: pieces.map { ($0.text, $0.score) }, unknownID: unknownID, byteFallback: byteFallback)
        var parts = TokenizerReader.Parts(model: .unigram(model))
        var steps: [TextNormalizer] = []
        if !characterMap.isEmpty { steps.append(.precompiled(try PrecompiledMap(characterMap))) }
        if removesExtraSpaces {
            steps.append(.strip(left: false, right: true))
            do { steps.append(.replace(.regex(try LinearRegex(" {2,}")), with: Self.mark)) } catch {
                throw TokenizerError(error.description)
            }
        }
        parts.normalizer = .sequence(steps)
        parts.splitter = .metaspace(
            replacement: Self.mark, scheme: addsDummyPrefix ? .always : .never, split: true)
        parts.decoders = [.metaspace(replacement: Self.mark, dropsFirst: addsDummyPrefix)]
        if byteFallback { parts.decoders = [.byteFallback] + parts.decoders }
        if pieces.indices.contains(endID), pieces[endID].type == .control {
            let token = PostProcessor.SpecialToken(id: Int32(endID), text: pieces[endID].text)
            parts.processor.steps = [.template(before: [], after: [token])]
        }
        return parts
    }

    /// Every way to cut a piece into two pieces is a merge. Better scores come first; among equal scores those with a
    /// longer left part, then a longer right part, then in the order of the vocabulary.
    private func merges(_ vocabulary: TokenIndex) -> [(String, String)] {
        struct Merge {
            var left: String
            var right: String
            var score: Double
            var leftCount: Int
            var rightCount: Int
            var ids: (Int32, Int32)
        }
        var merges: [Merge] = []
        for piece in pieces {
            let scalars = piece.text.unicodeScalars
            guard scalars.count > 1 else { continue }
            var local: [Merge] = []
            var leftCount = 0
            for place in scalars.indices.dropFirst() {
                leftCount += 1
                let left = String(scalars[..<place])
                let right = String(scalars[place...])
                let ids = (vocabulary.id(of: left), vocabulary.id(of: right))
                guard ids.0 >= 0, ids.1 >= 0 else { continue }
                local.append(
                    Merge(
                        left: left, right: right, score: piece.score, leftCount: leftCount,
                        rightCount: scalars.count - leftCount, ids: ids))
            }
            merges.append(contentsOf: local.sorted { $0.ids < $1.ids })
        }
        let order = merges.indices.sorted { a, b in
            let (x, y) = (merges[a], merges[b])
            if x.score != y.score { return x.score > y.score }
            if x.leftCount != y.leftCount { return x.leftCount > y.leftCount }
            if x.rightCount != y.rightCount { return x.rightCount > y.rightCount }
            return a < b
        }
        return order.map { (merges[$0].left, merges[$0].right) }
    }
}

/// Reads the fields of a protocol buffer message one after another.
struct ProtobufReader {
    enum Value {
        case integer(UInt64)
        case word32(UInt32)
        case word64
        case bytes(ArraySlice<UInt8>)
    }

    private var bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    private static var damaged: TokenizerError {
        TokenizerError("not a protocol buffer, or one that is cut short; download tokenizer.model again")
    }

    /// The next field, or `nil` at the end.
    mutating func next() throws(TokenizerError) -> (number: UInt64, value: Value)? {
        guard !bytes.isEmpty else { return nil }
        let tag = try varint()
        switch tag & 7 {
        case 0: return (tag >> 3, .integer(try varint()))
        case 1:
            _ = try take(8)
            return (tag >> 3, .word64)
        case 2:
            let count = try varint()
            guard count <= UInt64(bytes.count) else { throw Self.damaged }
            return (tag >> 3, .bytes(try take(Int(count))))
        case 5:
            let word = try take(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return (tag >> 3, .word32(word))
        default: throw Self.damaged
        }
    }

    private mutating func take(_ count: Int) throws(TokenizerError) -> ArraySlice<UInt8> {
        guard bytes.count >= count else { throw Self.damaged }
        defer { bytes = bytes.dropFirst(count) }
        return bytes.prefix(count)
    }

    private mutating func varint() throws(TokenizerError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = bytes.popFirst() else { throw Self.damaged }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw Self.damaged
    }
}
