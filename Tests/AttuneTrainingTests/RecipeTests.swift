import AttuneData
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneTraining
import Testing

/// What a recipe says wrong, and words its error must hold.
private struct BadRecipe: Sendable, CustomTestStringConvertible {
    let yaml: String
    let words: [String]

    init(_ yaml: String, _ words: String...) { (self.yaml, self.words) = (yaml, words) }

    var testDescription: String { yaml }
}

private let badRecipes = [
    BadRecipe("learning_rte: 1", "r.yaml:1", "learning_rte", "did you mean learning_rate?"),
    BadRecipe("epochs: 3", "did you mean num_train_epochs?"),
    BadRecipe("lora_alpa: 3", "lora_alpha"),
    BadRecipe("qqqqqqqq: 3", "no key of a recipe", "schema"),
    BadRecipe("seed: 1\nlearning_rate: fast", "r.yaml:2", "learning_rate", "a number of 0 or more", "'fast'"),
    BadRecipe("learning_rate: \"2e-4\"", "quotes"),
    BadRecipe("learning_rate: nan", "'nan'"),
    BadRecipe("learning_rate: -1", "0 or more"),
    BadRecipe("r: 0", "at least 1"),
    BadRecipe("r: 1.5", "whole number"),
    BadRecipe("r: [1]", "got a list"),
    BadRecipe("lora_dropout: 1", "below 1"),
    BadRecipe("packing: maybe", "false, true, wrapped"),
    BadRecipe("shuffle: 3", "true or false"),
    BadRecipe("fp16: 16", "true or false"),
    BadRecipe("max_steps: 0", "whole number"),
    BadRecipe("lr_scheduler_type: cosin", "did you mean cosine?"),
    BadRecipe("optim: lion", "adamw_torch"),
    BadRecipe("dtype: int8", "bfloat16"),
    BadRecipe("report_to: wandb", "tensorboard", "network"),
    BadRecipe("report_to: [none, tensorboard]", "keep one"),
    BadRecipe("eval_strategy: sometimes", "epoch"),
    BadRecipe("method: qlora\nload_in_4bit: false", "needs a base in few bits"),
    BadRecipe("method: full\nload_in_4bit: true", "write method: qlora"),
    BadRecipe("load_in_8bit: true\nload_in_4bit: true", "exclude each other"),
    BadRecipe("method: full\ninit_adapter: x", "init_adapter", "merge"),
    BadRecipe("load_in_4bit: true\ndtype: float32\nbnb_4bit_compute_dtype: float16", "one type"),
    BadRecipe("fp16: true\nbf16: true", "keep one", "line 1"),
    BadRecipe("max_length: 5\nmax_seq_length: 6", "max_length on line 1", "keep one"),
    BadRecipe("seed: 1\nseed: 2", "seed", "twice"),
    BadRecipe("eval_strategy: epoch", "nothing to evaluate"),
    BadRecipe("test_size: 0.1\neval_file: x.jsonl", "keep one"),
    BadRecipe("test_size: 1.5", "whole number of rows"),
    BadRecipe("load_best_model_at_end: true", "needs evaluations"),
    BadRecipe("test_size: 5\nload_best_model_at_end: true\neval_strategy: epoch", "make them the same"),
    BadRecipe(
        "test_size: 5\nload_best_model_at_end: true\neval_strategy: steps\neval_steps: 30\nsave_steps: 100",
        "multiple of eval_steps (30)"),
    BadRecipe("early_stopping_patience: 2", "load_best_model_at_end"),
    BadRecipe("early_stopping_threshold: 0.1", "early_stopping_patience"),
    BadRecipe("packing: wrapped\noverlength: cut", "wrapped"),
    BadRecipe("warmup_steps: 1.5", "whole number of steps"),
    BadRecipe("target_modules: '(q_proj'", "target_modules", "regular expression"),
    BadRecipe("rank_pattern: {'(q': 4}", "rank_pattern"),
    BadRecipe("rank_pattern: {q: 0}", "at least 1"),
    BadRecipe("lr_scheduler_kwargs: {power: 2}", "unknown to linear"),
    BadRecipe("lr_scheduler_type: cosine\nlr_scheduler_kwargs: {num_cycles: many}", "a number"),
    BadRecipe("lr_scheduler_type: cosine_with_min_lr", "min_lr_rate"),
    BadRecipe("lr_scheduler_type: warmup_stable_decay", "num_decay_steps"),
    BadRecipe(
        "lr_scheduler_type: warmup_stable_decay\nlr_scheduler_kwargs: {num_decay_steps: 5, decay_type: steep}", "1-sqrt"
    ),
    BadRecipe("columns: {label: answer}", "columns", "instruction"),
    BadRecipe("prompt_template: alpacca", "did you mean alpaca?"),
    BadRecipe("device: gpu", "cuda:N"),
    BadRecipe("task_type: SEQ_CLS", "CAUSAL_LM"),
    BadRecipe("tokenizer: x", "model's folder"),
    BadRecipe("columns: {a: {b: c}}", "nests too deeply"),
    BadRecipe("a: &x 1", "anchors"),
    BadRecipe("a: *x", "anchors"),
    BadRecipe("seed: !!int 3", "tags"),
    BadRecipe("- seed", "key: value"),
    BadRecipe("seed: 1\n  r: [", "r.yaml:2"),
    BadRecipe("seed: [1, 2", "r.yaml:", "not YAML"),
    BadRecipe("seed: " + String(repeating: "[", count: 100_000), "brackets"),
    BadRecipe(String(repeating: "- ", count: 100_000), "columns"),
    BadRecipe("seed: 1\0", "zero byte"),
    BadRecipe("# " + String(repeating: "x", count: 1 << 20), "larger than"),
]

