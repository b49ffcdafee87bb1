import AttuneTensor

/// What a pickle of tensors may hold. Containers are places in the machine's tables, so neither deep nor circular
/// structures cost stack or leak.
enum PickleValue {
    case none
    case bool(Bool)
    case integer(Int)
    case real(Double)
    case text(String)
    case list(Int)
    case tuple(Int)
    case dictionary(Int)
    case global(PickleGlobal)
    case storage(PickleStorage)
    case tensor(Int)
}

/// The only names a pickle may mention.
enum PickleGlobal: Equatable {
    case orderedDictionary
    case size
    case rebuildTensor
    case rebuildTypedTensor
    case rebuildParameter
    case storage(DType)
    case untypedStorage
    case dtype(DType)

    init?(module: String, name: String) {
        switch (module, name) {
        case ("collections", "OrderedDict"): self = .orderedDictionary
        case ("torch", "Size"): self = .size
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
        case ("torch._utils", "_rebuild_tensor_v3"): self = .rebuildTypedTensor
        case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
        case ("torch.storage", "UntypedStorage"): self = .untypedStorage
        case ("torch", _):
            if let dtype = Self.storageTypes[name] {
                self = .storage(dtype)
            } else if let dtype = DType.allCases.first(where: { $0.torchName == name }) {
                self = .dtype(dtype)
            } else {
                return nil
            }
        default: return nil
        }
    }

    private static let storageTypes: [String: DType] = [
        "FloatStorage": .float32, "DoubleStorage": .float64, "HalfStorage": .float16, "BFloat16Storage": .bfloat16,
        "LongStorage": .int64, "IntStorage": .int32, "ShortStorage": .int16, "CharStorage": .int8,
        "ByteStorage": .uint8, "BoolStorage": .bool, "ComplexFloatStorage": .complex64,
    ]
}

/// A run of elements in an entry of the archive; `dtype` is `nil` for raw bytes.
struct PickleStorage {
    var key: String
    var dtype: DType?
    var count: Int
}

/// A view of a storage, sizes and strides counted in elements.
struct PickleTensor {
    var storage: PickleStorage
    var dtype: DType
    var offset: Int
    var shape: [Int]
    var strides: [Int]
}

/// Why a pickle was refused.
struct PickleError: Error {
    var problem: String
    /// Whether it asked for something that only running its code could give.
    var isForeign = false
}

/// Reads a pickle of tensors without running anything: a machine that knows the instructions torch.save uses and a
/// handful of names. Whatever else a file asks for is an error, so a hostile file can do nothing but fail.
struct PickleMachine {
    static let maximumByteCount = 64 << 20
    static let maximumTensorCount = 200_000
    /// As in PyTorch. Without it a long list of sizes, written once and named by many tensors, would fill the memory.
    static let maximumDimensionCount = 64
    static let maximumStackCount = 1 << 20
    static let maximumMemoCount = 1 << 20

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private(set) var lists: [[PickleValue]] = []
    private(set) var tuples: [[PickleValue]] = []
    private(set) var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
    private(set) var tensors: [PickleTensor] = []

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// Runs to the end and gives the value the pickle stands for.
    mutating func run() throws(PickleError) -> PickleValue {
        guard bytes.count <= Self.maximumByteCount else { throw PickleError(problem: "its pickle is too large") }
        while true {
            let code = try byte()
            if code == UInt8(ascii: ".") { return try pop() }
            try step(code)
            guard stack.count <= Self.maximumStackCount, memo.count <= Self.maximumMemoCount,
                tensors.count <= Self.maximumTensorCount
            else {
                throw PickleError(problem: "its pickle needs too much memory")
            }
        }
    }

