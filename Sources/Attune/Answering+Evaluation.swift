import AttuneData
import AttuneEvaluation
import AttuneGeneration

extension Answering {
    /// Greedy answers to the questions of examples, beside the answers they should get.
    ///
    /// - Parameters:
    ///   - adapter: `nil` for the base alone.
    ///   - progress: called with the number of answers that are finished.
    /// - Throws: `DataError` for a row without an answer or one that the prompt form does not suit, `GenerationError`.
    public func predictions(
        for examples: [Example], maxNewTokens: Int, adapter: String?, progress: ((Int) -> Void)? = nil
    ) throws -> [Prediction] {
        let expected = try examples.map { example throws(DataError) in
            guard let answer = example.answer else {
                throw DataError(
                    .badData, "the row has no answer to compare with; add output, completion or an assistant message",
                    at: example.source)
            }
            return answer
        }
        let answers = try answer(
            try examples.map(tokens), options: .greedy(maxNewTokens: maxNewTokens), adapter: adapter,
            progress: progress)
        return zip(zip(examples, expected), answers).map { pair, answer in
            Prediction(
                row: pair.0.source, prompt: pair.0.question.own, expected: pair.1, got: answer.text,
                stopReason: answer.finish?.reason.rawValue ?? "")
        }
    }

    /// Answers the examples and judges the answers.
    ///
    /// - Parameters:
    ///   - adapter: `nil` for the base alone.
    ///   - comparesBase: whether the base alone answers too.
    ///   - progress: called with the number of answers that are finished, and how many there will be.
    /// - Throws: as `predictions`.
    public func evaluate(
        _ examples: [Example], maxNewTokens: Int = 64, adapter: String?, comparesBase: Bool = false,
        progress: ((Int, Int) -> Void)? = nil
    ) throws -> EvaluationResult {
        let count = examples.count * (comparesBase ? 2 : 1)
        let tuned = try predictions(for: examples, maxNewTokens: maxNewTokens, adapter: adapter) {
            progress?($0, count)
        }
        let loss = try loss(of: examples, adapter: adapter)
        guard comparesBase else { return EvaluationResult(tuned, perplexity: loss.perplexity) }
        let changesBase = adapter.map { !model.decoder.savedParameters($0).isEmpty } ?? false
        let other = changesBase ? try overUntouchedBase() : self
        let base = try other.predictions(for: examples, maxNewTokens: maxNewTokens, adapter: nil) {
            progress?(examples.count + $0, count)
        }
        return EvaluationResult(
            tuned, base: base, perplexity: loss.perplexity,
            basePerplexity: try other.loss(of: examples, adapter: nil).perplexity)
    }
}
