import AttuneData
import AttuneJSON

/// Everything a run must remember beside weights and moments to go on with the same bits.
public struct TrainingProgress: Sendable, Equatable {
    /// Optimizer steps done.
    public var step = 0
    /// Updates the optimizer made; skipped steps make none.
    public var optimizerStep = 0
    /// The next batch.
    public var cursor = Cursor()
    /// Whether the evaluation due after this step is still to be made: a run was stopped in the middle of it.
    public var owesEvaluation = false
    /// Σ of finite step losses since the last log.
    public var lossSinceLog = 0.0
    /// How many those were.
    public var stepsSinceLog = 0
    /// Σ of finite step losses of the whole run.
    public var lossSum = 0.0
    /// How many those were.
    public var lossCount = 0
    /// Tokens read.
    public var tokensSeen = 0
    /// Seconds of earlier sittings and this one.
    public var runtime = 0.0
    /// The best value of the metric so far.
    public var bestMetric: Double?
    /// The step that had it.
    public var bestStep: Int?
    /// Evaluations since the metric improved.
    public var evaluationsWithoutImprovement = 0
    /// Steps in a row whose loss or gradient was no number, those not counted where a float16 loss scale settles.
    public var skippedInARow = 0
    /// The loss scale of float16 training.
    public var lossScale = 65_536.0
    /// Steps since it last changed.
    public var goodSteps = 0
    /// What `trainer_state.json` lists.
    public var logHistory: [JSON] = []

    /// A run that has not begun.
    public init() {}

    /// The mean loss over all steps that had one.
    public var meanLoss: Double { lossCount == 0 ? 0 : lossSum / Double(lossCount) }
}

extension TrainingProgress {
    /// As JSON; numbers are written so that they read back the same.
    public var json: JSON {
        [
            "step": JSON(step), "optimizer_step": JSON(optimizerStep), "epoch": JSON(cursor.epoch),
            "position": JSON(cursor.position), "owes_evaluation": JSON(owesEvaluation),
            "loss_since_log": JSON(lossSinceLog), "steps_since_log": JSON(stepsSinceLog), "loss_sum": JSON(lossSum),
            "loss_count": JSON(lossCount), "tokens_seen": JSON(tokensSeen), "runtime": JSON(runtime),
            "best_metric": bestMetric.map { JSON($0) } ?? .null, "best_step": bestStep.map { JSON($0) } ?? .null,
            "evaluations_without_improvement": JSON(evaluationsWithoutImprovement),
            "skipped_in_a_row": JSON(skippedInARow), "loss_scale": JSON(lossScale), "good_steps": JSON(goodSteps),
            "log_history": .array(logHistory),
        ]
    }

    /// Reads what `json` wrote; `nil` when a member is missing or of another type.
    public init?(json: JSON) {
        guard let step = json["step"]?.intValue, let optimizerStep = json["optimizer_step"]?.intValue,
            let epoch = json["epoch"]?.intValue,
            let position = json["position"]?.intValue, let owes = json["owes_evaluation"]?.boolValue,
            let lossSinceLog = json["loss_since_log"]?.doubleValue,
            let stepsSinceLog = json["steps_since_log"]?.intValue, let lossSum = json["loss_sum"]?.doubleValue,
            let lossCount = json["loss_count"]?.intValue,
            let tokensSeen = json["tokens_seen"]?.intValue, let runtime = json["runtime"]?.doubleValue,
            let evaluations = json["evaluations_without_improvement"]?.intValue,
            let skipped = json["skipped_in_a_row"]?.intValue, let lossScale = json["loss_scale"]?.doubleValue,
            let goodSteps = json["good_steps"]?.intValue, let logHistory = json["log_history"]?.arrayValue,
            step >= 0, optimizerStep >= 0, epoch >= 0, position >= 0, lossScale >= 1
        else { return nil }
        self.init()
        self.step = step
        self.optimizerStep = optimizerStep
        cursor = Cursor(epoch: epoch, position: position)
        owesEvaluation = owes
        self.lossSinceLog = lossSinceLog
        self.stepsSinceLog = stepsSinceLog
        self.lossSum = lossSum
        self.lossCount = lossCount
        self.tokensSeen = tokensSeen
        self.runtime = runtime
        bestMetric = json["best_metric"]?.doubleValue
        bestStep = json["best_step"]?.intValue
        evaluationsWithoutImprovement = evaluations
        skippedInARow = skipped
        self.lossScale = lossScale
        self.goodSteps = goodSteps
        self.logHistory = logHistory
    }
}
