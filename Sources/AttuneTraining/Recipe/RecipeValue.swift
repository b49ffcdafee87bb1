import AttuneJSON

/// The value of a recipe's key.
public enum RecipeValue: Sendable, Equatable {
    /// Nothing.
    case none
    /// `true` or `false`.
    case flag(Bool)
    /// A whole number.
    case integer(Int)
    /// A number.
    case number(Double)
    /// Text.
    case text(String)
    /// A list of texts or whole numbers.
    case list([RecipeValue])
    /// A map, in its written order.
    case table([Entry])

    /// A member of a map.
    public struct Entry: Sendable, Equatable {
        /// Its name.
        public var key: String
        /// Its value: text or a number.
        public var value: RecipeValue

        /// A member.
        public init(key: String, value: RecipeValue) {
            self.key = key
            self.value = value
        }
    }

    /// As JSON.
    public var json: JSON {
        switch self {
        case .none: .null
        case .flag(let value): .bool(value)
        case .integer(let value): JSON(value)
        case .number(let value): JSON(value)
        case .text(let value): .string(value)
        case .list(let values): .array(values.map(\.json))
        case .table(let entries): .object(JSONObject(entries.map { ($0.key, $0.value.json) }))
        }
    }

    /// As YAML in one line, which reads back as the same value.
    public var yaml: String {
        switch self {
        case .none: "null"
        case .flag(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let value): Self.yaml(value)
        case .text(let value): Self.yaml(value)
        case .list(let values): "[" + values.map(\.yaml).joined(separator: ", ") + "]"
        case .table(let entries):
            "{" + entries.map { Self.yaml($0.key) + ": " + $0.value.yaml }.joined(separator: ", ") + "}"
        }
    }

    private static func yaml(_ value: Double) -> String {
        Int(exactly: value).map { abs($0) < 1 << 53 ? String($0) : "\(value)" } ?? "\(value)"
    }

    /// Quoted unless it is plainly a word, so that nothing in it can be taken for YAML.
    private static func yaml(_ text: String) -> String {
        let isWord = { (byte: UInt8) in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "-"): true
            default: false
            }
        }
        let isPlain = text.utf8.allSatisfy(isWord) && text.utf8.first != UInt8(ascii: "-") && !WrittenValue.isNull(text)
        if isPlain, WrittenValue.number(text) == nil { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            // Printable ASCII but for the marks of anchors, aliases and tags, which the reader refuses without looking for quotes.
            case " "..."~" where !["&", "*", "!"].contains(scalar): quoted.unicodeScalars.append(scalar)
            case "\u{A1}"..."\u{D7FF}" where scalar != "\u{2028}" && scalar != "\u{2029}":
                quoted.unicodeScalars.append(scalar)
            default:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
            }
        }
        return quoted + "\""
    }
}

/// A value as it was written, before its key says what it must be.
indirect enum WrittenValue {
    /// One word or text; quotes make it text whatever it looks like.
    case scalar(String, isPlain: Bool)
    case list([WrittenValue])
    case table([(key: String, value: WrittenValue)])

    /// YAML's and Python's words for nothing.
    static func isNull(_ text: String) -> Bool { ["", "~", "null", "Null", "NULL", "None"].contains(text) }

    var isNull: Bool {
        if case .scalar(let text, isPlain: true) = self { Self.isNull(text) } else { false }
    }

    /// As it is quoted in an error, cut where it is long.
    var excerpt: String {
        switch self {
        case .scalar(let text, _):
            "'" + String(text.prefix(60).map { $0.isNewline ? " " : $0 }) + (text.count > 60 ? "…'" : "'")
        case .list: "a list"
        case .table: "a map"
        }
    }

    static func flag(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "yes", "on": true
        case "false", "no", "off": false
        default: nil
        }
    }

    /// A decimal number, with or without exponent; `1e-4`, which YAML 1.1 takes for text, is one.
    static func number(_ text: String) -> Double? {
        let letters = Set("0123456789+-.eE".utf8)
        guard text.utf8.allSatisfy(letters.contains), let value = Double(text), value.isFinite else { return nil }
        return value
    }

    static func integer(_ text: String) -> Int? { Int(text) ?? number(text).flatMap { Int(exactly: $0) } }
}

