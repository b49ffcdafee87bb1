import AttuneData
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneTraining
import Testing

/// A key, a way to write it, and what it must become.
struct RecipeRow: Sendable, CustomTestStringConvertible {
    let name: RecipeName
    let written: String
    let value: RecipeValue
    /// What else must be said for the key to be allowed.
    let context: String
    /// Something a runner reads that must differ from the default recipe.
    let observed: @Sendable (Recipe) throws -> String

    init(
        _ name: RecipeName, _ written: String, _ value: RecipeValue, context: String = "",
        _ observed: @escaping @Sendable (Recipe) throws -> String
    ) {
        (self.name, self.written, self.value, self.context, self.observed) = (name, written, value, context, observed)
    }

    var testDescription: String { "\(name.rawValue): \(written)" }
}

private func options(_ path: @escaping @Sendable (TrainingOptions) -> String) -> @Sendable (Recipe) throws -> String {
    { path($0.trainingOptions()) }
}

private func lora(_ path: @escaping @Sendable (LoRAOptions) -> String) -> @Sendable (Recipe) throws -> String {
    { try path(#require(try $0.loraOptions())) }
}

private func described(_ targets: TargetModules?) -> String {
    switch targets {
    case nil: "nil"
    case .names(let names): "names \(names)"
    case .pattern(let pattern): "pattern \(pattern.source)"
    case .allLinear: "all"
    }
}

private let module = "model.layers.0.self_attn.q_proj"

let recipeRows: [RecipeRow] = [
    RecipeRow(.model, "some/model", .text("some/model")) { "\($0.modelPath ?? "")" },
    RecipeRow(.method, "full", .text("full")) { "\($0.trainingMode())" },
    RecipeRow(.freezeTrainableLayers, "3", .integer(3), context: "method: freeze") { "\($0.trainingMode())" },
    RecipeRow(.dtype, "bfloat16", .text("bfloat16")) { "\($0.computeType as DType?)" },
    RecipeRow(.initAdapter, "before", .text("before")) { "\($0.initialAdapter ?? "")" },
    RecipeRow(.outputDirectory, "elsewhere", .text("elsewhere")) { $0.outputDirectory },
    RecipeRow(.seed, "7", .integer(7)) { "\($0.trainingOptions().seed) \($0.batchOptions.seed)" },
    RecipeRow(.threads, "3", .integer(3)) { "\($0.threads ?? 0)" },
    RecipeRow(.device, "cuda:1", .text("cuda:1")) { "\($0.device)" },
    RecipeRow(.trainFile, "rows.jsonl", .text("rows.jsonl")) { "\($0.trainFile ?? "")" },
    RecipeRow(.evalFile, "test.jsonl", .text("test.jsonl")) { "\($0.evaluationFile ?? "")" },
    RecipeRow(.testSize, "0.25", .number(0.25)) { "\($0.testSize.map { "\($0)" } ?? "")" },
    RecipeRow(.promptTemplate, "alpaca_newline", .text("alpaca_newline")) { "\(try $0.promptForm())" },
    RecipeRow(.columns, "{output: label}", .table([.init(key: "output", value: .text("label"))])) { "\($0.columns)" },
    RecipeRow(.trainOn, "all", .text("all")) { "\($0.trainOn)" },
    RecipeRow(.maxLength, "512", .integer(512)) { "\($0.maxLength) \($0.batchOptions.maxLength)" },
    RecipeRow(.dropDuplicates, "true", .flag(true)) { "\($0.dropsDuplicates)" },
    RecipeRow(.overlength, "drop", .text("drop")) { "\($0.overlength)" },
    RecipeRow(.packing, "wrapped", .text("wrapped")) { "\($0.batchOptions.packing)" },
    RecipeRow(.shuffle, "false", .flag(false)) { "\($0.batchOptions.shuffles)" },
    RecipeRow(.groupByLength, "true", .flag(true)) { "\($0.batchOptions.groupsByLength)" },
    RecipeRow(.loadIn4Bit, "true", .flag(true)) { "\($0.quantization as QuantizationChoice?)" },
    RecipeRow(.loadIn8Bit, "true", .flag(true)) { "\($0.quantization as QuantizationChoice?)" },
    RecipeRow(
        .quantType, "fp4", .text("fp4"),
        context: "load_in_4bit: "
            + "true"
    ) { "\($0.quantization?.format.rawValue ?? "")" },
    RecipeRow(.quantComputeDType, "float16", .text("float16"), context: "load_in_4bit: true") {
        "\($0.computeType as DType?) \($0.trainingOptions().scalesLoss)"
    },
    RecipeRow(
        .doubleQuant, "true", .flag(true),
        context: "load_in_4bit: "
            + "true"
    ) { "\($0.quantization?.isDouble ?? false)" },
    RecipeRow(.rank, "16", .integer(16), lora { "\($0.rank)" }),
    RecipeRow(.alpha, "32", .number(32), lora { "\($0.alpha)" }),
    RecipeRow(.dropout, "0.05", .number(0.05), lora { "\($0.dropout)" }),
    RecipeRow(
        .targetModules,
        "[q_proj, "
            + "v_proj]", .list([.text("q_proj"), .text("v_proj")]), lora { described($0.targets) }),
    RecipeRow(.excludeModules, "o_proj", .list([.text("o_proj")]), lora { described($0.excluded) }),
    RecipeRow(.bias, "lora_only", .text("lora_only"), lora { "\($0.bias)" }),
    RecipeRow(.modulesToSave, "[lm_head]", .list([.text("lm_head")]), lora { "\($0.modulesToSave)" }),
    RecipeRow(.useRSLoRA, "true", .flag(true), lora { "\($0.isRankStabilized)" }),
    RecipeRow(.useDoRA, "true", .flag(true), lora { "\($0.usesDoRA)" }),
    RecipeRow(
        .rankPattern,
        "{q_proj: "
            + "4}", .table([.init(key: "q_proj", value: .integer(4))]), lora { "\($0.rank(of: module))" }),
    RecipeRow(
        .alphaPattern,
        "{q_proj: "
            + "4}", .table([.init(key: "q_proj", value: .number(4))]), lora { "\($0.scale(of: module))" }),
    RecipeRow(.layersToTransform, "[0, 2]", .list([.integer(0), .integer(2)]), lora { "\($0.layers ?? [])" }),
    RecipeRow(.initLoRAWeights, "gaussian", .text("gaussian"), lora { "\($0.initialization)" }),
    RecipeRow(.loraPlusRatio, "16", .number(16), options { "\($0.loraPlusRatio)" }),
    RecipeRow(.epochs, "1.5", .number(1.5), options { "\($0.epochs)" }),
    RecipeRow(.maxSteps, "20", .integer(20), options { "\($0.maxSteps ?? 0)" }),
    RecipeRow(.trainBatchSize, "2", .integer(2)) { "\($0.batchOptions.batchSize)" },
    RecipeRow(.evalBatchSize, "2", .integer(2)) { "\($0.evaluationBatchOptions.batchSize)" },
    RecipeRow(.accumulation, "4", .integer(4), options { "\($0.accumulation)" }),
    RecipeRow(.learningRate, "1e-3", .number(1e-3), options { "\($0.learningRate)" }),
    RecipeRow(.weightDecay, "0.01", .number(0.01), options { "\($0.weightDecay)" }),
    RecipeRow(.adamBeta1, "0.8", .number(0.8), options { "\($0.adamBeta1)" }),
    RecipeRow(.adamBeta2, "0.95", .number(0.95), options { "\($0.adamBeta2)" }),
    RecipeRow(.adamEpsilon, "1e-6", .number(1e-6), options { "\($0.adamEpsilon)" }),
    RecipeRow(.maxGradNorm, "0.3", .number(0.3), options { "\($0.maxGradNorm)" }),
    RecipeRow(.warmupRatio, "0.03", .number(0.03), options { "\($0.warmupRatio)" }),
    RecipeRow(.warmupSteps, "10", .number(10), options { "\($0.warmupSteps ?? 0)" }),
    RecipeRow(.schedule, "cosine", .text("cosine"), options { "\($0.schedule)" }),
    RecipeRow(
        .scheduleArguments, "{num_cycles: 2}", .table([.init(key: "num_cycles", value: .number(2))]),
        context: "lr_scheduler_type: cosine", options { "\($0.scheduleParameters)" }),
    RecipeRow(.optimizer, "sgd", .text("sgd"), options { "\($0.optimizer)" }),
    RecipeRow(.neftuneAlpha, "5", .number(5), options { "\($0.neftuneAlpha)" }),
    RecipeRow(.labelSmoothing, "0.1", .number(0.1), options { "\($0.labelSmoothing)" }),
    RecipeRow(.logitGradientFilter, "0.01", .number(0.01), options { "\($0.logitGradientFilter)" }),
    RecipeRow(.gradientCheckpointing, "true", .flag(true), options { "\($0.gradientCheckpointing)" }),
    RecipeRow(.loggingSteps, "5", .integer(5), options { "\($0.loggingSteps)" }),
    RecipeRow(.saveStrategy, "epoch", .text("epoch"), options { "\($0.saving)" }),
    RecipeRow(.saveSteps, "50", .integer(50), options { "\($0.saving)" }),
    RecipeRow(.saveTotalLimit, "2", .integer(2), options { "\($0.saveTotalLimit ?? 0)" }),
    RecipeRow(.evalStrategy, "epoch", .text("epoch"), context: "test_size: 0.1", options { "\($0.evaluation)" }),
    RecipeRow(
        .evalSteps, "25", .integer(25), context: "test_size: 0.1\neval_strategy: steps", options { "\($0.evaluation)" }),
    RecipeRow(
        .loadBest, "true", .flag(true), context: "test_size: 0.1\neval_strategy: epoch\nsave_strategy: epoch",
        options { "\($0.loadsBest)" }),
    RecipeRow(
        .bestMetric, "eval_mean_token_accuracy", .text("mean_token_accuracy"),
        options { "\($0.bestMetric) \($0.greaterIsBetter)" }),
    RecipeRow(.greaterIsBetter, "true", .flag(true), options { "\($0.greaterIsBetter)" }),
    RecipeRow(
        .earlyStoppingPatience, "3", .integer(3),
        context: "test_size: 0.1\neval_strategy: epoch\nsave_strategy: epoch\nload_best_model_at_end: true",
        options { "\($0.earlyStoppingPatience ?? 0)" }),
    RecipeRow(
        .earlyStoppingThreshold, "0.01", .number(0.01),
        context: "test_size: 0.1\neval_strategy: epoch\nsave_strategy: epoch\nload_best_model_at_end: true\n"
            + "early_stopping_patience: 3", options { "\($0.earlyStoppingThreshold)" }),
    RecipeRow(.reportTo, "tensorboard", .list([.text("tensorboard")])) { "\($0.reporters)" },
]

@Suite struct RecipeKeyTests {
    @Test func everyKeyHasARowAndATableEntry() {
        #expect(Set(recipeRows.map(\.name)) == Set(RecipeName.allCases))
        #expect(RecipeKey.all.map(\.name.rawValue).sorted() == RecipeName.allCases.map(\.rawValue).sorted())
    }

    @Test(arguments: recipeRows) func keyChangesWhatARunnerReads(_ row: RecipeRow) throws {
        let without = try Recipe(yaml: row.context)
        let with = try Recipe(yaml: row.context + "\n\(row.name.rawValue): \(row.written)\n", file: "r.yaml")
        #expect(with[row.name] == row.value)
        #expect(with != without)
        let line = row.context.split(separator: "\n").count + (row.context.isEmpty ? 2 : 1)
        #expect(with.origin(row.name) == .recipe(file: "r.yaml", line: line))
        #expect(try row.observed(with) != (try row.observed(without)))
    }

    @Test(arguments: recipeRows) func flagSaysTheSameAsTheRecipe(_ row: RecipeRow) throws {
        let parsed = try Recipe.parseFlags([RecipeKey.named(row.name).flag + "=" + row.written])
        #expect(parsed.rest.isEmpty)
        let flagged = try Recipe(yaml: row.context, flags: parsed.settings)
        #expect(flagged[row.name] == row.value)
        #expect(flagged.origin(row.name) == .flag)
        #expect(try Recipe(yaml: row.context, set: ["\(row.name.rawValue)=\(row.written)"])[row.name] == row.value)
    }

    @Test(arguments: recipeRows) func resolvedTextReadsBackEqual(_ row: RecipeRow) throws {
        let recipe = try Recipe(yaml: row.context + "\n\(row.name.rawValue): \(row.written)\n")
        let again = try Recipe(yaml: recipe.resolvedYAML)
        #expect(again == recipe)
        #expect(again.validate().isEmpty)
        #expect(try row.observed(again) == (try row.observed(recipe)))
    }

    @Test func schemaAndHelpNameEveryKey() throws {
        for key in RecipeKey.all {
            #expect(Recipe.schemaText.contains(key.summary))
            #expect(Recipe.flagHelp.contains("  \(key.flag) "))
            #expect(Recipe.flagNames[key.flag] == key.name.rawValue)
        }
        let schema = try #require(Recipe.schemaJSON.arrayValue)
        #expect(schema.compactMap { $0["key"]?.stringValue } == RecipeKey.all.map(\.name.rawValue))
        #expect(schema.first { $0["key"] == "lora_alpha" }?["default"]?.doubleValue == 8)
        #expect(schema.first { $0["key"] == "eval_strategy" }?["aliases"] == ["evaluation_strategy"])
    }

    @Test func defaultsAreThoseOfTransformersTRLAndPEFT() throws {
        let recipe = try Recipe()
        let options = recipe.trainingOptions()
        #expect(options.epochs == 3 && options.maxSteps == nil && options.accumulation == 1)
        #expect(options.schedule == .linear && options.warmupRatio == 0 && options.warmupSteps == nil)
        #expect(options.weightDecay == 0 && options.adamBeta1 == 0.9 && options.adamBeta2 == 0.999)
        #expect(options.adamEpsilon == 1e-8 && options.maxGradNorm == 1 && options.seed == 42)
        #expect(options.loggingSteps == 10 && options.saving == .steps(500) && options.evaluation == .no)
        #expect(recipe.batchOptions.batchSize == 8 && recipe.maxLength == 1024 && recipe.packing == .none)
        let lora = try #require(try recipe.loraOptions())
        #expect(lora.rank == 8 && lora.alpha == 8 && lora.dropout == 0 && lora.bias == .none)
        #expect(recipe.method == .lora && options.learningRate == 2e-4)
        #expect(try Recipe(yaml: "method: full").trainingOptions().learningRate == 2e-5)
        #expect(try Recipe(yaml: "method: full").loraOptions() == nil)
    }
}