    private mutating func step(_ code: UInt8) throws(PickleError) {
        switch code {
        // Framing and marks
        case 0x80:
            guard try (2...5).contains(byte()) else { throw PickleError(problem: "pickle of an unknown version") }
        case 0x95: _ = try number(8)
        case UInt8(ascii: "("): marks.append(stack.count)
        // Constants
        case UInt8(ascii: "N"): stack.append(.none)
        case 0x88: stack.append(.bool(true))
        case 0x89: stack.append(.bool(false))
        case UInt8(ascii: "K"): stack.append(.integer(Int(try byte())))
        case UInt8(ascii: "M"): stack.append(.integer(Int(try number(2))))
        case UInt8(ascii: "J"): stack.append(.integer(Int(Int32(truncatingIfNeeded: try number(4)))))
        case 0x8A: stack.append(.integer(try longInteger()))
        case UInt8(ascii: "G"): stack.append(.real(Double(bitPattern: try number(8).byteSwapped)))
        case UInt8(ascii: "X"): stack.append(.text(try text(try count(4))))
        case 0x8C: stack.append(.text(try text(Int(try byte()))))
        // Containers
        case UInt8(ascii: ")"): pushTuple([])
        case 0x85...0x87: pushTuple(try pop(Int(code) - 0x84))
        case UInt8(ascii: "t"): pushTuple(try popToMark())
        case UInt8(ascii: "]"):
            stack.append(.list(lists.count))
            lists.append([])
        case UInt8(ascii: "}"):
            stack.append(.dictionary(dictionaries.count))
            dictionaries.append([])
        case UInt8(ascii: "a"): try extend([try pop()])
        case UInt8(ascii: "e"): try extend(try popToMark())
        case UInt8(ascii: "s"): try setItems(try pop(2))
        case UInt8(ascii: "u"): try setItems(try popToMark())
        // Memo
        case UInt8(ascii: "q"): memo[Int(try byte())] = try top()
        case UInt8(ascii: "r"): memo[try count(4)] = try top()
        case 0x94: memo[memo.count] = try top()
        case UInt8(ascii: "h"): stack.append(try remembered(Int(try byte())))
        case UInt8(ascii: "j"): stack.append(try remembered(try count(4)))
        // Names and what is built with them
        case UInt8(ascii: "c"): stack.append(.global(try global(try line(), try line())))
        case 0x93:
            guard case .text(let name) = try pop(), case .text(let module) = try pop() else { throw malformed }
            stack.append(.global(try global(module, name)))
        case UInt8(ascii: "Q"): stack.append(.storage(try storage(try pop())))
        case UInt8(ascii: "R"): try reduce()
        case UInt8(ascii: "b"):
            // A state for an OrderedDict: module versions, which no tensor needs.
            _ = try pop()
            guard case .dictionary = try top() else {
                throw PickleError(problem: "it sets the state of a foreign object", isForeign: true)
            }
        default:
            throw PickleError(
                problem: "pickle instruction 0x\(String(code, radix: 16)) is not one of tensors", isForeign: true)
        }
    }

    private var malformed: PickleError { PickleError(problem: "its pickle is malformed near byte \(position)") }

    // MARK: Reading

    private mutating func byte() throws(PickleError) -> UInt8 {
        guard position < bytes.count else { throw PickleError(problem: "its pickle ends too early") }
        position += 1
        return bytes[position - 1]
    }

    private mutating func number(_ width: Int) throws(PickleError) -> UInt64 {
        var value: UInt64 = 0
        for place in 0..<width { value |= UInt64(try byte()) << (8 * UInt64(place)) }
        return value
    }

    private mutating func count(_ width: Int) throws(PickleError) -> Int { Int(truncatingIfNeeded: try number(width)) }

    private mutating func longInteger() throws(PickleError) -> Int {
        let width = Int(try byte())
        guard width <= 8 else { throw PickleError(problem: "its pickle holds a number of \(width) bytes") }
        guard width > 0 else { return 0 }
        let shift = UInt64(64 - 8 * width)
        return Int(Int64(bitPattern: try number(width) << shift) >> Int64(shift))
    }

    private mutating func text(_ count: Int) throws(PickleError) -> String {
        guard count <= bytes.count - position else { throw PickleError(problem: "its pickle ends too early") }
        let slice = UnsafeBufferPointer(rebasing: bytes[position..<(position + count)])
        guard let text = String(validating: slice, as: UTF8.self) else { throw malformed }
        position += count
        return text
    }

    private mutating func line() throws(PickleError) -> String {
        var end = position
        while end < bytes.count, bytes[end] != 0x0A { end += 1 }
        guard end < bytes.count, end - position <= 1024 else { throw malformed }
        let line = try text(end - position)
        position += 1
        return line
    }

    // MARK: Stack

    private mutating func pop() throws(PickleError) -> PickleValue {
        guard stack.count > (marks.last ?? 0), let value = stack.popLast() else { throw malformed }
        return value
    }

    private func top() throws(PickleError) -> PickleValue {
        guard stack.count > (marks.last ?? 0), let value = stack.last else { throw malformed }
        return value
    }

