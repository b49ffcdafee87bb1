import Attune

/// The tutorial's road in Swift, block by block: data, QLoRA, LoRA, training, evaluation, merging, answers.
///
///     swift run -c release Tutorial [MODEL [DATA [OUTPUT]]]
@main
struct Tutorial {
    static func main() async throws {
        let given = Array(CommandLine.arguments.dropFirst()) + ["", "", ""]
        let base = given[0].isEmpty ? "Models/pocket" : given[0]
        let data = given[1].isEmpty ? "Examples/support-tickets.jsonl" : given[1]
        let output = given[2].isEmpty ? "results/tutorial-swift" : given[2]

        // The data set; equal and nearly equal tickets stay on one side.
        let examples = try Example.examples(of: [data])
        let split = try DataSplit(examples, size: .fraction(0.1), seed: 42)
        let train = split.train.map { examples[$0] }
        let test = split.test.map { examples[$0] }
        print("Train: \(train.count) examples, test: \(test.count) examples")

        // The base in four bits, its scales quantized too.
        let backend = try CPUBackend()
        let model = try LanguageModel.load(
            base, quantization: QuantizationChoice(format: .nf4, isDouble: true), backend: backend)

        // LoRA on every linear layer.
        var lora = LoRAOptions(targets: .allLinear)
        lora.rank = 16
        lora.alpha = 32
        lora.dropout = 0.05
        try model.attachLoRA(lora)

        // Training; keys are those of a recipe file.
        let recipe = try Recipe(set: [
            "model_name_or_path=\(base)", "train_file=\(data)", "test_size=0.1", "output_dir=\(output)",
            "method=qlora", "bnb_4bit_use_double_quant=true",
            "num_train_epochs=2", "learning_rate=2e-3", "lr_scheduler_type=cosine", "packing=true", "max_length=512",
            "per_device_train_batch_size=1", "eval_strategy=epoch", "save_strategy=no", "logging_steps=10",
        ])
        let run = try FineTuning(recipe, model: model, train: train, test: test)
        print("Trainable: \(run.trainableCount) of \(run.totalCount)")
        for try await event in run.events() {
            switch event {
            case .step(let step):
                if let loss = step.loggedLoss { print("step \(step.step) of \(step.totalSteps): loss \(loss)") }
            case .evaluation(let result): print("evaluation: loss \(result.loss)")
            default: break
            }
        }

        // Exact match of base and tuned model on the tickets held out.
        let answering = try Answering(model, template: recipe.promptTemplate, adapters: ["default"])
        print(try answering.evaluate(test, adapter: "default", comparesBase: true).text(limit: 3))

        // Merging, with the proof that merged and base + adapter are one model.
        let report = try Merging.merge(model: base, adapter: output, output: output + "/merged", backend: backend)
        print("Merged: greedy agreement \(report.greedyAgreement)")

        // Answers of the merged model.
        let merged = try Answering(try LanguageModel.load(output + "/merged", backend: backend))
        for ticket in ["I want to cancel my account immediately", "The checkout page shows an error 500"] {
            print("\(ticket)\n\(try merged.answer("Classify this support ticket", input: ticket))\n---")
        }
    }
}
