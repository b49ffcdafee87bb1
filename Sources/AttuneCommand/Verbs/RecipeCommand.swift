import ArgumentParser
import Attune
import AttuneJSON
import AttuneTraining

/// `attune recipe`: what a recipe may say, and what one says.
struct RecipeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recipe", abstract: "Print what a recipe may say, or what one says.",
        subcommands: [Schema.self, Show.self])

    /// `attune recipe schema`
    struct Schema: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print every key, what it may be and its default.")

        @Flag(help: "Print JSON.")
        var json = false

        func run() { print(json ? Recipe.schemaJSON.text() : Recipe.schemaText, terminator: json ? "\n" : "") }
    }

    /// `attune recipe show`
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a recipe with every value and where it comes from.",
            discussion: "Example: attune recipe show Recipes/tutorial.yaml --set seed=7 --learning-rate 1e-4")

        @Option(name: .customLong("set"), help: "A key said anew: key=value.")
        var assignments: [String] = []
        @Flag(help: "Print JSON.")
        var json = false
        @Argument(parsing: .allUnrecognized, help: "The recipe, and any key of it as a flag.")
        var rest: [String] = []

        func run() throws {
            try Failure.guarding {
                let (flags, files) = try Recipe.parseFlags(rest)
                if let unknown = files.first(where: { $0.hasPrefix("-") }) {
                    throw CommandError.usage("\(unknown): no such flag; see attune recipe schema")
                }
                guard files.count <= 1 else { throw CommandError.usage("\(files[1]): give one recipe") }
                let recipe =
                    try files.first.map { try Recipe(contentsOf: $0, set: assignments, flags: flags) }
                    ?? Recipe(set: assignments, flags: flags)
                print(json ? recipe.resolvedJSON.text() : recipe.resolvedYAML, terminator: json ? "\n" : "")
            }
        }
    }
}
