import AttuneJSON

/// Reads the components of a `tokenizer.json`. Sections `truncation` and `padding` are ignored: how long a row may be
/// is decided where batches are made.
struct TokenizerReader {
    /// Everything a tokenizer is made of.
    struct Parts {
        var normalizer: TextNormalizer?
        var splitter: WordSplitter?
        var model: WordModel
        var keepsBytes = false
        var added: [AddedTokens.Entry] = []
        var processor = PostProcessor()
        var decoders: [TokenDecoder] = []
        var unknownToken: String?
    }

    private static let maximumDepth = 16

    static func read(_ json: JSON) throws(TokenizerError) -> Parts {
        guard json.objectValue != nil, let model = json["model"], model.objectValue != nil else {
            throw TokenizerError("tokenizer.json: no object 'model'; this is not a Hugging Face tokenizer file")
        }
        let normalizer = try json["normalizer"].flatMap { (value) throws(TokenizerError) in
            try readNormalizer(value, depth: 0)
        }
        let splitters =
            try json["pre_tokenizer"].map { (value) throws(TokenizerError) in
                try readSplitters(value, depth: 0)
            } ?? []
        let keepsBytes = readsRawBytes(splitters, normalizer: json["normalizer"], model: model)
        let (wordModel, unknown) = try readModel(model, keepsBytes: keepsBytes)
        var parts = Parts(model: wordModel)
        parts.normalizer = normalizer
        parts.splitter = splitters.isEmpty ? nil : splitters.count == 1 ? splitters[0] : .sequence(splitters)
        parts.keepsBytes = keepsBytes
        parts.unknownToken = unknown
        parts.added = try readAddedTokens(json["added_tokens"])
        if let value = json["post_processor"] { parts.processor.steps = try readProcessor(value, depth: 0) }
        if let value = json["decoder"], !value.isNull {
            parts.decoders = try readDecoders(value, depth: 0)
        } else {
            parts.decoders = [.joinBySpaces]
        }
        return parts
    }

    // MARK: Members

    static func type(_ value: JSON, _ section: String) throws(TokenizerError) -> String {
        guard let type = value["type"]?.stringValue else {
            throw TokenizerError("\(section): an object with a 'type' was expected; the file is damaged")
        }
        return type
    }

    static func unknown(_ section: String, _ type: String) -> TokenizerError {
        TokenizerError("\(section): type '\(type)' is not supported by this version; report it with the model's name")
    }

    static func string(_ value: JSON, _ key: String, _ section: String) throws(TokenizerError) -> String {
        guard let text = value[key]?.stringValue else {
            throw TokenizerError("\(section): '\(key)' must be a string; the file is damaged")
        }
        return text
    }

    static func children(_ value: JSON, _ key: String, _ section: String, depth: Int) throws(TokenizerError) -> [JSON] {
        guard depth < maximumDepth else {
            throw TokenizerError("\(section): sequences nested deeper than \(maximumDepth)")
        }
        guard let list = value[key]?.arrayValue else {
            throw TokenizerError("\(section): '\(key)' must be a list; the file is damaged")
        }
        return list
    }

    static func regex(_ pattern: String, _ section: String) throws(TokenizerError) -> LinearRegex {
        do { return try LinearRegex(pattern) } catch { throw TokenizerError("\(section): \(error.description)") }
    }

    /// `{"String": …}` or `{"Regex": …}`.
    static func pattern(_ value: JSON?, _ section: String) throws(TokenizerError) -> TextPattern {
        if let text = value?["String"]?.stringValue { return .text(Array(text.utf8)) }
        if let text = value?["Regex"]?.stringValue { return .regex(try regex(text, section)) }
        throw TokenizerError("\(section): 'pattern' must be {\"String\": …} or {\"Regex\": …}; the file is damaged")
    }

    // MARK: Normalizers

