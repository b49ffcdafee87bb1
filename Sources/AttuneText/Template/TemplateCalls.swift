/// Calls of functions, methods and macros.
extension TemplateInterpreter {
    func call(_ function: TemplateValue, _ arguments: TemplateCallArguments) throws(TemplateError) -> TemplateValue {
        try enter()
        defer { leave() }
        switch function {
        case .callable(let callable):
            switch callable.target {
            case .macro(let macro): return try call(macro, arguments)
            case .method(let receiver, let name): return try call(name, of: receiver, arguments)
            case .global(let global): return try call(global, arguments)
            }
        case .loop(let loop):
            guard let iterable = arguments.positional.first else {
                throw TemplateError(.runtime, "loop() needs something to walk through")
            }
            return try recurse(loop, iterable)
        case .joiner(let joiner):
            defer { joiner.isUsed = true }
            return joiner.isUsed ? joiner.separator : .text("")
        case .undefined(let undefined): throw undefined.error
        default: throw TemplateError(.runtime, "'\(function.typeName)' object is not callable")
        }
    }

    private func call(_ global: TemplateGlobal, _ arguments: TemplateCallArguments) throws(TemplateError)
        -> TemplateValue
    {
        switch global {
        case .range: return try range(arguments)
        case .dict: return .dict(try makeDict(arguments))
        case .namespace:
            let dict = try makeDict(arguments)
            let namespace = TemplateNamespace([])
            for entry in dict.entries {
                guard case .string(let name) = entry.key else { continue }
                try set(name.string, of: namespace, to: entry.value)
            }
            return .namespace(namespace)
        case .cycler:
            guard !arguments.positional.isEmpty else {
                throw TemplateError(.runtime, "at least one item has to be provided")
            }
            return .cycler(TemplateCycler(arguments.positional))
        case .joiner:
            return .joiner(TemplateJoiner(try arguments.bind("joiner", ["sep"])[0] ?? .text(", ")))
        case .raiseException:
            let message = try arguments.bind("raise_exception", ["message"], required: 1)[0] ?? .none
            throw TemplateError(.raised, PythonText.string(message).string)
        case .strftimeNow:
            guard case .string(let format)? = try arguments.bind("strftime_now", ["format"], required: 1)[0] else {
                throw TemplateError(.runtime, "strftime_now() takes a format text")
            }
            return .text(clock.formatted(format.string))
        }
    }

    private func makeDict(_ arguments: TemplateCallArguments) throws(TemplateError) -> TemplateDict {
        guard arguments.positional.count <= 1 else {
            throw TemplateError(
                .runtime, "dict expected at most 1 argument, got \(arguments.positional.count)")
        }
        var builder = TemplateDictBuilder()
        switch arguments.positional.first {
        case nil: break
        case .dict(let dict): builder = TemplateDictBuilder(dict)
        case .namespace(let namespace):
            for attribute in namespace.attributes { builder.set(attribute.name, attribute.value) }
        case let pairs?:
            for pair in try elements(pairs) {
                let items = try elements(pair)
                guard items.count == 2 else {
                    throw TemplateError(.runtime, "dictionary update sequence elements must have length 2")
                }
                guard let key = TemplateKey(items[0]) else {
                    throw TemplateError(.runtime, "unhashable type: '\(items[0].typeName)'")
                }
                builder.set(key, items[0], items[1])
            }
        }
        for argument in arguments.keyword { builder.set(argument.name, argument.value) }
        return try dict(builder, origin: builder.commonOrigin)
    }

    private func range(_ arguments: TemplateCallArguments) throws(TemplateError) -> TemplateValue {
        guard arguments.keyword.isEmpty, (1...3).contains(arguments.positional.count) else {
            throw TemplateError(.runtime, "range expected 1 to 3 arguments")
        }
        var numbers: [Int] = []
        for value in arguments.positional { numbers.append(try integer(value)) }
        let start = numbers.count == 1 ? 0 : numbers[0]
        let stop = numbers.count == 1 ? numbers[0] : numbers[1]
        let step = numbers.count == 3 ? numbers[2] : 1
        guard step != 0 else { throw TemplateError(.runtime, "range() arg 3 must not be zero") }
        // n = ⌈(stop − start) / step⌉
        var count = 0
        if step > 0 ? start < stop : start > stop {
            let (distance, overflows) = stop.subtractingReportingOverflow(start)
            let (size, _) = distance.dividedReportingOverflow(by: step)
            guard !overflows, size < limits.rangeElements || (size == limits.rangeElements && distance % step == 0)
            else {
                throw TemplateError(
                    .limit, "a range has more than \(limits.rangeElements) elements")
            }
            count = size + (distance % step == 0 ? 0 : 1)
        }
        return .range(TemplateRange(start: start, stop: stop, step: step, count: count))
    }

