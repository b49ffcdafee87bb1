import Yams

/// A setting as it was written: its spelling, its value and its line.
struct WrittenSetting {
    var spelling: String
    var value: WrittenValue
    var line: Int
}

/// Reads the YAML of a recipe: a flat map, whose values are words, lists of words and maps of words.
enum RecipeYAML {
    static let byteLimit = 1 << 20
    // The parser below recurses, so what nests is counted before it sees the text.
    private static let bracketLimit = 256
    private static let indentLimit = 128

    /// The settings in the order of the text; what is not flat becomes a problem, and the rest is still read.
    static func settings(_ text: String, file: String) throws(RecipeError) -> (
        settings: [WrittenSetting], problems: [RecipeProblem]
    ) {
        try screen(text, file: file)
        var settings: [WrittenSetting] = []
        var problems: [RecipeProblem] = []
        guard let root = try compose(text, file: file) else { return ([], []) }
        if let scalar = root.scalar, scalar.string.isEmpty { return ([], []) }
        guard let mapping = root.mapping else {
            throw RecipeError(
                .badRecipe, "a recipe is a list of 'key: value' lines", place: "\(file):\(root.mark?.line ?? 1)")
        }
        for (key, node) in mapping {
            let line = key.mark?.line ?? 1
            guard let spelling = key.scalar?.string else {
                problems.append(RecipeProblem(place: "\(file):\(line)", message: "a key must be one word"))
                continue
            }
            guard let value = written(node, depth: 0) else {
                problems.append(
                    RecipeProblem(
                        key: spelling, place: "\(file):\(line)",
                        message: "nests too deeply; a value is a word, a list of words or a map of words"))
                continue
            }
            settings.append(WrittenSetting(spelling: spelling, value: value, line: line))
        }
        return (settings, problems)
    }

    /// A value in YAML's flow form, `[a, b]` or `{a: b}`, as flags may have; `nil` when it is not one.
    static func flowValue(_ text: String) -> WrittenValue? {
        guard (try? screen(text, file: "")) != nil, let node = try? compose(text, file: "") else { return nil }
        return written(node, depth: 0)
    }

    private static func written(_ node: Node, depth: Int) -> WrittenValue? {
        switch node {
        case .scalar(let scalar):
            return .scalar(scalar.string, isPlain: scalar.style == .plain)
        case .sequence(let sequence):
            guard depth == 0 else { return nil }
            let elements = sequence.compactMap { written($0, depth: depth + 1) }
            return elements.count == sequence.count ? .list(elements) : nil
        case .mapping(let mapping):
            guard depth == 0 else { return nil }
            let members = mapping.compactMap { key, value -> (key: String, value: WrittenValue)? in
                guard let name = key.scalar?.string, let value = written(value, depth: depth + 1) else { return nil }
                return (name, value)
            }
            return members.count == mapping.count ? .table(members) : nil
        case .alias:
            return nil
        }
    }

    private static func compose(_ text: String, file: String) throws(RecipeError) -> Node? {
        do {
            return try Parser(yaml: text, encoding: .utf8).singleRoot()
        } catch let error as YamlError {
            throw problem(error, file: file)
        } catch {
            throw RecipeError(.badRecipe, "the text is not YAML: \(error)", place: file)
        }
    }

    private static func problem(_ error: YamlError, file: String) -> RecipeError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return RecipeError(.badRecipe, "not YAML: \(problem)", place: "\(file):\(mark.line)")
        case .duplicatedKeysInMapping(let keys, let context):
            return RecipeError(
                .badRecipe, "is said twice; keep one", key: keys.joined(separator: ", "),
                place: "\(file):\(context.mark.line)")
        default:
            return RecipeError(.badRecipe, "not YAML; is it text in UTF-8?", place: file)
        }
    }

    /// Refuses what would make the parser recurse deeply or share nodes, before it is called.
    ///
    /// Depth comes from brackets, and from indentation or a run of `- ` and `? ` at the start of a line. Anchors, aliases and tags
    /// begin with `&`, `*` and `!` where a value begins.
    private static func screen(_ text: String, file: String) throws(RecipeError) {
        guard text.utf8.count <= byteLimit else {
            throw RecipeError(.badRecipe, "is larger than \(byteLimit) bytes; is it a recipe?", place: file)
        }
        var line = 1
        var brackets = 0
        var run = 0
        var isLeading = true
        var isComment = false
        // The last byte that is no space, and whether a space came after it.
        var last = UInt8(ascii: "\n")
        var isSpaced = true
        for byte in text.utf8 {
            let place = "\(file):\(line)"
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                if byte == UInt8(ascii: "\n") { line += 1 }
                (run, isLeading, isComment, isSpaced, last) = (0, true, false, true, byte)
                continue
            case 0:
                throw RecipeError(.badRecipe, "holds a zero byte; is it a recipe?", place: place)
            case UInt8(ascii: "#") where isLeading:
                isComment = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                brackets += 1
                guard brackets <= bracketLimit else {
                    throw RecipeError(
                        .badRecipe,
                        "has more than \(bracketLimit) brackets; a recipe is "
                            + "flat", place: place)
                }
            case UInt8(ascii: "&"), UInt8(ascii: "*"), UInt8(ascii: "!"):
                let beginsValue = Set("\n\r:-?,[{".utf8).contains(last)
                let isAttached = last == UInt8(ascii: "[") || last == UInt8(ascii: "{") || last == UInt8(ascii: ",")
                guard isComment || !beginsValue || !(isSpaced || isAttached) else {
                    throw RecipeError(
                        .badRecipe,
                        "YAML's anchors, aliases and tags (& * !) are not read in a recipe; write the "
                            + "value itself",
                        place: place)
                }
            default: break
            }
            let isSpace = byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
            if isLeading {
                isLeading = isSpace || Set("-?:".utf8).contains(byte)
                run += 1
                guard run <= indentLimit else {
                    throw RecipeError(
                        .badRecipe,
                        "is indented by more than \(indentLimit) columns; a recipe is "
                            + "flat", place: place)
                }
            }
            if isSpace { isSpaced = true } else { (last, isSpaced) = (byte, false) }
        }
    }
}
