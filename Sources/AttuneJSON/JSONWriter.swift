/// How a JSON value is written. The presets follow Python's `json.dumps`, whose output other tools compare against.
public struct JSONStyle: Sendable {
    /// Spaces for each level, or `nil` for one line.
    public var indent: Int?
    /// What stands between members and elements on one line.
    public var itemSeparator: String
    /// What stands between key and value.
    public var keySeparator: String
    /// Whether members are sorted by key (by code point).
    public var sortsKeys: Bool
    /// Whether every character above U+007E becomes a `\u` escape.
    public var escapesNonASCII: Bool

    /// A style of one's own.
    public init(
        indent: Int? = nil, itemSeparator: String = ", ", keySeparator: String = ": ", sortsKeys: Bool = false,
        escapesNonASCII: Bool = false
    ) {
        self.indent = indent
        self.itemSeparator = itemSeparator
        self.keySeparator = keySeparator
        self.sortsKeys = sortsKeys
        self.escapesNonASCII = escapesNonASCII
    }

    /// No white space at all.
    public static let compact = JSONStyle(itemSeparator: ",", keySeparator: ":")
    /// `json.dumps(value, ensure_ascii=False)`.
    public static let spaced = JSONStyle()
    /// `json.dumps(value, indent=2, sort_keys=True)`, as the Hugging Face libraries write their files.
    public static let sortedPretty = JSONStyle(indent: 2, sortsKeys: true, escapesNonASCII: true)
    /// Two spaces a level, members in their order.
    public static let pretty = JSONStyle(indent: 2)
}

extension JSON {
    /// This value as text.
    public func text(_ style: JSONStyle = .compact) -> String {
        var bytes: [UInt8] = []
        write(to: &bytes, style: style, level: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// This value as UTF-8.
    public func utf8(_ style: JSONStyle = .compact) -> [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes, style: style, level: 0)
        return bytes
    }

    private func write(to bytes: inout [UInt8], style: JSONStyle, level: Int) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .number(let value): bytes.append(contentsOf: Self.text(of: value).utf8)
        case .string(let value): Self.write(value, to: &bytes, escapesNonASCII: style.escapesNonASCII)
        case .array(let values):
            Self.writeItems(values, open: "[", close: "]", to: &bytes, style: style, level: level) { value, bytes in
                value.write(to: &bytes, style: style, level: level + 1)
            }
        case .object(let object):
            var members = object.members
            if style.sortsKeys {
                members.sort { $0.key.unicodeScalars.lexicographicallyPrecedes($1.key.unicodeScalars) }
            }
            Self.writeItems(members, open: "{", close: "}", to: &bytes, style: style, level: level) { member, bytes in
                Self.write(member.key, to: &bytes, escapesNonASCII: style.escapesNonASCII)
                bytes.append(contentsOf: style.keySeparator.utf8)
                member.value.write(to: &bytes, style: style, level: level + 1)
            }
        }
    }

    private static func writeItems<Item>(
        _ items: [Item], open: Unicode.Scalar, close: Unicode.Scalar, to bytes: inout [UInt8], style: JSONStyle,
        level: Int, writeItem: (Item, inout [UInt8]) -> Void
    ) {
        bytes.append(UInt8(ascii: open))
        for (place, item) in items.enumerated() {
            if let indent = style.indent {
                if place > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(UInt8(ascii: "\n"))
                bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent * (level + 1)))
            } else if place > 0 {
                bytes.append(contentsOf: style.itemSeparator.utf8)
            }
            writeItem(item, &bytes)
        }
        if let indent = style.indent, !items.isEmpty {
            bytes.append(UInt8(ascii: "\n"))
            bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent * level))
        }
        bytes.append(UInt8(ascii: close))
    }

    /// A number as Python's `repr` and so `json.dumps` write it: shortest digits that read back the same.
    public static func text(of value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        return value.description
    }

    /// A string with its quotes.
    public static func write(_ text: String, to bytes: inout [UInt8], escapesNonASCII: Bool) {
        bytes.append(UInt8(ascii: "\""))
        if escapesNonASCII {
            for unit in text.utf16 {
                if unit < 0x7F { append(UInt8(unit), to: &bytes) } else { appendEscape(unit, to: &bytes) }
            }
        } else {
            for byte in text.utf8 { append(byte, to: &bytes) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func append(_ byte: UInt8, to bytes: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""): bytes.append(contentsOf: "\\\"".utf8)
        case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
        case 0x08: bytes.append(contentsOf: "\\b".utf8)
        case 0x0C: bytes.append(contentsOf: "\\f".utf8)
        case 0x0A: bytes.append(contentsOf: "\\n".utf8)
        case 0x0D: bytes.append(contentsOf: "\\r".utf8)
        case 0x09: bytes.append(contentsOf: "\\t".utf8)
        case 0..<0x20: appendEscape(UInt16(byte), to: &bytes)
        default: bytes.append(byte)
        }
    }

    private static func appendEscape(_ unit: UInt16, to bytes: inout [UInt8]) {
        let digits = String(unit, radix: 16)
        bytes.append(contentsOf: "\\u".utf8)
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - digits.utf8.count))
        bytes.append(contentsOf: digits.utf8)
    }
}
