import AttuneModels
import AttuneTensor
import Foundation

/// How likely a model finds the tokens of a text.
public struct TextScore: Sendable {
    /// The tokens.
    public var tokens: [Int32]
    /// ln p(token i | tokens before it); `nil` for the first.
    public var logProbabilities: [Double?]
    /// The likeliest tokens after token i, likeliest first; of equal ones the lower id first.
    public var top: [[(id: Int32, logProbability: Double)]]
    /// Σ of the log-probabilities.
    public var sum: Double { logProbabilities.reduce(0) { $0 + ($1 ?? 0) } }
    /// exp(−sum / predicted tokens); `nil` for a text of one token.
    public var perplexity: Double? { tokens.count > 1 ? exp(-sum / Double(tokens.count - 1)) : nil }
}

/// Why a text cannot be scored.
public enum ScoreError: Error, Sendable, CustomStringConvertible {
    /// There are no tokens.
    case empty
    /// A token the model has no row for.
    case outOfVocabulary(Int32, vocabularySize: Int)
    /// The model's logits are not finite.
    case notFinite(row: Int)

    /// One line.
    public var description: String {
        switch self {
        case .empty: "there are no tokens to score; give at least one"
        case .outOfVocabulary(let id, let size):
            "token \(id) is outside the model's vocabulary of \(size); check the ids"
        case .notFinite(let row):
            "the logits after token \(row) are not finite; check the weights or use a wider compute type"
        }
    }
}

/// Scores texts with a decoder, one at a time.
public final class Scorer {
    private let decoder: Decoder
    private let adapter: String?
    private var pass: InferencePass?
    /// Rows whose logits are held at once; a longer text goes through a cache in stretches of this length.
    private static let stretch = 512

    /// - Parameter adapter: the name of an attached adapter; `nil` for the base alone.
    public init(_ decoder: Decoder, adapter: String? = nil) {
        self.decoder = decoder
        self.adapter = adapter
    }

    /// Scores a text.
    /// - Parameter top: how many of the likeliest next tokens are listed for each row.
    /// - Throws: `ScoreError`, `TensorError` for memory.
    public func score(_ tokens: [Int32], top: Int = 0) throws -> TextScore {
        guard !tokens.isEmpty else { throw ScoreError.empty }
        let size = decoder.configuration.vocabularySize
        if let id = tokens.first(where: { $0 < 0 || Int($0) >= size }) {
            throw ScoreError.outOfVocabulary(id, vocabularySize: size)
        }
        let pass = try pass(for: min(tokens.count, Self.stretch))
        let cache = tokens.count > Self.stretch ? try KVCache(decoder, rows: tokens.count) : nil
        var result = TextScore(tokens: tokens, logProbabilities: [nil], top: [])
        for start in stride(from: 0, to: tokens.count, by: Self.stretch) {
            let end = min(start + Self.stretch, tokens.count)
            let count = end - start
            let segment = Segment(queries: 0..<count, keys: [0..<(cache == nil ? count : end)])
            let logits = try pass.run(
                Array(tokens[start..<end]), SegmentTable([segment]),
                cache: cache.map { ($0, (Int32(start)..<Int32(end)).map { $0 }) },
                logitRows: (0..<Int32(count)).map { $0 },
                adapterRuns: [AdapterRun(rows: 0..<count, adapter: adapter)])
            let values = UnsafeBufferPointer(
                start: UnsafePointer(logits.address.assumingMemoryBound(to: Float.self)), count: count * size)
            for row in 0..<count {
                let line = UnsafeBufferPointer(rebasing: values[row * size..<(row + 1) * size])
                // log p_v = x_v − m − ln Σ exp(x_u − m)
                let largest = Double(line.max() ?? 0)
                let normalizer = largest + log(line.reduce(0.0) { $0 + exp(Double($1) - largest) })
                guard normalizer.isFinite else { throw ScoreError.notFinite(row: start + row) }
                if start + row + 1 < tokens.count {
                    result.logProbabilities.append(Double(line[Int(tokens[start + row + 1])]) - normalizer)
                }
                result.top.append(
                    Self.largest(top, of: line).map { (Int32($0), Double(line[$0]) - normalizer) })
            }
        }
        return result
    }

    private func pass(for rows: Int) throws -> InferencePass {
        if let pass, pass.capacity >= rows { return pass }
        let made = try InferencePass(decoder, capacity: rows, logitCapacity: rows)
        pass = made
        return made
    }

    /// The places of the `count` largest values, in falling order.
    private static func largest(_ count: Int, of line: UnsafeBufferPointer<Float>) -> [Int] {
        var places: [Int] = []
        guard count > 0 else { return places }
        for place in line.indices {
            if places.count == count, let last = places.last, !(line[place] > line[last]) { continue }
            let at = places.firstIndex { line[place] > line[$0] } ?? places.count
            places.insert(place, at: at)
            if places.count > count { places.removeLast() }
        }
        return places
    }
}
