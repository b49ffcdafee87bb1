import Attune
import AttuneJSON
import Foundation
import Testing

/// Every option of the tutorial, and those beside it, changes something that can be seen.
@Suite struct OptionTests {
    /// What a run leaves to compare.
    struct Trace: Equatable {
        var losses: [Double] = []
        var rates: [Double] = []
        var tokens: [Int] = []
        var evaluations: [Double] = []
        var trainable = 0
        var frozenBytes = 0
        var activationBytes = 0
        var momentBytes = 0
        var logEntries = 0
        var checkpoints: [Int] = []
        var notices: [String] = []
        var reason = ""
        var weights: UInt32 = 0
    }

    /// What an option must change, everything else being the same.
    enum Effect: Sendable {
        case losses, rates, tokens, evaluations, trainable, frozenBytes, activationBytes, momentBytes, logEntries
        case checkpoints, notices, reason, weights, steps

        func differs(_ a: Trace, _ b: Trace) -> Bool {
            switch self {
            case .losses: a.losses != b.losses
            case .rates: a.rates != b.rates
            case .tokens: a.tokens != b.tokens
            case .evaluations: a.evaluations != b.evaluations
            case .trainable: a.trainable != b.trainable
            case .frozenBytes: a.frozenBytes != b.frozenBytes
            case .activationBytes: a.activationBytes != b.activationBytes
            case .momentBytes: a.momentBytes != b.momentBytes
            case .logEntries: a.logEntries != b.logEntries
            case .checkpoints: a.checkpoints != b.checkpoints
            case .notices: a.notices != b.notices
            case .reason: a.reason != b.reason
            case .weights: a.weights != b.weights
            case .steps: a.losses.count != b.losses.count
            }
        }
    }

    /// An option, what it is compared with, and what it must change.
    struct Option: Sendable, CustomTestStringConvertible {
        var change: String
        var effect: Effect
        var base: [String]
        /// The width of the model.
        var hidden = 32
        var testDescription: String { change }

        init(_ change: String, _ effect: Effect, _ base: String...) {
            (self.change, self.effect, self.base) = (change, effect, base)
        }

        /// Over matrices of 4,096 values and more, the least that eight-bit moments are kept for.
        var wide: Option {
            var option = self
            option.hidden = 64
            return option
        }

        /// Beside an evaluation and a checkpoint after every step; the loss falls from step to step.
        init(_ change: String, _ effect: Effect, best base: [String]) {
            (self.change, self.effect) = (change, effect)
            self.base =
                ["test_size=3", "eval_strategy=steps", "eval_steps=1", "save_strategy=steps", "save_steps=1"] + base
        }
    }

