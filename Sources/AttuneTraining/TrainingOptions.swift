import AttuneData

/// When something happens in a run: `save_strategy`, `eval_strategy`.
public enum Cadence: Sendable, Equatable {
    /// Never.
    case no
    /// At the end of every epoch.
    case epoch
    /// Every so many optimizer steps.
    case steps(Int)
}

/// What the trainer itself is told: the part of a recipe that is about steps.
public struct TrainingOptions: Sendable {
    /// Passes over the data; a fraction stops inside one.
    public var epochs = 3.0
    /// Stops after this many optimizer steps whatever `epochs` says.
    public var maxSteps: Int?
    /// Batches whose gradients are added up for one optimizer step.
    public var accumulation = 1
    /// The highest learning rate.
    public var learningRate = 5e-5
    /// The shape of the rate.
    public var schedule = Schedule.Kind.linear
    /// `lr_scheduler_kwargs`.
    public var scheduleParameters: [String: Double] = [:]
    /// `lr_scheduler_kwargs` that are words.
    public var scheduleWords: [String: String] = [:]
    /// Steps of warm-up; overrules the ratio.
    public var warmupSteps: Int?
    /// Steps of warm-up as a share of all.
    public var warmupRatio = 0.0
    /// The optimizer.
    public var optimizer = OptimizerKind.adamW
    /// Decoupled weight decay.
    public var weightDecay = 0.0
    /// β₁.
    public var adamBeta1 = 0.9
    /// β₂.
    public var adamBeta2 = 0.999
    /// ε.
    public var adamEpsilon = 1e-8
    /// LoRA+: the rate of B matrices over that of A.
    public var loraPlusRatio = 1.0
    /// Gradients are scaled down to this norm; 0 for never.
    public var maxGradNorm = 1.0
    /// NEFTune's α; 0 for none.
    public var neftuneAlpha = 0.0
    /// ε of label smoothing.
    public var labelSmoothing = 0.0
    /// Blocks of logit gradients no larger than this are left out of the head's backward product; 0 for none.
    public var logitGradientFilter = 0.0
    /// Log every so many steps.
    public var loggingSteps = 500
    /// When to evaluate.
    public var evaluation = Cadence.no
    /// When to save.
    public var saving = Cadence.steps(500)
    /// The most checkpoints kept; the best is never among those deleted.
    public var saveTotalLimit: Int?
    /// Whether the best checkpoint's weights are the result.
    public var loadsBest = false
    /// What "best" measures: `loss` or `mean_token_accuracy` of the evaluation.
    public var bestMetric = "loss"
    /// Whether larger is better.
    public var greaterIsBetter = false
    /// Evaluations without improvement before the run stops; `nil` for never.
    public var earlyStoppingPatience: Int?
    /// How much better counts as better.
    public var earlyStoppingThreshold = 0.0
    /// The seed of order, dropout and noise.
    public var seed: UInt64 = 42
    /// Whether blocks are run again in the backward pass instead of kept.
    public var gradientCheckpointing = false
    /// float16 scales its loss so that small gradients survive.
    public var scalesLoss = false

    /// transformers' defaults.
    public init() {}

    /// Steps of an epoch; the last may take fewer batches.
    func stepsPerEpoch(_ train: BatchPlan) -> Int { (train.batchesPerEpoch + accumulation - 1) / accumulation }

    /// Steps of a whole run.
    func totalSteps(_ train: BatchPlan) -> Int {
        maxSteps ?? Int((epochs * Double(stepsPerEpoch(train))).rounded(.up))
    }

    /// Steps of warm-up for a run of this length.
    func warmup(totalSteps: Int) -> Int {
        warmupSteps ?? Int((Double(totalSteps) * warmupRatio).rounded(.up))
    }
}
