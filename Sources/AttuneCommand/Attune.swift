import ArgumentParser
import Attune

/// The `attune` program: one verb a file.
@main
struct AttuneProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attune", abstract: "Fine-tune, evaluate, merge and serve language models.",
        version: AttuneVersion.current,
        subcommands: [
            Quickstart.self, Train.self, Evaluate.self, Generate.self, Chat.self, Serve.self, Merge.self, Bench.self,
            Inspect.self, Score.self, Tokenize.self, Render.self, Quantize.self, Doctor.self, DataCommand.self,
            RecipeCommand.self,
        ])

    /// Parses the arguments and runs the verb. What is wrong with the arguments is one line too, where the parser alone would
    /// add the whole usage.
    static func main() async {
        do {
            var command = try await asyncParseAsRoot(nil)
            if var waiting = command as? any AsyncParsableCommand {
                try await waiting.run()
            } else {
                try command.run()
            }
        } catch let error where !(error is ExitCode) && exitCode(for: error) == ExitCode.validationFailure {
            let what = message(for: error).split(separator: "\n").joined(separator: " ")
            // The parser's own last line names the help of the verb at hand.
            let help = fullMessage(for: error).split(separator: "'").first { $0.hasSuffix("--help") } ?? "attune --help"
            Failure.write("\(what); see \(help)")
            exit(withError: ExitCode.validationFailure)
        } catch {
            exit(withError: error)
        }
    }
}
