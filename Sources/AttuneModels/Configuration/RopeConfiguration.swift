import AttuneTensor

/// A rotation of queries and keys (RoPE, Su et al. 2021) and how it is stretched to long contexts.
public struct RopeConfiguration: Sendable, Equatable {
    /// The stretching rules, by `rope_type`.
    public enum Scaling: Sendable, Equatable {
        /// None.
        case none
        /// Every frequency divided by the factor.
        case linear(factor: Double)
        /// The base grows once the text is longer than the model was made for.
        case dynamic(factor: Double, maximumPositions: Int)
        /// Llama 3.1: low frequencies divided, middle ones blended.
        case llama3(factor: Double, lowFrequency: Double, highFrequency: Double, originalPositions: Double)
        /// YaRN (Peng et al. 2023).
        case yarn(
            factor: Double, attentionFactor: Double, betaFast: Double, betaSlow: Double, originalPositions: Double,
            truncates: Bool)
        /// LongRoPE (Ding et al. 2024): one divisor a frequency, other ones beyond the original length.
        case longrope(short: [Double], long: [Double], attentionFactor: Double, originalPositions: Int)
    }

    /// The base of the frequencies.
    public var theta: Double
    /// How many elements of a head turn (even).
    public var rotaryDimension: Int
    /// The stretching rule.
    public var scaling = Scaling.none

    /// How many pairs of elements turn.
    public var pairCount: Int { rotaryDimension / 2 }

    /// The factor on cosine and sine.
    public var attentionFactor: Double {
        switch scaling {
        case .yarn(_, let factor, _, _, _, _): factor
        case .longrope(_, _, let factor, _): factor
        default: 1
        }
    }

    /// The frequency of each pair, in float32 as the reference computes it.
    ///
    /// - Parameter length: positions of the longest text the frequencies serve; only `dynamic` and `longrope` depend on it.
    public func frequencies(length: Int) -> [Float] {
        let dimension = Float(rotaryDimension)
        let exponents = (0..<pairCount).map { Float(2 * $0) / dimension }
        let base = { (theta: Float) in exponents.map { 1 / ScalarMath.pow(theta, $0) } }
        let plain = base(Float(theta))
        switch scaling {
        case .none:
            return plain
        case .linear(let factor):
            return plain.map { $0 / Float(factor) }
        case .dynamic(let factor, let maximum):
            let length = Double(max(length, maximum))
            let growth = factor * length / Double(maximum) - (factor - 1)
            let power = Double(rotaryDimension) / Double(rotaryDimension - 2)
            return base(Float(theta * ScalarMath.pow(growth, power)))
        case .llama3(let factor, let low, let high, let original):
            return plain.map { frequency in
                let wavelength = 2 * Float.pi / frequency
                if wavelength < Float(original / high) { return frequency }
                if wavelength > Float(original / low) { return frequency / Float(factor) }
                let smooth = (Float(original) / wavelength - Float(low)) / Float(high - low)
                return (1 - smooth) * frequency / Float(factor) + smooth * frequency
            }
        case .yarn(let factor, _, let fast, let slow, let original, let truncates):
            let width = Double(rotaryDimension)
            let place = { (turns: Double) in
                width * ScalarMath.log(original / (turns * 2 * .pi)) / (2 * ScalarMath.log(self.theta))
            }
            var low = place(fast)
            var high = place(slow)
            if truncates {
                low = low.rounded(.down)
                high = high.rounded(.up)
            }
            low = max(low, 0)
            high = min(high, width - 1)
            if low == high { high += 0.001 }
            return plain.enumerated().map { index, frequency in
                let ramp = min(max((Float(index) - Float(low)) / Float(high - low), 0), 1)
                return frequency / Float(factor) * ramp + frequency * (1 - ramp)
            }
        case .longrope(let short, let long, _, let original):
            let factors = length > original ? long : short
            return exponents.enumerated().map { index, exponent in
                1 / (Float(factors[index]) * ScalarMath.pow(Float(theta), exponent))
            }
        }
    }

    /// Whether long texts have other frequencies than short ones.
    public var isLengthDependent: Bool {
        switch scaling {
        case .dynamic, .longrope: true
        default: false
        }
    }

    /// Whether the frequencies change when texts grow from one length to another.
    public func changes(from old: Int, to new: Int) -> Bool {
        switch scaling {
        case .dynamic(_, let maximum): max(old, maximum) != max(new, maximum)
        case .longrope(_, _, _, let original): (old > original) != (new > original)
        default: false
        }
    }
}
