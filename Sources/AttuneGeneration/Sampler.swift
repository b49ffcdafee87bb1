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
    /// e^((score − maximum) / temperature) of every token that may be drawn, 0 of the others.
    private var weights: [Float] = []
    /// The weights of each `LogitScan.chunk` together.
    private var sums: [Double] = []
    private var candidates: [Int32] = []
    private var heap: [Float] = []

    // The highest bits of a float between 0 and 1: eight steps an octave.
    private static let bucketShift: UInt32 = 20
    private static let bucketCount = Int((1 as Float).bitPattern >> bucketShift) + 1

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
        let changes = mask != nil || !withheld.isEmpty || options.changesLogits
        var id = best
        if changes {
            adjust(logits, options, history, mask, withheld)
            id = try Self.firstMaximum(scores.span, step: step)
        }
        if options.temperature != 0 {
            let changed = scores
            narrow(changes ? changed.span : logits, maximum: id, options)
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
        let changed = scores
        narrow(changed.span, maximum: try Self.firstMaximum(changed.span, step: 0), options)
        let total = sums.reduce(0, +)
        return weights.map { Double($0) / total }
    }

    /// ln softmax(logits)[id] and the `count` most likely tokens, ties by ascending id.
    public static func logprobs(
        _ logits: Span<Float>, of id: Int32, top count: Int
    ) -> (chosen: Float, top: [TokenLogprob]) {
        logits.withUnsafeBufferPointer { row in
            guard let best = LogitScan.firstMaximum(row) else { return (-.infinity, []) }
            let logSum = Double(row[best]) + log(LogitScan.exponentialSum(row, maximum: row[best]))
            var top: [TokenLogprob] = []
            var place = 0
            while count > 0, place < row.count {
                if top.count == count {
                    let least = top[count - 1].logprob
                    guard
                        let next = LogitScan.first(in: row, from: place, where: { $0 .> least }, scalar: { $0 > least })
                    else { break }
                    place = next
                    top.removeLast()
                }
                let value = row[place]
                top.insert(
                    TokenLogprob(id: Int32(place), logprob: value),
                    at: top.firstIndex { $0.logprob < value } ?? top.count)
                place += 1
            }
            for place in top.indices { top[place].logprob = Float(Double(top[place].logprob) - logSum) }
            return (Float(Double(row[Int(id)]) - logSum), top)
        }
    }

    /// The first of the largest values; refuses rows with NaN, +∞ or nothing but −∞.
    private static func firstMaximum(_ values: Span<Float>, step: Int) throws(GenerationError) -> Int32 {
        guard let place = values.withUnsafeBufferPointer({ LogitScan.firstMaximum($0) }) else {
            throw .notFinite(step: step)
        }
        return Int32(place)
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
                let bits = place << 6..<min(count, place << 6 + 64)
                if word == 0 {
                    for bit in bits { scores[bit] = -.infinity }
                } else {
                    for bit in bits where word >> UInt64(bit & 63) & 1 == 0 { scores[bit] = -.infinity }
                }
            }
            for id in min(count, mask.count)..<count { scores[id] = -.infinity }
        }
    }

    /// Applies temperature, top-k, top-p and min-p; leaves `weights` and their `sums`.
    private mutating func narrow(_ scores: Span<Float>, maximum id: Int32, _ options: SamplingOptions) {
        let count = scores.count
        if weights.count != count {
            weights = [Float](repeating: 0, count: count)
            sums = [Double](repeating: 0, count: (count + LogitScan.chunk - 1) / LogitScan.chunk)
        }
        var floor = -Float.greatestFiniteMagnitude
        if options.topK > 0, options.topK < count { floor = kthLargest(scores, options.topK) }
        // The largest weight is 1, so min-p is a bound on weights; it comes after top-p, which looks at all of them.
        let hasNucleus = options.topP < 1
        let inverse = min(1 / options.temperature, 1e30)
        scores.withUnsafeBufferPointer { scores in
            weights.withUnsafeMutableBufferPointer { weights in
                sums.withUnsafeMutableBufferPointer { sums in
                    LogitScan.weigh(
                        scores, maximum: scores[Int(id)], inverse: inverse, floor: floor,
                        least: hasNucleus ? 0 : options.minP, into: weights, sums: sums)
                }
            }
        }
        if hasNucleus { keepNucleus(Double(options.topP), least: options.minP) }
    }

    /// Keeps every token for which the more likely tokens together stay below `mass` (Holtzman et al. 2020), and of these
    /// the ones of at least the weight `least`.
    ///
    /// Weights are first summed by buckets of their logarithm; only the bucket in which the mass is reached is sorted.
    private mutating func keepNucleus(_ mass: Double, least: Float) {
        let total = sums.reduce(0, +)
        let target = mass * total
        // Weights below this are together less than what lies outside the nucleus.
        let bound = Float((1 - mass) * total / Double(weights.count) * 0.999)
        gather(atLeast: max(bound, .leastNormalMagnitude))
        var buckets = [Double](repeating: 0, count: Self.bucketCount)
        func bucket(_ weight: Float) -> Int { Int(weight.bitPattern >> Self.bucketShift) }
        for id in candidates { buckets[bucket(weights[Int(id)])] += Double(weights[Int(id)]) }
        var above = 0.0
        var last = Self.bucketCount - 1
        while last > 0, above + buckets[last] < target {
            above += buckets[last]
            last -= 1
        }
        var border = candidates.filter { bucket(weights[Int($0)]) == last }
        border.sort { (weights[Int($0)], $1) > (weights[Int($1)], $0) }
        var kept = candidates.filter { bucket(weights[Int($0)]) > last }
        for id in border {
            guard above < target else { break }
            kept.append(id)
            above += Double(weights[Int(id)])
        }
        let entries = kept.map { (id: Int($0), weight: weights[Int($0)]) }
        for place in weights.indices { weights[place] = 0 }
        for place in sums.indices { sums[place] = 0 }
        for (id, weight) in entries where weight >= least {
            weights[id] = weight
            sums[id / LogitScan.chunk] += Double(weight)
        }
    }

    /// Fills `candidates` with the tokens of at least a weight, by ascending id.
    private mutating func gather(atLeast bound: Float) {
        candidates.removeAll(keepingCapacity: true)
        weights.withUnsafeBufferPointer { weights in
            var place = 0
            while let next = LogitScan.first(
                in: weights, from: place, where: { $0 .>= bound }, scalar: { $0 >= bound })
            {
                candidates.append(Int32(next))
                place = next + 1
            }
        }
    }

    /// The k-th largest score, by a heap of the k largest with the least on top.
    private mutating func kthLargest(_ scores: Span<Float>, _ k: Int) -> Float {
        heap.removeAll(keepingCapacity: true)
        for place in 0..<k { heap.append(scores[place]) }
        for root in stride(from: k / 2 - 1, through: 0, by: -1) { siftDown(root) }
        scores.withUnsafeBufferPointer { scores in
            var place = k
            while true {
                let least = heap[0]
                guard
                    let next = LogitScan.first(in: scores, from: place, where: { $0 .> least }, scalar: { $0 > least })
                else { break }
                heap[0] = scores[next]
                siftDown(0)
                place = next + 1
            }
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
        var rest = uniform * sums.reduce(0, +)
        var chunk = 0
        while chunk < sums.count - 1, rest >= sums[chunk] {
            rest -= sums[chunk]
            chunk += 1
        }
        // Rounding may leave a little more than the rest of the weights; the last token that can be drawn takes it.
        while chunk > 0, sums[chunk] == 0 { chunk -= 1 }
        var last = 0
        for id in chunk * LogitScan.chunk..<min(weights.count, (chunk + 1) * LogitScan.chunk) where weights[id] > 0 {
            last = id
            rest -= Double(weights[id])
            if rest < 0 { break }
        }
        return Int32(last)
    }
}
