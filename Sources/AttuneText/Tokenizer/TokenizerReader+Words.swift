import AttuneJSON

extension TokenizerReader {
    /// The pattern of GPT-2, which `ByteLevel` applies when `use_regex` is on.
    static let gpt2Pattern = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// The pre-tokenizers in order, sequences flattened.
    static func readSplitters(_ value: JSON, depth: Int) throws(TokenizerError) -> [WordSplitter] {
        if value.isNull { return [] }
        let section = "pre_tokenizer"
        let type = try type(value, section)
        switch type {
        case "Sequence":
            var steps: [WordSplitter] = []
            for child in try children(value, "pretokenizers", section, depth: depth) {
                steps.append(contentsOf: try readSplitters(child, depth: depth + 1))
            }
            return steps
        case "ByteLevel":
            let usesRegex = value["use_regex"]?.boolValue ?? true
            return [
                .byteLevel(
                    addPrefixSpace: value["add_prefix_space"]?.boolValue ?? true,
                    regex: usesRegex ? try regex(gpt2Pattern, "pre_tokenizer ByteLevel") : nil)
            ]
        case "Split":
            let behavior = try behavior(value, "pre_tokenizer Split", otherwise: nil)
            let pattern = try pattern(value["pattern"], "pre_tokenizer Split")
            return [.split(pattern, behavior, invert: value["invert"]?.boolValue ?? false)]
        case "Punctuation":
            switch try behavior(value, "pre_tokenizer Punctuation", otherwise: .isolated) {
            case .isolated: return [.characters(ScalarSplit([(ScalarClasses.punctuation, .single)], otherwise: .run))]
            case .removed: return [.characters(ScalarSplit([(ScalarClasses.punctuation, .drop)], otherwise: .run))]
            case .contiguous: return [.characters(ScalarSplit([(ScalarClasses.punctuation, .run)], otherwise: .run))]
            case let merged: return [.split(.scalars(ScalarClasses.punctuation), merged, invert: false)]
            }
        case "Digits":
            let single = value["individual_digits"]?.boolValue ?? false
            return [.characters(single ? .singleDigits : .digits)]
        case "Whitespace": return [.characters(.words)]
        case "WhitespaceSplit": return [.characters(.whitespace)]
        case "BertPreTokenizer": return [.characters(.bert)]
        case "CharDelimiterSplit":
            guard let text = value["delimiter"]?.stringValue, text.unicodeScalars.count == 1,
                let scalar = text.unicodeScalars.first?.value
            else { throw TokenizerError("pre_tokenizer CharDelimiterSplit: 'delimiter' must be one character") }
            return [.characters(ScalarSplit([(ScalarSet([scalar...scalar]), .drop)], otherwise: .run))]
        case "Metaspace":
            let (replacement, scheme, split) = try readMetaspace(value, section)
            return [.metaspace(replacement: replacement, scheme: scheme, split: split)]
        case "UnicodeScripts": return [.scripts]
        case "FixedLength":
            let length = value["length"]?.intValue ?? 5
            guard length > 0 else { throw TokenizerError("pre_tokenizer FixedLength: 'length' must be positive") }
            return [.fixedLength(length)]
        default: throw unknown(section, type)
        }
    }

    private static func behavior(
        _ value: JSON, _ section: String, otherwise: SplitBehavior?
    ) throws(TokenizerError) -> SplitBehavior {
        if value["behavior"] == nil, let otherwise { return otherwise }
        guard let name = value["behavior"]?.stringValue, let behavior = SplitBehavior(rawValue: name) else {
            throw TokenizerError("\(section): 'behavior' is missing or unknown; the file is damaged")
        }
        return behavior
    }

    /// `prepend_scheme`, or `add_prefix_space` in files of old versions.
    static func readMetaspace(
        _ value: JSON, _ section: String
    ) throws(TokenizerError) -> ([UInt8], WordSplitter.PrependScheme, Bool) {
        let replacement = try string(value, "replacement", "\(section) Metaspace")
        guard replacement.unicodeScalars.count == 1 else {
            throw TokenizerError("\(section) Metaspace: 'replacement' must be one character")
        }
        let scheme: WordSplitter.PrependScheme
        switch value["prepend_scheme"]?.stringValue {
        case "always": scheme = .always
        case "first": scheme = .first
        case "never": scheme = .never
        case nil: scheme = value["add_prefix_space"]?.boolValue == false ? .never : .always
        case let name?: throw TokenizerError("\(section) Metaspace: prepend_scheme '\(name)' is unknown")
        }
        return (Array(replacement.utf8), scheme, value["split"]?.boolValue ?? true)
    }

    /// Whether words can stay raw bytes: a BPE model behind exactly one `ByteLevel` step, the last one.
    static func readsRawBytes(_ splitters: [WordSplitter], normalizer: JSON?, model: JSON) -> Bool {
        let isByteLevel = { (splitter: WordSplitter) in
            if case .byteLevel = splitter { true } else { false }
        }
        let children = normalizer?["normalizers"]?.arrayValue ?? normalizer.map { [$0] } ?? []
        return splitters.last.map(isByteLevel) ?? false
            && splitters.filter(isByteLevel).count == 1
            && !children.contains { $0["type"]?.stringValue == "ByteLevel" || $0["type"]?.stringValue == "Sequence" }
            && modelType(model) == "BPE"
            && (model["continuing_subword_prefix"]?.stringValue ?? "").isEmpty
            && (model["end_of_word_suffix"]?.stringValue ?? "").isEmpty
            && model["byte_fallback"]?.boolValue != true
    }

