import ArgumentParser
import Attune
import AttuneEvaluation
import AttuneJSON
import AttuneTensor
import Foundation

/// `attune quickstart`: the whole road on the pocket model, in about a minute.
struct Quickstart: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tune the pocket model on support tickets, compare it with its base, merge it.",
        discussion: "Example: attune quickstart")

    @Option(help: "The base; Models/pocket of this package when not given.")
    var model: String?
    @Option(help: "The examples; Examples/support-tickets.jsonl when not given.")
    var data: String?
    @Option(help: "The recipe; Recipes/quickstart.yaml when not given.")
    var recipe: String?
    @Option(name: .customLong("set"), help: "A key of the recipe said anew: key=value.")
    var assignments: [String] = []
    @Option(help: "Where results go.")
    var outputDir = "results/quickstart"
    @Option(help: "Tokens an answer may have when held-out tickets are answered.")
    var maxNewTokens = 40
    @OptionGroup var machine: MachineOptions
    @Flag(help: "Print the figures as JSON.")
    var json = false

    /// The tutorial's questions after training.
    private static let questions = [
        "I want to cancel my account immediately", "The checkout page shows an error 500",
        "Can you send me a copy of my invoice?",
    ]
    private static let instruction = "Classify this support ticket"

    func run() throws { try Failure.guarding(walk) }

    private func walk() throws {
        let start = ContinuousClock.now
        let backend = try machine.makeBackend()
        let files = try QuickstartFiles(model: model, data: data, recipe: recipe)
        let recipe = try Recipe(
            contentsOf: files.recipe, set: assignments,
            flags: [
                ("model_name_or_path", files.model), ("train_file", files.data), ("output_dir", outputDir),
            ])
        let run = try FineTuning(recipe, backend: backend)
        guard !run.testExamples.isEmpty else {
            throw CommandError(
                code: Failure.Code.badRecipe,
                description: "\(files.recipe): holds no rows out for the comparison; set test_size, for example to 0.1")
        }
        let train = run.ledger.count(.used)
        say("1. \(train) tickets to learn from, \(run.testExamples.count) held out (\(files.data))")
        say("2. The base, \(files.model), answers the held-out tickets (at most \(maxNewTokens) tokens each)")
        let before = try answer(run, adapter: nil)
        say("   exact match \(Self.share(before.result.exactMatch))")

        say("3. Training")
        let reporter = TrainReporter(json: false, log: machine.log)
        reporter.begin(run)
        StopSignal.install()
        let finish = try run.run(shouldStop: { StopSignal.isRaised }, report: reporter.show)
        StopSignal.remove()
        reporter.end(run, finish)
        guard finish.reason != .interrupted else { throw ExitCode(75) }

        let isAdapter = run.model.decoder.adapters["default"] != nil
        let after = try answer(run, adapter: isAdapter ? "default" : nil)
        let result = EvaluationResult(
            after.predictions, base: before.predictions, perplexity: after.loss.perplexity,
            basePerplexity: before.loss.perplexity)
        try run.writeCard(evaluation: result)
        say("4. The same questions, base and tuned")
        for (place, question) in Self.questions.enumerated() {
            say("\n   \(question)")
            for line in Self.columns("base", before.answers[place], "tuned", after.answers[place]) { say("   " + line) }
        }
        say("\n5. Exact match on the \(run.testExamples.count) held-out tickets")
        say("   before \(Self.share(result.base?.exactMatch ?? before.result.exactMatch))")
        say("   after  \(Self.share(result.exactMatch))")
        for line in Self.mismatches(result) { say(line) }
        try AtomicFile.write(Array(result.html.utf8), to: outputDir + "/evaluation.html")
        say("6. Loss chart: \(outputDir)/training_loss.png; every table and mismatch: \(outputDir)/evaluation.html")
        say("   Model card: \(outputDir)/README.md")
        let merged = isAdapter ? try merge(files, backend) : nil
        let served = merged?.folder ?? outputDir
        let seconds = start.duration(to: .now) / .seconds(1)
        say("8. It took \(TrainReporter.duration(seconds)). Serve it:\n\n   attune serve \(served)\n")
        if json { print(report(result, merged?.report, served, seconds, train).text()) }
    }

    // MARK: Answers

    private typealias Answers = (
        predictions: [Prediction], result: EvaluationResult, loss: AnswerLoss, answers: [String]
    )

    /// The held-out rows and the three questions, answered greedily.
    private func answer(_ run: FineTuning, adapter: String?) throws -> Answers {
        let answering = try Answering(
            run.model, template: run.recipe.promptTemplate, adapters: adapter.map { [$0] } ?? [])
        let log = machine.log
        let predictions = try answering.predictions(
            for: run.testExamples, maxNewTokens: maxNewTokens, adapter: adapter
        ) { log.passing("   \($0) of \(run.testExamples.count) answers") }
        log.clear()
        let prompts = try Self.questions.map { try answering.tokens(instruction: Self.instruction, input: $0) }
        let answers = try answering.answer(prompts, options: .greedy(maxNewTokens: 64), adapter: adapter)
        return (
            predictions, EvaluationResult(predictions), try answering.loss(of: run.testExamples, adapter: adapter),
            answers.map(\.text)
        )
    }

    private func merge(_ files: QuickstartFiles, _ backend: any Backend) throws -> (
        folder: String, report: Merging.Report
    ) {
        let folder = outputDir + "/merged"
        let report = try Merging.merge(
            model: files.model, adapter: outputDir, output: folder, backend: backend)
        say("7. Merged into \(folder), read back and compared with base + adapter:")
        say(
            "   largest logit difference \(TrainReporter.decimal(report.maximumLogitDifference, 4)), greedy agreement "
                + TrainReporter.decimal(100 * report.greedyAgreement, 1) + " %")
        return (folder, report)
    }

    // MARK: Showing

    /// The story goes to standard output; beside JSON to standard error.
    private func say(_ text: String) {
        if json { machine.log.line(text) } else { print(text) }
    }

    /// `112 of 122 = 91.8 % (95 %: 85.6–95.5 %)`
    private static func share(_ share: Proportion) -> String {
        let percent = { (part: Double) in TrainReporter.decimal(100 * part, 1) }
        let interval = share.interval.map { " (95 %: \(percent($0.low))–\(percent($0.high)) %)" } ?? ""
        return "\(share.successes) of \(share.count) = \(percent(share.fraction ?? 0)) %\(interval)"
    }

    /// The first mismatches, without the tables that follow them in the full report.
    private static func mismatches(_ result: EvaluationResult) -> [String] {
        let lines = result.text(limit: 3).split(separator: "\n", omittingEmptySubsequences: false).dropFirst()
        return lines.prefix { $0 != "Exact match" }.map { $0.isEmpty ? "" : "   " + $0 }
    }

    /// Two texts beside each other, in columns of 44 characters.
    static func columns(_ leftTitle: String, _ left: String, _ rightTitle: String, _ right: String) -> [String] {
        let width = 44
        let a = [leftTitle, String(repeating: "-", count: leftTitle.count)] + wrapped(left, width)
        let b = [rightTitle, String(repeating: "-", count: rightTitle.count)] + wrapped(right, width)
        return (0..<max(a.count, b.count)).map { row in
            let first = row < a.count ? a[row] : ""
            let second = row < b.count ? b[row] : ""
            return first + String(repeating: " ", count: width - first.count + 2) + second
        }
    }

    /// Lines of at most `width` characters, broken between words; control characters are left out.
    private static func wrapped(_ text: String, _ width: Int) -> [String] {
        var lines: [String] = []
        let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
        for paragraph in trimmed.split(whereSeparator: \.isNewline) {
            var line = ""
            for word in paragraph.split(separator: " ") {
                var word = String(
                    String.UnicodeScalarView(word.unicodeScalars.filter { $0.properties.generalCategory != .control }))
                while word.count > width {
                    if !line.isEmpty { lines.append(line) }
                    line = String(word.prefix(width))
                    word = String(word.dropFirst(width))
                    lines.append(line)
                    line = ""
                }
                if !line.isEmpty, line.count + 1 + word.count > width {
                    lines.append(line)
                    line = ""
                }
                line += (line.isEmpty ? "" : " ") + word
            }
            if !line.isEmpty { lines.append(line) }
        }
        return lines
    }

    private func report(
        _ result: EvaluationResult, _ merged: Merging.Report?, _ served: String, _ seconds: Double, _ train: Int
    ) -> JSON {
        let fraction = { (share: Proportion?) in share?.fraction.map { JSON($0) } ?? .null }
        return [
            "train": JSON(train), "held_out": JSON(result.exactMatch.count),
            "exact_match_before": fraction(result.base?.exactMatch), "exact_match_after": fraction(result.exactMatch),
            "evaluation": result.json,
            "max_logit_difference": merged.map { JSON($0.maximumLogitDifference) } ?? .null,
            "greedy_agreement": merged.map { JSON($0.greedyAgreement) } ?? .null, "serve": JSON(served),
            "seconds": JSON(seconds),
        ]
    }
}
