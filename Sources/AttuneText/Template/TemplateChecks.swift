/// The tests behind `is`.
extension TemplateInterpreter {
    static let testNames: Set<String> = [
        "odd", "even", "divisibleby", "defined", "undefined", "filter", "test", "none", "boolean", "false", "true",
        "integer", "float", "lower", "upper", "string", "mapping", "number", "sequence", "iterable", "callable",
        "sameas", "escaped", "in", "==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", "ge", ">=", "<", "lt",
        "lessthan", "<=", "le",
    ]

    func test(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> Bool {
        guard Self.testNames.contains(name) else {
            throw TemplateError(.runtime, "No test named '\(name)' found.")
        }
        if let comparison = Self.comparison(name) {
            let other = try arguments.bind(name, ["other"], required: 1)[0] ?? .none
            return try compare(comparison, value, other)
        }
        switch name {
        case "divisibleby":
            let divisor = try arguments.bind(name, ["num"], required: 1)[0] ?? .none
            return try equals(try combine(.modulo, value, divisor), .int(0))
        case "sameas": return isSame(value, try arguments.bind(name, ["other"], required: 1)[0] ?? .none)
        default: _ = try arguments.bind(name, [])
        }
        switch name {
        case "odd": return try equals(try combine(.modulo, value, .int(2)), .int(1))
        case "even": return try equals(try combine(.modulo, value, .int(2)), .int(0))
        case "lower": return TemplateCase.check(PythonText.string(value), "islower")
        case "upper": return TemplateCase.check(PythonText.string(value), "isupper")
        case "filter": if case .string(let text) = value { return Self.filterNames.contains(text.string) }
        case "test": if case .string(let text) = value { return Self.testNames.contains(text.string) }
        default: return isKind(name, value)
        }
        return false
    }

    private func isKind(_ name: String, _ value: TemplateValue) -> Bool {
        switch (name, value) {
        case ("defined", .undefined): false
        case ("defined", _): true
        case ("undefined", .undefined), ("none", .none), ("boolean", .bool), ("integer", .int), ("float", .double),
            ("string", .string), ("mapping", .dict):
            true
        case ("true", .bool(let flag)): flag
        case ("false", .bool(let flag)): !flag
        case ("number", .int), ("number", .double), ("number", .bool): true
        // A sequence has a length and items by index, or by key.
        case ("sequence", .string), ("sequence", .list), ("sequence", .tuple), ("sequence", .dict),
            ("sequence", .range):
            true
        case ("iterable", .string), ("iterable", .list), ("iterable", .tuple), ("iterable", .dict),
            ("iterable", .range), ("iterable", .view), ("iterable", .generator), ("iterable", .undefined),
            ("iterable", .loop):
            true
        case ("callable", .callable), ("callable", .joiner), ("callable", .loop), ("callable", .undefined): true
        case ("escaped", .string(let text)): text.isMarkup
        default: false
        }
    }

    private static func comparison(_ name: String) -> TemplateComparison? {
        switch name {
        case "==", "eq", "equalto": .equal
        case "!=", "ne": .notEqual
        case ">", "gt", "greaterthan": .greater
        case ">=", "ge": .greaterOrEqual
        case "<", "lt", "lessthan": .less
        case "<=", "le": .lessOrEqual
        case "in": .isIn
        default: nil
        }
    }

    /// Identity. Python shares small whole numbers and most texts of a template, so equal ones count as the same.
    private func isSame(_ left: TemplateValue, _ right: TemplateValue) -> Bool {
        switch (left, right) {
        case (.none, .none): true
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.double(let a), .double(let b)): a == b
        case (.string(let a), .string(let b)): a.bytes == b.bytes
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): a === b
        case (.dict(let a), .dict(let b)): a === b
        case (.namespace(let a), .namespace(let b)): a === b
        default: false
        }
    }
}
