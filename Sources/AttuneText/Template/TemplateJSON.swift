/// The filter `tojson` as transformers defines it: Python's `json.dumps` without HTML escapes.
struct TemplateJSON {
    private var bytes: [UInt8] = []
    private var escapesNonASCII = false
    private var sortsKeys = false
    private var indent: [UInt8]?
    private var itemSeparator = Array(", ".utf8)
    private var keySeparator = Array(": ".utf8)
    private var origin: Int?
    private var hasSeveralOrigins = false
    private let interpreter: TemplateInterpreter

    static func filter(
        _ value: TemplateValue, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        let values = try arguments.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])
        var writer = TemplateJSON(interpreter: interpreter)
        writer.escapesNonASCII = values[0]?.isTrue ?? false
        writer.sortsKeys = values[3]?.isTrue ?? false
        switch values[1] {
        case nil, .some(.none): break
        case .string(let text)?: writer.indent = text.bytes
        case let width?:
            let count = try interpreter.integer(width)
            try interpreter.checkRepeat(count)
            writer.indent = [UInt8](repeating: UInt8(ascii: " "), count: max(0, count))
        }
        if writer.indent != nil { writer.itemSeparator = Array(",".utf8) }
        switch values[2] {
        case nil, .some(.none): break
        case let pair?:
            let separators = try interpreter.elements(pair)
            guard separators.count == 2 else {
                throw TemplateError(.runtime, "tojson() takes separators as a pair of texts")
            }
            writer.itemSeparator = try interpreter.text(separators[0]).bytes
            writer.keySeparator = try interpreter.text(separators[1]).bytes
        }
        try writer.write(value, level: 0)
        return TemplateText(writer.bytes).attributed(to: writer.hasSeveralOrigins ? nil : writer.origin)
    }

    private init(interpreter: TemplateInterpreter) { self.interpreter = interpreter }

    private mutating func note(_ found: Int?) {
        guard let found else { return }
        if let origin, origin != found { hasSeveralOrigins = true }
        origin = found
    }

    private mutating func write(_ value: TemplateValue, level: Int) throws(TemplateError) {
        try interpreter.spend()
        switch value {
        case .none: bytes.append(contentsOf: "null".utf8)
        case .bool(let flag): bytes.append(contentsOf: (flag ? "true" : "false").utf8)
        case .int(let number): bytes.append(contentsOf: String(number).utf8)
        case .double(let number): bytes.append(contentsOf: Self.text(of: number).utf8)
        case .string(let text):
            note(text.origin)
            write(text.bytes)
        case .list(let list), .tuple(let list): try write(list.items, level: level)
        case .dict(let dict):
            note(dict.origin)
            try write(dict, level: level)
        default:
            throw TemplateError(.runtime, "Object of type \(value.typeName) is not JSON serializable")
        }
        guard bytes.count <= interpreter.limits.outputBytes else {
            try interpreter.spend(bytes: bytes.count)
            return
        }
    }

    private static func text(of number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
        return PythonText.text(of: number)
    }

    private mutating func write(_ items: [TemplateValue], level: Int) throws(TemplateError) {
        bytes.append(UInt8(ascii: "["))
        for (place, item) in items.enumerated() {
            if place > 0 { bytes.append(contentsOf: itemSeparator) }
            breakLine(level + 1)
            try write(item, level: level + 1)
        }
        if !items.isEmpty { breakLine(level) }
        bytes.append(UInt8(ascii: "]"))
    }

    private mutating func write(_ dict: TemplateDict, level: Int) throws(TemplateError) {
        var entries = dict.entries
        if sortsKeys {
            var keys = entries.map(\.key)
            let sorted = try interpreter.filter(
                "sort", .list(TemplateList(keys)), TemplateCallArguments(keyword: [("case_sensitive", .bool(true))]))
            keys = try interpreter.elements(sorted)
            entries = keys.compactMap { key in
                TemplateKey(key).flatMap { dict.value($0) }.map { (key: key, value: $0) }
            }
        }
        bytes.append(UInt8(ascii: "{"))
        for (place, entry) in entries.enumerated() {
            if place > 0 { bytes.append(contentsOf: itemSeparator) }
            breakLine(level + 1)
            switch entry.key {
            case .string(let text): write(text.bytes)
            case .int(let number): write(Array(String(number).utf8))
            case .double(let number): write(Array(Self.text(of: number).utf8))
            case .bool(let flag): write(Array((flag ? "true" : "false").utf8))
            case .none: write(Array("null".utf8))
            default:
                throw TemplateError(
                    .runtime,
                    "keys must be str, int, float, bool or None, not \(entry.key.typeName)")
            }
            bytes.append(contentsOf: keySeparator)
            try write(entry.value, level: level + 1)
        }
        if !entries.isEmpty { breakLine(level) }
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func breakLine(_ level: Int) {
        guard let indent else { return }
        bytes.append(0x0A)
        for _ in 0..<level { bytes.append(contentsOf: indent) }
    }

    private mutating func write(_ text: [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        if escapesNonASCII {
            for unit in String(decoding: text, as: UTF8.self).utf16 {
                if unit < 0x7F { append(UInt8(unit)) } else { appendEscape(unit) }
            }
        } else {
            for byte in text { append(byte) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func append(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): bytes.append(contentsOf: "\\\"".utf8)
        case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
        case 0x08: bytes.append(contentsOf: "\\b".utf8)
        case 0x0C: bytes.append(contentsOf: "\\f".utf8)
        case 0x0A: bytes.append(contentsOf: "\\n".utf8)
        case 0x0D: bytes.append(contentsOf: "\\r".utf8)
        case 0x09: bytes.append(contentsOf: "\\t".utf8)
        case 0..<0x20: appendEscape(UInt16(byte))
        default: bytes.append(byte)
        }
    }

    private mutating func appendEscape(_ unit: UInt16) {
        let digits = String(unit, radix: 16)
        bytes.append(contentsOf: "\\u".utf8)
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - digits.utf8.count))
        bytes.append(contentsOf: digits.utf8)
    }
}
