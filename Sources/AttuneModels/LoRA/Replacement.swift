import AttuneTensor

/// A part of the base that an adapter trains whole: its own values, and the base's to return to.
///
/// Only one set can be in place at a time; `Decoder.activate` chooses it before each pass, so that the base alone, and
/// other adapters, compute with the values they were made for.
struct Replacement {
    /// Which part of the decoder.
    enum Part {
        /// A matrix: the base's packed form and the adapter's.
        case matrix(Projection, base: any PackedWeight, own: any PackedWeight)
        /// A bias, with the base's values.
        case bias(Projection, base: Tensor)
        /// A norm, with the base's weight.
        case norm(RMSNorm, base: Tensor)
        /// The rows the embedding looks up, with the base's.
        case embedding(base: EmbeddingTable)
    }

    let part: Part
    let parameter: Parameter
}

extension Decoder {
    /// Parameters of the base that an adapter trains and saves along: biases and whole modules.
    public func savedParameters(_ name: String) -> [Parameter] {
        // A tied head and its embedding are two places of one parameter.
        var parameters: [Parameter] = []
        for replacement in replacements[name] ?? [] where !parameters.contains(where: { $0 === replacement.parameter })
        {
            parameters.append(replacement.parameter)
        }
        return parameters
    }

    /// Which adapter's whole modules a run of rows needs: its own, or none's.
    package func activation(_ adapter: String?) -> String? {
        adapter.flatMap { replacements[$0]?.isEmpty ?? true ? nil : $0 }
    }

    /// Puts an adapter's whole modules in the place of the base's, or the base's own back.
    func activate(_ adapter: String?) {
        let wanted = activation(adapter)
        guard wanted != active else { return }
        for replacement in active.flatMap({ replacements[$0] }) ?? [] { place(replacement, own: false) }
        for replacement in wanted.flatMap({ replacements[$0] }) ?? [] { place(replacement, own: true) }
        active = wanted
    }

    private func place(_ replacement: Replacement, own isOwn: Bool) {
        let parameter = isOwn ? replacement.parameter : nil
        switch replacement.part {
        case .matrix(let projection, let base, let own):
            projection.weight = isOwn ? own : base
            projection.master = parameter
        case .bias(let projection, let base):
            projection.bias = parameter?.value ?? base
            projection.biasParameter = parameter
        case .norm(let norm, let base):
            norm.weight = parameter?.value ?? base
            norm.parameter = parameter
        case .embedding(let base):
            embedding = parameter.map { .rows($0.value) } ?? base
            embeddingParameter = parameter
        }
    }

    /// Brings the packed forms of an adapter's whole matrices up to date with their masters.
    func refreshReplacements(_ name: String) {
        for replacement in replacements[name] ?? [] {
            if case .matrix(_, _, let own) = replacement.part { backend.repack(own, replacement.parameter.value) }
        }
    }

    /// Makes an adapter's own copies of what its options train whole.
    /// - Throws: `ModelError.mismatch` when an entry of `modules_to_save` names nothing, `TensorError` for memory.
    func makeReplacements(_ options: LoRAOptions, reached: [String]) throws -> [Replacement] {
        var made: [Replacement] = []
        let reached = Set(reached)
        for projection in projections {
            let isWanted = options.bias == .all || (options.bias == .loraOnly && reached.contains(projection.name))
            guard isWanted, let bias = projection.bias else { continue }
            let parameter = Parameter(name: projection.name + ".bias", value: try copied(bias), decays: false)
            made.append(Replacement(part: .bias(projection, base: bias), parameter: parameter))
        }
        for module in options.modulesToSave {
            // The end of a path, not of its last name: "norm" means every norm. So does PEFT.
            let fits = { (path: String) in path.hasSuffix(module) }
            let matrices = (projections + [head]).filter { fits($0.name) }
            let norms = norms.filter { fits($0.name) }
            let savesEmbedding = fits("model.embed_tokens")
            guard savesEmbedding || !matrices.isEmpty || !norms.isEmpty else {
                throw ModelError.mismatch("modules_to_save: no module is named '\(module)'")
            }
            let isTied = options.tiesSavedEmbedding && configuration.tiesEmbeddings
            if savesEmbedding || (isTied && fits(head.name)) {
                let value = try backend.makeTensor([configuration.vocabularySize, configuration.hiddenSize], .float32)
                embedding.copy(to: value, on: backend)
                let parameter = Parameter(name: "model.embed_tokens.weight", value: value)
                made.append(Replacement(part: .embedding(base: embedding), parameter: parameter))
                if isTied {
                    let own = try backend.pack(.dense(parameter.value), computeType: computeType)
                    made.append(
                        Replacement(part: .matrix(head, base: head.weight, own: own), parameter: parameter))
                }
            }
            for projection in matrices where !(isTied && projection === head) {
                made += try replacements(of: projection)
            }
            for norm in norms {
                let parameter = Parameter(name: norm.name + ".weight", value: try copied(norm.weight), decays: false)
                made.append(Replacement(part: .norm(norm, base: norm.weight), parameter: parameter))
            }
        }
        // A module's bias may be asked for twice, by `bias` and with its module.
        var owners: [String: Parameter] = [:]
        return made.filter { replacement in
            let owner = owners[replacement.parameter.name] ?? replacement.parameter
            owners[replacement.parameter.name] = owner
            return owner === replacement.parameter
        }
    }

    /// A whole matrix, and its bias, which belongs to the module.
    private func replacements(of projection: Projection) throws -> [Replacement] {
        guard projection.weight.quantization == nil else {
            throw ModelError.mismatch(
                "modules_to_save: '\(projection.name)' is quantized and cannot be trained whole; leave it out or load "
                    + "the base unquantized")
        }
        let value = try backend.makeTensor([projection.outFeatures, projection.inFeatures], .float32)
        backend.unpack(value, projection.weight)
        var made = [
            Replacement(
                part: .matrix(
                    projection, base: projection.weight, own: try backend.pack(.dense(value), computeType: computeType)
                ), parameter: Parameter(name: projection.name + ".weight", value: value))
        ]
        if let bias = projection.bias {
            let parameter = Parameter(name: projection.name + ".bias", value: try copied(bias), decays: false)
            made.append(Replacement(part: .bias(projection, base: bias), parameter: parameter))
        }
        return made
    }

    private func copied(_ tensor: Tensor) throws(TensorError) -> Tensor {
        let out = try backend.makeTensor(tensor.shape, .float32)
        backend.copy(out, tensor)
        return out
    }
}
