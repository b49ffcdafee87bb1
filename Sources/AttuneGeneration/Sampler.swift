#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A token with its log-probability under the model's unchanged logits.
public struct TokenLogprob: Sendable, Equatable {
    /// The token.
    public var id: Int32
    /// ln p.
    public var logprob: Float

    /// Joins the two.
    public init(id: Int32, logprob: Float) {
        self.id = id
        self.logprob = logprob
    }
}

/// What the sampler chose at one step.
public struct SampledToken: Sendable, Equatable {
    /// The token.
    public var id: Int32
    /// ln p of the token, where asked for.
    public var logprob: Float?
    /// The most likely tokens, best first, where asked for.
    public var top: [TokenLogprob]
}

/// Tokens already seen, as the penalties need them.
public struct TokenHistory: Sendable {
    private(set) var seen: Set<Int32> = []
    private(set) var outputCounts: [Int32: Int] = [:]

    /// Starts with the prompt.
    public init(prompt: some Collection<Int32>) { seen = Set(prompt) }

    /// Adds a generated token.
    public mutating func append(_ id: Int32) {
        seen.insert(id)
        outputCounts[id, default: 0] += 1
    }
}

/// Chooses a token from a row of logits.
///
/// Order, as in transformers' `generate`: bias → repetition penalty → presence and frequency penalty → withheld tokens and
/// grammar mask → temperature → top-k → top-p → min-p → one draw. Log-probabilities are those of the unchanged logits.
public struct Sampler {
    private var scores: [Float] = []
    private var candidates: [Int32] = []
    private var weights: [Double] = []
    private var buckets: [UInt16] = []
    private var heap: [Float] = []

    private static let bucketCount = 1024

    /// A sampler with empty scratch space; one can serve all sequences.
    public init() {}

    /// Chooses one token.
    ///
    /// - Parameters:
    ///   - logits: float32 [V].
    ///   - history: prompt and output so far; needed only when a penalty is set.
    ///   - mask: the grammar's allowed tokens.
    ///   - withheld: tokens that may not be chosen now.
    ///   - uniform: a number in [0, 1); unused at temperature 0.
    /// - Throws: `GenerationError.notFinite` where a logit is not a number or +∞, or no token is possible.
    public mutating func sample(
        _ logits: Span<Float>, options: SamplingOptions, history: TokenHistory?, mask: TokenMask? = nil,
        withheld: [Int32] = [], step: Int, uniform: Double
    ) throws(GenerationError) -> SampledToken {
        let best = try Self.firstMaximum(logits, step: step)
        let changes =
            mask != nil || !withheld.isEmpty || !options.logitBias.isEmpty || options.repetitionPenalty != 1
            || options.presencePenalty != 0 || options.frequencyPenalty != 0
        let id: Int32
        if options.temperature == 0 {
            if changes {
                adjust(logits, options, history, mask, withheld)
                id = try Self.firstMaximum(scores.span, step: step)
            } else {
                id = best
            }
        } else {
            adjust(logits, options, history, mask, withheld)
            try narrow(options, step: step)
            id = draw(uniform)
        }
        guard let count = options.logprobs else { return SampledToken(id: id, logprob: nil, top: []) }
        let (chosen, top) = Self.logprobs(logits, of: id, top: count)
        return SampledToken(id: id, logprob: chosen, top: top)
    }

    /// The probabilities a draw would use, [V]; for tests and displays.
    package mutating func probabilities(
        _ logits: Span<Float>, options: SamplingOptions, history: TokenHistory?
    ) throws(GenerationError) -> [Double] {
        adjust(logits, options, history, nil, [])
        try narrow(options, step: 0)
        let total = weights.reduce(0, +)
        var result = [Double](repeating: 0, count: logits.count)
        for (id, weight) in zip(candidates, weights) { result[Int(id)] = weight / total }
        return result
    }

    /// ln softmax(logits)[id] and the `count` most likely tokens, ties by ascending id.
    public static func logprobs(
        _ logits: Span<Float>, of id: Int32, top count: Int
    ) -> (chosen: Float, top: [TokenLogprob]) {
        var maximum = -Float.infinity
        for i in 0..<logits.count { maximum = max(maximum, logits[i]) }
        var sum = 0.0
        var top: [TokenLogprob] = []
        for i in 0..<logits.count {
            let value = logits[i]
            sum += Double(exp(value - maximum))
            guard count > 0, top.count < count || value > top[top.count - 1].logprob else { continue }
            if top.count == count { top.removeLast() }
            let place = top.firstIndex { $0.logprob < value } ?? top.count
            top.insert(TokenLogprob(id: Int32(i), logprob: value), at: place)
        }
        let logSum = Double(maximum) + log(sum)
        for place in top.indices { top[place].logprob = Float(Double(top[place].logprob) - logSum) }
        return (Float(Double(logits[Int(id)]) - logSum), top)
    }

    /// The first of the largest values; refuses rows with NaN, +∞ or nothing but −∞.
    private static func firstMaximum(_ values: Span<Float>, step: Int) throws(GenerationError) -> Int32 {
        var best = -1
        var maximum = -Float.infinity
        for i in 0..<values.count {
            let value = values[i]
            guard value < .infinity else { throw .notFinite(step: step) }  // false for NaN too
            if value > maximum {
                maximum = value
                best = i
            }
        }
        guard best >= 0 else { throw .notFinite(step: step) }
        return Int32(best)
    }

