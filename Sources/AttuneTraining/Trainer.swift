import AttuneData
import AttuneJSON
import AttuneModels
import AttuneTensor

/// The training loop: batches to gradients to steps, with evaluations and checkpoints between.
///
/// The loss of a step is the mean over all trained tokens of its accumulated batches, however they are cut. The loop prints nothing
/// and reads no clock that could change a result; it reports events and asks `shouldStop` between batches.
///
/// All that a step depends on is in the weights, the moments and `progress`, or follows from seed, step and row: a run that
/// goes on from a checkpoint has the same bits as one that was never stopped.
public final class Trainer {
    /// What the run is told.
    public let options: TrainingOptions
    /// Steps of the whole run.
    public let totalSteps: Int
    /// Where it stands.
    public internal(set) var progress: TrainingProgress
    /// Moments of the trained parameters.
    public let optimizer: Optimizer
    /// Tokens read in this sitting that were not computed, because another row of their step begins alike.
    public private(set) var sharedTokens = 0
    let model: Decoder
    let adapter: String?
    let trainPlan: BatchPlan
    let evaluationPlan: BatchPlan?
    let endOfSequence: Set<Int32>
    let pass: TrainingPass
    let checkpoints: CheckpointStore?
    let clock = ContinuousClock()
    private let schedule: Schedule
    private let size: PassSize
    private var scaler: LossScaler
    private static let skipLimit = 5

    /// Plans the run and takes its memory.
    ///
    /// - Parameters:
    ///   - model: prepared by `prepareTraining`.
    ///   - evaluationPlan: batches to measure on; `nil` for none.
    ///   - endOfSequence: ids that end an answer, for stop health.
    ///   - checkpoints: where states are saved; `nil` for nowhere.
    ///   - state: where to go on; weights and moments must have been restored already.
    /// - Throws: `TrainingError` when there is nothing to do, `TensorError` for memory.
    public init(
        model: Decoder, train trainPlan: BatchPlan, evaluation evaluationPlan: BatchPlan?,
        endOfSequence: Set<Int32>, options: TrainingOptions, optimizer: Optimizer, checkpoints: CheckpointStore?,
        state: TrainingProgress = TrainingProgress()
    ) throws {
        self.model = model
        self.options = options
        self.trainPlan = trainPlan
        self.evaluationPlan = evaluationPlan.flatMap { $0.trainedCount > 0 ? $0 : nil }
        self.endOfSequence = endOfSequence
        self.optimizer = optimizer
        self.checkpoints = checkpoints
        progress = state
        if case .adapter(let name) = model.trainingMode { adapter = name } else { adapter = nil }
        guard trainPlan.trainedCount > 0 else {
            throw TrainingError(.badData, "no row has a token to learn; attune data check shows what is in the file")
        }
        totalSteps = options.totalSteps(trainPlan)
        guard totalSteps > 0 else {
            throw TrainingError(.badRecipe, "num_train_epochs and max_steps leave no step to do; raise one")
        }
        schedule = Schedule(
            kind: options.schedule, learningRate: options.learningRate,
            warmupSteps: options.warmup(totalSteps: totalSteps), totalSteps: totalSteps,
            parameters: options.scheduleParameters, words: options.scheduleWords)
        scaler = LossScaler(isActive: options.scalesLoss, scale: state.lossScale, goodSteps: state.goodSteps)
        size = PassSize(model, train: trainPlan, evaluation: evaluationPlan, options: options)
        pass = try TrainingPass(
            model, capacity: size.capacity, trunk: size.trunk.count,
            tier: options.gradientCheckpointing ? .recomputeBlocks : .keepAll, trains: true)
    }

    /// Runs to the end, or until `shouldStop` says so; then the state of the last whole step is saved.
    ///
    /// - Parameters:
    ///   - shouldStop: asked before every batch.
    ///   - report: gets every event, on this thread.
    /// - Throws: `TrainingError` after several steps without a finite gradient, `FilesError` when a final save fails.
    public func run(
        shouldStop: () -> Bool = { false }, report: (TrainingEvent) -> Void
    ) throws -> FinishReport {
        if let notice = try checkpoints?.begin(best: sparedStep) { report(.notice(notice)) }
        let reason = try runSteps(shouldStop: shouldStop, report: report)
        let isKept = reason == .interrupted || options.saving != .no
        if isKept, let checkpoints, !checkpoints.holds(progress.step) { try save(in: checkpoints, report: report) }
        let finish = FinishReport(
            runtime: progress.runtime, loss: progress.meanLoss, peakMemory: ProcessMemory.peak, steps: progress.step,
            epoch: epoch, reason: reason)
        // As in transformers the summary is not part of any checkpoint: whoever goes on from the last one makes it anew.
        if reason != .interrupted { progress.logHistory.append(finishEntry(finish)) }
        report(.finished(finish))
        return finish
    }

