import AttuneJSON

/// The members of a request's object, read with their types; what is wrong becomes a 400 that names the parameter.
///
/// `null` counts as absent, as OpenAI's clients send it.
struct Fields {
    /// The members.
    let object: JSONObject
    /// What stands before a member's name in errors (`messages[2].`).
    let path: String

    init(_ object: JSONObject, path: String = "") {
        self.object = object
        self.path = path
    }

    /// Reads an object that stands somewhere in a request.
    init(_ json: JSON, at name: String) throws(APIError) {
        guard let object = json.objectValue else { throw .invalid(name, "must be an object") }
        self.init(object, path: name + ".")
    }

    /// A member unless it is missing or null.
    subscript(name: String) -> JSON? {
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    func string(_ name: String) throws(APIError) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.stringValue else { throw .invalid(path + name, "must be a string") }
        return text
    }

    func required(_ name: String) throws(APIError) -> String {
        guard let text = try string(name) else { throw .invalid(path + name, "is missing; give a string") }
        return text
    }

    func bool(_ name: String) throws(APIError) -> Bool? {
        guard let value = self[name] else { return nil }
        guard let flag = value.boolValue else { throw .invalid(path + name, "must be true or false") }
        return flag
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(APIError) -> Int? {
        guard let value = self[name] else { return nil }
        guard let number = value.intValue else { throw .invalid(path + name, "must be a whole number") }
        guard range.contains(number) else {
            let bound =
                range.upperBound == .max
                ? "must be at least \(range.lowerBound)"
                : "must lie between \(range.lowerBound) and \(range.upperBound)"
            throw .invalid(path + name, "\(bound), not \(number)")
        }
        return number
    }

    func number(_ name: String, in range: ClosedRange<Double>) throws(APIError) -> Float? {
        guard let value = self[name] else { return nil }
        guard let number = value.doubleValue else { throw .invalid(path + name, "must be a number") }
        guard range.contains(number) else {
            throw .invalid(path + name, "must lie between \(range.lowerBound) and \(range.upperBound), not \(number)")
        }
        return Float(number)
    }

    func array(_ name: String, atMost limit: Int) throws(APIError) -> [JSON]? {
        guard let value = self[name] else { return nil }
        guard let items = value.arrayValue else { throw .invalid(path + name, "must be an array") }
        guard items.count <= limit else {
            throw .invalid(path + name, "has \(items.count) entries; at most \(limit) are taken")
        }
        return items
    }

    func fields(_ name: String) throws(APIError) -> Fields? {
        guard let value = self[name] else { return nil }
        return try Fields(value, at: path + name)
    }

    /// Refuses members nobody reads: a parameter that is silently dropped is an answer to another question.
    func refuseOthers(than known: Set<String>) throws(APIError) {
        for member in object.members where !known.contains(member.key) && !member.value.isNull {
            let name = LogText.escaped(member.key, limit: 64)
            throw .invalid(path + name, "is not a parameter this server knows")
        }
    }
}
