import AttuneData
import AttuneJSON
import AttuneModels
import AttuneTensor

extension Trainer {
    /// Whether early stopping has seen enough evaluations without improvement; the state tells, so a resumed run knows too.
    var isExhausted: Bool {
        options.earlyStoppingPatience.map { progress.evaluationsWithoutImprovement >= $0 } ?? false
    }

    func isDue(_ cadence: Cadence) -> Bool {
        switch cadence {
        case .no: false
        case .steps(let every): progress.step % every == 0
        case .epoch: progress.cursor.position == 0 || progress.step == totalSteps
        }
    }

    /// What follows a step: the evaluation and the checkpoint that are due.
    /// - Returns: `false` when asked to stop in the middle.
    func evaluateAndSave(shouldStop: () -> Bool, report: (TrainingEvent) -> Void) throws -> Bool {
        let start = clock.now
        defer { progress.runtime += (clock.now - start).seconds }
        var isBest = false
        if progress.owesEvaluation {
            guard let result = try evaluate(shouldStop: shouldStop) else { return false }
            progress.owesEvaluation = false
            isBest = note(result)
            report(.evaluation(result))
        }
        guard let checkpoints, !checkpoints.holds(progress.step),
            isDue(options.saving) || (isBest && options.loadsBest)
        else { return true }
        do {
            try save(in: checkpoints, report: report)
        } catch {
            // A full disk in the middle of a run costs a checkpoint, not the run: the ones before are whole.
            report(.notice("checkpoint at step \(progress.step) could not be saved (\(error)); training goes on"))
        }
        return true
    }

    func save(in checkpoints: CheckpointStore, report: (TrainingEvent) -> Void) throws {
        let saved = try checkpoints.save(
            progress, model: model, optimizer: optimizer, totalSteps: totalSteps, epoch: epoch, best: sparedStep)
        report(.checkpoint(path: saved.path))
    }

    /// Writes an evaluation into the progress.
    /// - Returns: whether it is the best so far.
    private func note(_ result: EvaluationReport) -> Bool {
        progress.logHistory.append(evaluationEntry(result))
        let value = options.bestMetric.hasSuffix("mean_token_accuracy") ? result.tokenAccuracy : result.loss
        let gain = progress.bestMetric.map { options.greaterIsBetter ? value - $0 : $0 - value } ?? .infinity
        let isBetter = value.isFinite && gain > 0
        let improves = isBetter && gain > options.earlyStoppingThreshold
        progress.evaluationsWithoutImprovement = improves ? 0 : progress.evaluationsWithoutImprovement + 1
        guard isBetter else { return false }
        progress.bestMetric = value
        progress.bestStep = progress.step
        return true
    }

    /// Losses over the evaluation rows; `nil` without any, or when asked to stop.
    public func evaluate(shouldStop: () -> Bool = { false }) throws -> EvaluationReport? {
        guard let evaluationPlan else { return nil }
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
            let tokens = TokenBatch(PrefixLayout(batch.needed))
            let result = try pass.evaluate(tokens, adapter: adapter)
            loss += result.lossSum
            count += result.count
            correct += result.correctCount
            rowCount += batch.rows.count
            for (row, value) in zip(result.rows, result.losses) where endOfSequence.contains(tokens.targets[Int(row)]) {
                stops.append(ScalarMath.exp(-Double(value)))
            }
        }
        return EvaluationReport(
            step: progress.step, epoch: epoch, loss: loss / Double(count),
            tokenAccuracy: Double(correct) / Double(count),
            stopHealth: stops.isEmpty ? nil : stops.reduce(0, +) / Double(stops.count),
            runtime: (clock.now - start).seconds, rowCount: rowCount)
    }

    private func evaluationEntry(_ result: EvaluationReport) -> JSON {
        var entry = JSONObject([
            ("epoch", JSON(result.epoch)), ("eval_mean_token_accuracy", JSON(result.tokenAccuracy)),
            ("eval_runtime", JSON(result.runtime)),
            ("eval_samples_per_second", JSON(Double(result.rowCount) / max(result.runtime, 1e-9))),
            (
                "eval_steps_per_second",
                JSON(Double(evaluationPlan?.batchesPerEpoch ?? 0) / max(result.runtime, 1e-9))
            ), ("step", JSON(result.step)),
        ])
        if result.loss.isFinite { entry["eval_loss"] = JSON(result.loss) }
        if let health = result.stopHealth, health.isFinite { entry["eval_stop_health"] = JSON(health) }
        return .object(entry)
    }

    func finishEntry(_ finish: FinishReport) -> JSON {
        let samples = Double(trainPlan.sequenceCount) * finish.epoch
        return [
            "epoch": JSON(finish.epoch), "step": JSON(finish.steps),
            "total_flos": JSON(model.trainingOperations(tokens: progress.tokensSeen)),
            "train_loss": JSON(finish.loss), "train_runtime": JSON(finish.runtime),
            "train_samples_per_second": JSON(samples / max(finish.runtime, 1e-9)),
            "train_steps_per_second": JSON(Double(finish.steps) / max(finish.runtime, 1e-9)),
        ]
    }
}

extension Decoder {
    /// Floating-point operations of training on so many tokens, as transformers estimates them: six for every token and
    /// parameter outside the embedding.
    public func trainingOperations(tokens: Int) -> Double {
        6 * Double(tokens) * Double(parameterCount - configuration.vocabularySize * configuration.hiddenSize)
    }
}