    private func runSteps(
        shouldStop: () -> Bool, report: (TrainingEvent) -> Void
    ) throws -> FinishReport.Reason {
        var order = (epoch: -1, sequences: [Int]())
        if progress.owesEvaluation, try !evaluateAndSave(shouldStop: shouldStop, report: report) {
            return .interrupted
        }
        while progress.step < totalSteps, !isExhausted {
            let start = clock.now
            if order.epoch != progress.cursor.epoch {
                order = (progress.cursor.epoch, trainPlan.order(epoch: progress.cursor.epoch))
            }
            let end = min(progress.cursor.position + options.accumulation, trainPlan.batchesPerEpoch)
            let batches = (progress.cursor.position..<end).map { trainPlan.batch(at: $0, order: order.sequences) }
            guard let sums = try accumulate(batches, shouldStop: shouldStop) else { return .interrupted }
            let outcome = try finishStep(sums, batches, report: report)
            progress.cursor =
                end == trainPlan.batchesPerEpoch
                ? Cursor(epoch: progress.cursor.epoch + 1) : Cursor(epoch: progress.cursor.epoch, position: end)
            let seconds = (clock.now - start).seconds
            progress.runtime += seconds
            reportStep(sums, outcome, seconds: seconds, report)
            progress.owesEvaluation = isDue(options.evaluation) && evaluationPlan != nil
            guard try evaluateAndSave(shouldStop: shouldStop, report: report) else { return .interrupted }
        }
        return progress.step < totalSteps ? .earlyStopping : .completed
    }

    /// The step whose checkpoint no limit deletes.
    var sparedStep: Int? { options.loadsBest ? progress.bestStep : nil }

    /// Epochs done, with the fraction of the present one.
    public var epoch: Double {
        Double(progress.cursor.epoch) + Double(progress.cursor.position) / Double(trainPlan.batchesPerEpoch)
    }

    // MARK: One step

    private struct StepSums {
        var loss = 0.0
        var count = 0
        var correct = 0
        var tokens = 0
        /// Rows with a loss that is no number.
        var culprits: [RowSource] = []
        var meanLoss: Double { count == 0 ? 0 : loss / Double(count) }
    }

    /// Gradients of all batches of a step; `nil` when asked to stop.
    private func accumulate(_ batches: [Batch], shouldStop: () -> Bool) throws -> StepSums? {
        model.zeroGradients()
        guard !size.trunk.isEmpty else { return try accumulate(batches, trunk: 0, shouldStop: shouldStop) }
        sharedTokens -= size.trunk.count
        return try pass.withTrunk(size.trunk, adapter: adapter) {
            try accumulate(batches, trunk: size.trunk.count, shouldStop: shouldStop)
        }
    }

    private func accumulate(_ batches: [Batch], trunk: Int, shouldStop: () -> Bool) throws -> StepSums? {
        var sums = StepSums()
        let trained = batches.reduce(0) { $0 + $1.trainedCount }
        let scale = trained == 0 ? 0 : Float(scaler.scale / Double(trained))
        let key = RandomKey(seed: options.seed, step: UInt64(progress.step), stream: 0)
        for batch in batches {
            if shouldStop() { return nil }
            let tokens = tokenBatch(batch, trunk: trunk)
            let loss = try pass.forwardBackward(
                tokens, adapter: adapter, gradientScale: scale,
                labelSmoothing: Float(options.labelSmoothing), key: key, noiseAlpha: Float(options.neftuneAlpha),
                negligible: Float(options.logitGradientFilter))
            sums.loss += loss.lossSum
            sums.count += loss.count
            sums.correct += loss.correctCount
            sums.tokens += batch.tokens.count
            if !loss.lossSum.isFinite { sums.culprits += batch.rowsWithoutLoss(loss, tokens) }
        }
        return sums
    }

    /// What is needed of a batch, shared beginnings once, where that changes nothing: dropout and noise are drawn for each row.
    private func tokenBatch(_ batch: Batch, trunk: Int) -> TokenBatch {
        guard size.sharesBeginnings else { return TokenBatch(batch) }
        let layout = PrefixLayout(batch.needed, trunk: trunk)
        sharedTokens += layout.savedTokens
        return TokenBatch(layout)
    }

    private struct StepOutcome {
        var gradNorm: Double
        var learningRate: Double
    }