    private mutating func pop(_ count: Int) throws(PickleError) -> [PickleValue] {
        guard stack.count - (marks.last ?? 0) >= count else { throw malformed }
        let values = Array(stack.suffix(count))
        stack.removeLast(count)
        return values
    }

    private mutating func popToMark() throws(PickleError) -> [PickleValue] {
        guard let mark = marks.popLast(), mark <= stack.count else { throw malformed }
        let values = Array(stack[mark...])
        stack.removeLast(values.count)
        return values
    }

    private func remembered(_ place: Int) throws(PickleError) -> PickleValue {
        guard let value = memo[place] else { throw malformed }
        return value
    }

    private mutating func pushTuple(_ values: [PickleValue]) {
        stack.append(.tuple(tuples.count))
        tuples.append(values)
    }

    private mutating func extend(_ values: [PickleValue]) throws(PickleError) {
        guard case .list(let place) = try top() else { throw malformed }
        lists[place] += values
    }

    private mutating func setItems(_ values: [PickleValue]) throws(PickleError) {
        guard case .dictionary(let place) = try top(), values.count % 2 == 0 else { throw malformed }
        for item in stride(from: 0, to: values.count, by: 2) {
            dictionaries[place].append((values[item], values[item + 1]))
        }
    }

    // MARK: Names

    private func global(_ module: String, _ name: String) throws(PickleError) -> PickleGlobal {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw PickleError(problem: "it refers to '\(module).\(name)'", isForeign: true)
        }
        return global
    }

    /// `('storage', type, key, device, count)`.
    private func storage(_ identifier: PickleValue) throws(PickleError) -> PickleStorage {
        guard case .tuple(let place) = identifier, tuples[place].count == 5, case .text("storage") = tuples[place][0],
            case .global(let type) = tuples[place][1], case .text(let key) = tuples[place][2],
            case .integer(let count) = tuples[place][4], count >= 0
        else { throw malformed }
        switch type {
        case .storage(let dtype): return PickleStorage(key: key, dtype: dtype, count: count)
        case .untypedStorage: return PickleStorage(key: key, dtype: nil, count: count)
        default: throw malformed
        }
    }

    private mutating func reduce() throws(PickleError) {
        guard case .tuple(let place) = try pop(), case .global(let function) = try pop() else {
            throw PickleError(problem: "it calls something that is no name", isForeign: true)
        }
        let arguments = tuples[place]
        switch function {
        case .orderedDictionary:
            guard arguments.isEmpty else { throw malformed }
            stack.append(.dictionary(dictionaries.count))
            dictionaries.append([])
        case .size:
            guard arguments.count == 1, case .tuple = arguments[0] else { throw malformed }
            stack.append(arguments[0])
        case .rebuildTensor, .rebuildTypedTensor:
            stack.append(.tensor(tensors.count))
            tensors.append(try tensor(arguments, isTyped: function == .rebuildTypedTensor))
        case .rebuildParameter:
            guard let first = arguments.first, case .tensor = first else { throw malformed }
            stack.append(first)
        case .storage, .untypedStorage, .dtype:
            throw PickleError(problem: "it calls a type", isForeign: true)
        }
    }

    /// `(storage, offset, size, stride, requires_grad, hooks[, metadata])`; the typed form has the type before the metadata.
    private func tensor(_ arguments: [PickleValue], isTyped: Bool) throws(PickleError) -> PickleTensor {
        guard arguments.count >= (isTyped ? 7 : 6), arguments.count <= (isTyped ? 8 : 7),
            case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
            case .tuple(let sizes) = arguments[2], case .tuple(let strides) = arguments[3]
        else { throw malformed }
        let dtype: DType
        if isTyped {
            guard case .global(.dtype(let type)) = arguments[6], storage.dtype == nil else { throw malformed }
            dtype = type
        } else {
            guard let type = storage.dtype else { throw malformed }
            dtype = type
        }
        return PickleTensor(
            storage: storage, dtype: dtype, offset: offset, shape: try integers(sizes), strides: try integers(strides))
    }

    private func integers(_ tuple: Int) throws(PickleError) -> [Int] {
        guard tuples[tuple].count <= Self.maximumDimensionCount else { throw malformed }
        var result: [Int] = []
        for value in tuples[tuple] {
            guard case .integer(let number) = value, number >= 0 else { throw malformed }
            result.append(number)
        }
        return result
    }
}
