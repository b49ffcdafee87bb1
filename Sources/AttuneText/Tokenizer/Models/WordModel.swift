/// What turns a word into tokens.
enum WordModel: Sendable {
    case bytePair(BytePairModel)
    case unigram(UnigramModel)
    case wordPiece(WordPieceModel)
    case wordLevel(WordLevelModel)

    var vocabulary: TokenIndex {
        switch self {
        case .bytePair(let model): model.vocabulary
        case .unigram(let model): model.vocabulary
        case .wordPiece(let model): model.vocabulary
        case .wordLevel(let model): model.vocabulary
        }
    }

    /// Appends the tokens of a word to `scratch.spans`.
    func tokenize(_ word: UnsafeBufferPointer<UInt8>, _ scratch: inout WordScratch) {
        switch self {
        case .bytePair(let model): model.tokenize(word, &scratch)
        case .unigram(let model): model.tokenize(word, &scratch)
        case .wordPiece(let model): model.tokenize(word, &scratch)
        case .wordLevel(let model): model.tokenize(word, &scratch)
        }
    }
}

/// Longest match first (BERT): pieces inside a word carry a prefix; a word that cannot be written is unknown as a whole.
struct WordPieceModel: Sendable {
    let vocabulary: TokenIndex
    let continuingPrefix: [UInt8]
    private let maximumCharacters: Int
    private let unknownID: Int32

    init(
        vocabulary: TokenIndex, unknownToken: String, continuingPrefix: String, maximumCharacters: Int
    ) throws(TokenizerError) {
        self.vocabulary = vocabulary
        self.continuingPrefix = Array(continuingPrefix.utf8)
        self.maximumCharacters = maximumCharacters
        unknownID = vocabulary.id(of: unknownToken)
        guard unknownID >= 0 else {
            throw TokenizerError("model WordPiece: unk_token '\(unknownToken)' is not in the vocabulary; add it")
        }
    }

    func tokenize(_ word: UnsafeBufferPointer<UInt8>, _ scratch: inout WordScratch) {
        let whole = TokenSpan(id: unknownID, start: 0, end: Int32(clamping: word.count))
        guard UTF8Scan.scalarCount(word) <= maximumCharacters else {
            scratch.spans.append(whole)
            return
        }
        let first = scratch.spans.count
        var start = 0
        var piece: [UInt8] = []
        while start < word.count {
            piece.removeAll(keepingCapacity: true)
            if start > 0 { piece.append(contentsOf: continuingPrefix) }
            let prefix = piece.count
            piece.append(contentsOf: word[start...])
            var found: Int32 = -1
            while piece.count > prefix {
                found = vocabulary.id(of: piece)
                if found >= 0 { break }
                // One character less, not one byte.
                while let last = piece.popLast(), last & 0xC0 == 0x80 {}
            }
            guard found >= 0 else {
                scratch.spans.removeLast(scratch.spans.count - first)
                scratch.spans.append(whole)
                return
            }
            let end = start + piece.count - prefix
            scratch.spans.append(TokenSpan(id: found, start: Int32(clamping: start), end: Int32(clamping: end)))
            start = end
        }
    }
}

/// Whole words only.
struct WordLevelModel: Sendable {
    let vocabulary: TokenIndex
    private let unknownID: Int32

    /// - Parameter unknownToken: when the vocabulary lacks it, words it does not know are dropped.
    init(vocabulary: TokenIndex, unknownToken: String) {
        self.vocabulary = vocabulary
        unknownID = vocabulary.id(of: unknownToken)
    }

    func tokenize(_ word: UnsafeBufferPointer<UInt8>, _ scratch: inout WordScratch) {
        let known = vocabulary.id(of: word)
        let id = known >= 0 ? known : unknownID
        if id >= 0 { scratch.spans.append(TokenSpan(id: id, start: 0, end: Int32(clamping: word.count))) }
    }
}
