/// A value of the template language, with Python's types told apart.
enum TemplateValue {
    case undefined(TemplateUndefined)
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(TemplateText)
    case list(TemplateList)
    case tuple(TemplateList)
    case dict(TemplateDict)
    case generator(TemplateGenerator)
    case view(TemplateView)
    case range(TemplateRange)
    case namespace(TemplateNamespace)
    case callable(TemplateCallable)
    case loop(TemplateLoop)
    case cycler(TemplateCycler)
    case joiner(TemplateJoiner)

    static func text(_ string: String) -> TemplateValue { .string(TemplateText(string)) }

    /// What Python's `type(value).__name__` says.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .int: "int"
        case .double: "float"
        case .string(let text): text.isMarkup ? "Markup" : "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dict: "dict"
        case .generator(let generator): generator.typeName
        case .view(let view): view.kind.rawValue
        case .range: "range"
        case .namespace: "TemplateNamespace"
        case .callable(let callable): callable.typeName
        case .loop: "LoopContext"
        case .cycler: "Cycler"
        case .joiner: "Joiner"
        }
    }

    /// How jinja names the owner of a missing attribute.
    var ownerName: String {
        switch self {
        case .none: "None"
        case .namespace: "transformers.utils.chat_template_utils.TemplateNamespace object"
        default: "\(typeName) object"
        }
    }

    /// Python's truth of a value.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .double(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let list), .tuple(let list): !list.items.isEmpty
        case .dict(let dict): dict.count > 0
        case .view(let view): !view.items.isEmpty
        case .range(let range): range.count > 0
        case .generator, .namespace, .callable, .loop, .cycler, .joiner: true
        }
    }

    /// How deep containers nest in it; scalars have 0.
    var depth: Int {
        switch self {
        case .list(let list), .tuple(let list): list.depth
        case .dict(let dict): dict.depth
        case .generator(let generator): generator.depth
        case .view(let view): view.depth
        case .namespace: 1
        case .callable, .cycler: 1
        default: 0
        }
    }

    /// Whether it can reach a namespace, and so form a cycle when stored in one.
    var holdsNamespace: Bool {
        switch self {
        case .namespace, .loop, .cycler, .joiner: true
        case .callable(let callable): callable.holdsReceiver
        case .list(let list), .tuple(let list): list.holdsNamespace
        case .dict(let dict): dict.holdsNamespace
        case .generator(let generator): generator.holdsNamespace
        case .view(let view): view.holdsNamespace
        default: false
        }
    }

    /// The message it stems from, when that is one.
    var origin: Int? {
        switch self {
        case .string(let text): text.origin
        case .dict(let dict): dict.origin
        default: nil
        }
    }
}

/// The result of looking up what is not there. Using it fails; printing or testing it does not.
final class TemplateUndefined {
    enum Reason {
        case name(String)
        case attribute(owner: String, String)
        case element(owner: String, String)
        case unsafe(type: String, String)
        case hint(String)
    }

    let reason: Reason

    init(_ reason: Reason) { self.reason = reason }

    /// The error of using it, with jinja's words.
    var error: TemplateError {
        switch reason {
        case .name(let name): TemplateError(.undefined, "'\(name)' is undefined")
        case .attribute(let owner, let name):
            TemplateError(.undefined, "\(PythonText.quoted(owner)) has no attribute \(PythonText.quoted(name))")
        case .element(let owner, let key): TemplateError(.undefined, "\(owner) has no element \(key)")
        case .unsafe(let type, let name):
            TemplateError(.security, "access to attribute '\(name)' of '\(type)' object is unsafe.")
        case .hint(let hint): TemplateError(.undefined, hint)
        }
    }
}

/// The elements of a list or tuple. No template can change one.
final class TemplateList {
    let items: [TemplateValue]
    let depth: Int
    let holdsNamespace: Bool
    /// Whether it is a pair of `groupby`, whose parts have names.
    let isGroup: Bool

    init(_ items: [TemplateValue], isGroup: Bool = false) {
        self.items = items
        self.isGroup = isGroup
        var depth = 0
        var holdsNamespace = false
        for item in items {
            depth = max(depth, item.depth)
            if item.holdsNamespace { holdsNamespace = true }
        }
        self.depth = depth + 1
        self.holdsNamespace = holdsNamespace
    }
}

