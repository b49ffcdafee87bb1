import AttuneData

/// The tuned model against its base on the same questions.
public struct PairedComparison: Sendable {
    /// Rows both models answer exactly.
    public let bothRight: [RowSource]
    /// Rows neither answers exactly.
    public let bothWrong: [RowSource]
    /// Rows only the tuned model answers exactly.
    public let fixed: [RowSource]
    /// Rows only the base answers exactly.
    public let broke: [RowSource]
    /// Predictions of either side without the same row and expected answer on the other.
    public let unpaired: Int

    /// The chance, two-sided, of a split at least this uneven between equal models (McNemar, exact).
    public var pValue: Double { McNemar.exact(fixed: fixed.count, broke: broke.count) }

    /// Pairs by row and expected answer; rows that stand several times pair in order.
    init(tuned: [Prediction], base: [Prediction]) {
        var waiting: [RowSource: [Prediction]] = [:]
        for prediction in base.reversed() { waiting[prediction.row, default: []].append(prediction) }
        var bothRight: [RowSource] = []
        var bothWrong: [RowSource] = []
        var fixed: [RowSource] = []
        var broke: [RowSource] = []
        var paired = 0
        for prediction in tuned {
            guard let partner = waiting[prediction.row]?.popLast(),
                AnswerText.same(partner.expected, prediction.expected)
            else { continue }
            paired += 1
            switch (partner.isExactMatch, prediction.isExactMatch) {
            case (true, true): bothRight.append(prediction.row)
            case (false, false): bothWrong.append(prediction.row)
            case (false, true): fixed.append(prediction.row)
            case (true, false): broke.append(prediction.row)
            }
        }
        self.bothRight = bothRight
        self.bothWrong = bothWrong
        self.fixed = fixed
        self.broke = broke
        unpaired = tuned.count + base.count - 2 * paired
    }
}
