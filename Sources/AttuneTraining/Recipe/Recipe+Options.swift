import AttuneData
import AttuneFiles
import AttuneModels
import AttuneTensor

extension Recipe {
    private static let templateLimit = 1 << 20

    /// How a question is put before the model; a custom form is read from its file.
    /// - Throws: `RecipeError` when the file cannot be read, `DataError` when it is no template.
    public func promptForm() throws -> PromptForm {
        if let template = RecipeTemplate(rawValue: promptTemplate) { return template.form }
        return .custom(try PromptTemplate(try promptTemplateText() ?? "", name: promptTemplate))
    }

    /// The text of a custom form's file; `nil` for a form with a name.
    /// - Throws: `RecipeError` when the file cannot be read.
    public func promptTemplateText() throws(RecipeError) -> String? {
        guard RecipeTemplate(rawValue: promptTemplate) == nil else { return nil }
        let bytes: [UInt8]
        do {
            bytes = try WholeFile.read(promptTemplate, limit: Self.templateLimit)
        } catch {
            throw RecipeError(
                .missingInput,
                "cannot read the template: "
                    + "\(error)", key: RecipeName.promptTemplate.rawValue)
        }
        guard let source = String(validating: bytes, as: UTF8.self) else {
            throw RecipeError(
                .badRecipe,
                "\(promptTemplate) is not text in "
                    + "UTF-8", key: RecipeName.promptTemplate.rawValue)
        }
        return source
    }

    /// The adapter to attach; `nil` for methods that train the base itself.
    /// - Throws: `ModelError` when a pattern cannot be read.
    public func loraOptions() throws(ModelError) -> LoRAOptions? {
        guard method == .lora || method == .qlora else { return nil }
        var options = LoRAOptions(targets: try TargetModules(self[.targetModules]))
        if self[.excludeModules] != .none { options.excluded = try TargetModules(self[.excludeModules]) }
        options.rank = integer(.rank) ?? options.rank
        options.alpha = number(.alpha) ?? options.alpha
        options.dropout = Float(number(.dropout) ?? 0)
        options.bias = text(.bias).flatMap(LoRAOptions.Bias.init(rawValue:)) ?? .none
        options.modulesToSave = texts(.modulesToSave)
        options.isRankStabilized = flag(.useRSLoRA)
        options.usesDoRA = flag(.useDoRA)
        for entry in table(.rankPattern) {
            guard case .integer(let rank) = entry.value else { continue }
            options.rankPattern.append((try ModulePattern(entry.key), rank))
        }
        for entry in table(.alphaPattern) {
            guard case .number(let alpha) = entry.value else { continue }
            options.alphaPattern.append((try ModulePattern(entry.key), alpha))
        }
        if case .list(let layers) = self[.layersToTransform] {
            options.layers = layers.compactMap { if case .integer(let layer) = $0 { layer } else { nil } }
        }
        options.initialization = text(.initLoRAWeights) == "gaussian" ? .gaussian : .kaiming
        return options
    }

    /// What the trainer is told. The loss is scaled when `dtype` is float16, so fill in `dtype: auto` first with
    /// `adopting(modelDType:)`.
    public func trainingOptions() -> TrainingOptions {
        var options = TrainingOptions()
        options.epochs = number(.epochs) ?? options.epochs
        options.maxSteps = integer(.maxSteps).flatMap { $0 > 0 ? $0 : nil }
        options.accumulation = integer(.accumulation) ?? options.accumulation
        options.learningRate = number(.learningRate) ?? options.learningRate
        options.schedule = text(.schedule).flatMap(Schedule.Kind.init(rawValue:)) ?? options.schedule
        for entry in table(.scheduleArguments) {
            switch entry.value {
            case .number(let value): options.scheduleParameters[entry.key] = value
            case .text(let word): options.scheduleWords[entry.key] = word
            default: break
            }
        }
        options.warmupRatio = number(.warmupRatio) ?? 0
        if let steps = number(.warmupSteps), steps > 0 {
            if steps < 1 { options.warmupRatio = steps } else { options.warmupSteps = Int(exactly: steps) }
        }
        options.optimizer = text(.optimizer).flatMap(OptimizerKind.init(name:)) ?? options.optimizer
        options.weightDecay = number(.weightDecay) ?? options.weightDecay
        options.adamBeta1 = number(.adamBeta1) ?? options.adamBeta1
        options.adamBeta2 = number(.adamBeta2) ?? options.adamBeta2
        options.adamEpsilon = number(.adamEpsilon) ?? options.adamEpsilon
        options.loraPlusRatio = number(.loraPlusRatio) ?? 1
        options.maxGradNorm = number(.maxGradNorm) ?? options.maxGradNorm
        options.neftuneAlpha = number(.neftuneAlpha) ?? 0
        options.labelSmoothing = number(.labelSmoothing) ?? 0
        options.logitGradientFilter = number(.logitGradientFilter) ?? 0
        options.loggingSteps = integer(.loggingSteps) ?? options.loggingSteps
        options.evaluation = cadence(.evalStrategy, every: .evalSteps)
        options.saving = cadence(.saveStrategy, every: .saveSteps)
        options.saveTotalLimit = integer(.saveTotalLimit)
        options.loadsBest = flag(.loadBest)
        options.bestMetric = text(.bestMetric) ?? options.bestMetric
        options.greaterIsBetter = flag(.greaterIsBetter)
        options.earlyStoppingPatience = integer(.earlyStoppingPatience)
        options.earlyStoppingThreshold = number(.earlyStoppingThreshold) ?? 0
        options.seed = seed
        options.gradientCheckpointing = flag(.gradientCheckpointing)
        options.scalesLoss = computeType == .float16
        return options
    }

    private func cadence(_ strategy: RecipeName, every steps: RecipeName) -> Cadence {
        switch text(strategy) {
        case "epoch": .epoch
        case "steps": integer(steps).map(Cadence.steps) ?? .no
        default: .no
        }
    }
}