/// What Python's hash tells apart: `1`, `1.0` and `True` are one key.
enum TemplateKey: Hashable {
    case none
    case int(Int)
    case double(Double)
    case string([UInt8])
    case tuple([TemplateKey])
    case undefined
    case object(ObjectIdentifier)

    /// The key of a value, or `nil` when the value is not hashable.
    init?(_ value: TemplateValue) {
        switch value {
        case .none: self = .none
        case .bool(let value): self = .int(value ? 1 : 0)
        case .int(let value): self = .int(value)
        case .double(let value):
            if let whole = Int(exactly: value) { self = .int(whole) } else { self = .double(value) }
        case .string(let text): self = .string(text.bytes)
        case .tuple(let list):
            var keys: [TemplateKey] = []
            for item in list.items {
                guard let key = TemplateKey(item) else { return nil }
                keys.append(key)
            }
            self = .tuple(keys)
        case .undefined: self = .undefined
        case .list, .dict, .view: return nil
        case .generator(let object): self = .object(ObjectIdentifier(object))
        case .range(let object): self = .object(ObjectIdentifier(object))
        case .namespace(let object): self = .object(ObjectIdentifier(object))
        case .callable(let object): self = .object(ObjectIdentifier(object))
        case .loop(let object): self = .object(ObjectIdentifier(object))
        case .cycler(let object): self = .object(ObjectIdentifier(object))
        case .joiner(let object): self = .object(ObjectIdentifier(object))
        }
    }
}

/// An ordered mapping. No template can change one.
final class TemplateDict {
    let entries: [(key: TemplateValue, value: TemplateValue)]
    private let keys: [TemplateKey]
    private let index: [TemplateKey: Int]?
    let depth: Int
    let holdsNamespace: Bool
    /// The message this is, or is a part of, or was made from.
    let origin: Int?
    /// Whether it is a whole message, so that walking over it writes that message's turn.
    var isMessage: Bool { origin != nil && value(Self.roleKey) != nil }

    private static let roleKey = TemplateKey.string(Array("role".utf8))

    init(_ builder: TemplateDictBuilder, origin: Int? = nil) {
        entries = builder.entries
        keys = builder.keys
        index = builder.index
        var depth = 0
        var holdsNamespace = false
        for entry in builder.entries {
            depth = max(depth, entry.key.depth, entry.value.depth)
            if entry.value.holdsNamespace || entry.key.holdsNamespace { holdsNamespace = true }
        }
        self.depth = depth + 1
        self.holdsNamespace = holdsNamespace
        self.origin = origin
    }

    var count: Int { entries.count }

    func value(_ key: TemplateKey) -> TemplateValue? {
        if let index { return index[key].map { entries[$0].value } }
        guard let place = keys.firstIndex(of: key) else { return nil }
        return entries[place].value
    }
}

/// Collects the entries of a mapping; an equal key keeps its place and takes the later value, as in Python.
struct TemplateDictBuilder {
    private(set) var entries: [(key: TemplateValue, value: TemplateValue)] = []
    private(set) var keys: [TemplateKey] = []
    private(set) var index: [TemplateKey: Int]?
    private static let indexThreshold = 8

    init() {}

    init(_ dict: TemplateDict) {
        for entry in dict.entries { if let key = TemplateKey(entry.key) { set(key, entry.key, entry.value) } }
    }

    mutating func set(_ key: TemplateKey, _ keyValue: TemplateValue, _ value: TemplateValue) {
        if let place = index.map({ $0[key] }) ?? keys.firstIndex(of: key) {
            entries[place].value = value
            return
        }
        entries.append((keyValue, value))
        keys.append(key)
        if index != nil {
            index?[key] = keys.count - 1
        } else if keys.count > Self.indexThreshold {
            var index: [TemplateKey: Int] = [:]
            for (place, key) in keys.enumerated() { index[key] = place }
            self.index = index
        }
    }

