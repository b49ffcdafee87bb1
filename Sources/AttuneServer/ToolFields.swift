import AttuneGeneration
import AttuneJSON

/// The tools of a request and how free the model is to use them.
struct ToolFields: Sendable {
    /// What the model may do.
    enum Choice: Sendable, Equatable {
        case auto, none, required
        case named(String)
    }

    /// In the order of the request.
    var tools: [ToolSignature] = []
    /// As templates read them.
    var json: [JSON] = []
    /// What was asked for; `none` without tools.
    var choice = Choice.none
    /// Whether one answer may hold several calls.
    var isParallel = true

    static let fieldNames: Set<String> = ["tools", "tool_choice", "parallel_tool_calls"]
    private static let limit = 128

    /// Whether calls are looked for in the answer.
    var isActive: Bool { choice != .none && !tools.isEmpty }

    /// Tools that may be called under the choice.
    var callable: [ToolSignature] {
        guard case .named(let name) = choice else { return tools }
        return tools.filter { $0.name.utf8.elementsEqual(name.utf8) }
    }

    /// Reads `tools`, `tool_choice` and `parallel_tool_calls`.
    ///
    /// - Parameter isFlat: whether a function's members stand in the tool itself, as in `/v1/responses`.
    /// - Throws: `APIError` naming the parameter.
    init(_ fields: Fields, isFlat: Bool = false) throws(APIError) {
        for (place, item) in (try fields.array("tools", atMost: Self.limit) ?? []).enumerated() {
            try append(Fields(item, at: "tools[\(place)]"), isFlat: isFlat)
        }
        isParallel = try fields.bool("parallel_tool_calls") ?? true
        if !tools.isEmpty { choice = .auto }
        guard let value = fields["tool_choice"] else { return }
        try read(value, isFlat: isFlat)
        guard !tools.isEmpty || choice == .none || choice == .auto else {
            throw .invalid("tool_choice", "asks for a call, but there are no tools")
        }
    }

    private mutating func append(_ tool: Fields, isFlat: Bool) throws(APIError) {
        let type = try tool.required("type")
        guard type == "function" else {
            throw .invalid(
                tool.path + "type", "\(APIError.quoted(type)) tools run at OpenAI; this server knows 'function' only")
        }
        guard let function = isFlat ? tool : try tool.fields("function") else {
            throw .invalid(tool.path + "function", "is missing")
        }
        let name = try function.required("name")
        guard Self.isName(name) else {
            throw .invalid(function.path + "name", "must be 1 to 64 letters, digits, '_', '-' or '.'")
        }
        guard !tools.contains(where: { $0.name == name }) else {
            throw .invalid(function.path + "name", "\(APIError.quoted(name)) is there twice")
        }
        let parameters = function["parameters"] ?? ["type": "object", "properties": [:]]
        guard parameters.objectValue != nil else {
            throw .invalid(function.path + "parameters", "must be a JSON schema, which is an object")
        }
        var described: JSONObject = JSONObject([(key: "name", value: .string(name))])
        if let text = try function.string("description") { described["description"] = .string(text) }
        described["parameters"] = parameters
        tools.append(ToolSignature(name: name, parameters: parameters))
        json.append(["type": "function", "function": .object(described)])
    }

    private mutating func read(_ value: JSON, isFlat: Bool) throws(APIError) {
        if let text = value.stringValue {
            switch text {
            case "none": choice = .none
            case "auto": choice = tools.isEmpty ? .none : .auto
            case "required": choice = .required
            default:
                throw .invalid(
                    "tool_choice", "must be none, auto, required or a function, not \(APIError.quoted(text))")
            }
            return
        }
        let fields = try Fields(value, at: "tool_choice")
        guard try fields.required("type") == "function" else {
            throw .invalid("tool_choice.type", "must be 'function'")
        }
        guard let function = isFlat ? fields : try fields.fields("function") else {
            throw .invalid("tool_choice.function", "is missing")
        }
        let name = try function.required("name")
        guard tools.contains(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
            throw .invalid("tool_choice", "names \(APIError.quoted(name)), which is not among the tools")
        }
        choice = .named(name)
    }

    static func isName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return (1...64).contains(bytes.count)
            && bytes.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }
}