@Suite struct RecipeTests {
    @Test(arguments: badRecipes) private func badRecipeIsNamed(_ bad: BadRecipe) throws {
        let error = try #require(throws: RecipeError.self) { try Recipe(yaml: bad.yaml, file: "r.yaml") }
        #expect(error.kind == .badRecipe)
        #expect(error.problems.count == 1)
        for problem in error.problems { #expect(!problem.description.contains("\n")) }
        for word in bad.words { #expect(error.description.contains(word), "\(error)") }
    }

    @Test func allProblemsAreSaidAtOnce() throws {
        let error = try #require(throws: RecipeError.self) {
            try Recipe(
                yaml: "lerning_rate: 1\nr: x\nload_best_model_at_end: "
                    + "true", file: "r.yaml", set: ["seed", "bias=some"],
                flags: [("max_length", "1")])
        }
        #expect(
            error.problems.map(\.key) == [
                "lerning_rate", "r", "seed", "bias", "--max-length", "load_best_model_at_end",
            ])
        #expect(error.problems.map(\.place) == ["r.yaml:1", "r.yaml:2", "--set", "--set", nil, "r.yaml:3"])
    }

    @Test(arguments: [
        ("evaluation_strategy: no", "eval_strategy: false"), ("max_seq_length: 77", "max_length: 77"),
        ("torch_dtype: torch.float16", "dtype: float16"), ("fp16: true", "dtype: float16"),
        (
            "bf16: True",
            "dtype: "
                + "bfloat16"
        ),
        ("fp16: false\nbf16: true", "dtype: bfloat16"), ("torch_dtype: float16\nfp16: true", "dtype: float16"),
        ("use_cpu: true", "device: cpu"), ("dataset_text_field: body", "columns: {text: body}"),
        ("dataset_text_field: text", ""), ("lora_r: 4", "r: 4"),
        (
            "lora_target_modules: [q_proj]",
            "target_modules: "
                + "[q_proj]"
        ),
        ("model: x", "model_name_or_path: x"), ("data: x", "train_file: x"),
        (
            "assistant_only_loss: "
                + "true", "train_on: assistant"
        ),
        ("completion_only_loss: false", "train_on: all"), ("optim: adamw_torch_fused", "optim: adamw_torch"),
        ("device_map: auto\ntask_type: CAUSAL_LM", ""), ("load_in_4bit: true", "method: qlora"),
        ("method: lora\nload_in_4bit: true", "method: qlora"), ("report_to: all", "report_to: tensorboard"),
        ("save_total_limit: None\neval_steps: ~\nmax_steps: -1", ""), ("num_train_epochs: 3.0\nseed: 42", ""),
        ("warmup_ratio: 0.5\nwarmup_steps: 7", "warmup_steps: 7"), ("lora_alpha: 1.6e+1", "lora_alpha: 16"),
    ])
    func otherSpellingsMeanTheSame(_ pair: (String, String)) throws {
        #expect(try Recipe(yaml: pair.0) == Recipe(yaml: pair.1))
        // Negative control: equality sees a difference.
        #expect(try Recipe(yaml: pair.0) != Recipe(yaml: pair.1 + "\nadam_beta1: 0.123"))
    }

