/// The methods of Python's `str`.
enum TemplateStringMethods {
    static let names: Set<String> = [
        "capitalize", "casefold", "center", "count", "endswith", "expandtabs", "find", "format", "format_map", "index",
        "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable",
        "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip", "partition", "removeprefix",
        "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines",
        "startswith", "strip", "swapcase", "title", "upper", "zfill",
    ]

    static func call(
        _ name: String, _ text: TemplateText, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateValue {
        try interpreter.spend(text)
        switch name {
        case "upper", "lower", "casefold", "capitalize", "title", "swapcase":
            _ = try arguments.bind(name, [])
            return .string(TemplateCase.convert(text, name))
        case "strip", "lstrip", "rstrip":
            let set = try characterSet(try arguments.bind(name, ["chars"])[0], name)
            return .string(
                text.slice(text.strippedRange(set, leading: name != "rstrip", trailing: name != "lstrip")))
        case "split", "rsplit": return try split(text, name, arguments, interpreter)
        case "splitlines":
            let keep = try arguments.bind(name, ["keepends"])[0]?.isTrue ?? false
            try interpreter.spend(parts: breakCount(text), of: text)
            return .list(try interpreter.list(lines(text, keepsEnds: keep).map { .string($0) }))
        case "startswith", "endswith": return .bool(try hasEdge(text, name, arguments, interpreter))
        case "find", "rfind", "index", "rindex": return try find(text, name, arguments, interpreter)
        case "count":
            let (values, range) = try searchArguments(text, name, arguments, interpreter)
            let needle = try interpreter.text(values)
            guard let range else { return .int(0) }
            return .int(occurrences(of: needle.bytes, in: text, range))
        case "replace":
            let values = try arguments.bind(name, ["old", "new", "count"], required: 2)
            let old = try interpreter.text(values[0] ?? .none)
            var new = try interpreter.text(values[1] ?? .none)
            if text.isMarkup { new = TemplateHTML.escaped(new) }
            let count = try values[2].map { value throws(TemplateError) in try interpreter.integer(value) } ?? -1
            return .string(try replace(text, old, new, count, interpreter))
        case "join":
            let items = try interpreter.elements(try arguments.bind(name, ["iterable"], required: 1)[0] ?? .none)
            var parts: [TemplateText] = []
            for (place, item) in items.enumerated() {
                guard case .string(let part) = item else {
                    throw TemplateError(
                        .runtime, "sequence item \(place): expected str instance, \(item.typeName) found")
                }
                parts.append(text.isMarkup ? TemplateHTML.escaped(part) : part)
            }
            return .string(try join(parts, text, interpreter))
        case "partition", "rpartition": return try partition(text, name, arguments, interpreter)
        case "removeprefix", "removesuffix":
            let edge = try interpreter.text(try arguments.bind(name, ["affix"], required: 1)[0] ?? .none).bytes
            let size = text.bytes.count
            if name == "removeprefix", text.matches(edge, at: 0) { return .string(text.slice(edge.count..<size)) }
            if name == "removesuffix", text.matches(edge, at: size - edge.count) {
                return .string(text.slice(0..<(size - edge.count)))
            }
            return .string(text)
        case "center", "ljust", "rjust", "zfill": return .string(try pad(text, name, arguments, interpreter))
        case "expandtabs":
            let size = try arguments.bind(name, ["tabsize"])[0].map { value throws(TemplateError) in
                try interpreter.integer(value)
            }
            return .string(try expandTabs(text, size ?? 8, interpreter))
        case "format": return .string(try PythonFormat.format(text, arguments, interpreter))
        case "format_map":
            guard case .dict(let dict)? = try arguments.bind(name, ["mapping"], required: 1)[0] else {
                throw TemplateError(.runtime, "format_map() argument must be a mapping")
            }
            var fields = TemplateCallArguments()
            for entry in dict.entries {
                if case .string(let key) = entry.key { fields.keyword.append((key.string, entry.value)) }
            }
            return .string(try PythonFormat.format(text, fields, interpreter))
        default:
            _ = try arguments.bind(name, [])
            return .bool(TemplateCase.check(text, name))
        }
    }

    /// The characters `strip` removes; `nil` is white space.
    static func characterSet(_ value: TemplateValue?, _ name: String) throws(TemplateError) -> Set<Unicode.Scalar>? {
        switch value {
        case nil, .some(.none): return nil
        case .string(let text): return Set(text.scalars)
        case .undefined(let undefined): throw undefined.error
        default: throw TemplateError(.runtime, "\(name) arg must be None or str")
        }
    }

    private static func split(
        _ text: TemplateText, _ name: String, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateValue {
        let values = try arguments.bind(name, ["sep", "maxsplit"])
        var limit = -1
        if let value = values[1] { limit = try interpreter.integer(value) }
        var separator: [UInt8]?
        switch values[0] {
        case nil, .some(.none): break
        case let value?:
            let bytes = try interpreter.text(value).bytes
            guard !bytes.isEmpty else { throw TemplateError(.runtime, "empty separator") }
            separator = bytes
        }
        let ranges =
            if let separator {
                name == "split"
                    ? splitRanges(text, separator, limit) : splitRangesFromEnd(text, separator, limit)
            } else {
                name == "split" ? wordRanges(text, limit) : wordRangesFromEnd(text, limit)
            }
        try interpreter.spend(ranges.count >> 1)
        try interpreter.spend(parts: ranges.count, of: text)
        return .list(try interpreter.list(ranges.map { .string(text.slice($0)) }))
    }

    private static func splitRanges(_ text: TemplateText, _ separator: [UInt8], _ limit: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var begin = 0
        while limit < 0 || ranges.count < limit, let place = text.firstIndex(of: separator, from: begin) {
            ranges.append(begin..<place)
            begin = place + separator.count
        }
        return ranges + [begin..<text.bytes.count]
    }

    private static func splitRangesFromEnd(_ text: TemplateText, _ separator: [UInt8], _ limit: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var end = text.bytes.count
        while limit < 0 || ranges.count < limit, let place = text.lastIndex(of: separator, to: end) {
            ranges.append((place + separator.count)..<end)
            end = place
        }
        return ((ranges + [0..<end]).reversed())
    }

    /// Runs of what is not white space; after `limit` of them the rest stays whole.
    private static func wordRanges(_ text: TemplateText, _ limit: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var index = 0
        let bytes = text.bytes
        while true {
            index = skip(bytes, index) { $0.isPythonSpace }
            guard index < bytes.count else { return ranges }
            if limit >= 0, ranges.count >= limit { return ranges + [index..<bytes.count] }
            let end = skip(bytes, index) { !$0.isPythonSpace }
            ranges.append(index..<end)
            index = end
        }
    }

    private static func wordRangesFromEnd(_ text: TemplateText, _ limit: Int) -> [Range<Int>] {
        let words = wordRanges(text, -1)
        guard limit >= 0, words.count > limit else { return words }
        let kept = words.suffix(limit)
        let rest = words.dropLast(limit)
        // The rest begins at the start of the text, white space included.
        guard let last = rest.last else { return Array(kept) }
        let head = TemplateText(Array(text.bytes[..<last.upperBound]))
        let begin = head.strippedRange(nil, leading: false).upperBound == 0 ? last.lowerBound : 0
        return [begin..<last.upperBound] + kept
    }

    private static func skip(_ bytes: [UInt8], _ start: Int, while accepts: (Unicode.Scalar) -> Bool) -> Int {
        var index = start
        while index < bytes.count {
            let (scalar, length) = TemplateText.scalar(in: bytes, at: index)
            guard accepts(scalar) else { break }
            index += length
        }
        return index
    }

    /// At most how many lines a text has, from the bytes that may begin a break.
    static func breakCount(_ text: TemplateText) -> Int {
        var count = 1
        for byte in text.bytes where byte < 0x20 || byte == 0xC2 || byte == 0xE2 { count += 1 }
        return count
    }

    /// `splitlines`.
    static func lines(_ text: TemplateText, keepsEnds: Bool = false) -> [TemplateText] {
        var lines: [TemplateText] = []
        let bytes = text.bytes
        var begin = 0
        while begin < bytes.count {
            let end = skip(bytes, begin) { !$0.isPythonLineBreak }
            var next = end
            if end < bytes.count {
                next += TemplateText.scalar(in: bytes, at: end).length
                if bytes[end] == 0x0D, next < bytes.count, bytes[next] == 0x0A { next += 1 }
            }
            lines.append(text.slice(begin..<(keepsEnds ? next : end)))
            begin = next
        }
        return lines
    }

    private static func searchArguments(
        _ text: TemplateText, _ name: String, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> (value: TemplateValue, range: Range<Int>?) {
        let values = try arguments.bind(name, ["sub", "start", "end"], required: 1)
        let value = values[0] ?? .none
        guard values[1] != nil || values[2] != nil else { return (value, 0..<text.bytes.count) }
        let offsets = text.offsets()
        func bound(_ value: TemplateValue?) throws(TemplateError) -> Int? {
            switch value {
            case nil, .some(.none): nil
            case let value?: try interpreter.integer(value)
            }
        }
        let count = offsets.count - 1
        let start = try bound(values[1])
        // A start beyond the end finds nothing, not even the empty text.
        if let start, start > count { return (value, nil) }
        let (first, last) = TemplateInterpreter.bounds(count, start, try bound(values[2]), 1)
        return (value, first <= last ? offsets[first]..<offsets[last] : nil)
    }

    private static func hasEdge(
        _ text: TemplateText, _ name: String, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> Bool {
        let (value, range) = try searchArguments(text, name, arguments, interpreter)
        var candidates = [value]
        if case .tuple(let list) = value { candidates = list.items }
        for candidate in candidates {
            guard case .string(let edge) = candidate else {
                if case .undefined(let undefined) = candidate { throw undefined.error }
                throw TemplateError(
                    .runtime, "\(name) first arg must be str or a tuple of str, not \(candidate.typeName)")
            }
            guard let range, edge.bytes.count <= range.count else { continue }
            let place = name == "startswith" ? range.lowerBound : range.upperBound - edge.bytes.count
            if text.matches(edge.bytes, at: place) { return true }
        }
        return false
    }

    private static func find(
        _ text: TemplateText, _ name: String, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateValue {
        let (value, range) = try searchArguments(text, name, arguments, interpreter)
        let needle = try interpreter.text(value).bytes
        if let range {
            let place =
                name.hasPrefix("r")
                ? text.lastIndex(of: needle, from: range.lowerBound, to: range.upperBound)
                : text.firstIndex(of: needle, from: range.lowerBound, to: range.upperBound)
            if let place { return .int(text.position(ofByte: place)) }
        }
        guard name.hasSuffix("find") else { throw TemplateError(.runtime, "substring not found") }
        return .int(-1)
    }

    private static func occurrences(of needle: [UInt8], in text: TemplateText, _ range: Range<Int>) -> Int {
        if needle.isEmpty {
            return TemplateText(Array(text.bytes[range])).count + 1
        }
        var count = 0
        var begin = range.lowerBound
        while let place = text.firstIndex(of: needle, from: begin, to: range.upperBound) {
            count += 1
            begin = place + needle.count
        }
        return count
    }

    /// `text.replace(old, new, count)`; a negative count means all.
    static func replace(
        _ text: TemplateText, _ old: TemplateText, _ new: TemplateText, _ count: Int, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        var result = TemplateText([], isMarkup: text.isMarkup)
        var done = 0
        var begin = 0
        if old.isEmpty {
            for place in text.offsets() where count < 0 || done < count {
                result.append(text.slice(begin..<place))
                result.append(new)
                begin = place
                done += 1
                try interpreter.spend(bytes: result.bytes.count)
            }
        } else {
            while count < 0 || done < count, let place = text.firstIndex(of: old.bytes, from: begin) {
                try interpreter.spend(parts: 1, of: text)
                if begin == 0 || place > begin { result.append(text.slice(begin..<place)) }
                result.append(new)
                begin = place + old.bytes.count
                done += 1
                try interpreter.spend()
                guard result.bytes.count <= interpreter.limits.outputBytes else {
                    try interpreter.spend(bytes: result.bytes.count)
                    break
                }
            }
        }
        if done == 0 { return text }
        result.append(text.slice(begin..<text.bytes.count))
        try interpreter.spend(result)
        return result
    }

    static func join(
        _ parts: [TemplateText], _ separator: TemplateText, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        var result = TemplateText([], isMarkup: separator.isMarkup)
        for (place, part) in parts.enumerated() {
            if place > 0 { result.append(separator) }
            result.append(part)
            try interpreter.spend()
            guard result.bytes.count <= interpreter.limits.outputBytes else { break }
        }
        try interpreter.spend(result)
        return result
    }

    private static func partition(
        _ text: TemplateText, _ name: String, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateValue {
        let separator = try interpreter.text(try arguments.bind(name, ["sep"], required: 1)[0] ?? .none)
        guard !separator.isEmpty else { throw TemplateError(.runtime, "empty separator") }
        let isFromEnd = name == "rpartition"
        let place = isFromEnd ? text.lastIndex(of: separator.bytes) : text.firstIndex(of: separator.bytes)
        guard let place else {
            let empty = TemplateValue.text("")
            return .tuple(
                try interpreter.list(isFromEnd ? [empty, empty, .string(text)] : [.string(text), empty, empty]))
        }
        let end = place + separator.bytes.count
        return .tuple(
            try interpreter.list([
                .string(text.slice(0..<place)), .string(text.slice(place..<end)),
                .string(text.slice(end..<text.bytes.count)),
            ]))
    }

    private static func pad(
        _ text: TemplateText, _ name: String, _ arguments: TemplateCallArguments, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        let values = try arguments.bind(name, ["width", "fillchar"], required: 1)
        let width = try interpreter.integer(values[0] ?? .none)
        let fill = try values[1].map { value throws(TemplateError) in try interpreter.text(value) }
        if let fill, fill.count != 1 {
            throw TemplateError(.runtime, "The fill character must be exactly one character long")
        }
        if name == "zfill" {
            let missing = max(0, width) - text.count
            guard missing > 0 else { return text }
            try interpreter.checkRepeat(missing)
            let hasSign = text.bytes.first == UInt8(ascii: "-") || text.bytes.first == UInt8(ascii: "+")
            var result = text.slice(0..<(hasSign ? 1 : 0))
            result.append(TemplateText([UInt8](repeating: UInt8(ascii: "0"), count: missing)))
            result.append(text.slice((hasSign ? 1 : 0)..<text.bytes.count))
            return result
        }
        return try pad(text, to: width, name, fill ?? TemplateText(" "), interpreter)
    }

    /// `center`, `ljust` and `rjust`; the odd space of `center` goes where Python puts it.
    static func pad(
        _ text: TemplateText, to width: Int, _ name: String, _ fill: TemplateText, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        let missing = max(0, width) - text.count
        guard missing > 0 else { return text }
        try interpreter.checkRepeat(missing)
        let left =
            switch name {
            case "center": missing / 2 + (missing & width & 1)
            case "rjust": missing
            default: 0
            }
        let filling = { (count: Int) in
            TemplateText(Array(repeatElement(fill.bytes, count: count).joined()))
        }
        var result = TemplateText([], isMarkup: text.isMarkup)
        result.append(filling(left))
        result.append(text)
        result.append(filling(missing - left))
        return result
    }

    private static func expandTabs(
        _ text: TemplateText, _ size: Int, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> TemplateText {
        try interpreter.checkRepeat(size)
        var bytes: [UInt8] = []
        var column = 0
        for byte in text.bytes {
            if byte == 0x09 {
                guard size > 0 else { continue }
                let count = size - column % size
                bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: count))
                column += count
                try interpreter.spend(bytes: bytes.count)
            } else {
                bytes.append(byte)
                if byte == 0x0A || byte == 0x0D { column = 0 } else if byte & 0xC0 != 0x80 { column += 1 }
            }
        }
        return TemplateText(bytes, isMarkup: text.isMarkup).attributed(to: text.origin)
    }
}