    mutating func set(_ name: String, _ value: TemplateValue) {
        set(.string(Array(name.utf8)), .text(name), value)
    }

    /// The one message whose texts or mappings these values are; `nil` when none or several.
    var commonOrigin: Int? {
        var origin: Int?
        for entry in entries {
            guard let found = entry.value.origin else { continue }
            if let origin, origin != found { return nil }
            origin = found
        }
        return origin
    }
}

/// What `map`, `select` and their like give: something to walk through once, without length or index.
final class TemplateGenerator {
    private var items: ArraySlice<TemplateValue>
    let depth: Int
    let holdsNamespace: Bool
    let typeName: String

    init(_ items: [TemplateValue], typeName: String = "generator") {
        let list = TemplateList(items)
        self.items = items[...]
        depth = list.depth
        holdsNamespace = list.holdsNamespace
        self.typeName = typeName
    }

    func next() -> TemplateValue? { items.popFirst() }

    func rest() -> [TemplateValue] {
        defer { items = [] }
        return Array(items)
    }
}

/// `dict.keys()`, `dict.values()`, `dict.items()`.
final class TemplateView {
    enum Kind: String {
        case keys = "dict_keys"
        case values = "dict_values"
        case items = "dict_items"
    }

    let kind: Kind
    let items: [TemplateValue]
    let depth: Int
    let holdsNamespace: Bool

    init(_ kind: Kind, of dict: TemplateDict) {
        self.kind = kind
        items = dict.entries.map { entry in
            switch kind {
            case .keys: entry.key
            case .values: entry.value
            case .items: .tuple(TemplateList([entry.key, entry.value]))
            }
        }
        depth = dict.depth + 1
        holdsNamespace = dict.holdsNamespace
    }
}

/// An arithmetic progression, `step != 0`.
final class TemplateRange {
    let start: Int
    let step: Int
    let stop: Int
    let count: Int

    /// `count` must be the number of elements; the interpreter has checked that no element overflows.
    init(start: Int, stop: Int, step: Int, count: Int) {
        self.start = start
        self.stop = stop
        self.step = step
        self.count = count
    }

    subscript(index: Int) -> TemplateValue { .int(start + index * step) }
    var items: [TemplateValue] { (0..<count).map { self[$0] } }
}

/// The one thing a template may assign to from an inner scope.
final class TemplateNamespace {
    var attributes: [(name: String, value: TemplateValue)]

    init(_ attributes: [(name: String, value: TemplateValue)]) { self.attributes = attributes }

    subscript(name: String) -> TemplateValue? {
        get { attributes.first { $0.name.utf8.elementsEqual(name.utf8) }?.value }
        set {
            guard let newValue else { return }
            if let place = attributes.firstIndex(where: { $0.name.utf8.elementsEqual(name.utf8) }) {
                attributes[place].value = newValue
            } else {
                attributes.append((name, newValue))
            }
        }
    }
}

/// `cycler(a, b, …)`.
final class TemplateCycler {
    let items: [TemplateValue]
    var position = 0

    init(_ items: [TemplateValue]) { self.items = items }
}

/// `joiner(sep)`: nothing the first time, then the separator.
final class TemplateJoiner {
    let separator: TemplateValue
    var isUsed = false

    init(_ separator: TemplateValue) { self.separator = separator }
}

/// Something that can be called.
final class TemplateCallable {
    enum Target {
        case global(TemplateGlobal)
        case method(TemplateValue, String)
        case macro(TemplateMacro)
    }

    let target: Target

    init(_ target: Target) { self.target = target }

    var typeName: String {
        switch target {
        case .global(.namespace): "type"
        case .global(.dict): "TemplateDict"
        case .global(.cycler), .global(.joiner): "type"
        case .global: "function"
        case .method: "builtin_function_or_method"
        case .macro: "Macro"
        }
    }

    var holdsReceiver: Bool {
        switch target {
        case .global: false
        case .method, .macro: true
        }
    }
}

/// The functions every template finds.
enum TemplateGlobal: String, CaseIterable {
    case range, dict, namespace, cycler, joiner
    case raiseException = "raise_exception"
    case strftimeNow = "strftime_now"
}
