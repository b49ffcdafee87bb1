extension Recipe {
    /// Every flag that says a key: `--learning-rate`, its aliases, and for switches `--no-…`; with the key as it is spelled.
    public static let flagNames: [String: String] = {
        var names: [String: String] = [:]
        let spellings =
            RecipeName.allCases.map(\.rawValue) + RecipeAlias.all.map(\.spelling) + ForeignName.fixed.keys.sorted()
        for spelling in spellings { names[RecipeKey.flag(of: spelling)] = spelling }
        return names
    }()

    /// Takes the recipe's flags out of a command line.
    ///
    /// `--learning-rate 2e-4`, `--learning-rate=2e-4`, `--packing`, `--packing true`, `--no-packing`; lists comma separated or
    /// repeated, maps as `a=1,b=2` or repeated. Underscores may be written for hyphens.
    ///
    /// - Returns: settings for `Recipe.init(flags:)`, and what is left, in order. Nothing after `--` is touched.
    /// - Throws: `RecipeError` of kind `usage` for a flag without its value.
    public static func parseFlags(
        _ arguments: [String]
    ) throws(RecipeError) -> (settings: [(key: String, value: String)], rest: [String]) {
        var settings: [(key: String, value: String)] = []
        var rest: [String] = []
        var place = 0
        while place < arguments.count {
            let argument = arguments[place]
            place += 1
            if argument == "--" {
                rest.append(argument)
                rest += arguments[place...]
                break
            }
            guard argument.hasPrefix("--") else {
                rest.append(argument)
                continue
            }
            let mark = argument.firstIndex(of: "=")
            let name = String((mark.map { argument[..<$0] } ?? argument[...]).map { $0 == "_" ? "-" : $0 })
            if let spelling = flagNames[name] {
                let value: String
                if let mark {
                    value = String(argument[argument.index(after: mark)...])
                } else if isSwitch(spelling), place >= arguments.count || !isSwitchWord(arguments[place], spelling) {
                    value = "true"
                } else if place < arguments.count, !arguments[place].hasPrefix("--") {
                    value = arguments[place]
                    place += 1
                } else {
                    throw RecipeError(.usage, "needs a value: \(expectation(spelling))", key: name)
                }
                append(spelling, value, to: &settings)
            } else if name.hasPrefix("--no-"), mark == nil, let spelling = flagNames["--" + name.dropFirst(5)],
                isSwitch(spelling)
            {
                append(spelling, "false", to: &settings)
            } else {
                rest.append(argument)
            }
        }
        return (settings, rest)
    }

    private static func key(_ spelling: String) -> RecipeKey? {
        (RecipeName(rawValue: spelling) ?? RecipeAlias.spelled(spelling)?.name).map(RecipeKey.named)
    }

    private static func isSwitch(_ spelling: String) -> Bool {
        if RecipeAlias.spelled(spelling)?.implied != nil { return true }
        if let fixed = ForeignName.fixed[spelling] {
            return fixed.values.contains("true") || fixed.values.contains("false")
        }
        return key(spelling)?.isSwitch ?? false
    }

    private static func expectation(_ spelling: String) -> String {
        ForeignName.fixed[spelling].map { $0.values[0] } ?? key(spelling)?.expectation ?? "text"
    }

    /// Whether what follows a switch is its value rather than the next argument.
    private static func isSwitchWord(_ word: String, _ spelling: String) -> Bool {
        if WrittenValue.flag(word) != nil { return true }
        return RecipeName(rawValue: spelling).map { RecipeKey.named($0).read(.scalar(word, isPlain: true)) != nil }
            ?? false
    }

    /// A repeated list or map grows; of any other key the last counts.
    private static func append(_ spelling: String, _ value: String, to settings: inout [(key: String, value: String)]) {
        if key(spelling)?.isCollection == true, let place = settings.firstIndex(where: { $0.key == spelling }) {
            settings[place].value += "," + value
        } else {
            settings.append((spelling, value))
        }
    }
}
