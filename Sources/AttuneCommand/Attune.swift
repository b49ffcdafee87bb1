import ArgumentParser

/// The `attune` program: one verb a file.
@main
struct AttuneProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attune", abstract: "Fine-tune, evaluate, merge and serve language models.",
        subcommands: [
            Train.self, Generate.self, Serve.self, Merge.self, Evaluate.self, Bench.self,
            Inspect.self, Score.self, Tokenize.self, Render.self, Quantize.self, Doctor.self, DataCommand.self,
            RecipeCommand.self,
        ])
}
