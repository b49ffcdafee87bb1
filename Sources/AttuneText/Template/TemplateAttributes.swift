/// `value.name` and `value[key]`.
extension TemplateInterpreter {
    private static let listMethods: Set<String> = ["index", "count", "copy"]
    private static let listMutators: Set<String> = [
        "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove",
    ]
    private static let dictMethods: Set<String> = ["items", "keys", "values", "get", "copy", "fromkeys"]
    private static let dictMutators: Set<String> = ["clear", "pop", "popitem", "setdefault", "update"]

    /// `value.name`: attributes and methods first, then items, as jinja looks them up.
    func attribute(_ name: String, of value: TemplateValue) throws(TemplateError) -> TemplateValue {
        if case .undefined(let undefined) = value { throw undefined.error }
        if let found = member(name, of: value) { return found }
        switch value {
        case .dict(let dict):
            if let found = dict.value(.string(Array(name.utf8))) { return found }
        default: break
        }
        return .undefined(TemplateUndefined(.attribute(owner: value.ownerName, name)))
    }

    /// `value[key]`: items first, then attributes.
    func item(_ key: TemplateValue, of value: TemplateValue) throws(TemplateError) -> TemplateValue {
        switch value {
        case .undefined(let undefined): throw undefined.error
        case .dict(let dict):
            if let hash = TemplateKey(key), let found = dict.value(hash) { return found }
        case .list(let list), .tuple(let list):
            if let index = index(key, in: list.items.count) { return list.items[index] }
        case .range(let range):
            if let index = index(key, in: range.count) { return range[index] }
        case .string(let text):
            if case .int? = Number(key) {
                try spend(bytes: text.bytes.count)
                let offsets = text.offsets()
                if let index = index(key, in: offsets.count - 1) {
                    return .string(text.slice(offsets[index]..<offsets[index + 1]))
                }
            }
        default: break
        }
        if case .string(let name) = key {
            if let found = member(name.string, of: value) { return found }
            return .undefined(TemplateUndefined(.attribute(owner: value.ownerName, name.string)))
        }
        var shown: [UInt8] = []
        PythonText.write(key, to: &shown)
        return .undefined(
            TemplateUndefined(.element(owner: value.ownerName, String(decoding: shown, as: UTF8.self))))
    }

    private func index(_ key: TemplateValue, in count: Int) -> Int? {
        guard case .int(let index)? = Number(key) else { return nil }
        let place = index < 0 ? index &+ count : index
        return place >= 0 && place < count ? place : nil
    }

    /// An attribute that Python's object of this type has; forbidden ones come back as an undefined that says so.
    private func member(_ name: String, of value: TemplateValue) -> TemplateValue? {
        if name.hasPrefix("__"), name.hasSuffix("__") { return unsafe(name, value) }
        switch value {
        case .string:
            return TemplateStringMethods.names.contains(name) ? method(value, name) : nil
        case .list, .tuple:
            if case .tuple(let group) = value {
                if group.isGroup, name == "grouper" { return group.items.first }
                if group.isGroup, name == "list" { return group.items.last }
                return name == "index" || name == "count" ? method(value, name) : nil
            }
            if Self.listMutators.contains(name) { return unsafe(name, value) }
            return Self.listMethods.contains(name) ? method(value, name) : nil
        case .range: return name == "index" || name == "count" ? method(value, name) : nil
        case .dict:
            if Self.dictMutators.contains(name) { return unsafe(name, value) }
            return Self.dictMethods.contains(name) ? method(value, name) : nil
        case .double: return name == "is_integer" ? method(value, name) : nil
        case .namespace(let namespace): return namespace[name]
        case .loop(let loop): return member(name, of: loop, value)
        case .cycler(let cycler):
            switch name {
            case "current": return cycler.items[cycler.position]
            case "next", "reset": return method(value, name)
            default: return nil
            }
        case .callable(let callable):
            guard case .macro(let macro) = callable.target else { return nil }
            switch name {
            case "name": return macro.signature.name.map { .text($0) } ?? .some(.none)
            case "arguments":
                return .tuple(TemplateList(macro.signature.parameters.map { .text($0.name) }))
            case "catch_kwargs": return .bool(macro.signature.usesKwargs)
            case "catch_varargs": return .bool(macro.signature.usesVarargs)
            case "caller": return .bool(macro.signature.usesCaller)
            default: return nil
            }
        default: return nil
        }
    }

    private func method(_ value: TemplateValue, _ name: String) -> TemplateValue {
        .callable(TemplateCallable(.method(value, name)))
    }

    private func unsafe(_ name: String, _ value: TemplateValue) -> TemplateValue {
        .undefined(TemplateUndefined(.unsafe(type: value.typeName, name)))
    }

    private func member(_ name: String, of loop: TemplateLoop, _ value: TemplateValue) -> TemplateValue? {
        let count = loop.items.count
        switch name {
        case "index": return .int(loop.index + 1)
        case "index0": return .int(loop.index)
        case "revindex": return .int(count - loop.index)
        case "revindex0": return .int(count - loop.index - 1)
        case "first": return .bool(loop.index == 0)
        case "last": return .bool(loop.index == count - 1)
        case "length": return .int(count)
        case "depth": return .int(loop.depth + 1)
        case "depth0": return .int(loop.depth)
        case "previtem":
            guard loop.index > 0 else {
                return .undefined(TemplateUndefined(.hint("there is no previous item")))
            }
            return loop.items[loop.index - 1]
        case "nextitem":
            guard loop.index + 1 < count else {
                return .undefined(TemplateUndefined(.hint("there is no next item")))
            }
            return loop.items[loop.index + 1]
        case "cycle", "changed": return method(value, name)
        default: return nil
        }
    }
}