    @Test func flagWinsOverSetOverRecipeOverModelOverDefault() throws {
        let yaml = "seed: 1\nr: 2"
        let all = try Recipe(yaml: yaml, file: "r.yaml", set: ["seed=3", "seed=4"], flags: [("seed", "5")])
        #expect(all.seed == 5 && all.origin(.seed) == .flag)
        let two = try Recipe(yaml: yaml, file: "r.yaml", set: ["seed=3", "seed=4"])
        #expect(two.seed == 4 && two.origin(.seed) == .set)
        let one = try Recipe(yaml: yaml, file: "r.yaml")
        #expect(one.seed == 1 && one.origin(.seed) == .recipe(file: "r.yaml", line: 1))
        #expect(one.origin(.alpha) == .standard)
        #expect(one.adopting(modelDType: "bfloat16").origin(.dtype) == .model)
        #expect(one.adopting(modelDType: "torch.float16").trainingOptions().scalesLoss)
        #expect(one.adopting(modelDType: "float64")[.dtype] == .text("float32"))
        let fixed = try Recipe(yaml: "dtype: float32")
        #expect(fixed.adopting(modelDType: "bfloat16")[.dtype] == .text("float32"))
        let again = try all.setting(.seed, to: .integer(6))
        #expect(again.seed == 6 && again.origin(.seed) == .program)
        #expect(throws: RecipeError.self) { try all.setting(.seed, to: .text("six")) }
    }

    @Test func higherPlaceTurnsOffWhatExcludesIt() throws {
        let quantized = "method: qlora\nload_in_4bit: true\nbnb_4bit_compute_dtype: float16"
        let plain = try Recipe(yaml: quantized, flags: [("method", "lora")])
        #expect(plain.method == .lora && plain.quantization == nil)
        #expect(plain.origin(.loadIn4Bit) == .derived(from: [.method]))
        let unloaded = try Recipe(yaml: quantized, set: ["load_in_4bit=false"])
        #expect(unloaded.method == .lora && unloaded.quantization == nil)
        let eight = try Recipe(yaml: quantized, flags: [("load_in_8bit", "true")])
        #expect(eight.method == .qlora && eight.quantization?.format == .int8)
        #expect(try Recipe(yaml: "method: full", flags: [("load_in_4bit", "true")]).method == .qlora)
        #expect(try Recipe(flags: [("method", "qlora")]).quantization == QuantizationChoice(format: .nf4))
        #expect(try Recipe(yaml: quantized, flags: [("bf16", "true")])[.quantComputeDType] == .text("bfloat16"))
        let file = try Recipe(yaml: "test_size: 0.1", flags: [("eval_file", "x")])
        #expect(file.testSize == nil && file.evaluationFile == "x")
        let warmup = try Recipe(yaml: "warmup_steps: 5", flags: [("warmup_ratio", "0.1")]).trainingOptions()
        #expect(warmup.warmupSteps == nil && warmup.warmupRatio == 0.1)
        #expect(try Recipe(yaml: "warmup_steps: 0.2").trainingOptions().warmupRatio == 0.2)
        #expect(try Recipe(yaml: "test_size: 3\neval_strategy: steps").trainingOptions().evaluation == .steps(10))
    }

