/// Expressions.
extension TemplateInterpreter {
    func evaluate(_ expression: TemplateExpression) throws(TemplateError) -> TemplateValue {
        try enter()
        defer { leave() }
        switch expression {
        case .literal(let literal):
            return switch literal {
            case .none: .none
            case .bool(let value): .bool(value)
            case .int(let value): .int(value)
            case .double(let value): .double(value)
            case .string(let bytes): .string(TemplateText(bytes))
            }
        case .name(let id): return lookUp(id)
        case .list(let items): return .list(try list(try evaluate(all: items)))
        case .tuple(let items): return .tuple(try list(try evaluate(all: items)))
        case .dict(let entries): return try evaluateDict(entries)
        case .postfix(let base, let chain): return try evaluateChain(base, chain)
        case .not(let operand): return .bool(!(try evaluate(operand).isTrue))
        case .sign(let isNegative, let operand): return try evaluateSign(isNegative, operand)
        case .all(let operands): return try evaluateLogic(operands, stopsAt: false)
        case .any(let operands): return try evaluateLogic(operands, stopsAt: true)
        case .concatenation(let operands): return try evaluateConcatenation(operands)
        case .arithmetic(let first, let chain): return try evaluateArithmetic(first, chain)
        case .comparison(let first, let chain): return try evaluateComparison(first, chain)
        case .conditional(let test, let then, let otherwise):
            if try evaluate(test).isTrue { return try evaluate(then) }
            if let otherwise { return try evaluate(otherwise) }
            return .undefined(
                TemplateUndefined(
                    .hint(
                        "the inline if-expression on line \(line) evaluated to false and no else section was defined."
                    )))
        }
    }