    static func readNormalizer(_ value: JSON, depth: Int) throws(TokenizerError) -> TextNormalizer? {
        if value.isNull { return nil }
        let section = "normalizer"
        let type = try type(value, section)
        switch type {
        case "Sequence":
            var steps: [TextNormalizer] = []
            for child in try children(value, "normalizers", section, depth: depth) {
                if let step = try readNormalizer(child, depth: depth + 1) { steps.append(step) }
            }
            return steps.isEmpty ? nil : .sequence(steps)
        case "Prepend": return .prepend(Array(try string(value, "prepend", section).utf8))
        case "Replace":
            let content = Array(try string(value, "content", section).utf8)
            return .replace(try pattern(value["pattern"], "normalizer Replace"), with: content)
        case "Lowercase": return .lowercase
        case "NFC": return .form(.nfc)
        case "NFD": return .form(.nfd)
        case "NFKC": return .form(.nfkc)
        case "NFKD": return .form(.nfkd)
        case "BertNormalizer":
            let lowercase = value["lowercase"]?.boolValue ?? true
            return .bert(
                cleanText: value["clean_text"]?.boolValue ?? true,
                ideographs: value["handle_chinese_chars"]?.boolValue ?? true,
                stripAccents: value["strip_accents"]?.boolValue ?? lowercase, lowercase: lowercase)
        case "Precompiled":
            // Some files carry an empty map; it changes nothing.
            guard let text = value["precompiled_charsmap"]?.stringValue, !text.isEmpty else { return nil }
            guard let blob = Base64Text.decode(text) else {
                throw TokenizerError("normalizer Precompiled: precompiled_charsmap is not base64; the file is damaged")
            }
            return .precompiled(try PrecompiledMap(blob))
        case "StripAccents": return .stripAccents
        case "Strip":
            return .strip(
                left: value["strip_left"]?.boolValue ?? true, right: value["strip_right"]?.boolValue ?? true)
        case "Nmt": return .nmt
        case "ByteLevel": return .byteLevel
        default: throw unknown(section, type)
        }
    }

    // MARK: Added tokens

    static func readAddedTokens(_ value: JSON?) throws(TokenizerError) -> [AddedTokens.Entry] {
        guard let value, !value.isNull else { return [] }
        guard let list = value.arrayValue else {
            throw TokenizerError("added_tokens: a list was expected; the file is damaged")
        }
        var entries: [AddedTokens.Entry] = []
        for item in list {
            var entry = AddedTokens.Entry(content: try string(item, "content", "added_tokens"))
            entry.singleWord = item["single_word"]?.boolValue ?? false
            entry.stripsLeft = item["lstrip"]?.boolValue ?? false
            entry.stripsRight = item["rstrip"]?.boolValue ?? false
            entry.special = item["special"]?.boolValue ?? false
            entry.normalized = item["normalized"]?.boolValue ?? !entry.special
            entries.append(entry)
        }
        return entries
    }

    // MARK: Post-processors

    static func readProcessor(_ value: JSON, depth: Int) throws(TokenizerError) -> [PostProcessor.Step] {
        if value.isNull { return [] }
        let section = "post_processor"
        let type = try type(value, section)
        let trim: [PostProcessor.Step] =
            value["trim_offsets"]?.boolValue ?? true
            ? [.trimOffsets(addPrefixSpace: value["add_prefix_space"]?.boolValue ?? true)] : []
        switch type {
        case "Sequence":
            var steps: [PostProcessor.Step] = []
            for child in try children(value, "processors", section, depth: depth) {
                steps.append(contentsOf: try readProcessor(child, depth: depth + 1))
            }
            return steps
        case "ByteLevel": return trim
        case "TemplateProcessing": return [try readTemplate(value)]
        case "BertProcessing", "RobertaProcessing":
            func token(_ key: String) throws(TokenizerError) -> PostProcessor.SpecialToken {
                guard let text = value[key]?[0]?.stringValue, let id = value[key]?[1]?.intValue,
                    (0...TokenIndex.maximumID).contains(id)
                else {
                    throw TokenizerError("post_processor \(type): '\(key)' must be [token, id]; the file is damaged")
                }
                return PostProcessor.SpecialToken(id: Int32(id), text: text)
            }
            let template = PostProcessor.Step.template(before: [try token("cls")], after: [try token("sep")])
            return type == "BertProcessing" ? [template] : trim + [template]
        default: throw unknown(section, type)
        }
    }

