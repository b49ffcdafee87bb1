/// Successes among trials.
public struct Proportion: Sendable, Equatable {
    /// How many succeeded.
    public let successes: Int
    /// How many there were.
    public let count: Int

    /// Successes among `count` trials.
    public init(_ successes: Int, of count: Int) {
        precondition(successes >= 0 && successes <= count, "successes are part of the trials")
        self.successes = successes
        self.count = count
    }

    /// The share in 0…1; `nil` when there were no trials.
    public var fraction: Double? { count == 0 ? nil : Double(successes) / Double(count) }

    /// Wilson's score interval at 95 % (Wilson 1927); `nil` when there were no trials.
    ///
    /// centre = (p + z²/2n) / (1 + z²/n), half = z/(1 + z²/n) · √(p(1−p)/n + z²/4n²)
    public var interval: (low: Double, high: Double)? {
        guard let p = fraction else { return nil }
        let n = Double(count)
        let z = 1.959963984540054
        let scale = 1 + z * z / n
        let centre = (p + z * z / (2 * n)) / scale
        let half = z / scale * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        return (max(0, centre - half), min(1, centre + half))
    }
}

/// The paired test of two models on the same questions.
public enum McNemar {
    /// Exact two-sided p that `fixed` against `broke` discordant pairs arise by chance (McNemar 1947).
    ///
    /// p = min(1, 2 · Σ_{i ≤ min(fixed, broke)} C(n, i) / 2ⁿ), n = fixed + broke; 1 when n = 0.
    public static func exact(fixed: Int, broke: Int) -> Double {
        precondition(fixed >= 0 && broke >= 0, "counts are not negative")
        let n = fixed + broke
        let smaller = min(fixed, broke)
        // C(n, smaller) / 2ⁿ, with the halvings spread so that nothing overflows on the way.
        var term = 1.0
        var halvings = n
        for j in 0..<smaller {
            term *= Double(n - smaller + j + 1) / Double(j + 1)
            while term > 1, halvings > 0 {
                term /= 2
                halvings -= 1
            }
        }
        while halvings > 0, term > 0 {
            term /= 2
            halvings -= 1
        }
        var sum = term
        for i in stride(from: smaller, to: 0, by: -1) {
            term *= Double(i) / Double(n - i + 1)
            sum += term
        }
        return min(1, 2 * sum)
    }
}
