import AttuneTensor

/// How the learning rate moves over the steps of a run, by the names and formulas of transformers.
public struct Schedule: Sendable, Equatable {
    /// The shapes, by `lr_scheduler_type`.
    public enum Kind: String, Sendable, CaseIterable {
        /// Down to zero in a straight line.
        case linear
        /// Half a cosine down to zero.
        case cosine
        /// Cosines that start over (`num_cycles`).
        case cosineWithRestarts = "cosine_with_restarts"
        /// A power down to `lr_end`.
        case polynomial
        /// Always the same, without warm-up.
        case constant
        /// Always the same, after the warm-up.
        case constantWithWarmup = "constant_with_warmup"
        /// 1/√step after the warm-up.
        case inverseSquareRoot = "inverse_sqrt"
        /// Half a cosine down to `min_lr` or `min_lr_rate`.
        case cosineWithMinimum = "cosine_with_min_lr"
        /// The same, with a warm-up that does not start at zero.
        case cosineWarmupWithMinimum = "cosine_warmup_with_min_lr"
        /// Warm-up, plateau, decay (Hu et al. 2024).
        case warmupStableDecay = "warmup_stable_decay"
    }

    /// The shape.
    public var kind: Kind
    /// The highest rate.
    public var learningRate: Double
    /// Steps that lead up to it.
    public var warmupSteps: Int
    /// Steps of the whole run.
    public var totalSteps: Int
    /// `lr_scheduler_kwargs`: numbers by name.
    public var parameters: [String: Double]
    /// `lr_scheduler_kwargs`: words by name (`warmup_type`, `decay_type`).
    public var words: [String: String]

    /// Collects the parts.
    public init(
        kind: Kind, learningRate: Double, warmupSteps: Int, totalSteps: Int, parameters: [String: Double] = [:],
        words: [String: String] = [:]
    ) {
        self.kind = kind
        self.learningRate = learningRate
        self.warmupSteps = warmupSteps
        self.totalSteps = totalSteps
        self.parameters = parameters
        self.words = words
    }

    /// The names `lr_scheduler_kwargs` may have for a shape.
    public static func parameterNames(_ kind: Kind) -> Set<String> {
        switch kind {
        case .linear, .constant, .constantWithWarmup: []
        case .cosine, .cosineWithRestarts: ["num_cycles"]
        case .polynomial: ["lr_end", "power"]
        case .inverseSquareRoot: ["timescale"]
        case .cosineWithMinimum: ["num_cycles", "min_lr", "min_lr_rate"]
        case .cosineWarmupWithMinimum: ["num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"]
        case .warmupStableDecay:
            ["num_decay_steps", "num_stable_steps", "min_lr_ratio", "num_cycles", "warmup_type", "decay_type"]
        }
    }

    /// The rate of the optimizer step with this number, counted from 0.
    public func rate(at step: Int) -> Double { learningRate * factor(at: step) }

    private func factor(at step: Int) -> Double {
        let warmup = Double(warmupSteps)
        let step = Double(step)
        let rising = step / max(1, warmup)
        let progress = (step - warmup) / max(1, Double(totalSteps) - warmup)
        let cosine = { (cycles: Double, progress: Double) in
            0.5 * (1 + ScalarMath.cos(.pi * cycles * 2 * progress))
        }
        switch kind {
        case .constant:
            return 1
        case .constantWithWarmup:
            return step < warmup ? rising : 1
        case .linear:
            return step < warmup
                ? rising : max(0, (Double(totalSteps) - step) / max(1, Double(totalSteps) - warmup))
        case .cosine:
            return step < warmup ? rising : max(0, cosine(parameters["num_cycles"] ?? 0.5, progress))
        case .cosineWithRestarts:
            if step < warmup { return rising }
            if progress >= 1 { return 0 }
            let turn = ((parameters["num_cycles"] ?? 1) * progress).truncatingRemainder(dividingBy: 1)
            return max(0, 0.5 * (1 + ScalarMath.cos(.pi * turn)))
        case .polynomial:
            if step < warmup { return rising }
            let end = (parameters["lr_end"] ?? 1e-7) / learningRate
            if step > Double(totalSteps) { return end }
            let remaining = 1 - (step - warmup) / max(1, Double(totalSteps) - warmup)
            return (1 - end) * ScalarMath.pow(remaining, parameters["power"] ?? 1) + end
        case .inverseSquareRoot:
            if step < warmup { return rising }
            let timescale = parameters["timescale"] ?? (warmupSteps == 0 ? 10_000 : warmup)
            return 1 / ((step + timescale - warmup) / timescale).squareRoot()
        case .cosineWithMinimum:
            if step < warmup { return rising }
            return max(0, cosine(parameters["num_cycles"] ?? 0.5, progress) * (1 - minimum) + minimum)
        case .cosineWarmupWithMinimum:
            if step < warmup {
                guard let start = parameters["warmup_lr_rate"] else { return (step + 1) / max(1, warmup) }
                return start + (1 - start) * step / max(1, warmup - 1)
            }
            let progress = (step - warmup + 1) / max(1, Double(totalSteps) - warmup)
            return max(0, cosine(parameters["num_cycles"] ?? 0.5, progress) * (1 - minimum) + minimum)
        case .warmupStableDecay:
            return stableDecayFactor(step, warmup)
        }
    }

    private var minimum: Double {
        parameters["min_lr"].map { $0 / learningRate } ?? parameters["min_lr_rate"] ?? 0
    }

    private func stableDecayFactor(_ step: Double, _ warmup: Double) -> Double {
        let minimum = parameters["min_lr_ratio"] ?? 0
        let decay = parameters["num_decay_steps"] ?? 0
        let stable = parameters["num_stable_steps"] ?? (Double(totalSteps) - warmup - decay)
        let raised = { (factor: Double) in max(0, factor * (1 - minimum) + minimum) }
        if step < warmup {
            let progress = step / max(1, warmup)
            switch words["warmup_type"] {
            case "cosine": return raised(0.5 * (1 - ScalarMath.cos(.pi * progress)))
            case "1-sqrt": return raised(1 - (1 - progress).squareRoot())
            default: return raised(progress)
            }
        }
        if step < warmup + stable { return 1 }
        guard step < warmup + stable + decay else { return minimum }
        let progress = (step - warmup - stable) / max(1, decay)
        switch words["decay_type"] {
        case "linear": return raised(1 - progress)
        case "1-sqrt": return raised(1 - progress.squareRoot())
        default:
            let cycles = parameters["num_cycles"] ?? 0.5
            return raised(0.5 * (1 + ScalarMath.cos(.pi * cycles * 2 * progress)))
        }
    }
}
