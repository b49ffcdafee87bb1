import AttuneJSON

/// The JSON object of a tool call while it is being written: finds the name, and hands on the arguments as they come.
struct ToolCallObject: Sendable {
    var name: String?
    var id: String?
    /// Whether the object is the arguments themselves, because the name stood before it.
    var isArgumentsOnly = false
    private(set) var isComplete = false
    private(set) var isBroken = false

    private var bytes: [UInt8] = []
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private var key = ""
    /// Where the string or value under way at the outer level began.
    private var start: Int?
    private var isAfterColon = false
    private var arguments: Range<Int>?
    private var argumentsStart: Int?
    private var given = 0

    /// A call is refused when it nests deeper than any sensible arguments.
    private static let maximumDepth = 128

    /// Whether the arguments have begun.
    var hasArguments: Bool { argumentsStart != nil || arguments != nil || isArgumentsOnly }

    mutating func append(_ byte: UInt8) {
        bytes.append(byte)
        if isInString {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString = false
                if depth == 1, !isAfterColon, let start { key = decoded(start..<bytes.count) ?? "" }
            }
            return
        }
        switch byte {
        case UInt8(ascii: "\""):
            isInString = true
            beginValue()
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            if depth == 1 { beginValue() }
            depth += 1
            if depth > Self.maximumDepth { isBroken = true }
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            if depth == 1 { endValue(at: bytes.count - 1) }
            depth -= 1
            if depth == 0 {
                isComplete = true
                if isArgumentsOnly { arguments = 0..<bytes.count }
            }
        case UInt8(ascii: ":") where depth == 1:
            isAfterColon = true
            start = nil
        case UInt8(ascii: ",") where depth == 1: endValue(at: bytes.count - 1)
        case 0x20, 0x09, 0x0A, 0x0D: break
        default: beginValue()
        }
        // A call's object must have members with keys in quotes; anything else is prose in braces.
        if depth == 1, !isAfterColon, !isInString, !" \t\r\n{,}\"]:".utf8.contains(byte) { isBroken = true }
    }

    private mutating func beginValue() {
        guard depth == 1, start == nil else { return }
        start = bytes.count - 1
        guard isAfterColon, key == "arguments" || key == "parameters" else { return }
        // Arguments written as a string are given when they are whole, since they must be unescaped.
        if bytes.last != UInt8(ascii: "\"") { argumentsStart = start }
    }

    private mutating func endValue(at end: Int) {
        defer {
            start = nil
            isAfterColon = false
        }
        guard isAfterColon, let start else { return }
        let range = TemplateText(Array(bytes[start..<end])).strippedRange(nil, leading: false)
        let value = start..<(start + range.upperBound)
        switch key {
        case "name": name = decoded(value)
        case "id": id = decoded(value)
        case "arguments", "parameters": arguments = value
        default: break
        }
    }

    private func decoded(_ range: Range<Int>) -> String? {
        (try? JSON(parsing: bytes[range]))?.stringValue
    }

    /// The arguments that have come since the last time; in the end at least an empty object.
    mutating func takeArguments() -> [UInt8] {
        if isArgumentsOnly { return take(from: 0, to: bytes.count) }
        if let arguments {
            guard argumentsStart == nil else { return take(from: arguments.lowerBound, to: arguments.upperBound) }
            guard given == 0 else { return [] }
            given = 1
            return Array((decoded(arguments) ?? "{}").utf8)
        }
        if let argumentsStart { return take(from: argumentsStart, to: wholeEnd) }
        guard isComplete, given == 0 else { return [] }
        given = 1
        return Array("{}".utf8)
    }

    /// The end of what has come, without white space that may yet turn out to follow the arguments.
    private var wholeEnd: Int {
        isInString || depth > 1
            ? bytes.count : TemplateText(bytes).strippedRange(nil, leading: false).upperBound
    }

    private mutating func take(from start: Int, to end: Int) -> [UInt8] {
        var stop = end
        // Not half a character.
        if !isComplete {
            var lead = stop - 1
            while lead > start, bytes[lead] & 0xC0 == 0x80 { lead -= 1 }
            if lead >= start, lead + TemplateText.scalar(in: bytes, at: lead).length > stop { stop = lead }
            if lead >= start, bytes[lead] >= 0xC0, lead + Self.length(bytes[lead]) > stop { stop = lead }
        }
        guard start + given < stop else { return [] }
        defer { given = stop - start }
        return Array(bytes[(start + given)..<stop])
    }

    private static func length(_ lead: UInt8) -> Int { lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4 }
}
