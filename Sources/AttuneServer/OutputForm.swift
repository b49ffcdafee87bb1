import AttuneGeneration
import AttuneJSON
import AttuneText

/// What an answer must look like, and the parameter that said so.
struct OutputForm: Sendable {
    /// The grammar and its name in the cache.
    var grammar: Grammar
    var source: String
    var param: String

    /// vLLM's names beside OpenAI's.
    static let guidedNames: Set<String> = ["guided_json", "guided_regex", "guided_choice", "structured_outputs"]
    private static let choiceLimit = 1024

    /// Reads `response_format` and vLLM's `guided_…` and `structured_outputs`; `nil` for free text.
    /// - Throws: `APIError` where more than one is given or one is malformed.
    static func read(_ fields: Fields) throws(APIError) -> OutputForm? {
        var found: [OutputForm] = []
        if let format = try fields.fields("response_format"), let form = try responseFormat(format) {
            found.append(form)
        }
        found += try guided(fields, prefix: "guided_")
        if let outputs = try fields.fields("structured_outputs") {
            try outputs.refuseOthers(than: ["json", "regex", "choice", "json_object"])
            found += try guided(outputs, prefix: "")
            if try outputs.bool("json_object") == true {
                found.append(
                    OutputForm(grammar: .jsonObject, source: "object", param: "structured_outputs.json_object"))
            }
        }
        guard found.count < 2 else {
            throw .invalid(found[1].param, "stands beside \(found[0].param); an answer can follow one form only")
        }
        return found.first
    }

    /// `{"type": "text" | "json_object" | "json_schema", …}`; in `/v1/responses` the schema's members stand in it.
    static func responseFormat(_ format: Fields) throws(APIError) -> OutputForm? {
        switch try format.required("type") {
        case "text": return nil
        case "json_object": return OutputForm(grammar: .jsonObject, source: "object", param: trimmed(format.path))
        case "json_schema":
            let holder = try format.fields("json_schema") ?? format
            guard let schema = holder["schema"] else { throw .invalid(holder.path + "schema", "is missing") }
            if holder.path != format.path || holder["name"] != nil { _ = try holder.required("name") }
            return try schemaForm(schema, param: holder.path + "schema")
        case let other:
            throw .invalid(
                format.path + "type", "must be text, json_object or json_schema, not \(APIError.quoted(other))")
        }
    }

    private static func trimmed(_ path: String) -> String { path.hasSuffix(".") ? String(path.dropLast()) : path }

    private static func schemaForm(_ schema: JSON, param: String) throws(APIError) -> OutputForm {
        var schema = schema
        if let text = schema.stringValue {
            guard let parsed = try? JSON(parsing: text) else { throw .invalid(param, "is no JSON") }
            schema = parsed
        }
        guard schema.objectValue != nil || schema.boolValue != nil else {
            throw .invalid(param, "must be a JSON schema, which is an object")
        }
        return OutputForm(grammar: .json(schema: schema), source: "schema:" + schema.text(), param: param)
    }

    private static func guided(_ fields: Fields, prefix: String) throws(APIError) -> [OutputForm] {
        var found: [OutputForm] = []
        if let schema = fields[prefix + "json"] {
            found.append(try schemaForm(schema, param: fields.path + prefix + "json"))
        }
        if let pattern = try fields.string(prefix + "regex") {
            found.append(
                OutputForm(grammar: .regex(pattern), source: "regex:" + pattern, param: fields.path + prefix + "regex"))
        }
        let name = prefix + "choice"
        if let items = try fields.array(name, atMost: choiceLimit) {
            guard !items.isEmpty else { throw .invalid(fields.path + name, "must have at least one text") }
            var texts: [String] = []
            for item in items {
                guard let text = item.stringValue, !text.isEmpty else {
                    throw .invalid(fields.path + name, "must be an array of texts")
                }
                texts.append(text)
            }
            found.append(
                OutputForm(
                    grammar: .choice(texts.map { .literal($0) }), source: "choice:" + JSON.array(items).text(),
                    param: fields.path + name))
        }
        return found
    }

    /// What tools and an output form demand together; `nil` where the answer is free.
    static func joined(_ form: OutputForm?, _ tools: ToolFields, _ callForm: ToolCallForm) -> OutputForm? {
        guard tools.isActive else { return form }
        let calls = tools.callable
        let isParallel = tools.isParallel && callForm != .mistral
        let names = JSON.array(
            calls.map { ["name": .string($0.name), "parameters": $0.parameters] }
        ).text()
        let key = "\(callForm):\(isParallel):\(names)"
        switch tools.choice {
        case .none: return form
        case .required, .named:
            return OutputForm(
                grammar: .toolCalls(calls, form: callForm, isParallel: isParallel && tools.choice == .required),
                source: "calls:\(tools.choice == .required):" + key, param: "tools")
        case .auto:
            if let form {
                return OutputForm(
                    grammar: .choice([.toolCalls(calls, form: callForm, isParallel: isParallel), form.grammar]),
                    source: "either:" + key + form.source, param: form.param)
            }
            return OutputForm(
                grammar: .textWithToolCalls(calls, form: callForm, isParallel: isParallel), source: "text:" + key,
                param: "tools")
        }
    }
}

extension ToolCallForm {
    /// How calls of a format are written by the model of a template.
    init(_ format: ToolCallFormat, templateSource source: String) {
        switch format {
        case .hermes: self = .hermes
        case .llama3: self = .llama3
        case .mistral:
            self = source.contains("[ARGS]") ? .mistralNamed(hasID: source.contains("[CALL_ID]")) : .mistral
        case .json: self = ToolCallForm(prefix: "", suffix: "")
        }
    }
}
