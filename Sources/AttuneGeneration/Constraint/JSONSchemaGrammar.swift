import AttuneJSON

/// Compiles JSON Schema (draft 2020-12 and what OpenAPI adds) to grammar rules.
///
/// The texts produced always satisfy the schema; some valid texts are left out: members come in the schema's order, an
/// object with listed members has no others unless `additionalProperties` says so explicitly, numbers have at most 16
/// digits a part. `oneOf` is read as `anyOf`. A keyword that would have to be ignored is an error.
struct JSONSchemaGrammar {
    private var document: SchemaDocument
    private var references: [ByteString: Int] = [:]
    private var pending: [(reference: String, rule: Int)] = []
    private var schemaCount = 0

    private static let maxDepth = 64
    private static let maxSchemas = 20_000
    private static let refused = [
        "not", "if", "dependentRequired", "dependentSchemas", "dependencies", "contains", "minContains", "maxContains",
        "$dynamicRef", "$recursiveRef",
    ]

    /// The schema as a node.
    static func node(_ schema: JSON, rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        guard schema.utf8().count <= rules.limits.maxSourceBytes else {
            throw .tooLarge("a schema of more than \(rules.limits.maxSourceBytes) bytes")
        }
        var compiler = JSONSchemaGrammar(document: SchemaDocument(root: schema))
        let root = rules.reserve()
        compiler.references[ByteString("#")] = root
        rules.define(root, try compiler.compile(schema, "#", 0, &rules))
        while let (reference, rule) = compiler.pending.popLast() {
            let target = try compiler.document.resolve(reference, path: reference)
            rules.define(rule, try compiler.compile(target, reference, 0, &rules))
        }
        return .rule(root)
    }

    private init(document: SchemaDocument) { self.document = document }

    mutating func compile(
        _ schema: JSON, _ path: String, _ depth: Int, _ rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        schemaCount += 1
        guard depth <= Self.maxDepth else { throw .tooLarge("a schema nested more than \(Self.maxDepth) deep") }
        guard schemaCount <= Self.maxSchemas else { throw .tooLarge("more than \(Self.maxSchemas) schemas") }
        switch schema {
        case .bool(true): return try JSONGrammar.value(&rules)
        case .bool(false): return .choice([])
        case .object(let object):
            if let reference = object["$ref"],
                object.keys.allSatisfy({ $0 == "$ref" || SchemaDocument.isAnnotation($0) })
            {
                return try self.reference(reference, path, &rules)
            }
            guard case .object(let flat) = try document.flattened(object, path: path) else { return .choice([]) }
            return try compile(flat: flat, path, depth, &rules)
        default: throw .malformed(path: path, message: "a schema must be an object or a boolean")
        }
    }

    private mutating func reference(
        _ reference: JSON, _ path: String, _ rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        guard let text = reference.stringValue else {
            throw .malformed(path: path + "/$ref", message: "must be a string")
        }
        if let rule = references[ByteString(text)] { return .rule(rule) }
        let rule = rules.reserve()
        references[ByteString(text)] = rule
        pending.append((text, rule))
        return .rule(rule)
    }

    /// A schema without references and `allOf` at its top.
    private mutating func compile(
        flat schema: JSONObject, _ path: String, _ depth: Int, _ rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        for keyword in Self.refused where schema[keyword] != nil {
            throw .unsupported(path: path, message: "\"\(keyword)\" is not supported")
        }
        for keyword in ["anyOf", "oneOf"] {
            guard let branches = schema[keyword] else { continue }
            guard let branches = branches.arrayValue, !branches.isEmpty else {
                throw .malformed(path: path + "/" + keyword, message: "must be a list that is not empty")
            }
            return try self.branches(of: schema, keyword, branches, path, depth, &rules)
        }
        if let value = schema["const"] { return try literals([value], schema, path) }
        if let values = schema["enum"] {
            guard let values = values.arrayValue else {
                throw .malformed(path: path + "/enum", message: "must be a list")
            }
            return try literals(values, schema, path)
        }
        var parts: [GrammarNode] = []
        for type in try types(of: schema, path) {
            switch type {
            case "null": parts.append(.text("null"))
            case "boolean": parts.append(.choice([.text("true"), .text("false")]))
            case "integer": parts.append(try number(schema, path, isWhole: true))
            case "number": parts.append(try number(schema, path, isWhole: false))
            case "string": parts.append(try string(schema, path, &rules))
            case "array": parts.append(try array(schema, path, depth, &rules))
            case "object": parts.append(try object(schema, path, depth, &rules))
            case "any": parts.append(try JSONGrammar.value(&rules))
            default: throw .malformed(path: path + "/type", message: "knows no type \(type.debugDescription)")
            }
        }
        if schema["nullable"]?.boolValue == true { parts.append(.text("null")) }
        return .choice(parts)
    }

