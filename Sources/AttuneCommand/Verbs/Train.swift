import ArgumentParser
import Attune
import AttuneFiles
import AttuneJSON
import Foundation

/// `attune train`: a recipe, or flags alone, to an adapter or a model.
struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train an adapter or a model from a recipe.",
        discussion: """
            Example: attune train Recipes/lora.yaml --train-file tickets.jsonl --learning-rate 2e-4
            Every recipe key is a flag too (attune recipe schema lists them); --set key=value does the same.
            --resume [CHECKPOINT] goes on from the newest checkpoint or the one named; --json prints events; --quiet and
            --log-level debug|info|warning|error say less or more.
            """)

    @Argument(parsing: .captureForPassthrough, help: "RECIPE.yaml and flags.")
    var arguments: [String] = []

    func run() throws {
        if arguments.contains("--help") || arguments.contains("-h") {
            print(Self.helpMessage())
            print(Recipe.flagHelp)
            return
        }
        try Failure.guarding {
            let request = try TrainRequest(arguments)
            try MachineOptions.check(request.recipe.device)
            let backend = try CPUBackend(threads: request.recipe.threads, largePages: false)
            let run = try FineTuning(request.recipe, backend: backend, resume: request.resume)
            let reporter = TrainReporter(json: request.json, log: CommandLog(request.logLevel))
            reporter.begin(run)
            StopSignal.install()
            let finish = try run.run(shouldStop: { StopSignal.isRaised }, report: reporter.show)
            reporter.end(run, finish)
            if finish.reason == .interrupted { throw ExitCode(75) }
        }
    }
}

/// What the command line of `train` asks for.
struct TrainRequest {
    let recipe: Recipe
    var resume: FineTuning.Resumption?
    var json = false
    var logLevel = LogLevel.info

    init(_ arguments: [String]) throws {
        let (flags, rest) = try Recipe.parseFlags(arguments)
        var path: String?
        var settings: [String] = []
        var place = 0
        while place < rest.count {
            let word = rest[place]
            let next = place + 1 < rest.count ? rest[place + 1] : nil
            switch word {
            case "--json": json = true
            case "--quiet": logLevel = .error
            case "--log-level":
                guard let next, let level = LogLevel(rawValue: next) else {
                    throw ValidationError("--log-level: give debug, info, warning or error")
                }
                logLevel = level
                place += 1
            case "--set":
                guard let next else { throw ValidationError("--set needs key=value") }
                settings.append(next)
                place += 1
            case "--resume":
                if let next, Self.isCheckpoint(next) {
                    resume = .path(next)
                    place += 1
                } else {
                    resume = .newest
                }
            default:
                guard !word.hasPrefix("-") else {
                    throw ValidationError("unknown option '\(word)'; attune train --help lists them")
                }
                guard path == nil else { throw ValidationError("two recipes: '\(path ?? "")' and '\(word)'") }
                path = word
            }
            place += 1
        }
        if let path {
            recipe = try Recipe(contentsOf: path, set: settings, flags: flags)
        } else {
            recipe = try Recipe(set: settings, flags: flags)
        }
    }
    /// Whether the word after `--resume` is its value and not the recipe: a folder, or what is named like one.
    private static func isCheckpoint(_ word: String) -> Bool {
        guard !word.hasPrefix("-"), ![".yaml", ".yml"].contains(where: word.hasSuffix) else { return false }
        return Folder.exists(word) || word.contains("checkpoint-")
    }
}
