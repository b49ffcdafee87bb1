/// Why a template could not be compiled or rendered.
public struct TemplateError: Error, Sendable, CustomStringConvertible {
    /// What sort of failure it is, for callers that answer differently.
    public enum Kind: Sendable, Equatable {
        /// The template itself refused the conversation with `raise_exception`; the message is the template's.
        case raised
        /// The text is no template.
        case syntax
        /// An operation failed while rendering (Python's `TypeError` and its relatives).
        case runtime
        /// An undefined value was used.
        case undefined
        /// Something the sandbox forbids, such as changing a list.
        case security
        /// A budget of `TemplateLimits` was spent.
        case limit
        /// The rendering is fine but does not tell which bytes an assistant message produced.
        case spans
    }

    /// The sort of failure.
    public let kind: Kind
    /// What is wrong; for `Kind.raised` exactly the template's own words.
    public let message: String
    /// The line of the template, counted from 1, where known.
    public var line: Int?

    init(_ kind: Kind, _ message: String, line: Int? = nil) {
        self.kind = kind
        self.message = message
        self.line = line
    }

    /// One line that says what and where, whatever the template put into its message.
    public var description: String {
        let message = Self.oneLine(message)
        let place = line.map { " (template line \($0))" } ?? ""
        return switch kind {
        case .raised: "the chat template refused the conversation: \(message)\(place)"
        case .syntax: "the chat template does not parse: \(message)\(place)"
        case .runtime, .undefined: "the chat template failed: \(message)\(place)"
        case .security: "the chat template tried something forbidden: \(message)\(place)"
        case .limit: "the chat template was stopped: \(message)\(place)"
        case .spans: "no training spans: \(message)\(place)"
        }
    }

    /// Text with each run of breaks and other control characters as one space, cut to a readable length.
    private static func oneLine(_ text: String) -> String {
        var result = ""
        var isAfterBreak = false
        for scalar in text.unicodeScalars.prefix(400) {
            let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
            let isBreak = isControl || scalar.value == 0x2028 || scalar.value == 0x2029
            if !isBreak { result.unicodeScalars.append(scalar) } else if !isAfterBreak { result += " " }
            isAfterBreak = isBreak
        }
        return result
    }
}

/// How much a template may spend. Templates come with downloaded models, so they are treated as hostile.
public struct TemplateLimits: Sendable {
    /// Evaluated nodes, plus one for each 256 bytes or 8 elements a value is made of.
    public var steps = 1_000_000
    /// Bytes of the rendering, and of any text made on the way.
    public var outputBytes = 4 << 20
    /// How deep blocks and expressions may nest in the source, and lists and mappings in values.
    public var nesting = 64
    /// How many macro calls and recursive loops may be under way at once.
    public var calls = 64
    /// Elements of a `range` (the sandbox of jinja2 has the same).
    public var rangeElements = 100_000
    /// Bytes or elements that `*`, padding and indentation may make at once.
    public var repeatedBytes = 1 << 20
    /// Bytes of the template's source.
    public var sourceBytes = 1 << 20

    /// The defaults.
    public init() {}
}
