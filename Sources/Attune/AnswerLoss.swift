import AttuneData
import AttuneModels
import Foundation

/// How likely a model finds the expected answers of some rows, their ends included.
public struct AnswerLoss: Sendable, Equatable {
    /// −Σ ln p over the tokens of the answers.
    public var sum = 0.0
    /// Tokens of the answers.
    public var count = 0
    /// exp(sum / count); `nil` without a token.
    public var perplexity: Double? { count == 0 ? nil : exp(sum / Double(count)) }
}

extension Answering {
    private static let rowsAtOnce = 16

    /// The loss on the expected answers. Rows longer than the model's context are left out.
    ///
    /// - Parameter adapter: `nil` for the base alone.
    /// - Throws: `DataError` for a row that the prompt form does not suit, `TensorError` for memory.
    public func loss(of examples: [Example], adapter: String?) throws -> AnswerLoss {
        let limit = model.configuration.maximumPositions
        let rows = try examples.map(encoder.encode).filter { $0.tokens.count <= limit }
        let plan = try BatchPlan(
            rows, options: BatchOptions(batchSize: Self.rowsAtOnce, maxLength: limit, shuffles: false))
        var result = AnswerLoss()
        guard plan.batchesPerEpoch > 0 else { return result }
        let pass = try TrainingPass(
            model.decoder, capacity: plan.longestBatch(sharesBeginnings: true), tier: .keepAll, trains: false)
        let order = plan.order(epoch: 0)
        for position in 0..<plan.batchesPerEpoch {
            let batch = PrefixLayout(plan.batch(at: position, order: order).needed)
            let report = try pass.evaluate(TokenBatch(batch), adapter: adapter)
            result.sum += report.lossSum
            result.count += report.count
        }
        return result
    }
}
