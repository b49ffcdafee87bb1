import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneText
import AttuneTracking
import AttuneTraining

/// A training run from its recipe: rows, model, adapter, steps, and everything that lies in `output_dir` afterwards.
public final class FineTuning {
    /// The recipe, its model's type adopted.
    public let recipe: Recipe
    /// The model being trained.
    public let model: LanguageModel
    /// What became of every row of the training file.
    public let ledger: RowLedger
    /// Rows kept for evaluation.
    public let testExamples: [Example]
    /// The loop.
    public let trainer: Trainer
    /// What should be said before the first step: damaged checkpoints that were passed over, keys of the recipe that have changed,
    /// memory that is short.
    public let notices: [String]
    /// The memory the run takes.
    public let forecast: MemoryForecast
    private let store: CheckpointStore
    /// Parameters trained, and all parameters with them.
    public var trainableCount: Int { model.decoder.trainableParameters.reduce(0) { $0 + $1.value.count } }
    /// Trained and frozen parameters.
    public var totalCount: Int {
        let base = model.decoder.parameterCount
        return recipe.method == .lora || recipe.method == .qlora ? base + trainableCount : base
    }
    private static let adapterName = "default"
    private let instructions: [String]

    /// Where to go on.
    public enum Resumption: Sendable {
        /// The newest whole checkpoint of `output_dir`; from the start when there is none.
        case newest
        /// This checkpoint.
        case path(String)
    }

    /// Reads rows, loads the model and plans the run.
    ///
    /// - Throws: `RecipeError`, `DataError`, `FilesError`, `ModelError`, `TrainingError`, `TensorError`.
    public convenience init(_ recipe: Recipe, backend: any Backend, resume: Resumption? = nil) throws {
        let missing = recipe.missing([.model, .trainFile])
        guard missing.isEmpty, let path = recipe.modelPath, let trainFile = recipe.trainFile else {
            throw RecipeError(.badRecipe, missing)
        }
        let bare = try ModelDirectory(path, requiresWeights: false)
        let recipe = recipe.adopting(modelDType: LanguageModel.checkpointType(bare).torchName)
        let isRandom = recipe.method == .full && bare.weightFiles.isEmpty
        let model = try LanguageModel.load(
            path, dtype: recipe.computeType, quantization: recipe.quantization, backend: backend, isRandom: isRandom,
            seed: recipe.seed)
        let (train, test) = try Self.readExamples(recipe, trainFile)
        try self.init(recipe, model: model, train: train, test: test, resume: resume)
    }

    /// Plans a run over a loaded model and examples at hand.
    ///
    /// An adapter that is attached under the name `default` is trained as it is; without one the recipe's is attached.
    ///
    /// - Parameters:
    ///   - train: rows to learn from.
    ///   - test: rows to evaluate on; may be empty.
    /// - Throws: `DataError`, `FilesError`, `ModelError`, `TrainingError`, `TensorError`.
    public init(
        _ recipe: Recipe, model: LanguageModel, train: [Example], test: [Example] = [], resume: Resumption? = nil
    ) throws {
        let decoder = model.decoder
        let recipe = recipe.adopting(modelDType: decoder.computeType.torchName)
        self.model = model
        self.recipe = recipe
        testExamples = test
        let instructions = PromptContract.sharedInstructions(of: train)
        self.instructions = instructions
        let encoder = try Self.rowEncoder(recipe, model)
        let prepared = try PreparedRows(
            train, encoder: encoder, maxLength: recipe.preparationLength, overlength: recipe.overlength,
            removesDuplicates: recipe.dropsDuplicates)
        ledger = prepared.ledger
        try Self.check(prepared.rows, model)
        let plan = try BatchPlan(prepared.rows, options: recipe.batchOptions)
        var evaluationPlan: BatchPlan?
        if !test.isEmpty {
            // What does not fit is left out of the measurement, never cut.
            let rows = try PreparedRows(
                test, encoder: encoder, maxLength: recipe.preparationLength, overlength: .drop
            ).rows
            try Self.check(rows, model)
            evaluationPlan = try BatchPlan(rows, options: recipe.evaluationBatchOptions)
        }

        if decoder.adapters[Self.adapterName] == nil {
            if let initial = recipe.initialAdapter {
                try model.attachAdapter(initial, named: Self.adapterName)
            } else if let options = try recipe.loraOptions() {
                try decoder.attach(Self.adapterName, options, seed: recipe.seed)
            }
        }
        try decoder.prepareTraining(recipe.trainingMode(adapter: Self.adapterName))
        let options = recipe.trainingOptions()
        forecast = MemoryForecast(
            decoder, options: options,
            size: PassSize(decoder, train: plan, evaluation: evaluationPlan, options: options))
        guard forecast.total <= forecast.machine.total else {
            throw TrainingError(
                (forecast.warning ?? "the run plans \(MemoryText.words(forecast.total))")
                    + "; this machine has \(MemoryText.words(forecast.machine.total)) in all")
        }
        let optimizer = try Optimizer(decoder.trainableParameters, options: options, backend: decoder.backend)
        let identity = try RunIdentity(
            recipe: recipe, baseFiles: model.directory.weightFiles, train: plan, evaluation: evaluationPlan)
        let store = CheckpointStore(
            folder: recipe.outputDirectory, limit: options.saveTotalLimit, identity: identity
        ) { staged, progress, steps, epoch in
            try Self.saveResult(recipe, model, instructions, to: staged.temporaryPath)
            let text = Self.trainerState(recipe, model, progress, totalSteps: steps, epoch: epoch).text
            try AtomicFile.write(Array(text.utf8), to: staged.path(of: "trainer_state.json"))
        }
        var resumption = CheckpointStore.Resumption()
        switch resume {
        case .path(let path): resumption = try store.resume(from: path, model: decoder, optimizer: optimizer)
        case .newest: resumption = try store.resumeNewest(model: decoder, optimizer: optimizer)
        case nil: break
        }
        notices = (forecast.warning.map { [$0] } ?? []) + resumption.notices
        self.store = store
        trainer = try Trainer(
            model: decoder, train: plan, evaluation: evaluationPlan, endOfSequence: model.endOfSequence,
            options: options, optimizer: optimizer, checkpoints: store, state: resumption.progress)
    }

