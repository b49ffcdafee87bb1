import AttuneData
import AttuneJSON
import AttuneModels
import AttuneTensor

/// Why a run cannot go on; one line.
public struct TrainingError: Error, Sendable, CustomStringConvertible {
    /// The line.
    public let description: String

    /// With the line.
    public init(_ description: String) { self.description = description }
}

/// The training loop: batches to gradients to steps, with evaluations and checkpoints between.
///
/// The loss of a step is the mean over all trained tokens of its accumulated batches, however they are cut. The loop prints nothing
/// and reads no clock that could change a result; it reports events and asks `shouldStop` between batches.
public final class Trainer {
    /// What the run is told.
    public let options: TrainingOptions
    /// Steps of the whole run.
    public let totalSteps: Int
    /// Where it stands.
    public private(set) var progress: TrainingProgress
    /// Moments of the trained parameters.
    public let optimizer: Optimizer
    private let model: Decoder
    private let adapter: String?
    private let trainPlan: BatchPlan
    private let evaluationPlan: BatchPlan?
    private let endOfSequence: Set<Int32>
    private let schedule: Schedule
    private let pass: TrainingPass
    private let checkpoints: CheckpointStore?
    private let stepsPerEpoch: Int
    private var scaler: LossScaler
    private let clock = ContinuousClock()
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
        self.evaluationPlan = evaluationPlan
        self.endOfSequence = endOfSequence
        self.optimizer = optimizer
        self.checkpoints = checkpoints
        progress = state
        if case .adapter(let name) = model.trainingMode { adapter = name } else { adapter = nil }
        guard trainPlan.batchesPerEpoch > 0 else { throw TrainingError("there is no row to train on") }
        stepsPerEpoch = (trainPlan.batchesPerEpoch + options.accumulation - 1) / options.accumulation
        totalSteps = options.maxSteps ?? Int((options.epochs * Double(stepsPerEpoch)).rounded(.up))
        guard totalSteps > 0 else { throw TrainingError("num_train_epochs and max_steps leave no step to do") }
        schedule = Schedule(
            kind: options.schedule, learningRate: options.learningRate,
            warmupSteps: options.warmup(totalSteps: totalSteps), totalSteps: totalSteps,
            parameters: options.scheduleParameters, words: options.scheduleWords)
        scaler = LossScaler(isActive: options.scalesLoss, scale: state.lossScale, goodSteps: state.goodSteps)
        pass = try TrainingPass(
            model, capacity: max(trainPlan.longestBatch, evaluationPlan?.longestBatch ?? 0),
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
        var mark = clock.now
        var order = (epoch: -1, sequences: [Int]())
        var reason = FinishReport.Reason.completed
        while progress.step < totalSteps {
            if order.epoch != progress.cursor.epoch {
                order = (progress.cursor.epoch, trainPlan.order(epoch: progress.cursor.epoch))
            }
            let end = min(progress.cursor.position + options.accumulation, trainPlan.batchesPerEpoch)
            let batches = (progress.cursor.position..<end).map { trainPlan.batch(at: $0, order: order.sequences) }
            guard let sums = try accumulate(batches, shouldStop: shouldStop) else {
                reason = .interrupted
                break
            }
            let outcome = try finishStep(sums, batches, report: report)
            progress.cursor = Cursor(epoch: progress.cursor.epoch, position: end)
            if end == trainPlan.batchesPerEpoch {
                progress.cursor = Cursor(epoch: progress.cursor.epoch + 1, position: 0)
            }
            let now = clock.now
            progress.runtime += (now - mark).seconds
            reportStep(sums, outcome, seconds: (now - mark).seconds, report)
            mark = now
            let stopsEarly = try evaluateAndSave(shouldStop: shouldStop, report: report)
            progress.runtime += (clock.now - mark).seconds
            mark = clock.now
            if stopsEarly {
                reason = .earlyStopping
                break
            }
        }
        if reason == .interrupted { try save(report: report, isFinal: true) }
        let finish = FinishReport(
            runtime: progress.runtime, loss: progress.step == 0 ? 0 : progress.lossSum / Double(progress.step),
            peakMemory: ProcessMemory.peak, steps: progress.step, epoch: epoch, reason: reason)
        if reason != .interrupted {
            progress.logHistory.append(finishEntry(finish))
            if options.saving != .no { try save(report: report, isFinal: true) }
        }
        report(.finished(finish))
        return finish
    }

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
        var meanLoss: Double { count == 0 ? 0 : loss / Double(count) }
    }

    /// Gradients of all batches of a step; `nil` when asked to stop.
    private func accumulate(_ batches: [Batch], shouldStop: () -> Bool) throws -> StepSums? {
        model.zeroGradients()
        var sums = StepSums()
        let trained = batches.reduce(0) { $0 + $1.trainedCount }
        let scale = trained == 0 ? 0 : Float(scaler.scale / Double(trained))
        let key = RandomKey(seed: options.seed, step: UInt64(progress.step), stream: 0)
        for batch in batches {
            if shouldStop() { return nil }
            let loss = try pass.forwardBackward(
                TokenBatch(batch), adapter: adapter, gradientScale: scale,
                labelSmoothing: Float(options.labelSmoothing), key: key, noiseAlpha: Float(options.neftuneAlpha))
            sums.loss += loss.lossSum
            sums.count += loss.count
            sums.correct += loss.correctCount
            sums.tokens += batch.tokens.count
        }
        return sums
    }

    private struct StepOutcome {
        var gradNorm: Double
        var learningRate: Double
        var isFinite: Bool
    }

    private func finishStep(
        _ sums: StepSums, _ batches: [Batch], report: (TrainingEvent) -> Void
    ) throws -> StepOutcome {
        let squares = model.trainableParameters.reduce(0.0) {
            $0 + ($1.gradient.map(model.backend.sumOfSquares) ?? 0)
        }
        let lossScale = scaler.scale
        let norm = squares.squareRoot() / lossScale
        let isFinite = norm.isFinite && sums.loss.isFinite
        let rate = schedule.rate(at: progress.step)
        scaler.stepWasFinite(isFinite)
        if isFinite {
            let clip = options.maxGradNorm > 0 ? min(1, options.maxGradNorm / (norm + 1e-6)) : 1
            optimizer.update(learningRate: rate, gradientScale: Float(clip / lossScale))
            try model.refreshAfterStep()
            progress.skippedInARow = 0
            progress.lossSum += sums.meanLoss
            progress.lossSinceLog += sums.meanLoss
        } else {
            progress.skippedInARow += 1
            let rows = batches.flatMap { $0.rows.map(\.source) }
            let what = sums.loss.isFinite ? "gradient norm is \(norm)" : "loss is \(sums.loss)"
            report(.skipped(step: progress.step + 1, rows: rows, reason: what))
            // float16 overflows while its scale settles; that is no fault of the data.
            if progress.skippedInARow >= Self.skipLimit, !(scaler.isActive && scaler.scale > 1) {
                let last = checkpoints?.newest.map { "; the last good checkpoint is \($0)" } ?? ""
                throw TrainingError(
                    "\(Self.skipLimit) steps in a row without a finite gradient (the last with rows "
                        + rows.prefix(4).map(\.description).joined(separator: ", ")
                        + "); lower learning_rate or look at these rows\(last)")
            }
        }
        progress.step += 1
        progress.optimizerStep = optimizer.step
        progress.stepsSinceLog += 1
        progress.tokensSeen += sums.tokens
        progress.lossScale = scaler.isActive ? scaler.scale : progress.lossScale
        progress.goodSteps = scaler.goodSteps
        return StepOutcome(gradNorm: norm, learningRate: rate, isFinite: isFinite)
    }

    private func reportStep(
        _ sums: StepSums, _ outcome: StepOutcome, seconds: Double, _ report: (TrainingEvent) -> Void
    ) {
        let logs = progress.step % options.loggingSteps == 0
        var logged: Double?
        if logs {
            let loss = progress.lossSinceLog / Double(progress.stepsSinceLog)
            logged = loss
            progress.logHistory.append([
                "epoch": JSON(epoch), "grad_norm": JSON(outcome.gradNorm.isFinite ? outcome.gradNorm : 0),
                "learning_rate": JSON(outcome.learningRate), "loss": JSON(loss), "step": JSON(progress.step),
                "mean_token_accuracy": JSON(sums.count == 0 ? 0 : Double(sums.correct) / Double(sums.count)),
                "num_tokens": JSON(progress.tokensSeen),
            ])
            progress.lossSinceLog = 0
            progress.stepsSinceLog = 0
        }
        report(
            .step(
                StepReport(
                    step: progress.step, totalSteps: totalSteps, epoch: epoch, loss: sums.meanLoss,
                    learningRate: outcome.learningRate, gradNorm: outcome.gradNorm,
                    tokensPerSecond: seconds > 0 ? Double(sums.tokens) / seconds : 0, tokensSeen: progress.tokensSeen,
                    tokenAccuracy: sums.count == 0 ? 0 : Double(sums.correct) / Double(sums.count),
                    loggedLoss: logged)))
    }

    // MARK: Evaluation and saving

    private func isDue(_ cadence: Cadence) -> Bool {
        switch cadence {
        case .no: false
        case .steps(let every): progress.step % every == 0
        case .epoch: progress.cursor.position == 0 || progress.step == totalSteps
        }
    }

    /// Returns whether the run should stop because evaluation no longer improves.
    private func evaluateAndSave(shouldStop: () -> Bool, report: (TrainingEvent) -> Void) throws -> Bool {
        var isBest = false
        var stops = false
        if isDue(options.evaluation), let result = try evaluate(shouldStop: shouldStop) {
            report(.evaluation(result))
            progress.logHistory.append(evaluationEntry(result))
            let value = options.bestMetric.hasSuffix("mean_token_accuracy") ? result.tokenAccuracy : result.loss
            let gain = progress.bestMetric.map { options.greaterIsBetter ? value - $0 : $0 - value }
            isBest = gain.map { $0 > 0 } ?? true
            let improves = gain.map { $0 > options.earlyStoppingThreshold } ?? true
            progress.evaluationsWithoutImprovement = improves ? 0 : progress.evaluationsWithoutImprovement + 1
            if isBest {
                progress.bestMetric = value
                progress.bestStep = progress.step
            }
            if let patience = options.earlyStoppingPatience {
                stops = progress.evaluationsWithoutImprovement >= patience
            }
        }
        if isDue(options.saving) || (isBest && options.loadsBest && checkpoints != nil) {
            try save(report: report, isFinal: false)
        }
        return stops
    }

    /// Losses over the evaluation rows; `nil` without any, or when asked to stop.
    public func evaluate(shouldStop: () -> Bool = { false }) throws -> EvaluationReport? {
        guard let evaluationPlan, evaluationPlan.batchesPerEpoch > 0 else { return nil }
        let start = clock.now
        var loss = 0.0
        var count = 0
        var correct = 0
        var rowCount = 0
        var stops: [Double] = []
        let order = evaluationPlan.order(epoch: 0)
        for position in 0..<evaluationPlan.batchesPerEpoch {
            if shouldStop() { return nil }
            let batch = evaluationPlan.batch(at: position, order: order)
            let result = try pass.evaluate(TokenBatch(batch), adapter: adapter)
            loss += result.lossSum
            count += result.count
            correct += result.correctCount
            rowCount += batch.rows.count
            for (row, value) in zip(result.rows, result.losses) where endOfSequence.contains(batch.targets[Int(row)]) {
                stops.append(ScalarMath.exp(-Double(value)))
            }
        }
        guard count > 0 else { return nil }
        return EvaluationReport(
            step: progress.step, epoch: epoch, loss: loss / Double(count),
            tokenAccuracy: Double(correct) / Double(count),
            stopHealth: stops.isEmpty ? nil : stops.reduce(0, +) / Double(stops.count),
            runtime: (clock.now - start).seconds, rowCount: rowCount)
    }

    private func save(report: (TrainingEvent) -> Void, isFinal: Bool) throws {
        guard let checkpoints else { return }
        guard checkpoints.newestStep != progress.step || isFinal else { return }
        do {
            let path = try checkpoints.save(
                progress, model: model, optimizer: optimizer, totalSteps: totalSteps, epoch: epoch, options: options)
            report(.checkpoint(path: path))
        } catch {
            guard !isFinal else { throw error }
            // A full disk in the middle of a run costs a checkpoint, not the run: the ones before are whole.
            report(.notice("checkpoint at step \(progress.step) could not be saved (\(error)); training goes on"))
        }
    }

    private func evaluationEntry(_ result: EvaluationReport) -> JSON {
        var entry: JSONObject = JSONObject([
            ("epoch", JSON(result.epoch)), ("eval_loss", JSON(result.loss)),
            ("eval_mean_token_accuracy", JSON(result.tokenAccuracy)), ("eval_runtime", JSON(result.runtime)),
            ("eval_samples_per_second", JSON(Double(result.rowCount) / max(result.runtime, 1e-9))),
            (
                "eval_steps_per_second",
                JSON(Double(evaluationPlan?.batchesPerEpoch ?? 0) / max(result.runtime, 1e-9))
            ), ("step", JSON(result.step)),
        ])
        if let health = result.stopHealth { entry["eval_stop_health"] = JSON(health) }
        return .object(entry)
    }

    private func finishEntry(_ finish: FinishReport) -> JSON {
        let samples = Double(trainPlan.sequenceCount) * finish.epoch
        return [
            "epoch": JSON(finish.epoch), "step": JSON(finish.steps), "total_flos": 0.0, "train_loss": JSON(finish.loss),
            "train_runtime": JSON(finish.runtime),
            "train_samples_per_second": JSON(samples / max(finish.runtime, 1e-9)),
            "train_steps_per_second": JSON(Double(finish.steps) / max(finish.runtime, 1e-9)),
        ]
    }
}

extension TokenBatch {
    /// A batch of rows as the model reads it.
    public init(_ batch: Batch) {
        self.init(
            tokens: batch.tokens, targets: batch.targets,
            segments: SegmentTable(batch.rows.map { Segment(rows: $0.range, identity: $0.identity) }))
    }
}

extension Duration {
    /// As a number of seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
