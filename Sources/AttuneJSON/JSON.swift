/// A JSON value that keeps what Foundation loses: the order of members, the difference between `1` and `1.0`, and
/// strings that differ in bytes but not in Unicode's canonical equivalence (tokenizer vocabularies hold such pairs).
public enum JSON: Sendable {
    /// The literal `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number without fraction or exponent that fits 64 bits.
    case integer(Int64)
    /// Any other number.
    case number(Double)
    /// A string.
    case string(String)
    /// A list of values.
    case array([JSON])
    /// Members in the order of the text.
    case object(JSONObject)
}

/// The members of a JSON object, in order, looked up by the bytes of the key.
public struct JSONObject: Sendable {
    /// Keys and values in the order in which they were written.
    public private(set) var members: [(key: String, value: JSON)] = []
    private var index: [ByteString: Int]?

    // Below this size a linear scan beats building a dictionary.
    private static let indexThreshold = 12

    /// An object with the given members; of two equal keys the later wins, in the place of the earlier.
    public init(_ members: [(key: String, value: JSON)] = []) {
        self.members.reserveCapacity(members.count)
        for member in members { self[member.key] = member.value }
    }

    /// The value of a key; assigning `nil` removes the member.
    public subscript(key: String) -> JSON? {
        get { position(of: key).map { members[$0].value } }
        set {
            switch (position(of: key), newValue) {
            case (let place?, let value?):
                members[place].value = value
            case (nil, let value?):
                members.append((key, value))
                if index != nil {
                    index?[ByteString(key)] = members.count - 1
                } else if members.count > Self.indexThreshold {
                    buildIndex()
                }
            case (let place?, nil):
                members.remove(at: place)
                if index != nil { buildIndex() }
            case (nil, nil):
                break
            }
        }
    }

    /// The keys in order.
    public var keys: [String] { members.map(\.key) }

    /// How many members there are.
    public var count: Int { members.count }

    /// Whether there is no member.
    public var isEmpty: Bool { members.isEmpty }

    private func position(of key: String) -> Int? {
        if let index { return index[ByteString(key)] }
        return members.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
    }

    private mutating func buildIndex() {
        var index: [ByteString: Int] = [:]
        index.reserveCapacity(members.count * 2)
        for (place, member) in members.enumerated() { index[ByteString(member.key)] = place }
        self.index = index
    }

    /// Adds a member without looking for an equal key first. The parser uses it and checks afterwards.
    mutating func appendUnchecked(_ key: String, _ value: JSON) { members.append((key, value)) }

    /// Resolves equal keys after a run of `appendUnchecked`; returns the first key seen twice.
    mutating func settle() -> String? {
        if members.count <= Self.indexThreshold {
            for later in members.indices.dropFirst() {
                let key = members[later].key
                if members[..<later].contains(where: { $0.key.utf8.elementsEqual(key.utf8) }) {
                    self = JSONObject(members)
                    return key
                }
            }
            return nil
        }
        buildIndex()
        guard let index, index.count != members.count else { return nil }
        for (place, member) in members.enumerated() where index[ByteString(member.key)] != place {
            self = JSONObject(members)
            return member.key
        }
        return nil
    }
}

/// A string compared and hashed by its UTF-8 bytes; `String` itself merges canonically equivalent texts.
public struct ByteString: Hashable, Sendable {
    /// The text.
    public let string: String

    /// Wraps a text.
    public init(_ string: String) { self.string = string }

    /// Byte equality.
    public static func == (left: ByteString, right: ByteString) -> Bool {
        left.string.utf8.elementsEqual(right.string.utf8)
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        var string = string
        string.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension JSON: Equatable {
    /// Equality of value: members may stand in any order, `1` and `1.0` are different.
    public static func == (left: JSON, right: JSON) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)):
            a.count == b.count && a.members.allSatisfy { b[$0.key] == $0.value }
        default: false
        }
    }
}

extension JSON {
    /// The member of an object, or `nil` when this is no object or has no such key.
    public subscript(key: String) -> JSON? { objectValue?[key] }

    /// The element of an array, or `nil` when this is no array or is shorter.
    public subscript(index: Int) -> JSON? {
        guard case .array(let values) = self, values.indices.contains(index) else { return nil }
        return values[index]
    }

    /// The text of a string value.
    public var stringValue: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The value of `true` or `false`.
    public var boolValue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// A whole number, also when written as `2.0` or `2e3`.
    public var intValue: Int? {
        switch self {
        case .integer(let value): Int(value)
        case .number(let value): Int(exactly: value)
        default: nil
        }
    }

    /// Any number.
    public var doubleValue: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The elements of an array.
    public var arrayValue: [JSON]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The members of an object.
    public var objectValue: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// Whether this is `null`.
    public var isNull: Bool {
        if case .null = self { true } else { false }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A whole number.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// `true` or `false`.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// An array.
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    /// An object with members in the order written.
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(JSONObject(elements.map { (key: $0.0, value: $0.1) }))
    }
    /// The literal `null`.
    public init(nilLiteral: ()) { self = .null }
    /// A whole number.
    public init(_ value: Int) { self = .integer(Int64(value)) }
    /// A number.
    public init(_ value: Double) { self = .number(value) }
    /// A string.
    public init(_ value: String) { self = .string(value) }
    /// `true` or `false`.
    public init(_ value: Bool) { self = .bool(value) }
}
