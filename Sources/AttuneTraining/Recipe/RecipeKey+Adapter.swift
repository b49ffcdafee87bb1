import AttuneModels

extension RecipeKey {
    /// PEFT's word for all matrices but the head.
    static let allLinear = "all-linear"

    static let adapterKeys: [RecipeKey] = [
        RecipeKey(.rank, .integer(atLeast: 1), .integer(8), "The rank of an adapter's matrices."),
        RecipeKey(.alpha, .number(.positive), .number(8), "The adapter's output is scaled by lora_alpha/r."),
        RecipeKey(
            .dropout, .number(.belowOne), .number(0),
            "Probability that an input element of an adapter is "
                + "dropped."),
        RecipeKey(
            .targetModules, .modules, .text(allLinear),
            "The matrices that get an adapter: names, a regular expression over the whole path, or all-linear (all but the head). PEFT "
                + "reaches q_proj and v_proj of most families; QLoRA found that all matrices are needed to match full tuning. A single "
                + "word is a name."),
        RecipeKey(.excludeModules, .modules, .none, "Matrices left out of target_modules."),
        RecipeKey(
            .bias, .choice(LoRAOptions.Bias.allCases.map(\.rawValue)), .text("none"),
            "Which base biases are trained and saved along."),
        RecipeKey(
            .modulesToSave, .texts, .list([]),
            "Modules trained whole and saved with the adapter, for example "
                + "[embed_tokens, lm_head]."),
        RecipeKey(.useRSLoRA, .flag, .flag(false), "Scales by lora_alpha/√r instead."),
        RecipeKey(.useDoRA, .flag, .flag(false), "Learns magnitudes beside directions (DoRA)."),
        RecipeKey(
            .rankPattern, .integerTable, .table([]),
            "Other ranks for modules whose path ends with the key, a "
                + "regular expression."),
        RecipeKey(
            .alphaPattern, .numberTable, .table([]),
            "Other lora_alpha for modules whose path ends with the "
                + "key."),
        RecipeKey(.layersToTransform, .integers, .none, "Only these blocks get an adapter, counted from 0."),
        RecipeKey(
            .initLoRAWeights, .choice(["true", "gaussian"]), .text("true"),
            "How A starts: true is Kaiming's uniform, gaussian a normal. B starts at zero in "
                + "both.", words: ["kaiming": "true"]),
        RecipeKey(
            .loraPlusRatio, .number(.positive), .none,
            "LoRA+: the learning rate of B over that of A; unless "
                + "said they are equal."),
    ]