extension RecipeKey {
    /// The value, or `nil` when it is not what the key expects.
    func read(_ written: WrittenValue) -> RecipeValue? {
        switch kind {
        case .flag: plain(written).flatMap(WrittenValue.flag).map(RecipeValue.flag)
        case .integer(let minimum):
            plain(written).flatMap(WrittenValue.integer).flatMap { value in
                let isNever = minimum == -1 && value == 0
                return value >= minimum && !isNever ? .integer(value) : nil
            }
        case .number(let bound): number(written, bound)
        case .text: text(written).flatMap { $0.isEmpty ? nil : .text($0) }
        case .choice(let words): word(written, words)
        case .choices(let words): list(written) { word($0, words) }
        case .texts: list(written) { name($0) }
        case .modules: modules(written)
        case .integers:
            list(written) { plain($0).flatMap(WrittenValue.integer).flatMap { $0 >= 0 ? .integer($0) : nil } }
        case .textTable: table(written) { text($0).map(RecipeValue.text) }
        case .integerTable:
            table(written) { plain($0).flatMap(WrittenValue.integer).flatMap { $0 >= 1 ? .integer($0) : nil } }
        case .numberTable: table(written) { number($0, .positive) }
        case .mixedTable: table(written, mixed)
        }
    }

    private func plain(_ written: WrittenValue) -> String? {
        if case .scalar(let text, isPlain: true) = written { text } else { nil }
    }

    private func text(_ written: WrittenValue) -> String? {
        if case .scalar(let text, _) = written { text } else { nil }
    }

    private func name(_ written: WrittenValue) -> RecipeValue? {
        text(written).flatMap { $0.isEmpty ? nil : .text($0) }
    }

    private func number(_ written: WrittenValue, _ bound: Bound) -> RecipeValue? {
        plain(written).flatMap(WrittenValue.number).flatMap { bound.contains($0) ? .number($0) : nil }
    }

    private func mixed(_ written: WrittenValue) -> RecipeValue? {
        if let value = plain(written).flatMap(WrittenValue.number) { return .number(value) }
        return name(written)
    }

    private func word(_ written: WrittenValue, _ words: [String]) -> RecipeValue? {
        guard let text = text(written) else { return nil }
        let known = wordAliases[text] ?? text
        if words.contains(known) { return .text(known) }
        // `True`, `yes` and `off` where a word may also be a flag.
        guard let flag = plain(written).flatMap(WrittenValue.flag) else { return nil }
        let said = flag ? "true" : "false"
        let meant = wordAliases[said] ?? said
        return words.contains(meant) ? .text(meant) : nil
    }

    private func list(_ written: WrittenValue, _ read: (WrittenValue) -> RecipeValue?) -> RecipeValue? {
        switch written {
        case .list(let elements):
            let values = elements.compactMap(read)
            return values.count == elements.count ? .list(values) : nil
        case .scalar: return read(written).map { .list([$0]) }
        case .table: return nil
        }
    }

    private static let wordBytes = Set("_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".utf8)

    /// A text of one word is a name, and anything else but `all-linear` a regular expression.
    private func modules(_ written: WrittenValue) -> RecipeValue? {
        if case .scalar = written {
            guard case .text(let text)? = name(written) else { return nil }
            let isWord = text.utf8.allSatisfy(Self.wordBytes.contains)
            return isWord ? .list([.text(text)]) : .text(text)
        }
        guard case .list(let names)? = list(written, name), !names.isEmpty else { return nil }
        return .list(names)
    }

    private func table(_ written: WrittenValue, _ read: (WrittenValue) -> RecipeValue?) -> RecipeValue? {
        guard case .table(let members) = written else { return nil }
        let entries = members.compactMap { member in
            read(member.value).map { RecipeValue.Entry(key: member.key, value: $0) }
        }
        return entries.count == members.count ? .table(entries) : nil
    }
}
