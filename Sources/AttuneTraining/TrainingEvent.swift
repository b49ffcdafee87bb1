import AttuneData
import AttuneJSON

/// What a run reports while it goes on. The loop prints nothing; doors show these.
public enum TrainingEvent: Sendable {
    /// An optimizer step is done; `loss` is the mean since the last logged step where `isLogged`.
    case step(StepReport)
    /// An evaluation is done.
    case evaluation(EvaluationReport)
    /// A checkpoint lies under this path.
    case checkpoint(path: String)
    /// A step had a loss or gradient that is no number; nothing was updated.
    case skipped(step: Int, rows: [RowSource], reason: String)
    /// Something a reader should know, in words.
    case notice(String)
    /// The run is over.
    case finished(FinishReport)
}

/// One optimizer step.
public struct StepReport: Sendable {
    /// Steps done, from 1.
    public var step: Int
    /// Steps of the whole run.
    public var totalSteps: Int
    /// Epochs done, with the fraction of the present one.
    public var epoch: Double
    /// Mean loss over the trained tokens of this step.
    public var loss: Double
    /// The rate this step used.
    public var learningRate: Double
    /// Norm of the gradient before clipping.
    public var gradNorm: Double
    /// Tokens a second since the last step.
    public var tokensPerSecond: Double
    /// Tokens read so far.
    public var tokensSeen: Int
    /// The share of trained tokens that were predicted.
    public var tokenAccuracy: Double
    /// Mean loss since the last log, on steps that log.
    public var loggedLoss: Double?
}

/// One evaluation.
public struct EvaluationReport: Sendable {
    /// Steps done.
    public var step: Int
    /// Epochs done.
    public var epoch: Double
    /// Mean loss over trained tokens.
    public var loss: Double
    /// The share of trained tokens that were predicted.
    public var tokenAccuracy: Double
    /// Mean probability of the end-of-sequence token where gold answers end: can the model stop?
    public var stopHealth: Double?
    /// Seconds.
    public var runtime: Double
    /// Rows evaluated.
    public var rowCount: Int
}

/// The end of a run.
public struct FinishReport: Sendable {
    /// Seconds, over all sittings of a resumed run.
    public var runtime: Double
    /// Mean loss over all steps.
    public var loss: Double
    /// The most memory the process held.
    public var peakMemory: Int
    /// Steps done.
    public var steps: Int
    /// Epochs done.
    public var epoch: Double
    /// Why it ended.
    public var reason: Reason

    /// Why a run ends.
    public enum Reason: String, Sendable {
        /// All steps are done.
        case completed
        /// The evaluation did not improve any more.
        case earlyStopping = "early_stopping"
        /// A signal asked for it; the state is saved.
        case interrupted
    }
}
