import Foundation

/// Python's two ways of filling a text: `"%s" % value` and `"{}".format(value)`.
enum PythonFormat {
    // MARK: %

    static func percent(
        _ format: TemplateText, _ argument: TemplateValue, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        var reader = PercentReader(format: format.bytes)
        var result = TemplateText([], isMarkup: format.isMarkup)
        var values = [argument]
        if case .tuple(let list) = argument { values = list.items }
        var used = 0
        func next() throws(TemplateError) -> TemplateValue {
            guard used < values.count else {
                throw TemplateError(.runtime, "not enough arguments for format string")
            }
            used += 1
            return values[used - 1]
        }
        while let piece = try reader.next() {
            switch piece {
            case .literal(let range): result.append(format.slice(range))
            case .percent: result.append(TemplateText("%"))
            case .field(var field):
                if field.takesWidth {
                    let width = try interpreter.integer(try next())
                    field.spec.width = Int(clamping: width.magnitude)
                    if width < 0 { field.spec.align = "<" }
                }
                if field.takesPrecision { field.spec.precision = try interpreter.integer(try next()) }
                let value: TemplateValue
                if let key = field.key {
                    guard case .dict(let dict) = argument else {
                        throw TemplateError(.runtime, "format requires a mapping")
                    }
                    guard let found = dict.value(.string(key)) else {
                        throw TemplateError(.runtime, PythonText.quoted(String(decoding: key, as: UTF8.self)))
                    }
                    value = found
                    used = values.count
                } else {
                    value = try next()
                }
                var text = try show(value, field.spec, interpreter)
                if format.isMarkup { text = TemplateHTML.escaped(text) }
                result.append(text)
            }
            try interpreter.spend(bytes: result.bytes.count)
        }
        if used < values.count {
            switch argument {
            case .dict, .list, .range, .view, .generator: break
            default:
                throw TemplateError(.runtime, "not all arguments converted during string formatting")
            }
        }
        return result
    }

