import AttuneFiles

/// Where a value of a recipe comes from.
public enum RecipeOrigin: Sendable, Equatable, CustomStringConvertible {
    /// Nobody said anything.
    case standard
    /// The model's own files.
    case model
    /// A line of the recipe.
    case recipe(file: String, line: Int)
    /// `--set key=value`.
    case set
    /// A flag.
    case flag
    /// A Swift program.
    case program
    /// It follows from other keys.
    case derived(from: [RecipeName])

    /// Which of two wins: a flag over `--set` over the recipe over the model's files over the default.
    var rank: Int {
        switch self {
        case .standard, .derived: 0
        case .model: 1
        case .recipe: 2
        case .set: 3
        case .flag: 4
        case .program: 5
        }
    }

    /// `default`, `model`, `recipe.yaml:7`, `--set`, `flag`, `program`, `from load_in_4bit`
    public var description: String {
        switch self {
        case .standard: "default"
        case .model: "model"
        case .recipe(let file, let line): "\(file):\(line)"
        case .set: "--set"
        case .flag: "flag"
        case .program: "program"
        case .derived(let names): "from " + names.map(\.rawValue).joined(separator: ", ")
        }
    }
}

/// The one description of a training run: every key has a value, checked against its kind and against the others, and knows
/// where it comes from.
///
/// ```swift
/// let recipe = try Recipe(contentsOf: "Recipes/tutorial.yaml", set: ["seed=7"], flags: [("learning_rate", "1e-4")])
/// let options = recipe.trainingOptions()
/// ```
public struct Recipe: Sendable {
    /// A value somebody wrote.
    struct Said: Sendable {
        var value: RecipeValue
        var origin: RecipeOrigin
        var spelling: String
    }

    /// A key with its value and origin.
    public struct Setting: Sendable {
        /// The key.
        public let key: RecipeKey
        /// Its value.
        public let value: RecipeValue
        /// Where that comes from.
        public let origin: RecipeOrigin
    }

    private var said: [RecipeName: Said] = [:]
    private(set) var values: [RecipeName: RecipeValue] = [:]
    private var origins: [RecipeName: RecipeOrigin] = [:]

    /// Reads a recipe's text and lays `--set` and flags over it.
    ///
    /// - Parameters:
    ///   - yaml: the recipe; empty for flags alone.
    ///   - file: what to call it in errors and origins.
    ///   - set: `key=value` each, the later over the earlier.
    ///   - flags: as `parseFlags` returns them.
    /// - Throws: `RecipeError` with all problems at once.
    public init(
        yaml: String = "", file: String = "recipe", set: [String] = [], flags: [(key: String, value: String)] = []
    ) throws(RecipeError) {
        var reader = RecipeReader()
        let (settings, nesting) = try RecipeYAML.settings(yaml, file: file)
        reader.problems = nesting
        for setting in settings {
            reader.read(setting.spelling, setting.value, .recipe(file: file, line: setting.line))
        }
        for assignment in set { reader.read(assignment: assignment) }
        for flag in flags {
            reader.read(flag.key, RecipeReader.argument(flag.value, for: flag.key), .flag)
        }
        said = reader.said
        let problems = reader.problems + resolve()
        guard problems.isEmpty else { throw RecipeError(.badRecipe, problems) }
    }

    /// Reads a recipe file.
    /// - Throws: `RecipeError` with all problems at once; kind `missingInput` when the file cannot be read.
    public init(
        contentsOf path: String, set: [String] = [], flags: [(key: String, value: String)] = []
    ) throws(RecipeError) {
        let bytes: [UInt8]
        do {
            bytes = try WholeFile.read(path, limit: RecipeYAML.byteLimit)
        } catch {
            throw RecipeError(.missingInput, "cannot read the recipe: \(error)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw RecipeError(.badRecipe, "is not text in UTF-8; is it a recipe?", place: path)
        }
        try self.init(yaml: text, file: path, set: set, flags: flags)
    }

    /// The value of a key.
    public subscript(name: RecipeName) -> RecipeValue { values[name] ?? .none }

    /// Where a key's value comes from.
    public func origin(_ name: RecipeName) -> RecipeOrigin { origins[name] ?? .standard }

    /// All settings, in the order in which recipes are written.
    public var settings: [Setting] {
        RecipeKey.all.map { Setting(key: $0, value: self[$0.name], origin: origin($0.name)) }
    }

    /// Keys that still need a value before something can be done, for example `[.model, .trainFile]` before training.
    public func missing(_ names: [RecipeName]) -> [RecipeProblem] {
        names.filter { self[$0] == .none }.map { name in
            let key = RecipeKey.named(name)
            return RecipeProblem(
                key: name.rawValue, message: "is needed; write '\(name.rawValue): …' in the recipe or give \(key.flag)")
        }
    }

    /// All contradictions between keys; empty for every recipe that an initializer returned.
    public func validate() -> [RecipeProblem] {
        var copy = self
        return copy.resolve()
    }

    /// The recipe with one key said anew, over everything that was said before.
    /// - Throws: `RecipeError` when the value is not what the key expects, or contradicts another.
    public func setting(_ name: RecipeName, to value: RecipeValue) throws(RecipeError) -> Recipe {
        try saying(name, value, .program)
    }

    /// The recipe with `dtype: auto` replaced by the type of the model's files.
    ///
    /// Types other than float32, bfloat16 and float16 become float32.
    public func adopting(modelDType: String) -> Recipe {
        guard self[.dtype] == .text("auto") else { return self }
        let type = RecipeKey.typeWords[modelDType] ?? modelDType
        let known = RecipeKey.computeTypes.contains(type) ? type : "float32"
        return (try? saying(.dtype, .text(known), .model)) ?? self
    }

    private func saying(
        _ name: RecipeName, _ value: RecipeValue, _ origin: RecipeOrigin
    ) throws(RecipeError) -> Recipe {
        var reader = RecipeReader()
        reader.read(name.rawValue, WrittenValue(value), origin)
        var copy = self
        copy.said[name] = reader.said[name]
        let problems = reader.problems + copy.resolve()
        guard problems.isEmpty else { throw RecipeError(.badRecipe, problems) }
        return copy
    }

    /// Fills in every key and looks for contradictions.
    private mutating func resolve() -> [RecipeProblem] {
        var resolution = RecipeResolution(said: said)
        resolution.resolve()
        (values, origins) = (resolution.values, resolution.origins)
        return resolution.problems
    }
}

extension Recipe: Equatable {
    /// Whether two recipes describe the same run, wherever their values come from.
    public static func == (left: Recipe, right: Recipe) -> Bool { left.values == right.values }
}

extension WrittenValue {
    /// A value as if it had been written.
    init(_ value: RecipeValue) {
        switch value {
        case .none: self = .scalar("null", isPlain: true)
        case .flag(let flag): self = .scalar(flag ? "true" : "false", isPlain: true)
        case .integer(let value): self = .scalar(String(value), isPlain: true)
        case .number(let value): self = .scalar("\(value)", isPlain: true)
        case .text(let text): self = .scalar(text, isPlain: false)
        case .list(let values): self = .list(values.map(WrittenValue.init))
        case .table(let entries): self = .table(entries.map { ($0.key, WrittenValue($0.value)) })
        }
    }
}
