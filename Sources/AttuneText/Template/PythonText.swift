/// `str` and `repr` of Python.
enum PythonText {
    /// `repr` of a string.
    static func quoted(_ string: String) -> String { TemplateText(quotedBytes(Array(string.utf8))).string }

    /// `repr` of a string: double quotes only when it holds a single but no double quote.
    static func quotedBytes(_ text: [UInt8]) -> [UInt8] {
        let single = UInt8(ascii: "'")
        let quote = text.contains(single) && !text.contains(UInt8(ascii: "\"")) ? UInt8(ascii: "\"") : single
        var bytes = [quote]
        bytes.reserveCapacity(text.count + 2)
        var index = 0
        while index < text.count {
            let (scalar, length) = TemplateText.scalar(in: text, at: index)
            switch scalar {
            case "\\": bytes.append(contentsOf: "\\\\".utf8)
            case "\n": bytes.append(contentsOf: "\\n".utf8)
            case "\r": bytes.append(contentsOf: "\\r".utf8)
            case "\t": bytes.append(contentsOf: "\\t".utf8)
            default:
                if scalar.value == UInt32(quote) {
                    bytes.append(UInt8(ascii: "\\"))
                    bytes.append(quote)
                } else if isPrintable(scalar) {
                    bytes.append(contentsOf: text[index..<(index + length)])
                } else {
                    bytes.append(contentsOf: escape(scalar).utf8)
                }
            }
            index += length
        }
        bytes.append(quote)
        return bytes
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        let (letter, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
        return "\\" + letter + String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    /// What `str.isprintable` accepts of a single character.
    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return (0x20..<0x7F).contains(scalar.value) }
        return switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            false
        default: true
        }
    }

    /// `repr` of a float: the shortest digits that read back, an exponent below 1e-4 and from 1e16.
    static func text(of value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        if value == 0 { return value.sign == .minus ? "-0.0" : "0.0" }
        let (digits, exponent) = shortestDigits(value.magnitude)
        let sign = value < 0 ? "-" : ""
        if exponent < -4 || exponent >= 16 {
            let fraction = digits.count > 1 ? "." + String(decoding: digits[1...], as: UTF8.self) : ""
            let magnitude = exponent.magnitude
            return sign + String(Unicode.Scalar(digits[0])) + fraction + "e" + (exponent < 0 ? "-" : "+")
                + (magnitude < 10 ? "0" : "") + String(magnitude)
        }
        if exponent < 0 {
            return sign + "0." + String(repeating: "0", count: -exponent - 1) + String(decoding: digits, as: UTF8.self)
        }
        let whole = exponent + 1
        if digits.count <= whole {
            return sign + String(decoding: digits, as: UTF8.self)
                + String(repeating: "0", count: whole - digits.count) + ".0"
        }
        return sign + String(decoding: digits[..<whole], as: UTF8.self) + "."
            + String(decoding: digits[whole...], as: UTF8.self)
    }

    /// Digits `d₀d₁…` and exponent e with value = d₀.d₁… × 10ᵉ, for a positive finite value.
    private static func shortestDigits(_ value: Double) -> (digits: [UInt8], exponent: Int) {
        var digits: [UInt8] = []
        var exponent = 0
        var point: Int?
        let text = Array(value.description.utf8)
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte == UInt8(ascii: ".") {
                point = digits.count
            } else if byte | 0x20 == UInt8(ascii: "e") {
                exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
                break
            } else {
                digits.append(byte)
            }
            index += 1
        }
        exponent += (point ?? digits.count) - 1
        let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(min(zeros, digits.count - 1))
        exponent -= zeros
        while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (digits, exponent)
    }

    /// `str(value)`.
    static func string(_ value: TemplateValue) -> TemplateText {
        switch value {
        case .string(let text): return text
        case .undefined: return TemplateText([])
        default:
            var bytes: [UInt8] = []
            write(value, to: &bytes)
            return TemplateText(bytes)
        }
    }

    /// `repr(value)`, appended. The depth of values is bounded where they are made.
    static func write(_ value: TemplateValue, to bytes: inout [UInt8]) {
        switch value {
        case .undefined: bytes.append(contentsOf: "Undefined".utf8)
        case .none: bytes.append(contentsOf: "None".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "True" : "False").utf8)
        case .int(let value): bytes.append(contentsOf: String(value).utf8)
        case .double(let value): bytes.append(contentsOf: text(of: value).utf8)
        case .string(let text):
            if text.isMarkup { bytes.append(contentsOf: "Markup(".utf8) }
            bytes.append(contentsOf: quotedBytes(text.bytes))
            if text.isMarkup { bytes.append(UInt8(ascii: ")")) }
        case .list(let list): write(list.items, "[", "]", to: &bytes)
        case .tuple(let list): write(list.items, "(", list.items.count == 1 ? ",)" : ")", to: &bytes)
        case .dict(let dict): write(dict.entries, to: &bytes)
        case .view(let view):
            bytes.append(contentsOf: (view.kind.rawValue + "(").utf8)
            write(view.items, "[", "]", to: &bytes)
            bytes.append(UInt8(ascii: ")"))
        case .range(let range):
            let step = range.step == 1 ? "" : ", \(range.step)"
            bytes.append(contentsOf: "range(\(range.start), \(range.stop)\(step))".utf8)
        case .namespace(let namespace):
            bytes.append(contentsOf: "<Namespace ".utf8)
            write(namespace.attributes.map { (key: .text($0.name), value: $0.value) }, to: &bytes)
            bytes.append(UInt8(ascii: ">"))
        case .generator, .callable, .loop, .cycler, .joiner:
            bytes.append(contentsOf: "<\(value.typeName)>".utf8)
        }
    }

    private static func write(_ items: [TemplateValue], _ open: String, _ close: String, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: open.utf8)
        for (place, item) in items.enumerated() {
            if place > 0 { bytes.append(contentsOf: ", ".utf8) }
            write(item, to: &bytes)
        }
        bytes.append(contentsOf: close.utf8)
    }

    private static func write(_ entries: [(key: TemplateValue, value: TemplateValue)], to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "{"))
        for (place, entry) in entries.enumerated() {
            if place > 0 { bytes.append(contentsOf: ", ".utf8) }
            write(entry.key, to: &bytes)
            bytes.append(contentsOf: ": ".utf8)
            write(entry.value, to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
    }
}