    /// Writes bias, penalties and masks applied to `logits` into `scores`.
    private mutating func adjust(
        _ logits: Span<Float>, _ options: SamplingOptions, _ history: TokenHistory?, _ mask: TokenMask?,
        _ withheld: [Int32]
    ) {
        let count = logits.count
        if scores.count != count { scores = [Float](repeating: 0, count: count) }
        for i in 0..<count { scores[i] = logits[i] }
        for (id, bias) in options.logitBias where id >= 0 && Int(id) < count { scores[Int(id)] += bias }
        if let history {
            let penalty = options.repetitionPenalty
            if penalty != 1 {
                for id in history.seen where id >= 0 && Int(id) < count {
                    let score = scores[Int(id)]
                    scores[Int(id)] = score > 0 ? score / penalty : score * penalty
                }
            }
            if options.presencePenalty != 0 || options.frequencyPenalty != 0 {
                for (id, times) in history.outputCounts where id >= 0 && Int(id) < count {
                    scores[Int(id)] -= options.presencePenalty + options.frequencyPenalty * Float(times)
                }
            }
        }
        for id in withheld where id >= 0 && Int(id) < count { scores[Int(id)] = -.infinity }
        if let mask {
            for (place, word) in mask.words.enumerated() where word != .max {
                for bit in place << 6..<min(count, place << 6 + 64) where word >> UInt64(bit & 63) & 1 == 0 {
                    scores[bit] = -.infinity
                }
            }
            for id in min(count, mask.count)..<count { scores[id] = -.infinity }
        }
    }

    /// Applies temperature, top-k, top-p and min-p to `scores`; leaves ids (ascending) and weights e^(score − max).
    private mutating func narrow(_ options: SamplingOptions, step: Int) throws(GenerationError) {
        let maximum = scores[Int(try Self.firstMaximum(scores.span, step: step))]
        var floor = -Float.infinity
        if options.topK > 0, options.topK < scores.count { floor = kthLargest(options.topK) }
        candidates.removeAll(keepingCapacity: true)
        weights.removeAll(keepingCapacity: true)
        buckets.removeAll(keepingCapacity: true)
        let needsBuckets = options.topP < 1
        let inverse = 1 / Double(options.temperature)
        for (id, score) in scores.enumerated() where score >= floor && score > -.infinity {
            let exponent = Double(score - maximum) * inverse
            let weight = exp(exponent)
            guard weight > 0 else { continue }
            candidates.append(Int32(id))
            weights.append(weight)
            if needsBuckets { buckets.append(UInt16(min(Double(Self.bucketCount - 1), -16 * exponent))) }
        }
        if options.topP < 1 { keepNucleus(Double(options.topP)) }
        if options.minP > 0 {
            let least = Double(options.minP)  // the largest weight is 1
            keep { $0 >= least }
        }
    }

    /// Keeps every token for which the more likely tokens together stay below `mass` (Holtzman et al. 2020).
    ///
    /// Weights are first summed by buckets of ln(weight); only the bucket in which the mass is reached is sorted.
    private mutating func keepNucleus(_ mass: Double) {
        var sums = [Double](repeating: 0, count: Self.bucketCount)
        var total = 0.0
        for (weight, bucket) in zip(weights, buckets) {
            sums[Int(bucket)] += weight
            total += weight
        }
        let target = mass * total
        var above = 0.0
        var last = 0
        while last < Self.bucketCount - 1, above + sums[last] < target {
            above += sums[last]
            last += 1
        }
        var border = weights.indices.filter { buckets[$0] == last }
        border.sort { (weights[$0], candidates[$1]) > (weights[$1], candidates[$0]) }
        var kept = Set<Int>()
        for place in border {
            guard above < target else { break }
            kept.insert(place)
            above += weights[place]
        }
        var end = 0
        for place in weights.indices {
            let mine = Int(buckets[place])
            guard mine < last || (mine == last && kept.contains(place)) else { continue }
            weights[end] = weights[place]
            candidates[end] = candidates[place]
            end += 1
        }
        weights.removeLast(weights.count - end)
        candidates.removeLast(candidates.count - end)
    }

    private mutating func keep(_ condition: (Double) -> Bool) {
        var end = 0
        for place in weights.indices where condition(weights[place]) {
            weights[end] = weights[place]
            candidates[end] = candidates[place]
            end += 1
        }
        weights.removeLast(weights.count - end)
        candidates.removeLast(candidates.count - end)
    }

    /// The k-th largest score, by a heap of the k largest with the least on top.
    private mutating func kthLargest(_ k: Int) -> Float {
        heap.removeAll(keepingCapacity: true)
        heap.append(contentsOf: scores[..<k])
        for root in stride(from: k / 2 - 1, through: 0, by: -1) { siftDown(root) }
        for score in scores[k...] where score > heap[0] {
            heap[0] = score
            siftDown(0)
        }
        return heap[0]
    }

    private mutating func siftDown(_ start: Int) {
        var root = start
        while true {
            var least = root
            let left = 2 * root + 1
            if left < heap.count, heap[left] < heap[least] { least = left }
            if left + 1 < heap.count, heap[left + 1] < heap[least] { least = left + 1 }
            guard least != root else { return }
            heap.swapAt(root, least)
            root = least
        }
    }

    /// The inverse of the cumulative distribution over ascending ids.
    private func draw(_ uniform: Double) -> Int32 {
        var rest = uniform * weights.reduce(0, +)
        for (id, weight) in zip(candidates, weights) {
            rest -= weight
            if rest < 0 { return id }
        }
        return candidates[candidates.count - 1]
    }
}