    @Test func flagsAreTakenOutOfACommandLine() throws {
        let (settings, rest) = try Recipe.parseFlags([
            "recipe.yaml", "--learning-rate", "2e-4", "--json", "--seed=7", "--packing", "--no-shuffle",
            "--group-by-length",
            "false", "--target-modules", "q_proj,v_proj", "--target-modules", "o_proj", "--rank-pattern", "q_proj=4",
            "--max_steps", "-1", "--fp16", "--no-such", "x", "--", "--seed", "9",
        ])
        #expect(rest == ["recipe.yaml", "--json", "--no-such", "x", "--", "--seed", "9"])
        #expect(
            settings.map { "\($0.key)=\($0.value)" } == [
                "learning_rate=2e-4", "seed=7", "packing=true", "shuffle=false", "group_by_length=false",
                "target_modules=q_proj,v_proj,o_proj", "rank_pattern=q_proj=4", "max_steps=-1", "fp16=true",
            ])
        let recipe = try Recipe(flags: settings)
        #expect(recipe[.targetModules] == .list([.text("q_proj"), .text("v_proj"), .text("o_proj")]))
        #expect(recipe.computeType == .float16 && recipe.packing == .bestFit)
        #expect(try Recipe.parseFlags(["--packing", "wrapped"]).settings.first?.value == "wrapped")
        #expect(try Recipe.parseFlags(["--packing", "file.yaml"]).rest == ["file.yaml"])
        let error = #expect(throws: RecipeError.self) { try Recipe.parseFlags(["--learning-rate", "--json"]) }
        #expect(error?.kind == .usage)
        #expect(throws: RecipeError.self) { try Recipe.parseFlags(["--seed"]) }
        let pattern = try Recipe(flags: [("target_modules", #".*\.[qv]_proj"#)])
        guard case .pattern? = try pattern.loraOptions()?.targets else { Issue.record("not a pattern"); return }
    }

    @Test func resolvedTextKeepsAnyText() throws {
        let texts = [
            "&a", "a, &b: *c !d", "a # b", "\"q\"", "1e-4", "null", "line\nbreak",
            "é 😀 "
                + "\u{2028}\u{85}", "- x", "{a}", "\\x",
        ]
        for text in texts {
            let recipe = try Recipe().setting(.model, to: .text(text))
                .setting(.columns, to: .table([.init(key: "text", value: .text(text))]))
            let again = try Recipe(yaml: recipe.resolvedYAML)
            #expect(again == recipe, "\(recipe.resolvedYAML)")
            #expect(Array((again.modelPath ?? "").utf8) == Array(text.utf8))
        }
        let json = try Recipe(set: ["seed=7"]).resolvedJSON
        #expect(json["seed"]?["value"]?.intValue == 7 && json["seed"]?["origin"] == "--set")
        #expect(json["r"]?["origin"] == "default")
    }

    @Test func missingKeysAndFilesAreNamed() throws {
        #expect(try Recipe().missing([.model, .trainFile]).map(\.key) == ["model_name_or_path", "train_file"])
        #expect(try Recipe(yaml: "model: x").missing([.model]).isEmpty)
        let error = #expect(throws: RecipeError.self) { try Recipe(contentsOf: "/no/such/recipe.yaml") }
        #expect(error?.kind == .missingInput)
        let template = try Recipe(yaml: "prompt_template: no/such.txt")
        #expect(throws: RecipeError.self) { try template.promptForm() }
    }
}
