import AttuneJSON

/// A plain JSON Schema validator for the keywords the tests use; the opposite road of the grammar compiler.
struct SchemaValidator {
    let root: JSON

    func accepts(_ value: JSON) -> Bool { accepts(value, root) }

    private func accepts(_ value: JSON, _ schema: JSON) -> Bool {
        guard let object = schema.objectValue else { return schema.boolValue ?? false }
        for (keyword, argument) in object.members where !holds(keyword, argument, value, object) { return false }
        return true
    }

    private func holds(_ keyword: String, _ argument: JSON, _ value: JSON, _ schema: JSONObject) -> Bool {
        let number = value.doubleValue
        let limit = argument.doubleValue ?? 0
        switch keyword {
        case "type":
            let names = argument.arrayValue?.compactMap(\.stringValue) ?? [argument.stringValue ?? ""]
            return names.contains { isOf($0, value) } || (schema["nullable"] == .bool(true) && value.isNull)
        case "$ref": return resolve(argument.stringValue ?? "").map { accepts(value, $0) } ?? false
        case "anyOf", "oneOf": return argument.arrayValue?.contains { accepts(value, $0) } ?? false
        case "allOf": return argument.arrayValue?.allSatisfy { accepts(value, $0) } ?? false
        case "enum": return argument.arrayValue?.contains(value) ?? false
        case "const": return argument == value
        case "minimum": return number.map { $0 >= limit } ?? true
        case "maximum": return number.map { $0 <= limit } ?? true
        case "exclusiveMinimum": return number.map { $0 > limit } ?? true
        case "exclusiveMaximum": return number.map { $0 < limit } ?? true
        case "minLength": return value.stringValue.map { Double($0.unicodeScalars.count) >= limit } ?? true
        case "maxLength": return value.stringValue.map { Double($0.unicodeScalars.count) <= limit } ?? true
        case "minItems": return value.arrayValue.map { Double($0.count) >= limit } ?? true
        case "maxItems": return value.arrayValue.map { Double($0.count) <= limit } ?? true
        case "minProperties": return value.objectValue.map { Double($0.count) >= limit } ?? true
        case "maxProperties": return value.objectValue.map { Double($0.count) <= limit } ?? true
        case "required":
            return value.objectValue.map { object in
                argument.arrayValue?.allSatisfy { object[$0.stringValue ?? ""] != nil } ?? false
            } ?? true
        case "properties":
            return value.objectValue?.members.allSatisfy { member in
                argument[member.key].map { accepts(member.value, $0) } ?? true
            } ?? true
        case "additionalProperties":
            return value.objectValue?.members.allSatisfy { member in
                schema["properties"]?[member.key] != nil || accepts(member.value, argument)
            } ?? true
        case "items":
            let first = schema["prefixItems"]?.arrayValue?.count ?? 0
            return value.arrayValue?.dropFirst(first).allSatisfy { accepts($0, argument) } ?? true
        case "prefixItems":
            return zip(value.arrayValue ?? [], argument.arrayValue ?? []).allSatisfy { accepts($0, $1) }
        default: return true
        }
    }

    private func isOf(_ type: String, _ value: JSON) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .bool), ("integer", .integer), ("number", .integer), ("number", .number),
            ("string", .string), ("array", .array), ("object", .object):
            true
        default: false
        }
    }

    private func resolve(_ reference: String) -> JSON? {
        reference.split(separator: "/").dropFirst().reduce(root as JSON?) { $0?[String($1)] }
    }
}