    /// Only the form for one text is used; that for pairs is ignored.
    private static func readTemplate(_ value: JSON) throws(TokenizerError) -> PostProcessor.Step {
        let section = "post_processor TemplateProcessing"
        var before: [PostProcessor.SpecialToken] = []
        var after: [PostProcessor.SpecialToken] = []
        var seenText = false
        for item in try children(value, "single", section, depth: 0) {
            if item["Sequence"] != nil {
                guard !seenText else { throw TokenizerError("\(section): 'single' holds the text twice") }
                seenText = true
                continue
            }
            guard let name = item["SpecialToken"]?["id"]?.stringValue,
                let token = value["special_tokens"]?[name], let ids = token["ids"]?.arrayValue
            else { throw TokenizerError("\(section): a special token of 'single' is not in 'special_tokens'") }
            for (place, id) in ids.enumerated() {
                guard let id = id.intValue, (0...TokenIndex.maximumID).contains(id) else {
                    throw TokenizerError("\(section): special token '\(name)' has an id out of range")
                }
                let text = token["tokens"]?[place]?.stringValue ?? name
                let special = PostProcessor.SpecialToken(id: Int32(id), text: text)
                if seenText { after.append(special) } else { before.append(special) }
            }
        }
        guard seenText else { throw TokenizerError("\(section): 'single' has no place for the text") }
        return .template(before: before, after: after)
    }

    // MARK: Decoders

    static func readDecoders(_ value: JSON, depth: Int) throws(TokenizerError) -> [TokenDecoder] {
        let section = "decoder"
        let type = try type(value, section)
        switch type {
        case "Sequence":
            var steps: [TokenDecoder] = []
            for child in try children(value, "decoders", section, depth: depth) {
                steps.append(contentsOf: try readDecoders(child, depth: depth + 1))
            }
            return steps
        case "ByteLevel": return [.byteLevel]
        case "Replace":
            let content = Array(try string(value, "content", section).utf8)
            return [.replace(try pattern(value["pattern"], "decoder Replace"), with: content)]
        case "ByteFallback": return [.byteFallback]
        case "Fuse": return [.fuse]
        case "Strip":
            return [
                .strip(
                    content: Array(try string(value, "content", section).utf8),
                    start: try count(value, "start", section), stop: try count(value, "stop", section))
            ]
        case "Metaspace":
            let (replacement, scheme, _) = try readMetaspace(value, section)
            return [.metaspace(replacement: replacement, dropsFirst: scheme != .never)]
        case "WordPiece":
            return [
                .wordPiece(
                    prefix: Array((value["prefix"]?.stringValue ?? "##").utf8),
                    cleanup: value["cleanup"]?.boolValue ?? true)
            ]
        case "BPEDecoder": return [.bytePair(suffix: Array((value["suffix"]?.stringValue ?? "</w>").utf8))]
        case "CTC":
            return [
                .ctc(
                    pad: Array((value["pad_token"]?.stringValue ?? "<pad>").utf8),
                    delimiter: Array((value["word_delimiter_token"]?.stringValue ?? "|").utf8),
                    cleanup: value["cleanup"]?.boolValue ?? true)
            ]
        default: throw unknown(section, type)
        }
    }

    static func count(_ value: JSON, _ key: String, _ section: String) throws(TokenizerError) -> Int {
        guard let count = value[key]?.intValue, (0...4096).contains(count) else {
            throw TokenizerError("\(section): '\(key)' must be a number from 0 to 4096")
        }
        return count
    }
}

/// Base64 (RFC 4648) with padding.
enum Base64Text {
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        for character in text.utf8 {
            let value: UInt8
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="), 0x0A, 0x0D: continue
            default: return nil
            }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return bytes
    }
}
