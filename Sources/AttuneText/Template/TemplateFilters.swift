import Foundation

/// The filters of jinja2 that work on one value; those on sequences are in the next file.
extension TemplateInterpreter {
    static let filterNames: Set<String> = [
        "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape",
        "filesizeformat", "first", "float", "forceescape", "format", "groupby", "indent", "int", "items", "join",
        "last", "length", "list", "lower", "map", "max", "min", "pprint", "reject", "rejectattr", "replace", "reverse",
        "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum", "title", "tojson",
        "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "wordwrap", "xmlattr",
    ]

    func filter(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "default", "d":
            let values = try arguments.bind(name, ["default_value", "boolean"])
            let isMissing =
                if case .undefined = value { true } else { (values[1]?.isTrue ?? false) && !value.isTrue }
            return isMissing ? values[0] ?? .text("") : value
        case "tojson": return .string(try TemplateJSON.filter(value, arguments, self))
        case "trim":
            let text = PythonText.string(value)
            let set = try TemplateStringMethods.characterSet(try arguments.bind(name, ["chars"])[0], "strip")
            try spend(bytes: text.bytes.count)
            return .string(text.slice(text.strippedRange(set)))
        case "length", "count": return .int(try length(value))
        case "string": return .string(PythonText.string(value))
        case "safe":
            var text = PythonText.string(value)
            text.isMarkup = true
            return .string(text)
        case "e", "escape": return .string(TemplateHTML.escaped(PythonText.string(value)))
        case "forceescape":
            var text = PythonText.string(value)
            text.isMarkup = false
            return .string(TemplateHTML.escaped(text))
        case "upper", "lower", "capitalize":
            _ = try arguments.bind(name, [])
            let text = PythonText.string(value)
            try spend(bytes: text.bytes.count)
            return .string(TemplateCase.convert(text, name))
        case "title": return .string(try title(PythonText.string(value)))
        case "replace":
            let values = try arguments.bind(name, ["old", "new", "count"], required: 2)
            var text = PythonText.string(value)
            text.isMarkup = false
            var count = -1
            if let limit = values[2], case .int(let number)? = Number(limit) { count = number }
            return .string(
                try TemplateStringMethods.replace(
                    text, PythonText.string(values[0] ?? .none), PythonText.string(values[1] ?? .none), count, self))
        case "center":
            let width = try arguments.bind(name, ["width"])[0].map { value throws(TemplateError) in try integer(value) }
            return .string(
                try TemplateStringMethods.pad(
                    PythonText.string(value), to: width ?? 80, name, TemplateText(" "), self))
        case "indent": return .string(try indent(value, arguments))
        case "truncate": return .string(try truncate(value, arguments))
        case "wordwrap": return .string(try TemplateWrapping.wrap(text(value), arguments, self))
        case "wordcount": return .int(wordCount(PythonText.string(value)))
        case "striptags": return .string(stripTags(PythonText.string(value)))
        case "urlencode": return .string(try urlEncode(value))
        case "xmlattr": return .string(try xmlAttributes(value, arguments))
        case "format":
            guard arguments.positional.isEmpty || arguments.keyword.isEmpty else {
                throw TemplateError(
                    .runtime, "can't handle positional and keyword arguments at the same time")
            }
            var builder = TemplateDictBuilder()
            for argument in arguments.keyword { builder.set(argument.name, argument.value) }
            let filling: TemplateValue =
                arguments.keyword.isEmpty ? .tuple(try list(arguments.positional)) : .dict(try dict(builder))
            return .string(try PythonFormat.percent(PythonText.string(value), filling, self))
        case "abs":
            switch Number(value) {
            case .int(let number)?:
                guard number != .min else { throw overflow() }
                return .int(abs(number))
            case .double(let number)?: return .double(abs(number))
            case nil:
                if case .undefined(let undefined) = value { throw undefined.error }
                throw TemplateError(.runtime, "bad operand type for abs(): '\(value.typeName)'")
            }
        case "int": return try toInteger(value, arguments)
        case "float": return try toDouble(value, arguments)
        case "round": return try round(value, arguments)
        case "filesizeformat": return .text(try fileSize(value, arguments))
        case "pprint":
            var bytes: [UInt8] = []
            PythonText.write(value, to: &bytes)
            return .string(TemplateText(bytes))
        case "attr":
            let name = try text(try arguments.bind(name, ["name"], required: 1)[0] ?? .none).string
            if case .dict = value {
                let found = try attribute(name, of: value)
                if case .callable = found { return found }
                return .undefined(TemplateUndefined(.attribute(owner: value.ownerName, name)))
            }
            return try attribute(name, of: value)
        default: return try sequenceFilter(name, value, arguments)
        }
    }

    func length(_ value: TemplateValue) throws(TemplateError) -> Int {
        switch value {
        case .string(let text):
            try spend(text.bytes.count >> 8)
            return text.count
        case .list(let list), .tuple(let list): return list.items.count
        case .dict(let dict): return dict.count
        case .view(let view): return view.items.count
        case .range(let range): return range.count
        case .loop(let loop): return loop.items.count
        case .undefined(let undefined):
            if case .unsafe = undefined.reason { throw undefined.error }
            return 0
        default: throw TemplateError(.runtime, "object of type '\(value.typeName)' has no len()")
        }
    }

    /// Words begin after white space, `-`, `(`, `{`, `[` and `<`.
    private func title(_ text: TemplateText) throws(TemplateError) -> TemplateText {
        try spend(bytes: text.bytes.count)
        var string = ""
        var isStart = true
        var isAfterBreak = true
        var word = ""
        for scalar in text.string.unicodeScalars {
            let isBreak = scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar)
            if isBreak {
                if !isAfterBreak || isStart {
                    string += word.lowercased()
                    word = ""
                }
                string.unicodeScalars.append(scalar)
            } else if isAfterBreak {
                string += scalar.properties.uppercaseMapping
            } else {
                word.unicodeScalars.append(scalar)
            }
            isAfterBreak = isBreak
            isStart = false
        }
        string += word.lowercased()
        return TemplateText(Array(string.utf8), isMarkup: text.isMarkup).attributed(to: text.origin)
    }

    private func indent(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateText {
        let values = try arguments.bind("indent", ["width", "first", "blank"])
        var indention = TemplateText("    ")
        switch values[0] {
        case .string(let text)?: indention = text
        case let width?:
            let count = try integer(width)
            try checkRepeat(count)
            indention = TemplateText([UInt8](repeating: UInt8(ascii: " "), count: max(0, count)))
        case nil: break
        }
        let first = values[1]?.isTrue ?? false
        let blank = values[2]?.isTrue ?? false
        let newline = TemplateText("\n")
        let body = try join(try text(value), newline)
        try spend(parts: TemplateStringMethods.breakCount(body), of: body)
        let lines = TemplateStringMethods.lines(body)
        var result = TemplateText([])
        for (place, line) in lines.enumerated() {
            if place > 0 { result.append(newline) }
            if place == 0 ? first : blank || !line.isEmpty { result.append(indention) }
            result.append(line)
            try spend(bytes: result.bytes.count)
        }
        result.isMarkup = lines.first?.isMarkup ?? false
        return result
    }

    private func truncate(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateText {
        let values = try arguments.bind("truncate", ["length", "killwords", "end", "leeway"])
        let text = try text(value)
        let length = try values[0].map { value throws(TemplateError) in try integer(value) } ?? 255
        let end = try values[2].map { value throws(TemplateError) in try self.text(value) } ?? TemplateText("...")
        var leeway = 5
        if let value = values[3], case .int(let number)? = Number(value) { leeway = number }
        let endCount = end.count
        guard length >= endCount else {
            throw TemplateError(.runtime, "expected length >= \(endCount), got \(length)")
        }
        guard leeway >= 0 else { throw TemplateError(.runtime, "expected leeway >= 0, got \(leeway)") }
        let offsets = text.offsets()
        let count = offsets.count - 1
        // count <= length + leeway, without overflow
        if count <= length || count - length <= leeway { return text }
        var head = text.slice(0..<offsets[length - endCount])
        if !(values[1]?.isTrue ?? false), let space = head.lastIndex(of: [UInt8(ascii: " ")]) {
            head = head.slice(0..<space)
        }
        return try join(head, end)
    }

    private func wordCount(_ text: TemplateText) -> Int {
        var count = 0
        var isInWord = false
        for scalar in text.string.unicodeScalars {
            let isWord = scalar == "_" || TemplateCase.isAlpha(scalar) || scalar.properties.numericType != nil
            if isWord, !isInWord { count += 1 }
            isInWord = isWord
        }
        return count
    }

    private func stripTags(_ text: TemplateText) -> TemplateText {
        var bytes: [UInt8] = []
        var index = 0
        while index < text.bytes.count {
            if text.bytes[index] == UInt8(ascii: "<") {
                let isComment = text.matches(Array("<!--".utf8), at: index)
                let closing = Array((isComment ? "-->" : ">").utf8)
                if let end = text.firstIndex(of: closing, from: index) {
                    index = end + closing.count
                    continue
                }
            }
            bytes.append(text.bytes[index])
            index += 1
        }
        let words = TemplateText(bytes).string.unicodeScalars.split(whereSeparator: \.isPythonSpace)
        return TemplateText(words.map { String($0) }.joined(separator: " ")).attributed(to: text.origin)
    }

    private func urlEncode(_ value: TemplateValue) throws(TemplateError) -> TemplateText {
        func quote(_ value: TemplateValue, forQuery: Bool) -> [UInt8] {
            var bytes: [UInt8] = []
            for byte in PythonText.string(value).bytes {
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"),
                    UInt8(ascii: "~"):
                    bytes.append(byte)
                case UInt8(ascii: "/") where !forQuery: bytes.append(byte)
                case UInt8(ascii: " ") where forQuery: bytes.append(UInt8(ascii: "+"))
                default:
                    let digits = String(byte, radix: 16, uppercase: true)
                    bytes.append(contentsOf: ("%" + (byte < 16 ? "0" : "") + digits).utf8)
                }
            }
            return bytes
        }
        switch value {
        case .dict, .list, .tuple, .view, .generator:
            var pairs: [TemplateValue] = []
            if case .dict(let dict) = value {
                pairs = TemplateView(.items, of: dict).items
            } else {
                pairs = try elements(value)
            }
            var bytes: [UInt8] = []
            for pair in pairs {
                let items = try elements(pair)
                guard items.count == 2 else { throw TemplateError(.runtime, "urlencode needs pairs") }
                if !bytes.isEmpty { bytes.append(UInt8(ascii: "&")) }
                bytes += quote(items[0], forQuery: true) + [UInt8(ascii: "=")] + quote(items[1], forQuery: true)
                try spend(bytes: bytes.count)
            }
            return TemplateText(bytes)
        default: return TemplateText(quote(value, forQuery: false)).attributed(to: value.origin)
        }
    }

    private func xmlAttributes(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateText {
        guard case .dict(let dict) = value else {
            throw TemplateError(.runtime, "'\(value.typeName)' object has no attribute 'items'")
        }
        let spaced = try arguments.bind("xmlattr", ["autospace"])[0]?.isTrue ?? true
        var result = TemplateText([])
        for entry in dict.entries {
            switch entry.value {
            case .none, .undefined: continue
            default: break
            }
            let key = try text(entry.key)
            guard !key.bytes.contains(where: { " \t\n\r\u{0B}\u{0C}/>=".utf8.contains($0) }) else {
                throw TemplateError(.runtime, "Invalid character in attribute name: '\(key.string)'")
            }
            if !result.isEmpty || spaced { result.append(TemplateText(" ")) }
            result.append(TemplateHTML.escaped(key))
            result.append(TemplateText("=\""))
            result.append(TemplateHTML.escaped(PythonText.string(entry.value)))
            result.append(TemplateText("\""))
            try spend(bytes: result.bytes.count)
        }
        return result
    }

    // MARK: numbers

    private func toInteger(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        let values = try arguments.bind("int", ["default", "base"])
        let fallback = values[0] ?? .int(0)
        let base = try values[1].map { value throws(TemplateError) in try integer(value) } ?? 10
        switch value {
        case .int, .bool: return .int(try integer(value))
        case .double(let number):
            guard number.isFinite else { return fallback }
            guard let whole = Int(exactly: number.rounded(.towardZero)) else { throw overflow() }
            return .int(whole)
        case .string(let text):
            if let parsed = PythonNumber.integer(text, base: base) { return .int(parsed) }
            guard let number = PythonNumber.double(text), number.isFinite else { return fallback }
            guard let whole = Int(exactly: number.rounded(.towardZero)) else { throw overflow() }
            return .int(whole)
        case .undefined(let undefined): throw undefined.error
        default: return fallback
        }
    }

    private func toDouble(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        let fallback = try arguments.bind("float", ["default"])[0] ?? .double(0)
        switch value {
        case .string(let text): return PythonNumber.double(text).map { .double($0) } ?? fallback
        case .undefined(let undefined): throw undefined.error
        default: return Number(value).map { .double($0.double) } ?? fallback
        }
    }

    private func round(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        let values = try arguments.bind("round", ["precision", "method"])
        let precision = try values[0].map { value throws(TemplateError) in try integer(value) } ?? 0
        let method = try values[1].map { value throws(TemplateError) in try text(value).string } ?? "common"
        guard let number = Number(value) else {
            if case .undefined(let undefined) = value { throw undefined.error }
            throw TemplateError(.runtime, "type \(value.typeName) doesn't define __round__ method")
        }
        guard abs(precision) <= 300 else { throw TemplateError(.limit, "round() to more than 300 digits") }
        switch method {
        case "common":
            if case .int(let whole) = number, precision >= 0 { return .int(whole) }
            return .double(PythonNumber.rounded(number.double, precision))
        case "ceil", "floor":
            let scale = pow(10, Double(precision))
            let scaled = number.double * scale
            let whole = method == "ceil" ? scaled.rounded(.up) : scaled.rounded(.down)
            return .double(whole / scale)
        default: throw TemplateError(.runtime, "method must be common, ceil or floor")
        }
    }

    private func fileSize(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> String {
        let isBinary = try arguments.bind("filesizeformat", ["binary"])[0]?.isTrue ?? false
        guard case .double(let bytes) = try toDouble(value, TemplateCallArguments()) else { return "" }
        let base = isBinary ? 1024.0 : 1000.0
        if bytes == 1 { return "1 Byte" }
        guard bytes.isFinite, let whole = Int(exactly: bytes.rounded(.towardZero)) else {
            throw TemplateError(.runtime, "cannot show \(PythonText.text(of: bytes)) as a file size")
        }
        if bytes < base { return "\(whole) Bytes" }
        let prefixes = ["k", "M", "G", "T", "P", "E", "Z", "Y"]
        var unit = base
        var name = "k"
        for prefix in prefixes {
            unit *= base
            name = prefix
            if bytes < unit { break }
        }
        let label = isBinary ? (name == "k" ? "K" : name) + "iB" : name + "B"
        return String(format: "%.1f", base * bytes / unit) + " " + label
    }
}

/// `int(text)`, `float(text)` and `round`.
enum PythonNumber {
    static func integer(_ text: TemplateText, base: Int) -> Int? {
        var body = text.slice(text.strippedRange(nil)).string.lowercased()[...]
        var isNegative = false
        if let first = body.utf8.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            isNegative = first == UInt8(ascii: "-")
            body = body.dropFirst()
        }
        let prefixes = ["0x": 16, "0o": 8, "0b": 2]
        var radix = base
        if let named = prefixes[String(body.prefix(2))], base == named || base == 0 {
            radix = named
            body = body.dropFirst(2)
            if body.hasPrefix("_") { body = body.dropFirst() }
        } else if base == 0 {
            radix = 10
        }
        guard (2...36).contains(radix), let digits = withoutSeparators(body), let first = digits.utf8.first,
            first != UInt8(ascii: "-"), first != UInt8(ascii: "+")
        else { return nil }
        return Int((isNegative ? "-" : "") + digits, radix: radix)
    }

    static func double(_ text: TemplateText) -> Double? {
        let body = text.slice(text.strippedRange(nil)).string
        guard let digits = withoutSeparators(body[...]), !digits.isEmpty else { return nil }
        let accepted = digits.utf8.allSatisfy {
            (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0)
        }
        if accepted {
            return Double(digits.hasSuffix(".") ? digits + "0" : digits.hasPrefix(".") ? "0" + digits : digits)
        }
        switch digits.lowercased() {
        case "nan", "+nan", "-nan": return .nan
        case "inf", "infinity", "+inf", "+infinity": return .infinity
        case "-inf", "-infinity": return -.infinity
        default: return nil
        }
    }

    /// Takes out underscores, which may only stand between digits.
    private static func withoutSeparators(_ body: Substring) -> String? {
        guard body.utf8.contains(UInt8(ascii: "_")) else { return String(body) }
        guard !body.hasPrefix("_"), !body.hasSuffix("_"), !body.contains("__") else { return nil }
        return String(body.filter { $0 != "_" })
    }

    /// `round(value, digits)`: correctly rounded from the exact value, ties to even.
    static func rounded(_ value: Double, _ digits: Int) -> Double {
        guard value.isFinite else { return value }
        if digits > 17 { return value }
        if digits < 0 {
            let scale = pow(10, Double(-digits))
            return (value / scale).rounded(.toNearestOrEven) * scale
        }
        return Double(String(format: "%.\(digits)f", value)) ?? value
    }
}
