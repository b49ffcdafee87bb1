/// Collects what was written, layer by layer, and everything wrong with it.
struct RecipeReader {
    var said: [RecipeName: Recipe.Said] = [:]
    var problems: [RecipeProblem] = []

    /// `key=value` of `--set`.
    mutating func read(assignment: String) {
        guard let mark = assignment.firstIndex(of: "="), mark != assignment.startIndex else {
            problems.append(
                RecipeProblem(key: assignment, place: "--set", message: "write key=value, for example --set seed=7"))
            return
        }
        let spelling = String(assignment[..<mark])
        let text = String(assignment[assignment.index(after: mark)...])
        read(spelling, Self.argument(text, for: spelling), .set)
    }

    /// One setting.
    mutating func read(_ spelling: String, _ written: WrittenValue, _ origin: RecipeOrigin) {
        if let name = RecipeName(rawValue: spelling) {
            take(RecipeKey.named(name), spelling, written, origin)
        } else if let alias = RecipeAlias.spelled(spelling) {
            read(alias, written, origin)
        } else if let fixed = ForeignName.fixed[spelling] {
            if case .scalar(let text, _) = written,
                fixed.values.contains(text) || fixed.values.contains(text.lowercased())
            {
                return
            }
            report(spelling, origin, "can only be \(fixed.values[0]), not \(written.excerpt): \(fixed.reason)")
        } else if let reason = ForeignName.refused[spelling] {
            report(spelling, origin, "is no key of a recipe: \(reason)")
        } else {
            let nearest = NearestName.of(
                spelling, among: RecipeName.allCases.map(\.rawValue) + RecipeAlias.all.map(\.spelling))
            let hint =
                nearest.isEmpty
                ? "'attune recipe schema' lists the keys"
                : "did you mean "
                    + "\(nearest.joined(separator: " or "))?"
            report(spelling, origin, "is no key of a recipe; \(hint)")
        }
    }

    private mutating func read(_ alias: RecipeAlias, _ written: WrittenValue, _ origin: RecipeOrigin) {
        let key = RecipeKey.named(alias.name)
        if let implied = alias.implied {
            guard !written.isNull else { return }
            guard case .scalar(let text, isPlain: true) = written, let flag = WrittenValue.flag(text) else {
                report(alias.spelling, origin, "expected true or false, got \(written.excerpt)")
                return
            }
            if let word = implied(flag) { take(key, alias.spelling, .scalar(word, isPlain: true), origin) }
        } else if alias.name == .columns {
            // TRL's name for the column of plain text; "text" is what it is called anyway.
            guard case .scalar(let column, _) = written, !written.isNull else {
                if !written.isNull {
                    report(
                        alias.spelling, origin,
                        "expected the name of a column, got "
                            + "\(written.excerpt)")
                }
                return
            }
            if column != "text" {
                take(key, alias.spelling, .table([("text", .scalar(column, isPlain: false))]), origin)
            }
        } else {
            take(key, alias.spelling, written, origin)
        }
    }

    private mutating func take(
        _ key: RecipeKey, _ spelling: String, _ written: WrittenValue, _ origin: RecipeOrigin
    ) {
        guard !written.isNull else { return }
        guard let value = key.read(written) else {
            report(spelling, origin, "expected \(key.expectation), got \(written.excerpt)\(Self.hint(key, written))")
            return
        }
        if let earlier = said[key.name], case .recipe(_, let line) = earlier.origin, case .recipe = origin {
            guard earlier.value != value || earlier.spelling == spelling else { return }
            report(
                spelling, origin,
                "says \(value.yaml), and \(earlier.spelling) on line \(line) says \(earlier.value.yaml) of the same; keep one"
            )
            return
        }
        said[key.name] = Recipe.Said(value: value, origin: origin, spelling: spelling)
    }

    private mutating func report(_ spelling: String, _ origin: RecipeOrigin, _ message: String) {
        let place = origin.rank >= RecipeOrigin.set.rank && origin != .set ? nil : origin.description
        let shown = origin == .flag ? RecipeKey.flag(of: spelling) : spelling
        problems.append(RecipeProblem(key: shown, place: place, message: message))
    }

    private static func hint(_ key: RecipeKey, _ written: WrittenValue) -> String {
        guard case .scalar(let text, let isPlain) = written else { return "" }
        switch key.kind {
        case .choice(let words), .choices(let words):
            if key.name == .reportTo { return "; Attune sends nothing over a network" }
            let nearest = NearestName.of(text, among: words)
            return nearest.isEmpty ? "" : "; did you mean \(nearest[0])?"
        case .flag, .integer, .number:
            return isPlain ? "" : " in quotes; write it without"
        default: return ""
        }
    }

    /// The value of a flag or of `--set`: YAML's flow form, or `a,b` for a list and `a=1,b=2` for a map.
    static func argument(_ text: String, for spelling: String) -> WrittenValue {
        let kind = (RecipeName(rawValue: spelling) ?? RecipeAlias.spelled(spelling)?.name).map {
            RecipeKey.named($0).kind
        }
        let plain = WrittenValue.scalar(text, isPlain: true)
        guard let kind, !plain.isNull, RecipeAlias.spelled(spelling)?.name != .columns else { return plain }
        switch kind {
        case .flag, .integer, .number, .text, .choice:
            return plain
        case .choices, .texts, .modules, .integers:
            if text.hasPrefix("["), case .list(let elements)? = RecipeYAML.flowValue(text) { return .list(elements) }
            let isPattern = text.contains { "\\()[]{}*+?^$|".contains($0) }
            if kind == .modules, isPattern || text == RecipeKey.allLinear { return plain }
            return .list(text.split(separator: ",").map { .scalar(String($0), isPlain: true) })
        case .textTable, .integerTable, .numberTable, .mixedTable:
            if text.hasPrefix("{"), case .table(let members)? = RecipeYAML.flowValue(text) { return .table(members) }
            var members: [(key: String, value: WrittenValue)] = []
            for part in text.split(separator: ",") {
                // The last mark: keys may be regular expressions, values are words.
                guard let mark = part.lastIndex(where: { $0 == "=" || $0 == ":" }) else { return plain }
                let value = String(part[part.index(after: mark)...])
                members.append((String(part[..<mark]), .scalar(value, isPlain: true)))
            }
            return .table(members)
        }
    }
}
