import AttuneData
import AttuneModels

/// How many tokens a run computes at a time, and with which of them every step begins.
public struct PassSize: Sendable {
    /// The most tokens of a batch, shared beginnings counted once.
    public let capacity: Int
    /// What all rows begin with, where a step computes it once for all its batches; otherwise empty.
    public let trunk: [Int32]
    /// Whether rows of a batch that begin alike compute their beginning once.
    let sharesBeginnings: Bool

    /// A trunk is a pass over all weights for few tokens, worth about this many in a batch.
    private static let leastSaving = 96

    /// - Parameters:
    ///   - model: prepared by `prepareTraining`.
    ///   - evaluation: batches to measure on.
    public init(_ model: Decoder, train: BatchPlan, evaluation: BatchPlan?, options: TrainingOptions) {
        var dropout: Float = 0
        if case .adapter(let name) = model.trainingMode { dropout = model.adapters[name]?.dropout ?? 0 }
        // Dropout and noise are drawn for each row.
        sharesBeginnings = dropout == 0 && options.neftuneAlpha == 0
        let beginning = sharesBeginnings && !options.gradientCheckpointing ? Array(train.sharedBeginning) : []
        let saving = beginning.count * (options.accumulation - 1)
        trunk = beginning.count >= PrefixLayout.shortest && saving >= Self.leastSaving ? beginning : []
        let stepsPerEpoch = Self.stepsPerEpoch(train, options)
        let epochs = (Self.totalSteps(train, options) + stepsPerEpoch - 1) / max(1, stepsPerEpoch)
        capacity = max(
            train.longestBatch(epochs: epochs, sharesBeginnings: sharesBeginnings),
            evaluation?.longestBatch(sharesBeginnings: true) ?? 0)
    }

    static func stepsPerEpoch(_ train: BatchPlan, _ options: TrainingOptions) -> Int {
        (train.batchesPerEpoch + options.accumulation - 1) / options.accumulation
    }

    /// Steps of a whole run.
    static func totalSteps(_ train: BatchPlan, _ options: TrainingOptions) -> Int {
        options.maxSteps ?? Int((options.epochs * Double(stepsPerEpoch(train, options))).rounded(.up))
    }
}
