import AttuneJSON

/// One key of a recipe: what it may be, what it is when nothing is said, and what it does. The only home of a default.
public struct RecipeKey: Sendable {
    /// What a value must be.
    public enum Kind: Sendable, Equatable {
        /// `true` or `false`.
        case flag
        /// A whole number of at least this much.
        case integer(atLeast: Int)
        /// A number.
        case number(Bound)
        /// Text.
        case text
        /// One of these words.
        case choice([String])
        /// Any of these words, as a list.
        case choices([String])
        /// A list of texts.
        case texts
        /// A list of module names, or one text: a regular expression or `all-linear`.
        case modules
        /// A list of whole numbers.
        case integers
        /// A map of texts to texts.
        case textTable
        /// A map of texts to whole numbers of at least 1.
        case integerTable
        /// A map of texts to numbers above 0.
        case numberTable
        /// A map of texts to numbers or texts.
        case mixedTable
    }

    /// Where a number must lie.
    public enum Bound: Sendable, Equatable {
        /// Above 0.
        case positive
        /// 0 or more.
        case notNegative
        /// From 0 to below 1.
        case belowOne

        func contains(_ value: Double) -> Bool {
            switch self {
            case .positive: value > 0
            case .notNegative: value >= 0
            case .belowOne: value >= 0 && value < 1
            }
        }

        var words: String {
            switch self {
            case .positive: "a number above 0"
            case .notNegative: "a number of 0 or more"
            case .belowOne: "a number from 0 to below 1"
            }
        }
    }

    /// Its name.
    public let name: RecipeName
    /// What it must be.
    public let kind: Kind
    /// What it is when nothing is said; `.none` for nothing, or for what is derived from other keys.
    public let defaultValue: RecipeValue
    /// What it does; where Attune's default differs from Hugging Face's, why.
    public let summary: String
    /// Other words for some of its values.
    let wordAliases: [String: String]

    init(
        _ name: RecipeName, _ kind: Kind, _ defaultValue: RecipeValue, _ summary: String,
        words wordAliases: [String: String] = [:]
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.summary = summary
        self.wordAliases = wordAliases
    }

    /// All keys, in the order in which recipes are written.
    public static let all: [RecipeKey] = modelKeys + dataKeys + adapterKeys + stepKeys + watchKeys

    private static let byName = Dictionary(all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

    /// The key of a name.
    public static func named(_ name: RecipeName) -> RecipeKey {
        guard let key = byName[name] else { preconditionFailure("'\(name.rawValue)' is in no table") }
        return key
    }

    /// Other names under which the key is understood.
    public var aliases: [String] { RecipeAlias.all.filter { $0.name == name }.map(\.spelling) }

    /// The words a value may be, where there are few.
    public var allowedWords: [String]? {
        switch kind {
        case .choice(let words), .choices(let words): words
        default: nil
        }
    }

    /// `--learning-rate`
    public var flag: String { Self.flag(of: name.rawValue) }

    static func flag(of spelling: String) -> String { "--" + String(spelling.map { $0 == "_" ? "-" : $0 }) }

    /// What is expected, in words: for errors and help.
    public var expectation: String {
        switch kind {
        case .flag: "true or false"
        case .integer(let minimum): "a whole number of at least \(minimum)"
        case .number(let bound): bound.words
        case .text: "text"
        case .choice(let words): "one of " + words.joined(separator: ", ")
        case .choices(let words): "a list of " + words.joined(separator: ", ")
        case .texts: "a list of names"
        case .modules: "a list of module names, a regular expression, or all-linear"
        case .integers: "a list of whole numbers of 0 or more"
        case .textTable: "a map of names to names"
        case .integerTable: "a map of names to whole numbers of at least 1"
        case .numberTable: "a map of names to numbers above 0"
        case .mixedTable: "a map of names to numbers or words"
        }
    }

    /// Whether a flag of it may stand without a value.
    var isSwitch: Bool {
        switch kind {
        case .flag: true
        case .choice(let words): words.contains("true")
        default: false
        }
    }

    /// Whether a flag of it may be repeated to add to a list or map.
    var isCollection: Bool {
        switch kind {
        case .choices, .texts, .modules, .integers, .textTable, .integerTable, .numberTable, .mixedTable: true
        case .flag, .integer, .number, .text, .choice: false
        }
    }
}
