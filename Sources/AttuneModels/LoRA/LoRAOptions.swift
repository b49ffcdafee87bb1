/// Which matrices an adapter reaches.
public enum TargetModules: Sendable {
    /// Names that equal a module's path or its end after a dot (`"q_proj"`).
    case names([String])
    /// A regular expression that must match the whole path.
    case pattern(ModulePattern)
    /// Every matrix but the head.
    case allLinear
}

/// How an adapter's options read: PEFT's `LoraConfig`.
public struct LoRAOptions: Sendable {
    /// Which base biases are trained and saved along.
    public enum Bias: String, Sendable, CaseIterable {
        /// None.
        case none
        /// All of the model's.
        case all
        /// Those of the reached matrices.
        case loraOnly = "lora_only"
    }

    /// How fresh matrices start; B is zero in both, so a fresh adapter changes nothing.
    public enum Initialization: String, Sendable, CaseIterable {
        /// A uniform in ±1/√in (Kaiming with a = √5, PEFT's `true`).
        case kaiming
        /// A normal with deviation 1/r.
        case gaussian
    }

    /// r.
    public var rank = 8
    /// α; the factor on B·A is α/r.
    public var alpha = 8.0
    /// Probability that an input element of the adapter is dropped while training.
    public var dropout: Float = 0
    /// Which matrices.
    public var targets: TargetModules
    /// Matrices left out of `targets`.
    public var excluded: TargetModules?
    /// Which biases.
    public var bias = Bias.none
    /// Modules trained whole and saved with the adapter (`lm_head`, `embed_tokens`, norms).
    public var modulesToSave: [String] = []
    /// α/√r instead of α/r (Kalajdzievski 2023).
    public var isRankStabilized = false
    /// Magnitudes beside directions (DoRA).
    public var usesDoRA = false
    /// Other ranks for some modules: the first key that matches `(.*\.)?KEY$` counts.
    public var rankPattern: [(key: ModulePattern, rank: Int)] = []
    /// Other α for some modules.
    public var alphaPattern: [(key: ModulePattern, alpha: Double)] = []
    /// Whether the embedding and a tied head that are saved whole stay one matrix (PEFT's `ensure_weight_tying`).
    public var tiesSavedEmbedding = false
    /// Only these blocks; `nil` for all.
    public var layers: [Int]?
    /// What must stand before a block's number for `layers` to count; empty for anything.
    public var layersPattern: [ModulePattern] = []
    /// How fresh matrices start.
    public var initialization = Initialization.kaiming

    /// PEFT's defaults with the given targets.
    public init(targets: TargetModules) { self.targets = targets }

    /// The rank of a module.
    public func rank(of module: String) -> Int { rankPattern.first { $0.key.matchesEnd(of: module) }?.rank ?? rank }

    /// The factor on B·A of a module.
    public func scale(of module: String) -> Float {
        let alpha = alphaPattern.first { $0.key.matchesEnd(of: module) }?.alpha ?? alpha
        let rank = Double(rank(of: module))
        return Float(isRankStabilized ? alpha / rank.squareRoot() : alpha / rank)
    }

    /// Whether the options reach a module of the given block. What is saved whole carries no pair.
    package func reaches(_ module: String, block: Int) -> Bool {
        if let layers, !layers.isEmpty {
            guard layers.contains(block) else { return false }
            let path = module.firstRange(of: ".\(block).").map { String(module[..<$0.lowerBound]) } ?? module
            guard layersPattern.isEmpty || layersPattern.contains(where: { $0.matchesEnd(of: path) }) else {
                return false
            }
        }
        if let excluded, excluded.matches(module) { return false }
        if modulesToSave.contains(where: { module == $0 || module.hasSuffix("." + $0) }) { return false }
        return targets.matches(module)
    }
}

extension TargetModules {
    func matches(_ module: String) -> Bool {
        switch self {
        case .names(let names): names.contains { module == $0 || module.hasSuffix("." + $0) }
        case .pattern(let pattern): pattern.matchesWhole(module)
        case .allLinear: true
        }
    }
}
