/// A piece of a template's source.
struct TemplateToken: Sendable {
    enum Kind: Sendable {
        case data, variableBegin, variableEnd, blockBegin, blockEnd, name, string, integer, float, symbol, end
    }

    var kind: Kind
    var bytes: [UInt8]
    var line: Int

    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// How the token is called in a message.
    var label: String {
        switch kind {
        case .data: "template data / text"
        case .variableBegin: "begin of print statement"
        case .variableEnd: "end of print statement"
        case .blockBegin: "begin of statement block"
        case .blockEnd: "end of statement block"
        case .end: "end of template"
        case .name, .symbol: text
        case .string, .integer, .float: text
        }
    }
}

/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` as chat templates have them: the newline after
/// a block tag goes, and so does white space between the start of a line and a block tag or comment.
struct TemplateLexer {
    private let source: [UInt8]
    private var place = 0
    private var line = 1
    private var isLineStart = true
    private var tokens: [TemplateToken] = []

    init(_ text: [UInt8]) {
        var source: [UInt8] = []
        source.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            if text[index] == 0x0D {
                source.append(0x0A)
                if index + 1 < text.count, text[index + 1] == 0x0A { index += 1 }
            } else {
                source.append(text[index])
            }
            index += 1
        }
        if source.last == 0x0A { source.removeLast() }
        self.source = source
    }

    /// All tokens, the last of kind `end`.
    mutating func tokenize() throws(TemplateError) -> [TemplateToken] {
        while place < source.count {
            guard let tag = nextTag() else {
                emit(.data, Array(source[place...]))
                place = source.count
                break
            }
            try lex(tag)
        }
        emit(.end, [])
        return tokens
    }

    private struct Tag {
        enum Kind { case block, variable, comment, raw }
        var kind: Kind
        var begin: Int
        /// After the opening and its sign; for `raw` after the whole tag.
        var end: Int
        var sign: UInt8?
    }

    private func nextTag() -> Tag? {
        var index = place
        while index + 1 < source.count {
            guard source[index] == UInt8(ascii: "{") else {
                index += 1
                continue
            }
            let kind: Tag.Kind
            switch source[index + 1] {
            case UInt8(ascii: "%"): kind = .block
            case UInt8(ascii: "{"): kind = .variable
            case UInt8(ascii: "#"): kind = .comment
            default:
                index += 1
                continue
            }
            var tag = Tag(kind: kind, begin: index, end: index + 2, sign: nil)
            if tag.end < source.count, source[tag.end] == UInt8(ascii: "-") || source[tag.end] == UInt8(ascii: "+") {
                tag.sign = source[tag.end]
                tag.end += 1
            }
            if kind == .block, let end = rawTagEnd(after: tag.end) {
                tag.kind = .raw
                tag.end = end
            }
            return tag
        }
        return nil
    }

    private func rawTagEnd(after start: Int) -> Int? {
        var index = skippingSpace(start)
        guard starts("raw", at: index) else { return nil }
        index = skippingSpace(index + 3)
        if starts("-%}", at: index) { return skippingSpace(index + 3) }
        return starts("%}", at: index) ? index + 2 : nil
    }

    private mutating func lex(_ tag: Tag) throws(TemplateError) {
        emitData(place..<tag.begin, sign: tag.sign, stripsLine: tag.kind != .variable)
        advance(to: tag.end)
        switch tag.kind {
        case .comment: try skipComment()
        case .raw: try lexRaw()
        case .block:
            emit(.blockBegin, [])
            try lexTag(isBlock: true)
        case .variable:
            emit(.variableBegin, [])
            try lexTag(isBlock: false)
        }
    }

    /// Emits the text before a tag; `sign` is what follows its opening. A variable keeps the white space of its line.
    private mutating func emitData(_ range: Range<Int>, sign: UInt8?, stripsLine: Bool) {
        var end = range.upperBound
        if sign == UInt8(ascii: "-") {
            let text = TemplateText(Array(source[range]))
            end = range.lowerBound + text.strippedRange(nil, leading: false).upperBound
        } else if sign != UInt8(ascii: "+"), stripsLine {
            let lastNewline = source[range].lastIndex(of: 0x0A)
            let lineBegin = lastNewline.map { $0 + 1 } ?? range.lowerBound
            if lastNewline != nil || isLineStart, skippingSpace(lineBegin) >= range.upperBound { end = lineBegin }
        }
        if end > range.lowerBound { emit(.data, Array(source[range.lowerBound..<end])) }
    }

    private mutating func skipComment() throws(TemplateError) {
        var index = place
        while index + 1 < source.count {
            if starts("#}", at: index) {
                let isStripped = index > place && source[index - 1] == UInt8(ascii: "-")
                let isKept = index > place && source[index - 1] == UInt8(ascii: "+")
                advance(to: endOfTag(index + 2, isStripped: isStripped, isKept: isKept))
                return
            }
            index += 1
        }
        throw TemplateError(.syntax, "Missing end of comment tag", line: line)
    }

    private func endOfTag(_ end: Int, isStripped: Bool, isKept: Bool) -> Int {
        if isStripped { return skippingSpace(end) }
        return !isKept && end < source.count && source[end] == 0x0A ? end + 1 : end
    }

    private mutating func lexRaw() throws(TemplateError) {
        var index = place
        while index + 1 < source.count {
            if starts("{%", at: index) {
                var cursor = index + 2
                var sign: UInt8?
                if cursor < source.count, source[cursor] == UInt8(ascii: "-") || source[cursor] == UInt8(ascii: "+") {
                    sign = source[cursor]
                    cursor += 1
                }
                cursor = skippingSpace(cursor)
                if starts("endraw", at: cursor) {
                    cursor = skippingSpace(cursor + 6)
                    let isStripped = starts("-%}", at: cursor)
                    let isKept = starts("+%}", at: cursor)
                    if isStripped || isKept { cursor += 1 }
                    if starts("%}", at: cursor) {
                        emitData(place..<index, sign: sign, stripsLine: true)
                        advance(to: endOfTag(cursor + 2, isStripped: isStripped, isKept: isKept))
                        return
                    }
                }
            }
            index += 1
        }
        throw TemplateError(.syntax, "Missing end of raw directive", line: line)
    }

    /// The inside of `{% … %}` or `{{ … }}` up to and including its end.
    private mutating func lexTag(isBlock: Bool) throws(TemplateError) {
        var brackets: [UInt8] = []
        let closing = isBlock ? "%}" : "}}"
        while true {
            let start = skippingSpace(place)
            advance(to: start)
            guard start < source.count else { return }
            if brackets.isEmpty {
                if starts("-" + closing, at: start) {
                    emit(isBlock ? .blockEnd : .variableEnd, [])
                    advance(to: skippingSpace(start + 3))
                    return
                }
                if isBlock, starts("+" + closing, at: start) {
                    emit(.blockEnd, [])
                    advance(to: start + 3)
                    return
                }
                if starts(closing, at: start) {
                    emit(isBlock ? .blockEnd : .variableEnd, [])
                    advance(to: isBlock ? endOfTag(start + 2, isStripped: false, isKept: false) : start + 2)
                    return
                }
            }
            try lexExpressionToken(&brackets)
        }
    }

    private mutating func lexExpressionToken(_ brackets: inout [UInt8]) throws(TemplateError) {
        let start = place
        let byte = source[start]
        if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
            try lexString(quote: byte)
        } else if (0x30...0x39).contains(byte) {
            lexNumber()
        } else if let end = endOfName(start) {
            emit(.name, Array(source[start..<end]))
            advance(to: end)
        } else if let symbol = Self.symbols.first(where: { starts($0, at: start) }) {
            switch byte {
            case UInt8(ascii: "("): brackets.append(UInt8(ascii: ")"))
            case UInt8(ascii: "["): brackets.append(UInt8(ascii: "]"))
            case UInt8(ascii: "{"): brackets.append(UInt8(ascii: "}"))
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
                guard let expected = brackets.popLast() else {
                    throw TemplateError(.syntax, "unexpected '\(symbol)'", line: line)
                }
                guard expected == byte else {
                    throw TemplateError(
                        .syntax, "unexpected '\(symbol)', expected '\(Unicode.Scalar(expected))'", line: line)
                }
            default: break
            }
            emit(.symbol, Array(symbol.utf8))
            advance(to: start + symbol.utf8.count)
        } else {
            let (scalar, _) = TemplateText.scalar(in: source, at: start)
            throw TemplateError(.syntax, "unexpected char \(PythonText.quoted(String(scalar)))", line: line)
        }
    }

    // Longer ones first: the first that fits is taken.
    private static let symbols = [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=",
        ".", ":", "|", ",", ";",
    ]

    private func endOfName(_ start: Int) -> Int? {
        var index = start
        while index < source.count {
            let (scalar, length) = TemplateText.scalar(in: source, at: index)
            let isLetter = scalar == "_" || scalar.properties.isAlphabetic
            guard isLetter || (index > start && scalar.properties.isXIDContinue) else { break }
            index += length
        }
        return index > start ? index : nil
    }

    private mutating func lexNumber() {
        let start = place
        let isAfterDot = start > 0 && source[start - 1] == UInt8(ascii: ".")
        if !isAfterDot, let end = endOfFloat(start) {
            emit(.float, source[start..<end].filter { $0 != UInt8(ascii: "_") })
            advance(to: end)
            return
        }
        let end = endOfInteger(start)
        emit(.integer, source[start..<end].filter { $0 != UInt8(ascii: "_") })
        advance(to: end)
    }

    private func endOfDigits(_ start: Int, _ isDigit: (UInt8) -> Bool) -> Int {
        var index = start
        while index < source.count {
            if isDigit(source[index]) {
                index += 1
            } else if index > start, source[index] == UInt8(ascii: "_"), index + 1 < source.count,
                isDigit(source[index + 1])
            {
                index += 2
            } else {
                break
            }
        }
        return index
    }

    private func endOfFloat(_ start: Int) -> Int? {
        let isDecimal = { (byte: UInt8) in (0x30...0x39).contains(byte) }
        var end = endOfDigits(start, isDecimal)
        var isFloat = false
        if end < source.count, source[end] == UInt8(ascii: ".") {
            let fraction = endOfDigits(end + 1, isDecimal)
            if fraction > end + 1 {
                end = fraction
                isFloat = true
            }
        }
        if end < source.count, source[end] | 0x20 == UInt8(ascii: "e") {
            var exponent = end + 1
            if exponent < source.count, source[exponent] == UInt8(ascii: "+") || source[exponent] == UInt8(ascii: "-") {
                exponent += 1
            }
            let digits = endOfDigits(exponent, isDecimal)
            if digits > exponent {
                end = digits
                isFloat = true
            }
        }
        return isFloat ? end : nil
    }

    private func endOfInteger(_ start: Int) -> Int {
        if source[start] == UInt8(ascii: "0") {
            if start + 1 < source.count {
                let isDigit: ((UInt8) -> Bool)?
                switch source[start + 1] | 0x20 {
                case UInt8(ascii: "x"):
                    isDigit = { (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20) }
                case UInt8(ascii: "o"): isDigit = { (0x30...0x37).contains($0) }
                case UInt8(ascii: "b"): isDigit = { $0 == 0x30 || $0 == 0x31 }
                default: isDigit = nil
                }
                if let isDigit {
                    let end = endOfDigits(start + 2, isDigit)
                    if end > start + 2 { return end }
                }
            }
            return endOfDigits(start, { $0 == 0x30 })
        }
        return endOfDigits(start, { (0x30...0x39).contains($0) })
    }

    private mutating func lexString(quote: UInt8) throws(TemplateError) {
        var index = place + 1
        while index < source.count, source[index] != quote {
            index += source[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard index < source.count else {
            throw TemplateError(.syntax, "a string is not closed", line: line)
        }
        let value: [UInt8]
        do {
            value = try TemplateEscapes.decode(Array(source[(place + 1)..<index]))
        } catch {
            throw TemplateError(.syntax, error.message, line: line)
        }
        emit(.string, value)
        advance(to: index + 1)
    }

    private func starts(_ text: String, at index: Int) -> Bool {
        guard index + text.utf8.count <= source.count else { return false }
        var index = index
        for byte in text.utf8 {
            guard source[index] == byte else { return false }
            index += 1
        }
        return true
    }

    private func skippingSpace(_ start: Int) -> Int {
        var index = start
        while index < source.count {
            let (scalar, length) = TemplateText.scalar(in: source, at: index)
            guard scalar.isPythonSpace else { break }
            index += length
        }
        return index
    }

    private mutating func emit(_ kind: TemplateToken.Kind, _ bytes: [UInt8]) {
        tokens.append(TemplateToken(kind: kind, bytes: bytes, line: line))
    }

    private mutating func advance(to end: Int) {
        guard end > place else { return }
        for byte in source[place..<end] where byte == 0x0A { line += 1 }
        isLineStart = source[end - 1] == 0x0A
        place = end
    }
}

/// The escapes of a string literal, those of Python.
enum TemplateEscapes {
    static func decode(_ text: [UInt8]) throws(TemplateError) -> [UInt8] {
        guard text.contains(UInt8(ascii: "\\")) else { return text }
        var bytes: [UInt8] = []
        var index = 0
        while index < text.count {
            guard text[index] == UInt8(ascii: "\\"), index + 1 < text.count else {
                bytes.append(text[index])
                index += 1
                continue
            }
            let escape = text[index + 1]
            index += 2
            switch escape {
            case 0x0A: break
            case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): bytes.append(escape)
            case UInt8(ascii: "a"): bytes.append(0x07)
            case UInt8(ascii: "b"): bytes.append(0x08)
            case UInt8(ascii: "f"): bytes.append(0x0C)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "v"): bytes.append(0x0B)
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                var value = UInt32(escape - UInt8(ascii: "0"))
                var digits = 1
                while digits < 3, index < text.count, (0x30...0x37).contains(text[index]) {
                    value = value * 8 + UInt32(text[index] - 0x30)
                    index += 1
                    digits += 1
                }
                append(value, to: &bytes)
            case UInt8(ascii: "x"): append(try hexadecimal(text, &index, 2, "x"), to: &bytes)
            case UInt8(ascii: "u"): append(try hexadecimal(text, &index, 4, "u"), to: &bytes)
            case UInt8(ascii: "U"): append(try hexadecimal(text, &index, 8, "U"), to: &bytes)
            case UInt8(ascii: "N"):
                throw TemplateError(.syntax, "a string names a character with \\N{…}; write it with \\u instead")
            default:
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(escape)
            }
        }
        return bytes
    }

    private static func append(_ value: UInt32, to bytes: inout [UInt8]) {
        TemplateText.append(Unicode.Scalar(value) ?? "\u{FFFD}", to: &bytes)
    }

    private static func hexadecimal(
        _ text: [UInt8], _ index: inout Int, _ count: Int, _ letter: String
    ) throws(TemplateError) -> UInt32 {
        guard index + count <= text.count,
            let value = UInt32(String(decoding: text[index..<(index + count)], as: UTF8.self), radix: 16),
            value <= 0x10FFFF
        else { throw TemplateError(.syntax, "truncated or illegal \\\(letter) escape in a string") }
        index += count
        return value
    }
}