    static let stepKeys: [RecipeKey] = [
        RecipeKey(.epochs, .number(.positive), .number(3), "Passes over the rows; a fraction stops inside one."),
        RecipeKey(
            .maxSteps, .integer(atLeast: -1), .integer(-1),
            "Stops after this many steps whatever "
                + "num_train_epochs says; -1 for never."),
        RecipeKey(.trainBatchSize, .integer(atLeast: 1), .integer(8), "Rows, or packed sequences, of a batch."),
        RecipeKey(
            .evalBatchSize, .integer(atLeast: 1), .integer(8),
            "Rows, or packed sequences, of an evaluation "
                + "batch."),
        RecipeKey(
            .accumulation, .integer(atLeast: 1), .integer(1),
            "Batches whose gradients are added up for a step. The loss is the mean over all trained tokens of the step."
        ),
        RecipeKey(
            .learningRate, .number(.notNegative), .none,
            "The highest learning rate. Unless said it is TRL's 2e-5 for full and freeze, and 2e-4 for lora and qlora: adapters start "
                + "at zero and learn nothing in a short run at 2e-5."),
        RecipeKey(
            .weightDecay, .number(.notNegative), .number(0),
            "Decoupled weight decay; biases and norms are "
                + "spared."),
        RecipeKey(.adamBeta1, .number(.belowOne), .number(0.9), "β₁ of AdamW."),
        RecipeKey(.adamBeta2, .number(.belowOne), .number(0.999), "β₂ of AdamW."),
        RecipeKey(.adamEpsilon, .number(.positive), .number(1e-8), "ε of AdamW."),
        RecipeKey(
            .maxGradNorm, .number(.notNegative), .number(1),
            "Gradients are scaled down to this norm; 0 for "
                + "never."),
        RecipeKey(.warmupRatio, .number(.belowOne), .number(0), "Steps of warm-up as a share of all."),
        RecipeKey(
            .warmupSteps, .number(.notNegative), .number(0),
            "Steps of warm-up; below 1 a share of all. Overrules warmup_ratio said in the same place."),
        RecipeKey(
            .schedule, .choice(Schedule.Kind.allCases.map(\.rawValue)), .text(Schedule.Kind.linear.rawValue),
            "The shape of the learning rate."),
        RecipeKey(.scheduleArguments, .mixedTable, .table([]), "What the shape needs, for example {num_cycles: 0.5}."),
        RecipeKey(
            .optimizer, .choice(OptimizerKind.allCases.map(\.rawValue)), .text(OptimizerKind.adamW.rawValue),
            "The optimizer. transformers' adamw_torch_fused is the same arithmetic and is understood.",
            words: optimizerWords),
        RecipeKey(
            .neftuneAlpha, .number(.positive), .none,
            "NEFTune's α: noise on embeddings while training; "
                + "unless said there is none."),
        RecipeKey(.labelSmoothing, .number(.belowOne), .number(0), "ε of label smoothing."),
        RecipeKey(
            .logitGradientFilter, .number(.belowOne), .number(0),
            "Probabilities no larger than this do not reach the head's backward product where 64 neighbours are as small, which saves up "
                + "to half of it; 0 is exact, 0.000244 (2⁻¹²) about what bfloat16 loses anyway."),
        RecipeKey(
            .gradientCheckpointing, .flag, .flag(false),
            "Runs blocks again in the backward pass instead of keeping their values. TRL's default is true; here it costs a third more "
                + "time for memory that the plan before step 0 says whether you need."),
    ]

    private static let optimizerWords = Dictionary(
        ["adamw_torch_fused", "adamw_hf", "adamw", "adamw_bnb_8bit", "paged_adamw"].compactMap { word in
            OptimizerKind(name: word).map { (word, $0.rawValue) }
        }, uniquingKeysWith: { first, _ in first })

    /// The strategies; YAML 1.1 writers turn a bare `no` into `false`.
    private static let strategies = Kind.choice(["no", "steps", "epoch"])
    private static let strategyWords = ["false": "no", "off": "no"]

    static let watchKeys: [RecipeKey] = [
        RecipeKey(.loggingSteps, .integer(atLeast: 1), .integer(10), "Logs every so many steps."),
        RecipeKey(.saveStrategy, strategies, .text("steps"), "When a checkpoint is saved.", words: strategyWords),
        RecipeKey(.saveSteps, .integer(atLeast: 1), .integer(500), "With save_strategy steps: every so many."),
        RecipeKey(
            .saveTotalLimit, .integer(atLeast: 1), .none,
            "The most checkpoints kept, the oldest deleted first and the best never; unless said all are kept."),
        RecipeKey(
            .evalStrategy, strategies, .text("no"),
            "When the held-out rows are "
                + "evaluated.", words: strategyWords),
        RecipeKey(
            .evalSteps, .integer(atLeast: 1), .none,
            "With eval_strategy steps: every so many; unless said "
                + "logging_steps."),
        RecipeKey(
            .loadBest, .flag, .flag(false),
            "Whether the best checkpoint's weights are the result; evaluation and saving must then keep the same time."),
        RecipeKey(
            .bestMetric, .choice(["loss", "mean_token_accuracy"]), .text("loss"), "What best measures.",
            words: ["eval_loss": "loss", "eval_mean_token_accuracy": "mean_token_accuracy"]),
        RecipeKey(.greaterIsBetter, .flag, .none, "Whether larger is better; unless said, for all but a loss."),
        RecipeKey(
            .earlyStoppingPatience, .integer(atLeast: 1), .none,
            "Evaluations without improvement before the run stops; unless said it never does."),
        RecipeKey(.earlyStoppingThreshold, .number(.notNegative), .number(0), "How much better counts as improvement."),
        RecipeKey(
            .reportTo, .choices(["none", "tensorboard"]), .list([.text("none")]),
            "Where the log also goes: tensorboard writes event files beside it. Nothing is sent over a network.",
            words: ["all": "tensorboard"]),
    ]
}