    /// The kind of model; old files leave it out.
    private static func modelType(_ model: JSON) -> String? {
        if let type = model["type"]?.stringValue { return type }
        if model["merges"] != nil { return "BPE" }
        if model["vocab"]?.arrayValue != nil { return "Unigram" }
        if model["continuing_subword_prefix"] != nil { return "WordPiece" }
        return model["vocab"] == nil ? nil : "WordLevel"
    }

    static func readModel(
        _ model: JSON, keepsBytes: Bool
    ) throws(TokenizerError) -> (WordModel, unknownToken: String?) {
        switch modelType(model) {
        case "BPE":
            var options = BytePairModel.Options()
            options.unknownToken = model["unk_token"]?.stringValue
            options.continuingPrefix = nonEmpty(model["continuing_subword_prefix"]?.stringValue)
            options.endSuffix = nonEmpty(model["end_of_word_suffix"]?.stringValue)
            options.fusesUnknown = model["fuse_unk"]?.boolValue ?? false
            options.byteFallback = model["byte_fallback"]?.boolValue ?? false
            options.ignoresMerges = model["ignore_merges"]?.boolValue ?? false
            let vocabulary = try readVocabulary(model)
            let merges = try readMerges(model)
            let bytePair = try BytePairModel(
                vocabulary: vocabulary, merges: merges, options: options, rawBytes: keepsBytes)
            return (.bytePair(bytePair), options.unknownToken)
        case "Unigram":
            guard let list = model["vocab"]?.arrayValue else {
                throw TokenizerError("model Unigram: 'vocab' must be a list of [token, score]; the file is damaged")
            }
            var pieces: [(text: String, score: Double)] = []
            pieces.reserveCapacity(list.count)
            for (place, item) in list.enumerated() {
                guard let text = item[0]?.stringValue, let score = item[1]?.doubleValue else {
                    throw TokenizerError("model Unigram: entry \(place) of 'vocab' is not [token, score]")
                }
                pieces.append((text, score))
            }
            let unknownID = model["unk_id"]?.intValue
            let unigram = try UnigramModel(
                pieces: pieces, unknownID: unknownID, byteFallback: model["byte_fallback"]?.boolValue ?? false)
            return (.unigram(unigram), unknownID.map { pieces[$0].text })
        case "WordPiece":
            let unknown = model["unk_token"]?.stringValue ?? "[UNK]"
            let wordPiece = try WordPieceModel(
                vocabulary: try readVocabulary(model), unknownToken: unknown,
                continuingPrefix: model["continuing_subword_prefix"]?.stringValue ?? "##",
                maximumCharacters: model["max_input_chars_per_word"]?.intValue ?? 100)
            return (.wordPiece(wordPiece), unknown)
        case "WordLevel":
            let unknown = model["unk_token"]?.stringValue ?? "<unk>"
            return (.wordLevel(WordLevelModel(vocabulary: try readVocabulary(model), unknownToken: unknown)), unknown)
        case let type?: throw unknownModel(type)
        case nil: throw TokenizerError("model: no 'type' and nothing to tell it by; the file is damaged")
        }
    }

    private static func unknownModel(_ type: String) -> TokenizerError { unknown("model", type) }

    private static func nonEmpty(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }

    private static func readVocabulary(_ model: JSON) throws(TokenizerError) -> TokenIndex {
        guard let members = model["vocab"]?.objectValue?.members else {
            throw TokenizerError("model: 'vocab' must be an object of token and id; the file is damaged")
        }
        var vocabulary = TokenIndex(capacity: members.count)
        for (text, id) in members {
            guard let id = id.intValue, (0...TokenIndex.maximumID).contains(id) else {
                throw TokenizerError("model: token '\(text)' has an id outside 0...\(TokenIndex.maximumID)")
            }
            vocabulary.insert(text, id: Int32(id))
        }
        return vocabulary
    }

    /// `"a b"` or `["a", "b"]`.
    private static func readMerges(_ model: JSON) throws(TokenizerError) -> [(String, String)] {
        guard let list = model["merges"]?.arrayValue else {
            throw TokenizerError("model BPE: 'merges' must be a list; the file is damaged")
        }
        var merges: [(String, String)] = []
        merges.reserveCapacity(list.count)
        for (place, item) in list.enumerated() {
            if case .string(let text) = item {
                guard let space = text.utf8.firstIndex(of: 0x20),
                    case let rest = text.utf8.index(after: space), !text.utf8[rest...].contains(0x20)
                else { throw TokenizerError("model BPE: merge \(place) ('\(text)') is not two tokens and a space") }
                merges.append((String(text[..<space]), String(text[rest...])))
            } else if let left = item[0]?.stringValue, let right = item[1]?.stringValue {
                merges.append((left, right))
            } else {
                throw TokenizerError("model BPE: merge \(place) is neither \"a b\" nor [\"a\", \"b\"]")
            }
        }
        return merges
    }
}
