/// A module name, or the end of one, as adapter configurations give it; some are regular expressions.
///
/// This room has no regular expressions. A pattern made of letters, digits, `_`, `-` and dots is compared here (a dot
/// stands for any character, as in the expression it is read as); for the others the caller passes an engine.
public struct ModulePattern: Sendable, Equatable {
    /// Says whether a regular expression (Python's syntax) matches a whole text.
    public typealias FullMatch = (_ expression: String, _ text: String) -> Bool

    /// As written.
    public let text: String

    /// Wraps a text.
    public init(_ text: String) { self.text = text }

    /// Whether the text can be compared without an engine.
    public var isLiteral: Bool { literal.allSatisfy(Self.isPlain) }

    /// The regular expression PEFT makes of a key of `rank_pattern`: the whole name or its end after a dot.
    public var suffixExpression: String { "(.*\\.)?(\(text))$" }

    /// Whether the pattern matches a module name from its start or after a dot, to its end.
    ///
    /// - Returns: `nil` when it is a regular expression and no engine is given.
    public func matchesSuffix(of module: String, fullMatch: FullMatch? = nil) -> Bool? {
        guard isLiteral else { return fullMatch?(suffixExpression, module) }
        let pattern = Array(literal)
        let name = Array(module.utf8)
        guard name.count >= pattern.count else { return false }
        let start = name.count - pattern.count
        guard start == 0 || (!isAnchored && name[start - 1] == UInt8(ascii: ".")) else { return false }
        return zip(pattern, name[start...]).allSatisfy { $0 == UInt8(ascii: ".") || $0 == $1 }
    }

    /// `^` at the start binds a pattern to the start of the name, so it matches whole names only.
    private var isAnchored: Bool { text.utf8.first == UInt8(ascii: "^") }

    private var literal: Substring.UTF8View { (isAnchored ? text.dropFirst() : text[...]).utf8 }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// Whether a module is one of a list, or ends in one of it after a dot. No expression here: PEFT compares texts.
    static func isListed(_ module: String, in list: [String]) -> Bool {
        list.contains { entry in
            module.utf8.elementsEqual(entry.utf8)
                || (module.utf8.count > entry.utf8.count
                    && module.utf8.suffix(entry.utf8.count + 1).elementsEqual(("." + entry).utf8))
        }
    }
}