    private static func show(
        _ value: TemplateValue, _ spec: Spec, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        var spec = spec
        let type = spec.type ?? "s"
        switch type {
        case "s", "r", "a":
            var text = PythonText.string(value)
            if type != "s" {
                var bytes: [UInt8] = []
                PythonText.write(value, to: &bytes)
                text = TemplateText(bytes).attributed(to: value.origin)
            }
            if let precision = spec.precision { text = prefix(text, precision) }
            return try align(text, spec, fallback: ">", interpreter)
        case "c":
            if case .string(let text) = value, text.count == 1 {
                return try align(text, spec, fallback: ">", interpreter)
            }
            guard case .int(let code) = value, let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init) else {
                throw TemplateError(.runtime, "%c requires int or char")
            }
            return try align(TemplateText([scalar]), spec, fallback: ">", interpreter)
        case "d", "i", "u":
            switch TemplateInterpreter.Number(value) {
            case .double(let number)?:
                guard let whole = Int(exactly: number.rounded(.towardZero)) else {
                    throw TemplateError(.runtime, "cannot convert float to integer")
                }
                spec.type = "d"
                return try integer(whole, spec, interpreter)
            case .int(let number)?:
                spec.type = "d"
                return try integer(number, spec, interpreter)
            case nil:
                if case .undefined(let undefined) = value { throw undefined.error }
                throw TemplateError(
                    .runtime, "%\(type) format: a real number is required, not \(value.typeName)")
            }
        case "x", "X", "o":
            guard case .int(let number)? = TemplateInterpreter.Number(value) else {
                throw TemplateError(
                    .runtime, "%\(type) format: an integer is required, not \(value.typeName)")
            }
            return try integer(number, spec, interpreter)
        case "e", "E", "f", "F", "g", "G":
            guard let number = TemplateInterpreter.Number(value) else {
                if case .undefined(let undefined) = value { throw undefined.error }
                throw TemplateError(.runtime, "must be real number, not \(value.typeName)")
            }
            return try real(number.double, spec, interpreter)
        default:
            throw TemplateError(.runtime, "unsupported format character '\(type)'")
        }
    }

    // MARK: str.format

    static func format(
        _ format: TemplateText, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        var automatic = 0
        return try self.format(format, arguments, &automatic, 2, interpreter)
    }

    private static func format(
        _ format: TemplateText, _ arguments: TemplateCallArguments, _ automatic: inout Int, _ depth: Int,
        _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        guard depth > 0 else { throw TemplateError(.runtime, "Max string recursion exceeded") }
        let bytes = format.bytes
        var result = TemplateText([], isMarkup: format.isMarkup)
        var index = 0
        var literal = 0
        func flush(_ end: Int) { if end > literal { result.append(format.slice(literal..<end)) } }
        while index < bytes.count {
            let byte = bytes[index]
            guard byte == UInt8(ascii: "{") || byte == UInt8(ascii: "}") else {
                index += 1
                continue
            }
            if index + 1 < bytes.count, bytes[index + 1] == byte {
                flush(index + 1)
                index += 2
                literal = index
                continue
            }
            guard byte == UInt8(ascii: "{") else {
                throw TemplateError(.runtime, "Single '}' encountered in format string")
            }
            flush(index)
            var level = 1
            var end = index + 1
            while end < bytes.count {
                if bytes[end] == UInt8(ascii: "{") { level += 1 }
                if bytes[end] == UInt8(ascii: "}") { level -= 1 }
                if level == 0 { break }
                end += 1
            }
            guard level == 0 else { throw TemplateError(.runtime, "expected '}' before end of string") }
            let field = Array(bytes[(index + 1)..<end])
            var text = try fill(field, arguments, &automatic, depth, interpreter)
            if format.isMarkup { text = TemplateHTML.escaped(text) }
            result.append(text)
            try interpreter.spend(bytes: result.bytes.count)
            index = end + 1
            literal = index
        }
        flush(bytes.count)
        return result
    }

    private static func fill(
        _ field: [UInt8], _ arguments: TemplateCallArguments, _ automatic: inout Int, _ depth: Int,
        _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        var name = field[...]
        var specification: [UInt8] = []
        var conversion: UInt8?
        var brackets = 0
        for (place, byte) in field.enumerated() {
            if byte == UInt8(ascii: "[") { brackets += 1 }
            if byte == UInt8(ascii: "]") { brackets -= 1 }
            guard brackets <= 0, byte == UInt8(ascii: ":") || byte == UInt8(ascii: "!") else { continue }
            name = field[..<place]
            var rest = place
            if byte == UInt8(ascii: "!"), place + 1 < field.count {
                conversion = field[place + 1]
                rest = place + 2
            }
            if rest < field.count {
                guard field[rest] == UInt8(ascii: ":") else {
                    throw TemplateError(.runtime, "expected ':' after conversion specifier")
                }
                specification = Array(field[(rest + 1)...])
            }
            break
        }
        var value = try resolve(name, arguments, &automatic, interpreter)
        switch conversion {
        case nil: break
        case UInt8(ascii: "s"): value = .string(PythonText.string(value))
        case UInt8(ascii: "r"), UInt8(ascii: "a"):
            var bytes: [UInt8] = []
            PythonText.write(value, to: &bytes)
            value = .string(TemplateText(bytes).attributed(to: value.origin))
        default: throw TemplateError(.runtime, "Unknown conversion specifier")
        }
        if specification.contains(UInt8(ascii: "{")) {
            specification = try format(TemplateText(specification), arguments, &automatic, depth - 1, interpreter).bytes
        }
        return try show(value, specification, interpreter)
    }

    /// `0.name[key]`, or the next argument when the name is empty.
    private static func resolve(
        _ name: ArraySlice<UInt8>, _ arguments: TemplateCallArguments, _ automatic: inout Int,
        _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateValue {
        let end = name.firstIndex { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") } ?? name.endIndex
        let first = String(decoding: name[..<end], as: UTF8.self)
        var value: TemplateValue
        if first.isEmpty || Int(first) != nil {
            let index = Int(first) ?? automatic
            if first.isEmpty { automatic += 1 }
            guard arguments.positional.indices.contains(index) else {
                throw TemplateError(
                    .runtime, "Replacement index \(index) out of range for positional args tuple")
            }
            value = arguments.positional[index]
        } else {
            guard let found = arguments.keyword.last(where: { $0.name == first }) else {
                throw TemplateError(.runtime, PythonText.quoted(first))
            }
            value = found.value
        }
        var index = end
        while index < name.endIndex {
            try interpreter.spend()
            if name[index] == UInt8(ascii: ".") {
                let start = index + 1
                index =
                    name[start...].firstIndex { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") } ?? name.endIndex
                guard start < index else { throw TemplateError(.runtime, "Empty attribute in format string") }
                value = try interpreter.attribute(String(decoding: name[start..<index], as: UTF8.self), of: value)
            } else {
                guard name[index] == UInt8(ascii: "[") else {
                    throw TemplateError(.runtime, "Only '.' or '[' may follow ']' in format field specifier")
                }
                guard let close = name[index...].firstIndex(of: UInt8(ascii: "]")) else {
                    throw TemplateError(.runtime, "Missing ']' in format string")
                }
                guard index + 1 < close else { throw TemplateError(.runtime, "Empty attribute in format string") }
                let key = String(decoding: name[(index + 1)..<close], as: UTF8.self)
                value = try interpreter.item(Int(key).map { .int($0) } ?? .text(key), of: value)
                index = close + 1
            }
        }
        return value
    }

    private static func show(
        _ value: TemplateValue, _ specification: [UInt8], _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        if specification.isEmpty { return PythonText.string(value) }
        var spec = try Spec(specification)
        switch value {
        case .string(var text):
            guard spec.type == nil || spec.type == "s" else {
                throw TemplateError(
                    .runtime, "Unknown format code '\(spec.type ?? "s")' for object of type 'str'")
            }
            if let precision = spec.precision { text = prefix(text, precision) }
            return try align(text, spec, fallback: "<", interpreter)
        case .int, .bool:
            guard let number = TemplateInterpreter.Number(value) else { return TemplateText([]) }
            if case .bool = value, spec.type == nil, case let text = PythonText.string(value) {
                return try align(text, spec, fallback: "<", interpreter)
            }
            if let type = spec.type, "eEfFgG%".unicodeScalars.contains(type) {
                return try real(number.double, spec, interpreter)
            }
            guard case .int(let whole) = number else { return TemplateText([]) }
            spec.type = spec.type ?? "d"
            return try integer(whole, spec, interpreter)
        case .double(let number):
            if spec.type == nil, spec.precision == nil {
                let text = PythonText.text(of: number.magnitude)
                return try signed(number.sign == .minus && !number.isNaN, Array(text.utf8), spec, interpreter)
            }
            return try real(number, spec, interpreter)
        default:
            throw TemplateError(
                .runtime, "unsupported format string passed to \(value.typeName).__format__")
        }
    }

    // MARK: pieces

    /// `[[fill]align][sign][#][0][width][,][.precision][type]`.
    struct Spec {
        var fill: Unicode.Scalar = " "
        var align: Unicode.Scalar?
        var sign: Unicode.Scalar = "-"
        var alternate = false
        var grouping: Unicode.Scalar?
        var width = 0
        var precision: Int?
        var type: Unicode.Scalar?

        init() {}

        init(_ bytes: [UInt8]) throws(TemplateError) {
            let scalars = TemplateText(bytes).scalars
            var index = 0
            let aligns: Set<Unicode.Scalar> = ["<", ">", "^", "="]
            if scalars.count > 1, aligns.contains(scalars[1]) {
                fill = scalars[0]
                align = scalars[1]
                index = 2
            } else if let first = scalars.first, aligns.contains(first) {
                align = first
                index = 1
            }
            func take(_ accepted: String) -> Unicode.Scalar? {
                guard index < scalars.count, accepted.unicodeScalars.contains(scalars[index]) else { return nil }
                index += 1
                return scalars[index - 1]
            }
            func number() throws(TemplateError) -> Int? {
                var value: Int?
                while let digit = take("0123456789") {
                    value = (value ?? 0) * 10 + Int(digit.value - 0x30)
                    guard value ?? 0 < 1 << 31 else {
                        throw TemplateError(.limit, "a format has too large a width or precision")
                    }
                }
                return value
            }
            if let sign = take("+- ") { self.sign = sign }
            if take("#") != nil { alternate = true }
            if index < scalars.count, scalars[index] == "0", align == nil {
                index += 1
                fill = "0"
                align = "="
            }
            width = try number() ?? 0
            grouping = take(",_")
            if take(".") != nil {
                guard let digits = try number() else {
                    throw TemplateError(.runtime, "Format specifier missing precision")
                }
                precision = digits
            }
            if index < scalars.count {
                type = scalars[index]
                index += 1
            }
            guard index == scalars.count else { throw TemplateError(.runtime, "Invalid format specifier") }
        }
    }

    private static func prefix(_ text: TemplateText, _ count: Int) -> TemplateText {
        let offsets = text.offsets()
        return text.slice(0..<offsets[min(max(0, count), offsets.count - 1)])
    }

    private static func align(
        _ text: TemplateText, _ spec: Spec, fallback: Unicode.Scalar, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        let missing = spec.width - text.count
        guard missing > 0 else { return text }
        try interpreter.checkRepeat(missing)
        let left: Int
        switch spec.align ?? fallback {
        case "<": left = 0
        case "^": left = missing / 2
        default: left = missing
        }
        var result = TemplateText(repeatElement(spec.fill, count: left))
        result.append(text)
        result.append(TemplateText(repeatElement(spec.fill, count: missing - left)))
        return result
    }

    private static func signed(
        _ isNegative: Bool, _ digits: [UInt8], _ spec: Spec, _ interpreter: TemplateInterpreter, prefix: String = ""
    ) throws(TemplateError) -> TemplateText {
        let sign = isNegative ? "-" : spec.sign == "-" ? "" : String(spec.sign)
        let head = Array((sign + prefix).utf8)
        var body = spec.grouping.map { grouped(digits, $0) } ?? digits
        if spec.align == "=" {
            let missing = spec.width - head.count - body.count
            if missing > 0 {
                try interpreter.checkRepeat(missing)
                body = TemplateText(repeatElement(spec.fill, count: missing)).bytes + body
            }
        }
        return try align(TemplateText(head + body), spec, fallback: ">", interpreter)
    }

    /// Separators between thousands of the whole part.
    private static func grouped(_ digits: [UInt8], _ separator: Unicode.Scalar) -> [UInt8] {
        let end = digits.firstIndex { !(0x30...0x39).contains($0) } ?? digits.count
        var result: [UInt8] = []
        for (place, digit) in digits[..<end].enumerated() {
            if place > 0, (end - place) % 3 == 0 { result.append(UInt8(truncatingIfNeeded: separator.value)) }
            result.append(digit)
        }
        return result + digits[end...]
    }

    private static func integer(
        _ value: Int, _ spec: Spec, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        var digits: String
        var prefix = ""
        switch spec.type {
        case "d", "n", nil: digits = String(value.magnitude)
        case "x", "X":
            digits = String(value.magnitude, radix: 16, uppercase: spec.type == "X")
            prefix = spec.type == "X" ? "0X" : "0x"
        case "o":
            digits = String(value.magnitude, radix: 8)
            prefix = "0o"
        case "b":
            digits = String(value.magnitude, radix: 2)
            prefix = "0b"
        case "c":
            guard let scalar = UInt32(exactly: value).flatMap(Unicode.Scalar.init) else {
                throw TemplateError(.runtime, "%c arg not in range(0x110000)")
            }
            return try align(TemplateText([scalar]), spec, fallback: "<", interpreter)
        case let type?:
            throw TemplateError(.runtime, "Unknown format code '\(type)' for object of type 'int'")
        }
        if let precision = spec.precision, precision > digits.utf8.count {
            try interpreter.checkRepeat(precision)
            digits = String(repeating: "0", count: precision - digits.utf8.count) + digits
        }
        return try signed(value < 0, Array(digits.utf8), spec, interpreter, prefix: spec.alternate ? prefix : "")
    }

    private static func real(
        _ value: Double, _ spec: Spec, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        let precision = spec.precision ?? 6
        guard precision <= 400 else { throw TemplateError(.limit, "a format asks for more than 400 digits") }
        let isNegative = value.sign == .minus && !value.isNaN
        let magnitude = value.magnitude
        var text: String
        switch spec.type {
        case "f", "F": text = fixed(magnitude, precision, "f")
        case "e", "E": text = fixed(magnitude, precision, "e")
        case "g", "G": text = fixed(magnitude, max(1, precision), "g")
        case "%": text = fixed(magnitude * 100, precision, "f") + "%"
        case nil:
            text = fixed(magnitude, max(1, precision), "g")
            if !text.contains("."), !text.contains("e"), magnitude.isFinite { text += ".0" }
        case let type?:
            throw TemplateError(.runtime, "Unknown format code '\(type)' for object of type 'float'")
        }
        if let type = spec.type, "EFG".unicodeScalars.contains(type) { text = text.uppercased() }
        return try signed(isNegative, Array(text.utf8), spec, interpreter)
    }

    private static func fixed(_ value: Double, _ precision: Int, _ type: String) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return "inf" }
        return String(format: "%.\(precision)\(type)", value)
    }

    // MARK: reading a % format

    private struct Field {
        var key: [UInt8]?
        var spec = Spec()
        var takesWidth = false
        var takesPrecision = false
    }

    private enum Piece {
        case literal(Range<Int>)
        case percent
        case field(Field)
    }

    private struct PercentReader {
        let format: [UInt8]
        var index = 0

        mutating func next() throws(TemplateError) -> Piece? {
            guard index < format.count else { return nil }
            let start = index
            if format[index] != UInt8(ascii: "%") {
                while index < format.count, format[index] != UInt8(ascii: "%") { index += 1 }
                return .literal(start..<index)
            }
            index += 1
            var field = Field()
            if index < format.count, format[index] == UInt8(ascii: "(") {
                guard let close = format[index...].firstIndex(of: UInt8(ascii: ")")) else {
                    throw TemplateError(.runtime, "incomplete format key")
                }
                field.key = Array(format[(index + 1)..<close])
                index = close + 1
            }
            flags: while index < format.count {
                switch format[index] {
                case UInt8(ascii: "-"): field.spec.align = "<"
                case UInt8(ascii: "+"): field.spec.sign = "+"
                case UInt8(ascii: " "): if field.spec.sign != "+" { field.spec.sign = " " }
                case UInt8(ascii: "#"): field.spec.alternate = true
                case UInt8(ascii: "0"):
                    if field.spec.align == nil {
                        field.spec.align = "="
                        field.spec.fill = "0"
                    }
                default: break flags
                }
                index += 1
            }
            if field.spec.align == "<" { field.spec.fill = " " }
            field.spec.width = try number(&field.takesWidth) ?? 0
            if index < format.count, format[index] == UInt8(ascii: ".") {
                index += 1
                field.spec.precision = try number(&field.takesPrecision) ?? 0
            }
            guard index < format.count else { throw TemplateError(.runtime, "incomplete format") }
            let (scalar, length) = TemplateText.scalar(in: format, at: index)
            index += length
            if scalar == "%" { return .percent }
            field.spec.type = scalar
            if "srac".unicodeScalars.contains(scalar), field.spec.fill == "0" {
                field.spec.fill = " "
                field.spec.align = ">"
            }
            return .field(field)
        }

        private mutating func number(_ isStar: inout Bool) throws(TemplateError) -> Int? {
            if index < format.count, format[index] == UInt8(ascii: "*") {
                index += 1
                isStar = true
                return nil
            }
            var value: Int?
            while index < format.count, (0x30...0x39).contains(format[index]) {
                value = (value ?? 0) * 10 + Int(format[index] - 0x30)
                index += 1
                guard value ?? 0 < 1 << 31 else {
                    throw TemplateError(.limit, "a format has too large a width or precision")
                }
            }
            return value
        }
    }
}