    /// An `int` argument, where Python takes `True` as 1.
    func integer(_ value: TemplateValue) throws(TemplateError) -> Int {
        switch value {
        case .int(let value): return value
        case .bool(let value): return value ? 1 : 0
        case .undefined(let undefined): throw undefined.error
        default:
            throw TemplateError(
                .runtime, "'\(value.typeName)' object cannot be interpreted as an integer")
        }
    }

    func text(_ value: TemplateValue) throws(TemplateError) -> TemplateText {
        switch value {
        case .string(let text): return text
        case .undefined(let undefined): throw undefined.error
        default: throw TemplateError(.runtime, "expected str instance, \(value.typeName) found")
        }
    }

    private func call(
        _ name: String, of receiver: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        switch receiver {
        case .string(let text): return try TemplateStringMethods.call(name, text, arguments, self)
        case .dict(let dict): return try call(name, dict, arguments)
        case .list(let list), .tuple(let list): return try call(name, list.items, receiver, arguments)
        case .range(let range): return try call(name, range.items, receiver, arguments)
        case .double(let value): return .bool(value.isFinite && value == value.rounded())
        case .loop(let loop):
            if name == "cycle" {
                guard !arguments.positional.isEmpty else {
                    throw TemplateError(.runtime, "no items for cycling given")
                }
                return arguments.positional[loop.index % arguments.positional.count]
            }
            let values = arguments.positional
            if let last = loop.lastChanged, try equals(.tuple(try list(last)), .tuple(try list(values))) {
                return .bool(false)
            }
            loop.lastChanged = values
            return .bool(true)
        case .cycler(let cycler):
            guard name == "next" else {
                cycler.position = 0
                return .none
            }
            defer { cycler.position = (cycler.position + 1) % cycler.items.count }
            return cycler.items[cycler.position]
        default: throw TemplateError(.runtime, "'\(receiver.typeName)' object is not callable")
        }
    }

    private func call(
        _ name: String, _ dict: TemplateDict, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "get":
            guard arguments.keyword.isEmpty else {
                throw TemplateError(.runtime, "dict.get() takes no keyword arguments")
            }
            let values = try arguments.bind("get", ["key", "default"], required: 1)
            guard let value = values[0], let key = TemplateKey(value) else {
                throw TemplateError(.runtime, "unhashable type: '\(values[0]?.typeName ?? "")'")
            }
            return dict.value(key) ?? values[1] ?? .none
        case "items", "keys", "values":
            _ = try arguments.bind(name, [])
            try spend(dict.count >> 3)
            return .view(TemplateView(name == "items" ? .items : name == "keys" ? .keys : .values, of: dict))
        case "copy":
            return .dict(dict)
        default:
            let values = try arguments.bind("fromkeys", ["iterable", "value"], required: 1)
            var builder = TemplateDictBuilder()
            for item in try elements(values[0] ?? .none) {
                guard let key = TemplateKey(item) else {
                    throw TemplateError(.runtime, "unhashable type: '\(item.typeName)'")
                }
                builder.set(key, item, values[1] ?? .none)
            }
            return .dict(try self.dict(builder))
        }
    }

    private func call(
        _ name: String, _ items: [TemplateValue], _ receiver: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        if name == "copy" { return receiver }
        guard let value = try arguments.bind(name, ["value", "start", "stop"], required: 1)[0] else { return .none }
        try spend(items.count)
        var count = 0
        let start = try arguments.positional.count > 1 ? integer(arguments.positional[1]) : 0
        let stop = try arguments.positional.count > 2 ? integer(arguments.positional[2]) : items.count
        let (first, last) = Self.bounds(items.count, start, stop, 1)
        for (place, item) in items.enumerated() where try equals(item, value) {
            if name == "index", place >= first, place < last { return .int(place) }
            count += 1
        }
        guard name == "count" else {
            var shown: [UInt8] = []
            PythonText.write(value, to: &shown)
            throw TemplateError(.runtime, "\(String(decoding: shown, as: UTF8.self)) is not in list")
        }
        return .int(count)
    }
}