    static let options: [Option] = [
        // BitsAndBytesConfig
        Option("load_in_4bit=true", .frozenBytes), Option("load_in_8bit=true", .frozenBytes),
        Option("bnb_4bit_quant_type=fp4", .losses, "load_in_4bit=true"),
        Option("bnb_4bit_use_double_quant=true", .losses, "load_in_4bit=true"),
        Option("bnb_4bit_compute_dtype=bfloat16", .losses, "load_in_4bit=true", "dtype=auto"),
        // LoraConfig
        Option("r=2", .trainable), Option("lora_alpha=64", .losses), Option("lora_dropout=0.5", .losses),
        Option("target_modules=[q_proj]", .trainable), Option("target_modules=.*layers\\.1.*", .trainable),
        Option("exclude_modules=[q_proj]", .trainable), Option("bias=all", .trainable),
        Option("bias=lora_only", .trainable), Option("modules_to_save=[embed_tokens]", .trainable),
        Option("use_rslora=true", .losses), Option("use_dora=true", .trainable),
        Option("rank_pattern={q_proj: 2}", .trainable), Option("alpha_pattern={q_proj: 99}", .losses),
        Option("layers_to_transform=[1]", .trainable), Option("init_lora_weights=gaussian", .losses),
        Option("loraplus_lr_ratio=16", .losses),
        // TrainingArguments
        Option("num_train_epochs=1", .steps, "max_steps=-1"), Option("max_steps=2", .steps),
        Option("per_device_train_batch_size=4", .tokens), Option("gradient_accumulation_steps=2", .tokens),
        Option("learning_rate=1e-4", .rates), Option("weight_decay=0.5", .weights), Option("adam_beta1=0.5", .weights),
        Option("adam_beta2=0.5", .weights), Option("adam_epsilon=1e-2", .weights),
        Option("max_grad_norm=0.01", .weights),
        Option("warmup_ratio=0.5", .rates), Option("warmup_steps=3", .rates),
        Option("lr_scheduler_type=cosine", .rates), Option("lr_scheduler_type=constant", .rates),
        Option("lr_scheduler_kwargs={num_cycles: 2}", .rates, "lr_scheduler_type=cosine"),
        Option("neftune_noise_alpha=5", .losses), Option("label_smoothing_factor=0.2", .weights),
        Option("logit_gradient_filter=0.5", .weights),
        Option("gradient_checkpointing=true", .activationBytes), Option("logging_steps=1", .logEntries),
        Option("fp16=true", .losses), Option("bf16=true", .losses), Option("dtype=bfloat16", .losses),
        Option("seed=7", .losses), Option("optim=sgd", .momentBytes),
        Option("optim=adamw_8bit", .momentBytes, "method=full").wide,
        Option("optim=paged_adamw_8bit", .momentBytes, "method=full").wide,
        Option("optim=paged_adamw_32bit", .momentBytes, "method=full", "optim=adamw_8bit").wide,
        Option("method=full", .trainable), Option("method=freeze", .trainable), Option("method=qlora", .frozenBytes),
        Option("freeze_trainable_layers=1", .trainable, "method=freeze"),
        // Saving and evaluating
        Option("save_strategy=epoch", .checkpoints), Option("save_steps=2", .checkpoints, "save_strategy=steps"),
        Option("save_total_limit=1", .checkpoints, "save_strategy=steps", "save_steps=2"),
        Option("eval_strategy=epoch", .evaluations, "test_size=3"),
        Option("evaluation_strategy=epoch", .evaluations, "test_size=3"),
        Option("eval_steps=2", .evaluations, "test_size=3", "eval_strategy=steps", "logging_steps=5"),
        Option("test_size=3", .tokens),
        Option("per_device_eval_batch_size=4", .activationBytes, "test_size=6", "eval_strategy=epoch"),
        Option("load_best_model_at_end=true", .weights, best: ["greater_is_better=true"]),
        Option(
            "metric_for_best_model=mean_token_accuracy", .weights,
            best: ["load_best_model_at_end=true", "greater_is_better=false"]),
        Option("greater_is_better=true", .weights, best: ["load_best_model_at_end=true"]),
        Option(
            "early_stopping_patience=1", .reason, best: ["load_best_model_at_end=true", "greater_is_better=true"]),
        Option(
            "early_stopping_threshold=100", .steps,
            best: ["load_best_model_at_end=true", "early_stopping_patience=2"]),
        // SFTTrainer and data
        Option("packing=true", .tokens, "max_seq_length=128"), Option("packing=wrapped", .tokens, "max_length=128"),
        Option("max_seq_length=128", .tokens, "packing=true", "max_length=256"),
        Option("max_length=24", .tokens, "overlength=cut", "train_on=all", "max_length=200"),
        Option("shuffle=false", .losses), Option("group_by_length=true", .losses, "per_device_train_batch_size=2"),
        Option("train_on=all", .losses), Option("completion_only_loss=false", .losses),
        Option("prompt_template=alpaca", .tokens), Option("prompt_template=chat", .tokens),
        Option("columns={output: input, input: output}", .losses),
    ]

    @Test(arguments: options)
    func changesSomething(_ option: Option) throws {
        let model = try TinyModel(hidden: option.hidden)
        let data = try model.tickets()
        let base = try Self.trace(model, data, option.base)
        let changed = try Self.trace(model, data, option.base + [option.change])
        #expect(option.effect.differs(base, changed), "\(base.losses) \(changed.losses)")
    }

    @Test func theSameRecipeGivesTheSameRun() throws {
        let model = try TinyModel()
        let data = try model.tickets()
        let set = ["lora_dropout=0.1", "neftune_noise_alpha=5", "test_size=3", "eval_strategy=epoch"]
        #expect(try Self.trace(model, data, set) == Self.trace(model, data, set))
    }

    @Test func theFieldOfTextIsTheOneNamed() throws {
        let model = try TinyModel()
        let rows = (0..<8).map { "{\"text\":\"one two\",\"body\":\"three four five \($0)\"}" }
        let data = try model.scratch.write("texts.jsonl", rows.joined(separator: "\n"))
        let plain = try Self.trace(model, data, ["prompt_template=text", "train_on=all"])
        let named = try Self.trace(model, data, ["prompt_template=text", "train_on=all", "dataset_text_field=body"])
        #expect(plain.tokens != named.tokens)
    }

    @Test func anAdapterToBeginWithIsWhereItBegins() throws {
        let model = try TinyModel()
        let data = try model.tickets()
        let first = try Self.trace(
            model, data, ["output_dir=\(model.beside("first"))", "learning_rate=2e-2", "max_steps=30"])
        let second = try Self.trace(model, data, ["init_adapter=\(model.beside("first"))", "shuffle=false"])
        let fresh = try Self.trace(model, data, ["shuffle=false"])
        #expect((second.losses.first ?? 9) < (fresh.losses.first ?? 0) - 0.2)
        #expect(first.trainable == second.trainable)
    }

