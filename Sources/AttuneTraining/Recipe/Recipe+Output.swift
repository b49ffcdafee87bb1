import AttuneJSON

extension Recipe {
    /// The whole recipe with the origin of every value, as YAML that reads back as an equal recipe.
    public var resolvedYAML: String {
        var lines = ["# Resolved recipe: every value and where it comes from."]
        for setting in settings {
            // A line break in an origin's file name would end the comment.
            let origin = String(setting.origin.description.map { $0.isNewline ? " " : $0 })
            lines.append("\(setting.key.name.rawValue): \(setting.value.yaml)  # \(origin)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The same as JSON: `{"learning_rate": {"value": 0.0002, "origin": "flag"}, …}`.
    public var resolvedJSON: JSON {
        .object(
            JSONObject(
                settings.map { setting in
                    let member: JSON = ["value": setting.value.json, "origin": .string(setting.origin.description)]
                    return (setting.key.name.rawValue, member)
                }))
    }

    /// Every key with what it may be, its default and what it does, as text.
    public static var schemaText: String {
        RecipeKey.all.map { key in
            let aliases = key.aliases.isEmpty ? "" : " (also \(key.aliases.joined(separator: ", ")))"
            return """
                \(key.name.rawValue)\(aliases)
                    \(key.expectation); default \(key.defaultWords)
                    \(key.summary)
                """
        }.joined(separator: "\n\n") + "\n"
    }

    /// The same as JSON: a list of `{"key", "flag", "aliases", "expects", "default", "description"}`.
    public static var schemaJSON: JSON {
        .array(
            RecipeKey.all.map { key in
                var members = JSONObject([
                    ("key", .string(key.name.rawValue)), ("flag", .string(key.flag)),
                    ("aliases", .array(key.aliases.map(JSON.string))), ("expects", .string(key.expectation)),
                    ("default", key.defaultValue.json), ("description", .string(key.summary)),
                ])
                if let words = key.allowedWords { members["choices"] = .array(words.map(JSON.string)) }
                return .object(members)
            })
    }

    /// Every flag in two columns, for `--help`.
    public static var flagHelp: String {
        let width = RecipeKey.all.map(\.flag.count).max() ?? 0
        return RecipeKey.all.map { key in
            let padding = String(repeating: " ", count: width - key.flag.count + 2)
            return "  \(key.flag)\(padding)\(key.expectation) (default \(key.defaultWords))"
        }.joined(separator: "\n") + "\n"
    }
}

extension RecipeKey {
    /// The default in words.
    var defaultWords: String { defaultValue == .none ? "unset" : defaultValue.yaml }
}
