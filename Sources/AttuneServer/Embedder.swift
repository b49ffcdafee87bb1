import AttuneGeneration
import AttuneModels
import AttuneTensor
import Synchronization

/// Text embeddings: the mean over a text's tokens of the last hidden states, scaled to length 1.
///
/// A language model is not trained to embed; the mean separates topics, no more. `@unchecked Sendable`: the pass is used on the
/// engine's thread alone, between two of its steps, because both share the kernels' threads.
final class Embedder: @unchecked Sendable {
    private let pass: InferencePass
    private let engine: Engine
    /// The most tokens of a text.
    let limit: Int
    private let waiting = Mutex(0)
    private static let waitingLimit = 256

    init(_ decoder: Decoder, engine: Engine, rows: Int) throws(TensorError) {
        pass = try InferencePass(decoder, capacity: rows, logitCapacity: rows)
        self.engine = engine
        limit = rows
    }

    /// Takes a place for each of several texts, or none where too many wait.
    func reserve(_ count: Int) -> Bool {
        waiting.withLock { waiting in
            guard waiting + count <= Self.waitingLimit else { return false }
            waiting += count
            return true
        }
    }

    /// Gives places back.
    func release(_ count: Int) { waiting.withLock { $0 -= count } }

    /// The embedding of a text of 1 to `limit` tokens.
    func embedding(of tokens: [Int32], adapter: String?) async throws -> [Float] {
        precondition((1...limit).contains(tokens.count), "\(tokens.count) tokens for a pass of \(limit)")
        return try await engine.betweenSteps { [self] in
            let segments = SegmentTable([Segment(rows: 0..<tokens.count, identity: 0)])
            let states = try pass.hiddenStates(
                tokens, segments, adapterRuns: [AdapterRun(rows: 0..<tokens.count, adapter: adapter)]
            ).floats()
            let width = states.count / tokens.count
            var mean = [Double](repeating: 0, count: width)
            for row in 0..<tokens.count {
                for column in 0..<width { mean[column] += Double(states[row * width + column]) }
            }
            let length = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return mean.map { length > 0 ? Float($0 / length) : 0 }
        }
    }
}
