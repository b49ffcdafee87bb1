import AttuneJSON

/// How a conversation is rendered.
public struct TemplateOptions: Sendable {
    /// What the template may spend.
    public var limits = TemplateLimits()
    /// What `strftime_now` shows; `nil` is the moment of rendering.
    public var clock: TemplateClock?
    /// Whether messages are prepared as transformers' `apply_chat_template` does: keys with the value null are
    /// dropped, and reasoning text given under one name is copied to the others.
    public var normalizesMessages = true

    /// The defaults.
    public init() {}
}

/// What a template made of a conversation.
public struct Rendering: Sendable {
    /// Bytes of the text that stem from one message.
    public struct MessageSpan: Sendable, Equatable {
        /// The place of the message in `messages`.
        public var message: Int
        /// Its role, or an empty text.
        public var role: String
        /// Where its bytes are in `utf8`.
        public var range: Range<Int>
    }

    /// The text.
    public let utf8: [UInt8]
    /// What each message produced: disjoint, in the order of the text. What a loop over the messages writes during an
    /// iteration belongs to that message; where loops nest, to the innermost.
    public let messageSpans: [MessageSpan]
    /// The insides of `{% generation %}` blocks.
    public let generationSpans: [Range<Int>]
    let marks: [ProvenanceMark]

    /// The text as a `String`.
    public var text: String { String(decoding: utf8, as: UTF8.self) }

    init(_ output: TemplateText, roles: [String]) {
        utf8 = output.bytes
        marks = output.marks
        messageSpans = Self.disjoint(output.marks.filter { $0.kind == .turn }).map { mark in
            let role = roles.indices.contains(mark.message) ? roles[mark.message] : ""
            return MessageSpan(message: mark.message, role: role, range: mark.begin..<mark.end)
        }
        generationSpans = output.marks.filter { $0.kind == .generation }.map { $0.begin..<$0.end }
            .sorted { $0.lowerBound < $1.lowerBound }
    }

    /// Nested marks as pieces, each byte with its innermost mark; neighbours of one message are joined.
    private static func disjoint(_ marks: [ProvenanceMark]) -> [ProvenanceMark] {
        let sorted = marks.sorted { $0.begin != $1.begin ? $0.begin < $1.begin : $0.end > $1.end }
        var pieces: [ProvenanceMark] = []
        var open: [ProvenanceMark] = []
        var place = 0
        func emit(to end: Int) {
            guard let top = open.last, end > place else { return }
            if let last = pieces.last, last.end == place, last.message == top.message {
                pieces[pieces.count - 1].end = end
            } else {
                pieces.append(ProvenanceMark(begin: place, end: end, message: top.message, kind: .turn))
            }
            place = end
        }
        for mark in sorted {
            while let top = open.last, top.end <= mark.begin {
                emit(to: top.end)
                open.removeLast()
            }
            emit(to: mark.begin)
            place = max(place, mark.begin)
            open.append(mark)
        }
        while let top = open.last {
            emit(to: top.end)
            open.removeLast()
        }
        return pieces
    }
}

/// A chat template: the Jinja program that a model's folder carries to turn a conversation into text.
///
/// The language and its results are those of transformers' environment: an immutable sandbox with `trim_blocks`,
/// `lstrip_blocks`, loop controls, the `generation` tag and a `tojson` without HTML escapes.
public struct ChatTemplate: Sendable {
    /// The text of the template.
    public let source: String
    /// Whether it marks what the assistant says with `{% generation %}`.
    public let hasGenerationBlocks: Bool
    private let body: [TemplateStatement]
    private let names: [String]

    /// Compiles a template; rendering does not change it.
    ///
    /// - Throws: `TemplateError` of kind `syntax` or `limit`.
    public init(source: String, limits: TemplateLimits = TemplateLimits()) throws(TemplateError) {
        let bytes = Array(source.utf8)
        guard bytes.count <= limits.sourceBytes else {
            throw TemplateError(.limit, "the template is larger than \(limits.sourceBytes) bytes")
        }
        var lexer = TemplateLexer(bytes)
        let tokens = try lexer.tokenize()
        var parser = TemplateParser(tokens, maximumDepth: limits.nesting)
        body = try parser.parse()
        names = parser.names
        hasGenerationBlocks = parser.hasGenerationBlocks
        self.source = source
    }

