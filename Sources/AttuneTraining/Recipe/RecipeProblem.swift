/// One thing wrong with a recipe.
public struct RecipeProblem: Sendable, Equatable, CustomStringConvertible {
    /// The key, as it was written; `nil` where the text itself is at fault.
    public var key: String?
    /// Where: a file and line, or the flag.
    public var place: String?
    /// What, and what to do.
    public var message: String

    /// `recipe.yaml:12: learning_rate: what; what to do`
    public var description: String { [place, key, message].compactMap { $0 }.joined(separator: ": ") }
}

/// Everything wrong with a recipe, at once; a line for each problem.
public struct RecipeError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure, for exit codes.
    public enum Kind: Sendable {
        /// The recipe says something unknown, impossible or contradictory.
        case badRecipe
        /// A flag cannot be read.
        case usage
        /// A file the recipe names, or the recipe itself, cannot be read.
        case missingInput
    }

    /// The kind.
    public let kind: Kind
    /// The problems; at least one.
    public let problems: [RecipeProblem]

    /// With the problems.
    public init(_ kind: Kind, _ problems: [RecipeProblem]) {
        self.kind = kind
        self.problems = problems
    }

    init(_ kind: Kind, _ message: String, key: String? = nil, place: String? = nil) {
        self.init(kind, [RecipeProblem(key: key, place: place, message: message)])
    }

    /// One line a problem.
    public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Finds what somebody may have meant.
enum NearestName {
    /// Up to two known names that resemble an unknown one: few letters apart, or made of all its words.
    static func of(_ unknown: String, among names: [String]) -> [String] {
        let written = Array(unknown.lowercased().utf8.prefix(64))
        let words = Set(unknown.lowercased().split(separator: "_"))
        let ranked = names.compactMap { name -> (cost: Int, name: String)? in
            let distance = distance(written, Array(name.utf8))
            if distance <= max(1, min(written.count, name.utf8.count) / 3) { return (distance, name) }
            let sharesWords = !words.isEmpty && words.isSubset(of: name.split(separator: "_"))
            return sharesWords ? (100 + name.utf8.count, name) : nil
        }
        return ranked.sorted { ($0.cost, $0.name) < ($1.cost, $1.name) }.prefix(2).map(\.name)
    }

    /// Levenshtein: D(i, j) = min(D(i−1, j) + 1, D(i, j−1) + 1, D(i−1, j−1) + [aᵢ ≠ bⱼ])
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in right.enumerated() {
                let cost = diagonal + (byte == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(row[j + 1] + 1, row[j] + 1, cost)
            }
        }
        return row[right.count]
    }
}
