/// Which modules an adapter touches, and with which rank and scale: PEFT's rules for its patterns.
extension AdapterConfiguration {
    /// Rank of the pair at a module.
    ///
    /// - Parameters:
    ///   - module: the full name without `base_model.model.`, such as `model.layers.0.self_attn.q_proj`.
    ///   - fullMatch: an engine for patterns that are regular expressions.
    /// - Throws: `FilesError.unsupported` when one is needed and not given.
    public func rank(
        forModule module: String, fullMatch: ModulePattern.FullMatch? = nil
    ) throws(FilesError) -> Int {
        for (pattern, rank) in rankPattern where try matches(pattern, module, fullMatch) { return rank }
        return rank
    }

    /// Alpha of the pair at a module.
    /// - Throws: `FilesError.unsupported` when a pattern needs an engine and none is given.
    public func alpha(
        forModule module: String, fullMatch: ModulePattern.FullMatch? = nil
    ) throws(FilesError) -> Double {
        for (pattern, alpha) in alphaPattern where try matches(pattern, module, fullMatch) { return alpha }
        return alpha
    }

    /// What B·A is multiplied with at a module: alpha / rank, or alpha / √rank with rsLoRA.
    /// - Throws: `FilesError.unsupported` when a pattern needs an engine and none is given.
    public func scaling(
        forModule module: String, fullMatch: ModulePattern.FullMatch? = nil
    ) throws(FilesError) -> Double {
        let rank = Double(try rank(forModule: module, fullMatch: fullMatch))
        return try alpha(forModule: module, fullMatch: fullMatch) / (usesRSLoRA ? rank.squareRoot() : rank)
    }

    /// Whether the adapter has a pair at a module, by `targetModules`, `excludeModules`, `modulesToSave` and the layer
    /// restriction. `all-linear` and a missing `targetModules` depend on the model and must be resolved to a list first.
    ///
    /// - Throws: `FilesError.unsupported` when a pattern needs an engine and none is given.
    public func targets(
        module: String, fullMatch: ModulePattern.FullMatch? = nil
    ) throws(FilesError) -> Bool {
        switch excludeModules {
        case .list(let names): if ModulePattern.isListed(module, in: names) { return false }
        case .expression(let expression): if try wholeMatch(expression, module, fullMatch) { return false }
        case nil: break
        }
        let segments = module.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        for saved in modulesToSave ?? [] {
            // A module inside a saved one is saved with it: try every prefix of the name.
            for end in 1...max(1, segments.count) {
                let prefix = segments.prefix(end).joined(separator: ".")
                if try matches(ModulePattern(saved), prefix, fullMatch) { return false }
            }
        }
        switch targetModules {
        case .list(let names):
            guard ModulePattern.isListed(module, in: names) else { return false }
            return try isInChosenLayer(segments, fullMatch)
        case .expression(let expression): return try wholeMatch(expression, module, fullMatch)
        case nil: return false
        }
    }

    /// Whether the first numbered segment (with `layersPattern`: the first after such a name) is a chosen layer.
    private func isInChosenLayer(
        _ segments: [String], _ fullMatch: ModulePattern.FullMatch?
    ) throws(FilesError) -> Bool {
        guard let layers = layersToTransform, !layers.isEmpty else { return true }
        func number(_ place: Int) -> Int? {
            segments[place].utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                ? Int(segments[place]) : nil
        }
        guard segments.count > 2 else { return false }
        guard let patterns = layersPattern, !patterns.isEmpty else {
            for place in 2..<max(2, segments.count - 1) {
                if let layer = number(place) { return layers.contains(layer) }
            }
            return false
        }
        for pattern in patterns {
            for place in 1..<(segments.count - 1) {
                guard let layer = number(place) else { continue }
                if try matches(pattern, segments.prefix(place).joined(separator: "."), fullMatch) {
                    return layers.contains(layer)
                }
            }
        }
        return false
    }

    private func matches(
        _ pattern: ModulePattern, _ module: String, _ fullMatch: ModulePattern.FullMatch?
    ) throws(FilesError) -> Bool {
        guard let result = pattern.matchesSuffix(of: module, fullMatch: fullMatch) else {
            throw needsEngine(pattern.text)
        }
        return result
    }

    private func wholeMatch(
        _ expression: String, _ module: String, _ fullMatch: ModulePattern.FullMatch?
    ) throws(FilesError) -> Bool {
        guard let fullMatch else { throw needsEngine(expression) }
        return fullMatch(expression, module)
    }

    private func needsEngine(_ expression: String) -> FilesError {
        .unsupported(
            path: AdapterDirectory.configurationName,
            problem: "the pattern '\(expression)' is a regular expression; give plain module names")
    }
}