    /// Renders the template with the given variables: `messages`, `tools`, `documents`, `add_generation_prompt`,
    /// `bos_token` and whatever else it reads. An absent variable is undefined; `null` is Python's `None`.
    ///
    /// - Throws: `TemplateError`; of kind `raised` when the template refuses the conversation.
    public func render(
        _ context: JSONObject, options: TemplateOptions = TemplateOptions()
    ) throws(TemplateError) -> Rendering {
        let interpreter = TemplateInterpreter(
            names: names, limits: options.limits, clock: options.clock ?? .now)
        var roles: [String] = []
        for (name, value) in context.members {
            guard let id = names.firstIndex(of: name) else { continue }
            if name == "messages", case .array(let messages) = value {
                let prepared = options.normalizesMessages ? messages.map(Self.normalized) : messages
                roles = prepared.map { $0["role"]?.stringValue ?? "" }
                var items: [TemplateValue] = []
                for (place, message) in prepared.enumerated() {
                    items.append(try interpreter.value(message, message: place, isMessage: true, depth: 1))
                }
                interpreter.scope.set(id, .list(try interpreter.list(items)))
            } else {
                interpreter.scope.set(id, try interpreter.value(value, message: nil, depth: 0))
            }
        }
        return Rendering(try interpreter.render(body), roles: roles)
    }

    /// The variables transformers passes: `tools` and `documents` are `None` when there are none.
    public static func context(
        messages: [JSON], tools: [JSON]? = nil, addsGenerationPrompt: Bool = false,
        variables: JSONObject = JSONObject()
    ) -> JSONObject {
        var context = JSONObject()
        context["messages"] = .array(messages)
        context["tools"] = tools.map { .array($0) } ?? .null
        context["documents"] = .null
        context["add_generation_prompt"] = .bool(addsGenerationPrompt)
        for (name, value) in variables.members { context[name] = value }
        return context
    }

    /// A message as transformers hands it to templates.
    static func normalized(_ message: JSON) -> JSON {
        guard case .object(let object) = message else { return message }
        let kept = object.members.filter { !$0.value.isNull }
        let fields = ["reasoning_content", "thinking", "reasoning"]
        let reasoning = fields.lazy.compactMap { field in kept.first { $0.key == field }?.value }.first
        guard let reasoning else { return .object(JSONObject(kept)) }
        var aliased = JSONObject([(key: "thinking", value: reasoning)])
        for member in kept { aliased[member.key] = member.value }
        aliased["reasoning_content"] = reasoning
        return .object(aliased)
    }
}

extension TemplateInterpreter {
    /// A JSON value as a value of the language. Texts of a message carry its number, except its role and name, which
    /// templates write into headers.
    func value(_ json: JSON, message: Int?, isMessage: Bool = false, depth: Int) throws(TemplateError) -> TemplateValue
    {
        guard depth <= limits.nesting else {
            throw TemplateError(.limit, "a value nests deeper than \(limits.nesting)")
        }
        switch json {
        case .null: return .none
        case .bool(let flag): return .bool(flag)
        case .integer(let number): return .int(Int(number))
        case .number(let number): return .double(number)
        case .string(let string): return .string(TemplateText(string).attributed(to: message))
        case .array(let values):
            var items: [TemplateValue] = []
            items.reserveCapacity(values.count)
            for value in values { items.append(try self.value(value, message: message, depth: depth + 1)) }
            return .list(TemplateList(items))
        case .object(let object):
            var builder = TemplateDictBuilder()
            for (key, value) in object.members {
                let isHeader = isMessage && (key == "role" || key == "name")
                builder.set(key, try self.value(value, message: isHeader ? nil : message, depth: depth + 1))
            }
            return .dict(TemplateDict(builder, origin: message))
        }
    }
}
