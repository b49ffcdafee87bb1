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
        let stepsPerEpoch = options.stepsPerEpoch(train)
        let epochs = (options.totalSteps(train) + stepsPerEpoch - 1) / max(1, stepsPerEpoch)
        capacity = max(
            train.longestBatch(epochs: epochs, sharesBeginnings: sharesBeginnings),
            evaluation?.longestBatch(sharesBeginnings: true) ?? 0)
    }
}
