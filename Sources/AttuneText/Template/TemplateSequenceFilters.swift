/// The filters of jinja2 on sequences.
extension TemplateInterpreter {
    func sequenceFilter(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "join": return try joinFilter(value, arguments)
        case "list": return .list(try list(try elements(value)))
        case "items":
            switch value {
            case .undefined: return .generator(TemplateGenerator([]))
            case .dict(let dict): return .generator(TemplateGenerator(TemplateView(.items, of: dict).items))
            default: throw TemplateError(.runtime, "Can only get item pairs from a mapping.")
            }
        case "first":
            if case .generator(let generator) = value { return generator.next() ?? missing("first") }
            return try elements(value).first ?? missing("first")
        case "last":
            if case .generator = value {
                throw TemplateError(.runtime, "'\(value.typeName)' object is not reversible")
            }
            return try elements(value).last ?? missing("last")
        case "reverse":
            if case .string(let text) = value {
                let reversed = TemplateText(text.scalars.reversed())
                return .string(reversed.attributed(to: text.origin))
            }
            return .generator(TemplateGenerator(try elements(value).reversed(), typeName: "list_reverseiterator"))
        case "map": return try map(value, arguments)
        case "select", "reject", "selectattr", "rejectattr": return try select(name, value, arguments)
        case "sort":
            let values = try arguments.bind(name, ["reverse", "case_sensitive", "attribute"])
            let key = try keys(values[2], isCaseSensitive: values[1]?.isTrue ?? false, splitsCommas: true)
            return .list(
                try list(try sorted(try elements(value), reverse: values[0]?.isTrue ?? false, by: key)))
        case "unique":
            let values = try arguments.bind(name, ["case_sensitive", "attribute"])
            let key = try keys(values[1], isCaseSensitive: values[0]?.isTrue ?? false)
            var seen: Set<TemplateKey> = []
            var kept: [TemplateValue] = []
            for item in try elements(value) {
                try spend()
                let found = try self.key(key, of: item)
                guard let hash = TemplateKey(found) else {
                    throw TemplateError(.runtime, "unhashable type: '\(found.typeName)'")
                }
                if seen.insert(hash).inserted { kept.append(item) }
            }
            return .generator(TemplateGenerator(kept))
        case "min", "max":
            let values = try arguments.bind(name, ["case_sensitive", "attribute"])
            let key = try keys(values[1], isCaseSensitive: values[0]?.isTrue ?? false)
            var best: (item: TemplateValue, key: TemplateValue)?
            for item in try elements(value) {
                let candidate = try self.key(key, of: item)
                guard let current = best else {
                    best = (item, candidate)
                    continue
                }
                let isBetter =
                    try name == "min"
                    ? isLess(candidate, current.key, "<") : isLess(current.key, candidate, ">", swapped: true)
                if isBetter { best = (item, candidate) }
            }
            return best?.item
                ?? .undefined(TemplateUndefined(.hint("No aggregated item, sequence was empty.")))
        case "sum":
            let values = try arguments.bind(name, ["attribute", "start"])
            let path = try Self.path(values[0], self)
            var total = values[1] ?? .int(0)
            for item in try elements(value) { total = try combine(.add, total, try follow(path, from: item)) }
            return total
        case "dictsort": return try dictSort(value, arguments)
        case "groupby": return try groupBy(value, arguments)
        case "batch": return try batch(value, arguments)
        case "slice": return try slice(value, arguments)
        default:
            throw TemplateError(.runtime, "No filter named '\(name)' found.")
        }
    }

    private func missing(_ which: String) -> TemplateValue {
        .undefined(TemplateUndefined(.hint("No \(which) item, sequence was empty.")))
    }

    private func joinFilter(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        let values = try arguments.bind("join", ["d", "attribute"])
        let path = try Self.path(values[1], self)
        var parts: [TemplateText] = []
        for item in try elements(value) { parts.append(PythonText.string(try follow(path, from: item))) }
        var separator = PythonText.string(values[0] ?? .text(""))
        separator.isMarkup = false
        return .string(try TemplateStringMethods.join(parts, separator, self))
    }

    private func map(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        guard value.isTrue else { return .generator(TemplateGenerator([])) }
        var results: [TemplateValue] = []
        if arguments.positional.isEmpty, let named = arguments.keyword.first(where: { $0.name == "attribute" }) {
            let path = try Self.path(named.value, self)
            let fallback = arguments.keyword.first { $0.name == "default" }?.value
            if let extra = arguments.keyword.first(where: { $0.name != "attribute" && $0.name != "default" }) {
                throw TemplateError(.runtime, "Unexpected keyword argument '\(extra.name)'")
            }
            for item in try elements(value) { results.append(try follow(path, from: item, fallback: fallback)) }
        } else {
            guard let first = arguments.positional.first else {
                throw TemplateError(.runtime, "map requires a filter argument")
            }
            let name = try text(first).string
            var rest = arguments
            rest.positional.removeFirst()
            try enter()
            defer { leave() }
            for item in try elements(value) {
                try spend()
                results.append(try filter(name, item, rest))
            }
        }
        return .generator(TemplateGenerator(results))
    }

    private func select(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        guard value.isTrue else { return .generator(TemplateGenerator([])) }
        var rest = arguments
        var path: [TemplateValue] = []
        if name.hasSuffix("attr") {
            guard !rest.positional.isEmpty else {
                throw TemplateError(.runtime, "Missing parameter for attribute name")
            }
            path = try Self.path(rest.positional.removeFirst(), self)
        }
        var testName: String?
        if !rest.positional.isEmpty { testName = try text(rest.positional.removeFirst()).string }
        let wanted = name.hasPrefix("select")
        var kept: [TemplateValue] = []
        for item in try elements(value) {
            try spend()
            let subject = try follow(path, from: item)
            let holds = try testName.map { name throws(TemplateError) in try test(name, subject, rest) }
            if (holds ?? subject.isTrue) == wanted { kept.append(item) }
        }
        return .generator(TemplateGenerator(kept))
    }

    // MARK: attribute paths

    /// `"a.b.0"` as the keys to follow.
    private static func path(
        _ attribute: TemplateValue?, _ interpreter: TemplateInterpreter
    ) throws(TemplateError) -> [TemplateValue] {
        switch attribute {
        case nil, .some(.none): return []
        case .string(let text):
            return text.string.split(separator: ".", omittingEmptySubsequences: false).map { part in
                let isNumber = !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
                return isNumber ? Int(part).map { .int($0) } ?? .text(String(part)) : .text(String(part))
            }
        case let key?: return [key]
        }
    }

    private func follow(
        _ path: [TemplateValue], from item: TemplateValue, fallback: TemplateValue? = nil
    ) throws(TemplateError) -> TemplateValue {
        var value = item
        for key in path {
            try spend()
            value = try self.item(key, of: value)
            if let fallback, case .undefined = value { value = fallback }
        }
        return value
    }

    private struct SortKey {
        var paths: [[TemplateValue]]
        var isCaseSensitive: Bool
        var isSingle: Bool
    }

    private func keys(
        _ attribute: TemplateValue?, isCaseSensitive: Bool, splitsCommas: Bool = false
    ) throws(TemplateError) -> SortKey {
        if splitsCommas, case .string(let text)? = attribute {
            var paths: [[TemplateValue]] = []
            for part in text.string.split(separator: ",", omittingEmptySubsequences: false) {
                paths.append(try Self.path(.text(String(part)), self))
            }
            return SortKey(paths: paths, isCaseSensitive: isCaseSensitive, isSingle: false)
        }
        return SortKey(
            paths: [try Self.path(attribute, self)], isCaseSensitive: isCaseSensitive, isSingle: !splitsCommas)
    }

    private func key(_ key: SortKey, of item: TemplateValue) throws(TemplateError) -> TemplateValue {
        var values: [TemplateValue] = []
        for path in key.paths {
            var value = try follow(path, from: item)
            if !key.isCaseSensitive { value = lowered(value) }
            if key.isSingle { return value }
            values.append(value)
        }
        return .list(TemplateList(values))
    }

    private func lowered(_ value: TemplateValue) -> TemplateValue {
        guard case .string(let text) = value else { return value }
        return .string(TemplateCase.convert(text, "lower"))
    }

    private func sorted(
        _ items: [TemplateValue], reverse: Bool, by key: SortKey
    ) throws(TemplateError) -> [TemplateValue] {
        var keyed: [(key: TemplateValue, item: TemplateValue)] = []
        for item in items { keyed.append((try self.key(key, of: item), item)) }
        return try sorted(keyed, reverse: reverse).map(\.item)
    }

    /// A stable merge sort; `reverse` keeps equal elements in their order, as Python does.
    private func sorted(
        _ items: [(key: TemplateValue, item: TemplateValue)], reverse: Bool
    ) throws(TemplateError) -> [(key: TemplateValue, item: TemplateValue)] {
        var source = items
        var width = 1
        while width < source.count {
            var merged: [(key: TemplateValue, item: TemplateValue)] = []
            merged.reserveCapacity(source.count)
            var begin = 0
            while begin < source.count {
                let middle = min(begin + width, source.count)
                let end = min(begin + 2 * width, source.count)
                var left = begin
                var right = middle
                while left < middle, right < end {
                    try spend()
                    let takesRight =
                        try reverse
                        ? isLess(source[left].key, source[right].key, "<")
                        : isLess(source[right].key, source[left].key, "<")
                    merged.append(source[takesRight ? right : left])
                    if takesRight { right += 1 } else { left += 1 }
                }
                merged.append(contentsOf: source[left..<middle])
                merged.append(contentsOf: source[right..<end])
                begin = end
            }
            source = merged
            width *= 2
        }
        return source
    }

    private func dictSort(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        let values = try arguments.bind("dictsort", ["case_sensitive", "by", "reverse"])
        let by = try values[1].map { value throws(TemplateError) in try text(value).string } ?? "key"
        guard by == "key" || by == "value" else {
            throw TemplateError(.runtime, "You can only sort by either \"key\" or \"value\"")
        }
        switch value {
        case .dict(let dict):
            var keyed: [(key: TemplateValue, item: TemplateValue)] = []
            for entry in dict.entries {
                let key = by == "key" ? entry.key : entry.value
                let pair = TemplateValue.tuple(try list([entry.key, entry.value]))
                keyed.append((values[0]?.isTrue ?? false ? key : lowered(key), pair))
            }
            return .list(try list(try sorted(keyed, reverse: values[2]?.isTrue ?? false).map(\.item)))
        case .undefined(let undefined): throw undefined.error
        default:
            throw TemplateError(.runtime, "'\(value.typeName)' object has no attribute 'items'")
        }
    }

    private func groupBy(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        let values = try arguments.bind("groupby", ["attribute", "default", "case_sensitive"], required: 1)
        let path = try Self.path(values[0], self)
        let isCaseSensitive = values[2]?.isTrue ?? false
        var fallback = values[1]
        if case .some(.none) = fallback { fallback = nil }
        var keyed: [(key: TemplateValue, item: TemplateValue)] = []
        for item in try elements(value) {
            let key = try follow(path, from: item, fallback: fallback)
            keyed.append((isCaseSensitive ? key : lowered(key), item))
        }
        var groups: [TemplateValue] = []
        var current: (key: TemplateValue, items: [TemplateValue])?
        func close() throws(TemplateError) {
            guard let group = current, let first = group.items.first else { return }
            // The name of a group is as the first of its items writes it.
            let name = isCaseSensitive ? group.key : try follow(path, from: first, fallback: fallback)
            groups.append(.tuple(try list([name, .list(try list(group.items))], isGroup: true)))
        }
        for entry in try sorted(keyed, reverse: false) {
            if let group = current, try equals(group.key, entry.key) {
                current?.items.append(entry.item)
            } else {
                try close()
                current = (entry.key, [entry.item])
            }
        }
        try close()
        return .list(try list(groups))
    }

    private func batch(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        let values = try arguments.bind("batch", ["linecount", "fill_with"], required: 1)
        let size = try integer(values[0] ?? .none)
        try checkRepeat(size)
        var batches: [TemplateValue] = []
        var current: [TemplateValue] = []
        for item in try elements(value) {
            if current.count == size, !current.isEmpty || size == 0 {
                batches.append(.list(try list(current)))
                current = []
            }
            current.append(item)
        }
        if !current.isEmpty {
            if let fill = values[1], current.count < size {
                if case .none = fill {
                } else {
                    try spend(size)
                    current.append(contentsOf: repeatElement(fill, count: size - current.count))
                }
            }
            batches.append(.list(try list(current)))
        }
        return .generator(TemplateGenerator(batches))
    }

    private func slice(
        _ value: TemplateValue, _ arguments: TemplateCallArguments
    ) throws(TemplateError) -> TemplateValue {
        let values = try arguments.bind("slice", ["slices", "fill_with"], required: 1)
        let slices = try integer(values[0] ?? .none)
        guard slices != 0 else { throw TemplateError(.runtime, "integer division or modulo by zero") }
        guard slices > 0 else { return .generator(TemplateGenerator([])) }
        try checkRepeat(slices)
        try spend(slices)
        let items = try elements(value)
        let size = items.count / slices
        let extra = items.count % slices
        var result: [TemplateValue] = []
        var begin = 0
        for index in 0..<slices {
            let end = begin + size + (index < extra ? 1 : 0)
            var part = Array(items[begin..<end])
            begin = end
            if let fill = values[1], index >= extra { if case .none = fill {} else { part.append(fill) } }
            result.append(.list(try list(part)))
        }
        return .generator(TemplateGenerator(result))
    }
}