    private func finishStep(
        _ sums: StepSums, _ batches: [Batch], report: (TrainingEvent) -> Void
    ) throws -> StepOutcome {
        let squares = model.trainableParameters.reduce(0.0) {
            $0 + ($1.gradient.map(model.backend.sumOfSquares) ?? 0)
        }
        let lossScale = scaler.scale
        let norm = squares.squareRoot() / lossScale
        // As in transformers a skipped step does not move the schedule.
        let rate = schedule.rate(at: optimizer.step)
        if sums.loss.isFinite {
            scaler.stepWasFinite(norm.isFinite)
            progress.lossSum += sums.meanLoss
            progress.lossCount += 1
            progress.lossSinceLog += sums.meanLoss
            progress.stepsSinceLog += 1
        }
        if norm.isFinite, sums.loss.isFinite {
            let clip = options.maxGradNorm > 0 ? min(1, options.maxGradNorm / (norm + 1e-6)) : 1
            optimizer.update(learningRate: rate, gradientScale: Float(clip / lossScale))
            try model.refreshAfterStep()
            progress.skippedInARow = 0
        } else {
            let rows = sums.culprits.isEmpty ? batches.flatMap { $0.rows.map(\.source) } : sums.culprits
            let what = sums.loss.isFinite ? ("gradient norm", norm) : ("loss", sums.loss)
            try skip("\(what.0) is \(what.1.isNaN ? "not a number" : "infinite")", rows, lossScale, report)
        }
        progress.step += 1
        progress.optimizerStep = optimizer.step
        progress.tokensSeen += sums.tokens
        if scaler.isActive { progress.lossScale = scaler.scale }
        progress.goodSteps = scaler.goodSteps
        return StepOutcome(gradNorm: norm, learningRate: rate)
    }

    private func skip(
        _ reason: String, _ rows: [RowSource], _ lossScale: Double, _ report: (TrainingEvent) -> Void
    ) throws {
        // A gradient that overflows float16 under a loss scale is no fault of the data: the scale is too large and falls.
        let isSettling = scaler.scale < lossScale
        report(.skipped(step: progress.step + 1, rows: rows, reason: isSettling ? "\(reason) (loss scale)" : reason))
        guard !isSettling else { return }
        progress.skippedInARow += 1
        guard progress.skippedInARow >= Self.skipLimit else { return }
        let last =
            checkpoints?.newest.map { "the last good checkpoint is \($0.path)" }
            ?? "no checkpoint was saved yet"
        throw TrainingError(
            .failed,
            "\(Self.skipLimit) steps in a row were skipped (\(reason); the last with rows "
                + rows.prefix(4).map(\.description).joined(separator: ", ")
                + "); lower learning_rate or look at these rows; \(last)")
    }

    private func reportStep(
        _ sums: StepSums, _ outcome: StepOutcome, seconds: Double, _ report: (TrainingEvent) -> Void
    ) {
        let accuracy = sums.count == 0 ? 0 : Double(sums.correct) / Double(sums.count)
        var logged: Double?
        if progress.step % options.loggingSteps == 0 {
            var entry = JSONObject([
                ("epoch", JSON(epoch)), ("learning_rate", JSON(outcome.learningRate)),
                ("mean_token_accuracy", JSON(accuracy)), ("num_tokens", JSON(progress.tokensSeen)),
                ("step", JSON(progress.step)),
            ])
            // JSON has no word for what is no number.
            if outcome.gradNorm.isFinite { entry["grad_norm"] = JSON(outcome.gradNorm) }
            if progress.stepsSinceLog > 0 {
                let loss = progress.lossSinceLog / Double(progress.stepsSinceLog)
                logged = loss
                entry["loss"] = JSON(loss)
            }
            progress.logHistory.append(.object(entry))
            progress.lossSinceLog = 0
            progress.stepsSinceLog = 0
        }
        report(
            .step(
                StepReport(
                    step: progress.step, totalSteps: totalSteps, epoch: epoch, loss: sums.meanLoss,
                    learningRate: outcome.learningRate, gradNorm: outcome.gradNorm,
                    tokensPerSecond: seconds > 0 ? Double(sums.tokens) / seconds : 0, tokensSeen: progress.tokensSeen,
                    tokenAccuracy: accuracy, loggedLoss: logged)))
    }
}

extension Batch {
    /// Where the rows come from that have a token whose loss is no number.
    fileprivate func rowsWithoutLoss(_ report: LossReport, _ tokens: TokenBatch) -> [RowSource] {
        let places = zip(report.rows, report.losses).filter { !$0.1.isFinite }.map { Int($0.0) }
        // A segment with targets is one row's own, and carries its identity.
        let segments = tokens.segments.segments.filter { places.contains(where: $0.queries.contains) }
        let identities = Set(segments.map(\.identity))
        return rows.filter { identities.contains($0.identity) }.map(\.source)
    }
}

extension TokenBatch {
    /// A batch of rows as the model reads it.
    public init(_ batch: Batch) {
        self.init(
            tokens: batch.tokens, targets: batch.targets,
            segments: SegmentTable(batch.rows.map { Segment(rows: $0.range, identity: $0.identity) }))
    }

    /// A batch whose shared beginnings stand once, those of its trunk before it.
    public init(_ layout: PrefixLayout) {
        let segments = layout.stretches.map { stretch in
            let (start, end) = (stretch.range.lowerBound - layout.trunk, stretch.range.upperBound - layout.trunk)
            return Segment(
                queries: start..<end, keys: stretch.ancestors + [stretch.range], identity: stretch.identity)
        }
        self.init(tokens: layout.tokens, targets: layout.targets, segments: SegmentTable(segments))
    }
}

extension Duration {
    /// As a number of seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
