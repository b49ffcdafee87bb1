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
}