    /// - Throws: `ModelError` for a token without a row in the embedding.
    private static func check(_ rows: [TrainingRow], _ model: LanguageModel) throws(ModelError) {
        let size = model.configuration.vocabularySize
        guard model.tokenizer.vocabularySize > size else { return }
        for row in rows {
            guard let token = row.tokens.first(where: { $0 >= size }) else { continue }
            throw .mismatch(
                "\(row.source): token \(token) is beyond the model's vocabulary of \(size); the tokenizer in "
                    + "\(model.directory.path) is another model's")
        }
    }

    /// Runs to the end (or until `shouldStop`) and writes the result.
    ///
    /// - Throws: `TrainingError`, `FilesError`.
    public func run(
        shouldStop: () -> Bool = { false }, report: (TrainingEvent) -> Void
    ) throws -> FinishReport {
        let folder = recipe.outputDirectory
        try Folder.create(folder)
        guard let lock = try FolderLock(folder) else {
            throw TrainingError("\(folder): another run writes there; wait for its end or choose another output_dir")
        }
        defer { withExtendedLifetime(lock) {} }
        AtomicFolder.removeLeftovers(in: folder)
        try AtomicFile.write(Array(recipe.resolvedYAML.utf8), to: Folder.path(folder, "recipe.resolved.yaml"))
        let log = try RunLog(trainer, reporters: recipe.reporters, folder: folder)
        var warned = overfitting
        let finish = try trainer.run(shouldStop: shouldStop) { event in
            // A log that cannot be written costs the log, not the run.
            try? log.follow()
            report(event)
            guard case .evaluation = event, warned == nil, let message = overfitting else { return }
            // Said once while there is still time to stop, and once more with the final figures.
            warned = message
            report(.notice(message))
        }
        guard finish.reason != .interrupted else { return finish }
        if trainer.options.loadsBest, let best = trainer.progress.bestStep {
            let problem = try store.loadBest(step: best, into: model.decoder)
            report(.notice(problem ?? "the result is the best checkpoint, step \(best)"))
        }
        try writeResult()
        if let message = overfitting, message != warned { report(.notice(message)) }
        return finish
    }

    /// The losses so far, for charts.
    public var lossPlot: LossPlot { LossPlot(history) }

    private var history: [LogEntry] { trainer.progress.logHistory.compactMap(\.objectValue).map(LogEntry.init) }

    private var overfitting: String? { overfittingMessage(from: history) }

