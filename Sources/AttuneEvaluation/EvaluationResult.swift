import AttuneData
import AttuneJSON

/// What the answers of a model are worth, and, with a base, what tuning changed.
///
/// An answer is an exact match when it equals the expected one, code point for code point, after white space at
/// both ends of both is gone (`expected.strip() == got.strip()` in Python).
public struct EvaluationResult: Sendable {
    /// The answers that are no exact match, in the order of the data.
    public let mismatches: [Prediction]
    /// Exact matches among all examples.
    public let exactMatch: Proportion
    /// Accuracy of each `Key: value` line; empty when the expected answers are not such lines.
    public let fields: [FieldAccuracy]
    /// Precision, recall and confusions of labels; `nil` when the expected answers are not labels.
    public let labels: LabelTable?
    /// Exact match by quartile of question length.
    public let slices: [LengthSlice]
    /// How often generation ended for each reason, the most frequent first.
    public let stopReasons: [(reason: String, count: Int)]
    /// exp of the mean loss on the expected answers.
    public let perplexity: Double?
    /// What the base model does, when it was asked.
    public let base: Base?

    /// The base model's figures.
    public struct Base: Sendable {
        /// Exact matches among its answers.
        public let exactMatch: Proportion
        /// Accuracy of each `Key: value` line.
        public let fields: [FieldAccuracy]
        /// exp of the mean loss on the expected answers.
        public let perplexity: Double?
        /// Row by row against the tuned model.
        public let comparison: PairedComparison
    }

    /// Judges predictions, and the base model's on the same rows when given.
    public init(
        _ predictions: [Prediction], base: [Prediction]? = nil, perplexity: Double? = nil,
        basePerplexity: Double? = nil
    ) {
        mismatches = predictions.filter { !$0.isExactMatch }
        exactMatch = Proportion(predictions.count - mismatches.count, of: predictions.count)
        fields = FieldAccuracy.table(predictions)
        labels = LabelTable(predictions, fields: fields)
        slices = LengthSlice.quartiles(predictions)
        var reasons: [String: Int] = [:]
        for prediction in predictions { reasons[prediction.stopReason, default: 0] += 1 }
        stopReasons = reasons.map { (reason: $0.key, count: $0.value) }
            .sorted { $0.count != $1.count ? $0.count > $1.count : $0.reason < $1.reason }
        self.perplexity = perplexity
        self.base = base.map {
            Base(
                exactMatch: Proportion($0.count { $0.isExactMatch }, of: $0.count), fields: FieldAccuracy.table($0),
                perplexity: basePerplexity, comparison: PairedComparison(tuned: predictions, base: $0))
        }
    }
}