    @inline(never)
    private func evaluate(all expressions: [TemplateExpression]) throws(TemplateError) -> [TemplateValue] {
        var values: [TemplateValue] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    @inline(never)
    private func evaluateDict(
        _ entries: [(key: TemplateExpression, value: TemplateExpression)]
    ) throws(TemplateError) -> TemplateValue {
        var builder = TemplateDictBuilder()
        for entry in entries {
            let key = try evaluate(entry.key)
            guard let hash = TemplateKey(key) else {
                throw TemplateError(.runtime, "unhashable type: '\(key.typeName)'")
            }
            builder.set(hash, key, try evaluate(entry.value))
        }
        // A mapping built from the parts of one message stands for that message.
        return .dict(try dict(builder, origin: builder.commonOrigin))
    }

    @inline(never)
    private func evaluateSign(
        _ isNegative: Bool, _ operand: TemplateExpression
    ) throws(TemplateError) -> TemplateValue {
        let value = try evaluate(operand)
        switch value {
        case .int(let number):
            guard isNegative else { return value }
            guard number != .min else { throw overflow() }
            return .int(-number)
        case .bool(let flag): return .int(flag ? (isNegative ? -1 : 1) : 0)
        case .double(let number): return .double(isNegative ? -number : number)
        case .undefined(let undefined): throw undefined.error
        default:
            throw TemplateError(
                .runtime, "bad operand type for unary \(isNegative ? "-" : "+"): '\(value.typeName)'")
        }
    }

    @inline(never)
    private func evaluateLogic(_ operands: [TemplateExpression], stopsAt: Bool) throws(TemplateError) -> TemplateValue {
        var value = TemplateValue.none
        for operand in operands {
            value = try evaluate(operand)
            if value.isTrue == stopsAt { return value }
        }
        return value
    }

    @inline(never)
    private func evaluateConcatenation(_ operands: [TemplateExpression]) throws(TemplateError) -> TemplateValue {
        var text = TemplateText([])
        for operand in operands {
            text.append(PythonText.string(try evaluate(operand)))
            try spend(text)
        }
        return .string(text)
    }

    @inline(never)
    private func evaluateArithmetic(
        _ first: TemplateExpression, _ chain: [(operation: TemplateOperator, operand: TemplateExpression)]
    ) throws(TemplateError) -> TemplateValue {
        var value = try evaluate(first)
        for (operation, operand) in chain { value = try combine(operation, value, try evaluate(operand)) }
        return value
    }

    @inline(never)
    private func evaluateComparison(
        _ first: TemplateExpression, _ chain: [(operation: TemplateComparison, operand: TemplateExpression)]
    ) throws(TemplateError) -> TemplateValue {
        var left = try evaluate(first)
        for (operation, operand) in chain {
            let right = try evaluate(operand)
            guard try compare(operation, left, right) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    @inline(never)
    private func evaluateChain(
        _ base: TemplateExpression, _ chain: [TemplatePostfix]
    ) throws(TemplateError) -> TemplateValue {
        var value = try evaluate(base)
        for link in chain {
            try spend()
            switch link {
            case .attribute(let name): value = try attribute(name, of: value)
            case .item(let key): value = try item(try evaluate(key), of: value)
            case .slice(let start, let stop, let step): value = try slice(value, start, stop, step)
            case .call(let arguments): value = try call(value, try evaluate(arguments))
            case .filter(let filter): value = try apply(filter, to: value)
            case .test(let name, let arguments, let negated):
                let values = arguments.isEmpty ? TemplateCallArguments() : try evaluate(arguments)
                value = .bool(try test(name, value, values) != negated)
            }
        }
        return value
    }

    func evaluate(_ arguments: TemplateArguments) throws(TemplateError) -> TemplateCallArguments {
        var values = TemplateCallArguments()
        values.positional = try evaluate(all: arguments.positional)
        for argument in arguments.keyword { values.keyword.append((argument.name, try evaluate(argument.value))) }
        if let spread = arguments.spreadPositional {
            values.positional.append(contentsOf: try elements(try evaluate(spread)))
        }
        if let spread = arguments.spreadKeyword {
            let value = try evaluate(spread)
            guard case .dict(let dict) = value else {
                throw TemplateError(.runtime, "argument after ** must be a mapping, not \(value.typeName)")
            }
            for entry in dict.entries {
                guard case .string(let name) = entry.key else {
                    throw TemplateError(.runtime, "keywords must be strings")
                }
                values.keyword.append((name.string, entry.value))
            }
        }
        return values
    }

    func apply(_ filters: [TemplateFilterName], to value: TemplateValue) throws(TemplateError) -> TemplateValue {
        var value = value
        for filter in filters { value = try apply(filter, to: value) }
        return value
    }

    private func apply(_ filter: TemplateFilterName, to value: TemplateValue) throws(TemplateError) -> TemplateValue {
        let arguments = filter.arguments.isEmpty ? TemplateCallArguments() : try evaluate(filter.arguments)
        return try self.filter(filter.name, value, arguments)
    }

    // MARK: walking

    /// The elements Python's `iter` would give.
    func elements(_ value: TemplateValue) throws(TemplateError) -> [TemplateValue] {
        switch value {
        case .list(let list), .tuple(let list): return list.items
        case .dict(let dict): return dict.entries.map(\.key)
        case .string(let text): return try characters(text).map { .string($0) }
        case .generator(let generator): return generator.rest()
        case .view(let view): return view.items
        case .range(let range):
            try spend(range.count >> 3)
            return range.items
        case .undefined(let undefined):
            if case .unsafe = undefined.reason { throw undefined.error }
            return []
        case .loop(let loop):
            // Walking a loop pairs each remaining item with the loop itself; no template wants that.
            throw TemplateError(.runtime, "a loop of \(loop.items.count) items cannot be walked from inside")
        default: throw TemplateError(.runtime, "'\(value.typeName)' object is not iterable")
        }
    }

    func characters(_ text: TemplateText) throws(TemplateError) -> [TemplateText] {
        let offsets = text.offsets()
        try spend(offsets.count >> 1)
        let origin = text.origin
        return (0..<(offsets.count - 1)).map { index in
            var part = TemplateText(Array(text.bytes[offsets[index]..<offsets[index + 1]]), isMarkup: text.isMarkup)
            if origin != nil { part = part.attributed(to: origin) }
            return part
        }
    }

    // MARK: slices

    private func slice(
        _ value: TemplateValue, _ start: TemplateExpression?, _ stop: TemplateExpression?, _ step: TemplateExpression?
    ) throws(TemplateError) -> TemplateValue {
        let start = try bound(start)
        let stop = try bound(stop)
        // A longer step than the longest text gives the same as that one, and cannot overflow.
        let step = min(max(try bound(step) ?? 1, -Int(Int32.max)), Int(Int32.max))
        if case .undefined(let undefined) = value { throw undefined.error }
        guard step != 0 else { throw TemplateError(.runtime, "slice step cannot be zero") }
        switch value {
        case .list(let items): return .list(try list(Self.slice(items.items, start, stop, step)))
        case .tuple(let items): return .tuple(try list(Self.slice(items.items, start, stop, step)))
        case .range(let range): return .list(try list(Self.slice(range.items, start, stop, step)))
        case .string(let text):
            let offsets = text.offsets()
            try spend(bytes: text.bytes.count)
            let (first, last) = Self.bounds(offsets.count - 1, start, stop, step)
            if step == 1 { return .string(text.slice(offsets[first]..<offsets[max(first, last)])) }
            var bytes: [UInt8] = []
            for index in Swift.stride(from: first, to: last, by: step) {
                bytes.append(contentsOf: text.bytes[offsets[index]..<offsets[index + 1]])
            }
            return .string(TemplateText(bytes, isMarkup: text.isMarkup).attributed(to: text.origin))
        default:
            let show = { (bound: Int?) in bound.map(String.init) ?? "None" }
            return .undefined(
                TemplateUndefined(
                    .element(owner: value.ownerName, "slice(\(show(start)), \(show(stop)), \(show(step)))")))
        }
    }

    private func bound(_ expression: TemplateExpression?) throws(TemplateError) -> Int? {
        guard let expression else { return nil }
        switch try evaluate(expression) {
        case .none: return nil
        case .int(let value): return value
        case .bool(let value): return value ? 1 : 0
        case .undefined(let undefined): throw undefined.error
        default:
            throw TemplateError(
                .runtime, "slice indices must be integers or None or have an __index__ method")
        }
    }

    /// Python's rule: negative bounds count from the end, all are clamped.
    static func bounds(_ count: Int, _ start: Int?, _ stop: Int?, _ step: Int) -> (first: Int, last: Int) {
        let low = step > 0 ? 0 : -1
        let high = step > 0 ? count : count - 1
        func clamp(_ bound: Int?, _ missing: Int) -> Int {
            guard let bound else { return missing }
            return min(max(bound < 0 ? bound &+ count : bound, low), high)
        }
        return (clamp(start, step > 0 ? low : high), clamp(stop, step > 0 ? high : low))
    }

    static func slice(_ items: [TemplateValue], _ start: Int?, _ stop: Int?, _ step: Int) -> [TemplateValue] {
        let (first, last) = bounds(items.count, start, stop, step)
        if step == 1 { return first < last ? Array(items[first..<last]) : [] }
        return Swift.stride(from: first, to: last, by: step).map { items[$0] }
    }

    func overflow() -> TemplateError { TemplateError(.limit, "a whole number does not fit 64 bits") }
}