    private func writeResult() throws {
        let folder = recipe.outputDirectory
        try Self.saveResult(recipe, model, instructions, to: folder)
        let state = Self.trainerState(
            recipe, model, trainer.progress, totalSteps: trainer.totalSteps, epoch: trainer.epoch)
        try AtomicFile.write(Array(state.text.utf8), to: Folder.path(folder, "trainer_state.json"))
        let plot = lossPlot
        if !plot.isEmpty {
            try AtomicFile.write(plot.png, to: Folder.path(folder, "training_loss.png"))
            try AtomicFile.write(Array(plot.svg.utf8), to: Folder.path(folder, "training_loss.svg"))
        }
        try AtomicFile.write(ledger.json.utf8(.pretty), to: Folder.path(folder, "data_ledger.json"))
        try writeCard()
    }

    /// The adapter, or the trained model, with the files that travel along.
    private static func saveResult(
        _ recipe: Recipe, _ model: LanguageModel, _ instructions: [String], to folder: String
    ) throws {
        if recipe.method == .full || recipe.method == .freeze {
            let isRandom = model.directory.weightFiles.isEmpty
            let source: any DecoderSource =
                isRandom ? RandomSource(model.configuration, seed: recipe.seed) : model.directory
            try model.decoder.saveWeights(from: source, dtype: model.decoder.computeType, to: folder)
            var config = model.directory.config.objectValue ?? JSONObject()
            config["torch_dtype"] = nil
            config["dtype"] = JSON(model.decoder.computeType.torchName)
            try AtomicFile.write(JSON.object(config).utf8(.pretty), to: Folder.path(folder, "config.json"))
        } else {
            try model.decoder.saveAdapter(adapterName, base: recipe.modelPath ?? "", to: folder)
        }
        try Companions.copy(of: model.directory, to: folder)
        try PromptContract(recipe, model, instructions: instructions).write(to: folder)
    }

    private static func readExamples(_ recipe: Recipe, _ trainFile: String) throws -> ([Example], [Example]) {
        let examples = try Example.examples(of: [trainFile], columns: recipe.columns)
        guard !examples.isEmpty else { throw DataError(.badData, "\(trainFile): holds no rows; add some") }
        if let file = recipe.evaluationFile {
            return (examples, try Example.examples(of: [file], columns: recipe.columns))
        }
        guard let size = recipe.testSize else { return (examples, []) }
        let split = try DataSplit(examples, size: size, seed: recipe.seed)
        return (split.train.map { examples[$0] }, split.test.map { examples[$0] })
    }

    /// How rows of this recipe become tokens.
    static func rowEncoder(_ recipe: Recipe, _ model: LanguageModel) throws -> RowEncoder {
        RowEncoder(
            encoder: TokenizerEncoder(model.tokenizer), renderer: try model.renderer(),
            form: try recipe.promptForm(), trainOn: recipe.trainOn)
    }

    private static func trainerState(
        _ recipe: Recipe, _ model: LanguageModel, _ progress: TrainingProgress, totalSteps: Int, epoch: Double
    ) -> TrainerState {
        let options = recipe.trainingOptions()
        var state = TrainerState()
        state.globalStep = progress.step
        state.epoch = epoch
        state.maxSteps = totalSteps
        state.trainEpochs = Int(options.epochs.rounded(.up))
        state.loggingSteps = Double(options.loggingSteps)
        if case .steps(let every) = options.saving { state.saveSteps = Double(every) }
        if case .steps(let every) = options.evaluation { state.evalSteps = Double(every) }
        state.inputTokensSeen = progress.tokensSeen
        state.trainBatchSize = recipe.batchOptions.batchSize
        state.bestMetric = progress.bestMetric
        state.bestGlobalStep = progress.bestStep
        if options.loadsBest {
            state.bestModelCheckpoint = progress.bestStep.map { "\(recipe.outputDirectory)/checkpoint-\($0)" }
        }
        state.totalFlops = model.decoder.trainingOperations(tokens: progress.tokensSeen)
        state.statefulCallbacks["TrainerControl"] = TrainerState.trainerControl(stopping: progress.step >= totalSteps)
        if let patience = options.earlyStoppingPatience {
            state.statefulCallbacks["EarlyStoppingCallback"] = TrainerState.earlyStopping(
                patience: patience, threshold: options.earlyStoppingThreshold,
                counter: progress.evaluationsWithoutImprovement)
        }
        state.logHistory = progress.logHistory.compactMap(\.objectValue).map(LogEntry.init)
        return state
    }
}

extension LanguageModel {
    /// The folder's default chat template, compiled, or `nil` when it has none.
    /// - Throws: `TemplateError`.
    public func renderer(hasTools: Bool = false) throws -> TemplateRenderer? {
        try templates.source(hasTools: hasTools).map {
            try TemplateRenderer($0, variables: templates.specialTokens)
        }
    }
}