    @Test func rowsThatStandTwiceAreLearnedOnceWhereAsked() throws {
        let model = try TinyModel()
        let data = try model.tickets(4)
        let rows = try String(contentsOfFile: data, encoding: .utf8)
        try (rows + rows).write(toFile: data, atomically: true, encoding: .utf8)
        let twice = try Self.trace(model, data, ["max_steps=-1"])
        let once = try Self.trace(model, data, ["max_steps=-1", "drop_duplicates=true"])
        #expect(twice.losses.count == 8 && once.losses.count == 4)
        let report = try Program.run("data", "check", data, "--model", model.path, "--json")
        #expect(try report.lines().first?["ledger"]?["bins"]?["duplicate"] == 0, "\(report.errors)")
        let recipe = try model.scratch.write("once.yaml", "drop_duplicates: true\n")
        let cleaned = try Program.run("data", "check", data, "--model", model.path, "--recipe", recipe, "--json")
        #expect(try cleaned.lines().first?["ledger"]?["bins"]?["duplicate"] == 4, "\(cleaned.errors)")
    }

    @Test func rowsThatAreTooLongAreDroppedCutOrStopTheRun() throws {
        let model = try TinyModel()
        let data = try model.tickets()
        let long = #"{"instruction":"Sort","input":""# + String(repeating: "zq ", count: 80) + #"","output":"x"}"#
        try (String(contentsOfFile: data, encoding: .utf8) + long + "\n").write(
            toFile: data, atomically: true, encoding: .utf8)
        #expect(throws: (any Error).self) { try Self.trace(model, data, ["max_length=100"]) }
        let dropped = try Self.trace(model, data, ["max_length=100", "overlength=drop", "max_steps=-1"])
        let whole = try Self.trace(model, data, ["max_length=400", "overlength=drop", "max_steps=-1"])
        #expect((dropped.tokens.last ?? 0) < (whole.tokens.last ?? 0))
    }

    @Test func memoryIsPlannedAndTheStreamOfEventsIsTheRun() async throws {
        let model = try TinyModel()
        let examples = try Example.examples(of: [try model.tickets()])
        let recipe = try Self.recipe(model, "unused.jsonl", [])
        let loaded = try LanguageModel.load(model.path, backend: CPUBackend(threads: 1))
        let run = try FineTuning(recipe, model: loaded, train: examples)
        let forecast = run.forecast
        #expect(forecast.masters == forecast.gradients && forecast.moments == 2 * forecast.masters)
        #expect(forecast.masters == 4 * run.trainableCount && forecast.warning == nil)
        var short = forecast
        short.machine = MachineMemory(total: 1 << 20, available: forecast.total - 1)
        #expect(short.warning?.contains("per_device_train_batch_size") == true)
        var steps = 0
        var isFinished = false
        for try await event in run.events() {
            if case .step = event { steps += 1 }
            if case .finished(let finish) = event { isFinished = finish.reason == .completed }
        }
        #expect(steps == 5 && isFinished)
    }

    // MARK: A run

    private static func recipe(_ model: TinyModel, _ data: String, _ set: [String]) throws -> Recipe {
        try Recipe(
            set: [
                "model_name_or_path=\(model.path)", "train_file=\(data)", "output_dir=\(model.beside("out"))", "r=4",
                "dtype=float32", "max_steps=5", "per_device_train_batch_size=2", "learning_rate=5e-3",
                "save_strategy=no", "logging_steps=5", "num_train_epochs=2",
            ] + set)
    }

    private static func trace(_ model: TinyModel, _ data: String, _ set: [String]) throws -> Trace {
        let recipe = try Self.recipe(model, data, set)
        try? FileManager.default.removeItem(atPath: recipe.outputDirectory)
        let run = try FineTuning(recipe, backend: try CPUBackend(threads: 1))
        var trace = Trace()
        trace.trainable = run.trainableCount
        trace.frozenBytes = run.forecast.weights
        trace.activationBytes = run.forecast.activations
        trace.momentBytes = run.forecast.moments
        let finish = try run.run { event in
            switch event {
            case .step(let step):
                trace.losses.append(step.loss)
                trace.rates.append(step.learningRate)
                trace.tokens.append(step.tokensSeen)
            case .evaluation(let result): trace.evaluations.append(result.loss)
            case .notice(let text): trace.notices.append(text)
            default: break
            }
        }
        trace.reason = finish.reason.rawValue
        trace.logEntries = run.trainer.progress.logHistory.count
        trace.checkpoints = CheckpointStore.steps(in: recipe.outputDirectory)
        let folder = recipe.outputDirectory
        let names = ["adapter_model.safetensors", "model.safetensors"].map { folder + "/" + $0 }
        if let file = names.first(where: { FileManager.default.fileExists(atPath: $0) }) {
            trace.weights = try FileFingerprint(ofFile: file).checkSum
        }
        return trace
    }
}
