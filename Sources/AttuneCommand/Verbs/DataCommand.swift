import ArgumentParser
import Attune
import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneText
import AttuneTraining
import Foundation

/// `attune data`: looking at rows, splitting and cleaning them before training.
struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "Check, split and clean training data.",
        subcommands: [Check.self, Split.self, Clean.self])

    /// The files, and how their rows read.
    struct Input: ParsableArguments {
        @Argument(help: "Data files: JSONL, JSON, CSV or TSV, also gzipped.")
        var files: [String]
        @Option(help: "A recipe; its columns, form and lengths are used.")
        var recipe: String?
        @OptionGroup var machine: MachineOptions
        @Flag(help: "Print JSON.")
        var json = false

        func loadRecipe() throws -> Recipe? {
            try machine.check()
            return try recipe.map { try Recipe(contentsOf: $0) }
        }

        /// Rows and errors; a file that is not there ends the verb.
        func survey(_ files: [String]) throws -> (rows: [Row], errors: [DataError]) {
            let found = RowReader.survey(of: files)
            if let fatal = found.errors.first(where: { $0.kind != .badData }) { throw fatal }
            return found
        }

        /// Examples of rows, and the rows that fit no form beside the errors there were.
        func examples(
            _ found: (rows: [Row], errors: [DataError]), _ columns: ColumnMap
        ) -> (examples: [Example], errors: [DataError]) {
            var errors = found.errors
            var examples: [Example] = []
            for row in found.rows {
                do throws(DataError) {
                    examples.append(try Example(row, columns: columns))
                } catch { errors.append(error) }
            }
            return (examples, errors)
        }
    }

    /// `attune data check`
    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Report on rows: errors, duplicates, contradictions, lengths; exit 65 when rows cannot be used.")

        @OptionGroup var input: Input
        @Option(help: "Test files whose rows must not be among the others.")
        var test: [String] = []
        @Option(help: "A model folder whose tokenizer counts tokens.")
        var model: String?
        @Option(help: "The length limit in tokens; the recipe's, or 512.")
        var maxLength: Int?

        func run() throws {
            try Failure.guarding {
                let recipe = try input.loadRecipe()
                let columns = recipe?.columns ?? ColumnMap()
                let train = try input.examples(input.survey(input.files), columns)
                let held = try input.examples(input.survey(test), columns)
                let report = DataReport(
                    train.examples, test: held.examples, errors: train.errors + held.errors,
                    model: try model.map { try view($0, recipe) })
                print(input.json ? report.json.text() : report.text(usesColor: Self.usesColor))
                guard report.errors.isEmpty else {
                    throw CommandError.badData(
                        "\(report.errors.count) rows cannot be used; the first: \(report.errors[0])")
                }
            }
        }

        /// A terminal shows colours unless its owner said NO_COLOR; files and pipes get brackets.
        private static var usesColor: Bool {
            let environment = ProcessInfo.processInfo.environment
            return isatty(1) != 0 && environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
        }

        private func view(_ model: String, _ recipe: Recipe?) throws -> DataReport.ModelView {
            let folder = try ModelFolder.locate(model)
            let templates = try ChatTemplateFolder(URL(filePath: folder))
            let renderer = try templates.source().map { try TemplateRenderer($0, variables: templates.specialTokens) }
            let encoder = RowEncoder(
                encoder: TokenizerEncoder(try ModelFolder.tokenizer(model)), renderer: renderer,
                form: try recipe?.promptForm(), trainOn: recipe?.trainOn)
            return DataReport.ModelView(
                encoder: encoder, maxLength: maxLength ?? recipe?.maxLength ?? 512,
                overlength: recipe?.overlength ?? .stop, removesDuplicates: recipe?.dropsDuplicates ?? false)
        }
    }

    /// `attune data split`
    struct Split: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write train.jsonl and test.jsonl; like questions stay on one side.")

        @OptionGroup var input: Input
        @Option(help: "A fraction, or a number of rows.")
        var testSize = 0.1
        @Option(help: "Another seed gives another split.")
        var seed: UInt64 = 42
        @Option(help: "The folder to write to.")
        var outputDir = "."

        func run() throws {
            try Failure.guarding {
                let columns = try input.loadRecipe()?.columns ?? ColumnMap()
                let rows = try RowReader.rows(of: input.files)
                let examples = try rows.map { row throws(DataError) in try Example(row, columns: columns) }
                let split = try DataSplit(examples, size: TestSize(testSize), seed: seed)
                try Folder.create(outputDir)
                for (name, places) in [("train.jsonl", split.train), ("test.jsonl", split.test)] {
                    try AtomicFile.write(
                        RowReader.jsonLines(places.map { rows[$0] }), to: Folder.path(outputDir, name))
                }
                let report: JSON = [
                    "rows": JSON(rows.count), "train": JSON(split.train.count), "test": JSON(split.test.count),
                    "train_file": .string(Folder.path(outputDir, "train.jsonl")),
                    "test_file": .string(Folder.path(outputDir, "test.jsonl")),
                ]
                let words = "\(rows.count) rows: \(split.train.count) to learn, \(split.test.count) to test"
                print(input.json ? report.text() : words)
            }
        }
    }

    /// `attune data clean`
    struct Clean: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the rows worth keeping, and for the others why they are not.")

        @OptionGroup var input: Input
        @Option(help: "Where the kept rows go, as JSONL.")
        var output: String
        @Option(help: "Where the removed rows are listed, as JSONL with file, line and reason.")
        var removed: String?
        @Option(help: "Test files; rows with their questions are removed.")
        var test: [String] = []
        @Flag(help: "Remove near duplicates too.")
        var nearDuplicates = false

        func run() throws {
            try Failure.guarding {
                let columns = try input.loadRecipe()?.columns ?? ColumnMap()
                let found = try input.survey(input.files)
                var options = DataCleaning.Options()
                options.removesNearDuplicates = nearDuplicates
                options.heldOut = try input.examples(input.survey(test), columns).examples
                let cleaning = DataCleaning(found.rows, errors: found.errors, columns: columns, options: options)
                try AtomicFile.write(cleaning.keptLines, to: output)
                if let removed { try AtomicFile.write(cleaning.removedLines, to: removed) }
                if input.json {
                    let removals = cleaning.removed.map { removal -> JSON in
                        [
                            "file": .string(removal.source.file), "line": JSON(removal.source.line),
                            "reason": .string(removal.reason),
                        ]
                    }
                    let report: JSON = [
                        "rows": JSON(cleaning.kept.count + cleaning.removed.count), "kept": JSON(cleaning.kept.count),
                        "removed": .array(removals),
                    ]
                    print(report.text())
                } else {
                    print("\(cleaning.kept.count) rows kept, \(cleaning.removed.count) removed")
                    for removal in cleaning.removed.prefix(10) { print("  \(removal.source): \(removal.reason)") }
                }
            }
        }
    }
}