    private mutating func branches(
        of schema: JSONObject, _ keyword: String, _ branches: [JSON], _ path: String, _ depth: Int,
        _ rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        var rest = schema
        rest[keyword] = nil
        let isBare = rest.keys.allSatisfy(SchemaDocument.isAnnotation)
        var parts: [GrammarNode] = []
        for (place, branch) in branches.enumerated() where !branches[..<place].contains(branch) {
            let name = "\(path)/\(keyword)/\(place)"
            let whole = isBare ? branch : JSON.object(rest.adding(branch))
            parts.append(try compile(whole, name, depth + 1, &rules))
        }
        return .choice(parts)
    }

    /// The types a schema allows; guessed from its keywords where it names none, which allows fewer values, never more.
    private func types(of schema: JSONObject, _ path: String) throws(GrammarError) -> [String] {
        switch schema["type"] {
        case .string(let name): return [name]
        case .array(let names): return names.map { $0.stringValue ?? "" }
        case .some: throw .malformed(path: path + "/type", message: "must be a string or a list of strings")
        case nil: break
        }
        let hints: [(String, [String])] = [
            (
                "object",
                [
                    "properties", "required", "additionalProperties", "patternProperties", "propertyNames",
                    "minProperties", "maxProperties",
                ]
            ),
            ("array", ["items", "prefixItems", "minItems", "maxItems", "uniqueItems"]),
            ("string", ["pattern", "minLength", "maxLength", "format"]),
            ("number", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
        ]
        let found = hints.filter { $0.1.contains { schema[$0] != nil } }.map(\.0)
        return found.isEmpty ? ["any"] : found
    }

    /// The values that also satisfy the schema's type.
    private func literals(
        _ values: [JSON], _ schema: JSONObject, _ path: String
    ) throws(GrammarError) -> GrammarNode {
        let types = schema["type"] == nil ? [] : try self.types(of: schema, path)
        let limiting = schema.keys.filter { key in
            !SchemaDocument.isAnnotation(key) && !["const", "enum", "type", "nullable"].contains(key)
        }
        if let key = limiting.first {
            throw .unsupported(path: path, message: "\"\(key)\" beside \"enum\" or \"const\" is not supported")
        }
        var allowed = values
        if let other = schema["enum"]?.arrayValue { allowed = allowed.filter { other.contains($0) } }
        allowed = allowed.filter { value in types.isEmpty || types.contains { Self.is(value, $0) } }
        if schema["nullable"]?.boolValue == true { allowed.append(.null) }
        return .choice(allowed.map { .bytes($0.utf8()) })
    }

    private static func `is`(_ value: JSON, _ type: String) -> Bool {
        switch (value, type) {
        case (.null, "null"), (.bool, "boolean"), (.integer, "integer"), (.integer, "number"), (.number, "number"),
            (.string, "string"), (.array, "array"), (.object, "object"):
            true
        case (.number(let number), "integer"): number == number.rounded()
        default: false
        }
    }

    // MARK: Numbers and strings

    private func number(_ schema: JSONObject, _ path: String, isWhole: Bool) throws(GrammarError) -> GrammarNode {
        if let step = schema["multipleOf"]?.doubleValue, !(isWhole && step == 1) {
            throw .unsupported(path: path, message: "\"multipleOf\" is not supported")
        }
        var low = -Double.infinity
        var high = Double.infinity
        // The least step beyond an excluded bound: 1 for whole numbers, else the next number.
        for (keyword, isExcluded) in [("minimum", false), ("exclusiveMinimum", true)] {
            guard let bound = try bound(keyword, schema, path) else { continue }
            let inside = !isExcluded ? bound : isWhole ? bound.rounded(.down) + 1 : bound.nextUp
            low = max(low, inside)
        }
        for (keyword, isExcluded) in [("maximum", false), ("exclusiveMaximum", true)] {
            guard let bound = try bound(keyword, schema, path) else { continue }
            let inside = !isExcluded ? bound : isWhole ? bound.rounded(.up) - 1 : bound.nextDown
            high = min(high, inside)
        }
        if low == -.infinity, high == .infinity { return isWhole ? JSONGrammar.integer : JSONGrammar.number }
        guard isWhole else { return JSONGrammar.numbers(low, high) }
        let limit = Double(JSONGrammar.largest)
        let first = max(low, -limit).rounded(.up)
        let last = min(high, limit).rounded(.down)
        guard first <= last else { return .choice([]) }
        return JSONGrammar.integers(Int64(first), Int64(last))
    }

    private func bound(_ keyword: String, _ schema: JSONObject, _ path: String) throws(GrammarError) -> Double? {
        guard let value = schema[keyword] else { return nil }
        guard let number = value.doubleValue, number.isFinite else {
            throw .malformed(path: "\(path)/\(keyword)", message: "must be a number")
        }
        return number
    }

    private func count(_ keyword: String, _ schema: JSONObject, _ path: String) throws(GrammarError) -> Int? {
        guard let value = schema[keyword] else { return nil }
        guard let number = value.intValue, number >= 0 else {
            throw .malformed(path: "\(path)/\(keyword)", message: "must be a whole number that is not negative")
        }
        return number
    }

    private func string(
        _ schema: JSONObject, _ path: String, _ rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        let least = try count("minLength", schema, path) ?? 0
        let most = try count("maxLength", schema, path)
        var pattern = schema["pattern"]?.stringValue
        if pattern == nil, let format = schema["format"]?.stringValue { pattern = StringFormat.pattern(of: format) }
        if let pattern {
            guard least == 0, most == nil else {
                throw .unsupported(
                    path: path,
                    message: "a length beside \"pattern\" or \"format\" is not supported; put it in the pattern")
            }
            let inside = try RegularExpression.node(pattern, path: path + "/pattern", style: .jsonString, rules: &rules)
            return .sequence([.text("\""), inside, .text("\"")])
        }
        if least == 0, most == nil { return try JSONGrammar.string(&rules) }
        guard least <= most ?? least else { return .choice([]) }
        return try JSONGrammar.string(&rules, least: least, most: most)
    }

    // MARK: Arrays and objects

    private mutating func array(
        _ schema: JSONObject, _ path: String, _ depth: Int, _ rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        if schema["uniqueItems"]?.boolValue == true {
            throw .unsupported(path: path, message: "\"uniqueItems\" is not supported")
        }
        let least = try count("minItems", schema, path) ?? 0
        let most = try count("maxItems", schema, path)
        let gap = try JSONGrammar.gap(&rules)
        guard let prefix = schema["prefixItems"] else {
            guard least <= most ?? least else { return .choice([]) }
            let item = try compile(schema["items"] ?? .bool(true), path + "/items", depth + 1, &rules)
            return JSONGrammar.list("[", item, "]", least, most, gap: gap)
        }
        guard let schemas = prefix.arrayValue else {
            throw .malformed(path: path + "/prefixItems", message: "must be a list")
        }
        let firsts = schemas.prefix(most ?? schemas.count)
        var parts: [GrammarNode] = [.text("[")]
        for (place, schema) in firsts.enumerated() {
            if place > 0 { parts.append(.text(",")) }
            parts.append(gap)
            parts.append(try compile(schema, "\(path)/prefixItems/\(place)", depth + 1, &rules))
        }
        let rest = schema["items"] ?? .bool(least > firsts.count)
        if rest != .bool(false), !firsts.isEmpty {
            let item = try compile(rest, path + "/items", depth + 1, &rules)
            parts.append(
                .repeated(
                    .sequence([.text(","), gap, item]), max(0, least - firsts.count), most.map { $0 - firsts.count }))
        } else if least > firsts.count {
            return .choice([])
        }
        return .sequence(parts + [gap, .text("]")])
    }

    private mutating func object(
        _ schema: JSONObject, _ path: String, _ depth: Int, _ rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        var members: [(name: String, schema: JSON)] = []
        if let properties = schema["properties"] {
            guard let properties = properties.objectValue else {
                throw .malformed(path: path + "/properties", message: "must be an object")
            }
            members = properties.members.map { ($0.key, $0.value) }
        }
        let others = schema["additionalProperties"]
        var required = Set<ByteString>()
        for name in schema["required"]?.arrayValue ?? [] {
            guard let name = name.stringValue else {
                throw .malformed(path: path + "/required", message: "must be a list of strings")
            }
            guard required.insert(ByteString(name)).inserted else { continue }
            if !members.contains(where: { ByteString($0.name) == ByteString(name) }) {
                members.append((name, others ?? .bool(true)))
            }
        }
        if members.isEmpty { return try map(schema, path, depth, &rules) }
        for keyword in ["patternProperties", "propertyNames"] where schema[keyword] != nil {
            throw .unsupported(path: path, message: "\"\(keyword)\" beside listed members is not supported")
        }
        let isOpen = others != nil && others != .bool(false)
        let least = try count("minProperties", schema, path) ?? 0
        let most = try count("maxProperties", schema, path) ?? .max
        guard least <= required.count, most >= members.count, !isOpen || most == .max else {
            throw .unsupported(
                path: path, message: "\"minProperties\" and \"maxProperties\" beside listed members are not supported")
        }
        // Place 2i + p: members before i are settled, p tells whether one was written.
        let gap = try JSONGrammar.gap(&rules)
        var edges: [(from: Int, to: Int, node: GrammarNode)] = [(0, 1, .text("{"))]
        for (i, member) in members.enumerated() {
            let value = try compile(member.schema, "\(path)/properties/\(member.name)", depth + 1, &rules)
            let pair = try JSONGrammar.pair(key: .bytes(JSON.string(member.name).utf8()), value: value)
            let here = 1 + 2 * i
            edges.append((here, here + 3, .sequence([gap, pair])))
            edges.append((here + 1, here + 3, .sequence([.text(","), gap, pair])))
            if !required.contains(ByteString(member.name)) {
                edges.append((here, here + 2, .empty))
                edges.append((here + 1, here + 3, .empty))
            }
        }
        let last = 1 + 2 * members.count
        if isOpen, let others {
            let value = try compile(others, path + "/additionalProperties", depth + 1, &rules)
            let key = KeyGrammar.excluding(
                members.map(\.name), rest: try JSONGrammar.string(&rules, least: 0, most: nil))
            let pair = try JSONGrammar.pair(key: key, value: value)
            edges.append((last, last + 1, .sequence([gap, pair])))
            edges.append((last + 1, last + 2, .empty))
            edges.append((last + 2, last + 3, .repeated(.sequence([.text(","), gap, pair]), 0, nil)))
        } else {
            edges.append((last + 1, last + 3, .empty))
        }
        edges.append((last, last + 4, .text("}")))
        edges.append((last + 3, last + 4, .sequence([gap, .text("}")])))
        return .graph(count: last + 5, edges: edges)
    }

    /// An object without listed members.
    private mutating func map(
        _ schema: JSONObject, _ path: String, _ depth: Int, _ rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        let least = try count("minProperties", schema, path) ?? 0
        let most = try count("maxProperties", schema, path)
        guard least <= most ?? least else { return .choice([]) }
        var pairs: [GrammarNode] = []
        let others = schema["additionalProperties"] ?? .bool(true)
        if let patterns = schema["patternProperties"] {
            guard others == .bool(false), schema["propertyNames"] == nil, let patterns = patterns.objectValue else {
                throw .unsupported(path: path, message: "\"patternProperties\" needs \"additionalProperties\": false")
            }
            guard patterns.count == 1 else {
                throw .unsupported(path: path, message: "several \"patternProperties\" are not supported")
            }
            for (pattern, value) in patterns.members {
                let key = try RegularExpression.node(
                    pattern, path: path + "/patternProperties", style: .jsonString, rules: &rules)
                let value = try compile(value, path + "/patternProperties", depth + 1, &rules)
                pairs.append(
                    try JSONGrammar.pair(key: .sequence([.text("\""), key, .text("\"")]), value: value))
            }
        } else if others != .bool(false) {
            var key = try JSONGrammar.string(&rules)
            if let names = schema["propertyNames"] {
                let strings = JSONObject([("type", "string")]).adding(names)
                key = try compile(.object(strings), path + "/propertyNames", depth + 1, &rules)
            }
            let value = try compile(others, path + "/additionalProperties", depth + 1, &rules)
            pairs.append(try JSONGrammar.pair(key: key, value: value))
        }
        return JSONGrammar.list("{", .choice(pairs), "}", least, most, gap: try JSONGrammar.gap(&rules))
    }
}

extension JSONObject {
    /// This schema and another, to hold together.
    fileprivate func adding(_ schema: JSON) -> JSONObject {
        var result = self
        let others = result["allOf"]?.arrayValue ?? []
        result["allOf"] = .array(others + [schema])
        return result
    }
}
