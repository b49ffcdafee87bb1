/// Classes of scalars as the `tokenizers` library sees them; each is read from the generated data when first used.
enum ScalarClasses {
    /// The property White_Space.
    static let whitespace = ScalarSet([
        0x09...0x0D, 0x20...0x20, 0x85...0x85, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029,
        0x202F...0x202F, 0x205F...0x205F, 0x3000...0x3000,
    ])
    static let word = set(CategoryData.word)
    static let wordInText = set(CategoryData.wordInText)
    static let numeric = set(CategoryData.numeric)
    static let punctuation = set(CategoryData.punctuation)
    static let accents = set(CategoryData.accents)
    static let bertAccents = set(CategoryData.bertAccents)
    static let bertControl = set(CategoryData.bertControl)
    static let decimalDigits = category("Nd") ?? ScalarSet()

    /// Ideographs that `BertNormalizer` surrounds with spaces; U+2B820 to U+2B91F are left out there too.
    static let bertIdeographs = ScalarSet([
        0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F, 0x2B920...0x2CEAF,
        0xF900...0xFAFF, 0x2F800...0x2FA1F,
    ])

    /// Two-letter general categories with their scalars.
    private static let categories: [String: ScalarSet] = {
        var ranges: [String: [ClosedRange<UInt32>]] = [:]
        var position: UInt32 = 0
        for run in bytes(CategoryData.categories).split(separator: UInt8(ascii: " ")) {
            let name = String(decoding: run.prefix(2), as: UTF8.self)
            var lengths = HexadecimalWords(run.dropFirst(2))
            guard let length = lengths.next() else { continue }
            ranges[name, default: []].append(position...(position + length - 1))
            position += length
        }
        return ranges.mapValues { ScalarSet($0) }
    }()

    /// Scripts by their name in small letters without separators.
    static let scripts: [String: ScalarSet] = {
        var scripts: [String: ScalarSet] = [:]
        for entry in bytes(ScriptData.scripts).split(separator: UInt8(ascii: ";")) {
            let words = entry.split(separator: UInt8(ascii: " "), maxSplits: 1)
            guard words.count == 2 else { continue }
            scripts[plain(String(decoding: words[0], as: UTF8.self))] = ScalarSet(gapsAndLengths: words[1])
        }
        return scripts
    }()

    /// The set behind `\p{name}`: a general category (short or long name, one or two letters), a script, or one of
    /// the named properties of split patterns. `nil` when there is no such name.
    static func property(_ name: String) -> ScalarSet? {
        let name = plain(name.split(separator: "=").last.map(String.init) ?? name)
        switch name {
        case "any": return .all
        case "whitespace", "space": return whitespace
        case "word": return word
        case "digit": return decimalDigits
        case "ascii": return ScalarSet([0...0x7F])
        case "alnum", "alphanumeric":
            return ["l", "m", "nd"].compactMap(category).reduce(ScalarSet()) { $0.union($1) }
        case "alpha", "alphabetic": return ["l", "m"].compactMap(category).reduce(ScalarSet()) { $0.union($1) }
        case "upper": return category("lu")
        case "lower": return category("ll")
        case "punct": return category("p")
        default: return category(longNames[name] ?? name) ?? scripts[name]
        }
    }

    /// The union of the general categories with the given one or two letters.
    static func category(_ name: String) -> ScalarSet? {
        let key = name.lowercased()
        guard key.utf8.count == 1 || key.utf8.count == 2 else { return nil }
        let found = categories.filter { $0.key.lowercased().hasPrefix(key) }
        return found.isEmpty ? nil : ScalarSet(found.values.flatMap(\.ranges))
    }

    private static let longNames = [
        "letter": "l", "uppercaseletter": "lu", "lowercaseletter": "ll", "titlecaseletter": "lt",
        "modifierletter": "lm", "otherletter": "lo", "mark": "m", "nonspacingmark": "mn", "spacingmark": "mc",
        "enclosingmark": "me", "number": "n", "decimalnumber": "nd", "letternumber": "nl", "othernumber": "no",
        "punctuation": "p", "connectorpunctuation": "pc", "dashpunctuation": "pd", "openpunctuation": "ps",
        "closepunctuation": "pe", "initialpunctuation": "pi", "finalpunctuation": "pf", "otherpunctuation": "po",
        "symbol": "s", "mathsymbol": "sm", "currencysymbol": "sc", "modifiersymbol": "sk", "othersymbol": "so",
        "separator": "z", "spaceseparator": "zs", "lineseparator": "zl", "paragraphseparator": "zp",
        "other": "c", "control": "cc", "format": "cf", "surrogate": "cs", "privateuse": "co", "unassigned": "cn",
    ]

    /// Small letters, without separators.
    private static func plain(_ name: String) -> String {
        String(decoding: name.lowercased().utf8.filter { $0 != 0x5F && $0 != 0x20 && $0 != 0x2D }, as: UTF8.self)
    }

    private static func set(_ text: StaticString) -> ScalarSet { ScalarSet(gapsAndLengths: bytes(text)) }

    static func bytes(_ text: StaticString) -> [UInt8] { text.withUTF8Buffer { Array($0) } }
}

/// The scalars that are the same letter without regard to case (simple folding).
enum CaseVariants {
    private static let groups: [UInt32: [UInt32]] = {
        var byFold: [UInt32: [UInt32]] = [:]
        for value in UInt32(0x41)...0x1E943 {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let properties = scalar.properties
            guard properties.changesWhenCaseMapped || properties.isCased else { continue }
            byFold[fold(scalar), default: []].append(value)
        }
        var groups: [UInt32: [UInt32]] = [:]
        for members in byFold.values where members.count > 1 {
            for member in members { groups[member] = members }
        }
        return groups
    }()

    /// All scalars of the same fold, the scalar itself among them.
    static func of(_ scalar: UInt32) -> [UInt32] { groups[scalar] ?? [scalar] }

    private static func fold(_ scalar: Unicode.Scalar) -> UInt32 {
        let upper = single(scalar.properties.uppercaseMapping) ?? scalar
        return (single(upper.properties.lowercaseMapping) ?? upper).value
    }

    private static func single(_ text: String) -> Unicode.Scalar? {
        let scalars = text.unicodeScalars
        return scalars.count == 1 ? scalars.first : nil
    }
}
