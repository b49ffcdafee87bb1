import AttuneFiles
import AttuneJSON

extension LoRAOptions {
    /// The options a PEFT adapter was trained with.
    ///
    /// Targets are those of the configuration, so that a module without its tensors is noticed. Where only the file can tell
    /// (`all-linear`, targets left to the model's type, an expression that needs backtracking), the modules in the file count.
    ///
    /// - Throws: `ModelError.mismatch` for features that would run and be wrong.
    public init(_ adapter: AdapterDirectory) throws(ModelError) {
        try self.init(adapter.configuration, modules: adapter.modules, path: adapter.path)
    }

    /// The same, of a configuration and the modules that have tensors.
    package init(_ c: AdapterConfiguration, modules: [String], path: String) throws(ModelError) {
        let unsupported = c.unsupportedFeatures
        guard unsupported.isEmpty else {
            throw .mismatch("\(path): the adapter uses \(unsupported.joined(separator: ", ")), which is not supported")
        }
        let own = TargetModules.names(modules)
        self.init(targets: try Self.targets(c.targetModules, otherwise: own) ?? own)
        excluded = try Self.targets(c.excludeModules, otherwise: nil)
        rank = c.rank
        alpha = c.alpha
        dropout = Float(c.dropout)
        isRankStabilized = c.usesRSLoRA
        usesDoRA = c.usesDoRA
        guard let bias = Bias(rawValue: c.bias) else {
            throw .mismatch("\(path): bias '\(c.bias)' is unknown")
        }
        self.bias = bias
        modulesToSave = c.modulesToSave ?? []
        tiesSavedEmbedding = c.tiesWeights
        for (pattern, rank) in c.rankPattern { rankPattern.append((try ModulePattern(pattern), rank)) }
        for (pattern, alpha) in c.alphaPattern { alphaPattern.append((try ModulePattern(pattern), alpha)) }
        layers = c.layersToTransform
        for pattern in c.layersPattern ?? [] { layersPattern.append(try ModulePattern(pattern)) }
        if c.initialization.stringValue == Initialization.gaussian.rawValue { initialization = .gaussian }
    }

    private static func targets(
        _ modules: AdapterConfiguration.Modules?, otherwise: TargetModules?
    ) throws(ModelError) -> TargetModules? {
        switch modules {
        case .list(let names): return .names(names)
        case .expression("all-linear"), nil: return otherwise
        case .expression(let expression):
            if let otherwise { return (try? ModulePattern(expression)).map { .pattern($0) } ?? otherwise }
            return .pattern(try ModulePattern(expression))
        }
    }

    /// The configuration PEFT reads, for an adapter that reached the given modules.
    func configuration(reached: [String], base: String) -> AdapterConfiguration {
        var c = AdapterConfiguration()
        c.rank = rank
        c.alpha = alpha
        c.dropout = Double(dropout)
        c.excludeModules = excluded.map(Self.modules)
        c.layersToTransform = layers
        c.layersPattern = layersPattern.isEmpty ? nil : layersPattern.map(\.source)
        switch targets {
        case .names, .pattern: c.targetModules = Self.modules(targets)
        case .allLinear:
            let names = Set(reached.map { String($0.split(separator: ".").last ?? "") })
            c.targetModules = .list(names.sorted())
        }
        // PEFT refuses a choice of layers beside an expression; the modules' whole names say both.
        if case .pattern = targets, layers != nil {
            c.targetModules = .list(reached)
            c.layersToTransform = nil
            c.layersPattern = nil
        }
        c.bias = bias.rawValue
        c.modulesToSave = modulesToSave.isEmpty ? nil : modulesToSave
        c.tiesWeights = tiesSavedEmbedding
        c.usesRSLoRA = isRankStabilized
        c.usesDoRA = usesDoRA
        c.rankPattern = rankPattern.map { ($0.key.source, $0.rank) }
        c.alphaPattern = alphaPattern.map { ($0.key.source, $0.alpha) }
        c.initialization = initialization == .kaiming ? true : JSON(initialization.rawValue)
        c.baseModel = base
        return c
    }

    private static func modules(_ targets: TargetModules) -> AdapterConfiguration.Modules {
        switch targets {
        case .names(let names): .list(names)
        case .pattern(let pattern): .expression(pattern.source)
        case .allLinear: .expression("all-linear")
        }
    }
}
