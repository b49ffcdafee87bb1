import AttuneJSON

/// A JSON Schema document: references and the joining of schemas that hold at once.
struct SchemaDocument {
    let root: JSON

    private static let annotations: Set<String> = [
        "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$schema",
        "$id",
        "$comment", "$defs", "definitions", "$anchor", "discriminator", "contentEncoding", "contentMediaType", "strict",
    ]
    private static let maxDepth = 64

    /// Whether a keyword says nothing about which values are valid.
    static func isAnnotation(_ keyword: String) -> Bool { annotations.contains(keyword) }

    /// The schema a reference inside this document names.
    func resolve(_ reference: String, path: String) throws(GrammarError) -> JSON {
        guard reference.utf8.first == UInt8(ascii: "#") else {
            throw .unsupported(
                path: path, message: "only references inside the schema are followed, not \(reference.debugDescription)"
            )
        }
        var current = root
        for part in reference.dropFirst().split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let name = Self.unescape(part)
            let member: JSON? =
                if case .array = current { Int(name).flatMap { current[$0] } } else { current[name] }
            guard let member else {
                throw .malformed(path: path, message: "the reference \(reference.debugDescription) names nothing")
            }
            current = member
        }
        let isAnchor = reference.utf8.count > 1 && !reference.utf8.starts(with: "#/".utf8)
        if isAnchor { throw .unsupported(path: path, message: "anchors are not followed; use \"#/$defs/…\"") }
        return current
    }

    /// `~1` is a slash, `~0` a tilde, `%XX` a byte.
    private static func unescape(_ part: Substring) -> String {
        var bytes: [UInt8] = []
        let source = Array(part.utf8)
        var at = 0
        while at < source.count {
            if source[at] == UInt8(ascii: "%"), at + 2 < source.count,
                let byte = UInt8(String(decoding: source[at + 1...at + 2], as: UTF8.self), radix: 16)
            {
                bytes.append(byte)
                at += 3
            } else if source[at] == UInt8(ascii: "~"), at + 1 < source.count {
                bytes.append(source[at + 1] == UInt8(ascii: "1") ? UInt8(ascii: "/") : UInt8(ascii: "~"))
                at += 2
            } else {
                bytes.append(source[at])
                at += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Replaces references and `allOf` at the top of a schema by what they say together.
    func flattened(_ schema: JSONObject, path: String, depth: Int = 0) throws(GrammarError) -> JSON {
        guard depth <= Self.maxDepth else { throw .tooLarge("references nested more than \(Self.maxDepth) deep") }
        var own = schema
        var parts: [JSON] = []
        if let reference = own["$ref"]?.stringValue {
            own["$ref"] = nil
            parts.append(try resolve(reference, path: path))
        }
        if let all = own["allOf"] {
            guard let schemas = all.arrayValue else {
                throw .malformed(path: path + "/allOf", message: "must be a list")
            }
            own["allOf"] = nil
            parts.append(contentsOf: schemas)
        }
        var joined = own
        for part in parts {
            switch part {
            case .bool(true): continue
            case .bool(false): return .bool(false)
            case .object(let object):
                guard case .object(let flat) = try flattened(object, path: path, depth: depth + 1) else {
                    return .bool(false)
                }
                joined = try join(joined, flat, path: path)
            default: throw .malformed(path: path, message: "a schema must be an object or a boolean")
            }
        }
        return .object(joined)
    }

    /// The schema that holds where both hold.
    func join(_ left: JSONObject, _ right: JSONObject, path: String) throws(GrammarError) -> JSONObject {
        var result = left
        for (key, theirs) in right.members where !Self.isAnnotation(key) {
            guard let ours = left[key], ours != theirs else {
                result[key] = theirs
                continue
            }
            switch key {
            case "type": result[key] = Self.commonTypes(ours, theirs)
            case "properties":
                guard var members = ours.objectValue, let more = theirs.objectValue else {
                    throw .malformed(path: path + "/properties", message: "must be an object")
                }
                for (name, schema) in more.members { members[name] = members[name].map { .both($0, schema) } ?? schema }
                result[key] = .object(members)
            case "required":
                var names = ours.arrayValue ?? []
                for name in theirs.arrayValue ?? [] where !names.contains(name) { names.append(name) }
                result[key] = .array(names)
            case "enum":
                let allowed = theirs.arrayValue ?? []
                result[key] = .array((ours.arrayValue ?? []).filter { allowed.contains($0) })
            case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
                result[key] = (ours.doubleValue ?? 0) >= (theirs.doubleValue ?? 0) ? ours : theirs
            case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
                result[key] = (ours.doubleValue ?? 0) <= (theirs.doubleValue ?? 0) ? ours : theirs
            case "items", "additionalProperties": result[key] = .both(ours, theirs)
            default:
                throw .unsupported(path: path, message: "two different values of \"\(key)\" cannot be joined")
            }
        }
        return result
    }

    private static func commonTypes(_ left: JSON, _ right: JSON) -> JSON {
        func names(_ type: JSON) -> [String] { type.arrayValue?.compactMap(\.stringValue) ?? [type.stringValue ?? ""] }
        let theirs = names(right)
        var common: [JSON] = []
        for name in names(left) {
            if theirs.contains(name) {
                common.append(.string(name))
            } else if name == "number", theirs.contains("integer") {
                common.append("integer")
            } else if name == "integer", theirs.contains("number") {
                common.append("integer")
            }
        }
        return .array(common)
    }
}

extension JSON {
    /// A schema that asks for both.
    fileprivate static func both(_ left: JSON, _ right: JSON) -> JSON {
        if left == .bool(false) || right == .bool(false) { return .bool(false) }
        if left == .bool(true) { return right }
        if right == .bool(true) { return left }
        return .object(JSONObject([("allOf", .array([left, right]))]))
    }
}
