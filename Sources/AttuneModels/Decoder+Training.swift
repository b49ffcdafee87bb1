import AttuneTensor

extension Decoder {
    /// Decides what is trained and takes memory for gradients. Masters of base matrices are made from their packed values.
    ///
    /// - Throws: `ModelError` when the mode does not fit the model, `TensorError` for memory.
    public func prepareTraining(_ mode: TrainingMode) throws {
        if case .adapter(let name) = mode { activate(name) } else { activate(nil) }
        switch mode {
        case .none:
            trainableParameters = []
        case .adapter(let name):
            guard adapters[name] != nil else { throw ModelError.mismatch("no adapter named '\(name)' is attached") }
            for group in blocks.flatMap(\.groups) { try group.adapters[name]?.prepareGradients(on: backend) }
            trainableParameters = adapterParameters(name) + savedParameters(name)
        case .full:
            trainableParameters = try makeMasters(blocks: blocks, withEmbedding: true)
        case .lastBlocks(let count):
            guard count > 0, count <= blocks.count else {
                throw ModelError.mismatch("cannot train the last \(count) of \(blocks.count) blocks")
            }
            trainableParameters = try makeMasters(blocks: Array(blocks.suffix(count)), withEmbedding: false)
        }
        for parameter in trainableParameters { try parameter.prepareGradient(on: backend) }
        trainingMode = mode
    }

    /// Clears the gradients of a step.
    public func zeroGradients() {
        for parameter in trainableParameters {
            if let gradient = parameter.gradient { backend.zero(gradient) }
        }
    }

    /// Brings what the kernels read up to date with the masters, after an optimizer step.
    /// - Throws: `TensorError` for memory.
    public func refreshAfterStep() throws(TensorError) {
        guard case .adapter(let name) = trainingMode else { return refreshBase() }
        try refreshAdapter(name)
        refreshReplacements(name)
    }

    /// Repacks base matrices that have a master.
    private func refreshBase() {
        for projection in projections + [head] {
            if let master = projection.master { backend.repack(projection.weight, master.value) }
        }
    }

    private func makeMasters(blocks: [DecoderBlock], withEmbedding: Bool) throws -> [Parameter] {
        var parameters: [Parameter] = []
        if withEmbedding { parameters.append(try makeEmbeddingParameter()) }
        for block in blocks {
            for projection in block.groups.flatMap(\.projections) {
                parameters.append(try makeMaster(projection))
                if let bias = makeBiasParameter(projection) { parameters.append(bias) }
            }
            parameters += block.norms.map(makeNormParameter)
        }
        parameters.append(makeNormParameter(finalNorm))
        if withEmbedding, configuration.tiesEmbeddings {
            head.master = embeddingParameter
        } else {
            try separateEmbedding()
            parameters.append(try makeMaster(head))
        }
        return parameters
    }

    private func makeMaster(_ projection: Projection) throws -> Parameter {
        if let master = projection.master { return master }
        guard projection.weight.quantization == nil else {
            throw ModelError.mismatch(
                "'\(projection.name)' is quantized and cannot be trained itself; train an adapter or load the base unquantized"
            )
        }
        let value = try backend.makeTensor([projection.outFeatures, projection.inFeatures], .float32)
        backend.unpack(value, projection.weight)
        let parameter = Parameter(name: projection.name + ".weight", value: value)
        projection.master = parameter
        return parameter
    }

    private func makeBiasParameter(_ projection: Projection) -> Parameter? {
        guard let bias = projection.bias else { return nil }
        let parameter =
            projection.biasParameter ?? Parameter(name: projection.name + ".bias", value: bias, decays: false)
        projection.biasParameter = parameter
        return parameter
    }

    private func makeNormParameter(_ norm: RMSNorm) -> Parameter {
        let parameter = norm.parameter ?? Parameter(name: norm.name + ".weight", value: norm.weight, decays: false)
        norm.parameter = parameter
        return parameter
    }

    /// Lets the head's matrix change while the embedding stays as it is.
    private func separateEmbedding() throws(TensorError) {
        guard case .packed(let weight) = embedding, weight === head.weight else { return }
        let rows = try backend.makeTensor([configuration.vocabularySize, configuration.hiddenSize], computeType)
        backend.unpack(rows, weight)
        embedding = .rows(rows)
    }

    private func makeEmbeddingParameter() throws -> Parameter {
        if let embeddingParameter { return embeddingParameter }
        let value = try backend.makeTensor([configuration.vocabularySize, configuration.hiddenSize], .float32)
        embedding.copy(to: value, on: backend)
        let parameter = Parameter(name: "model.embed_tokens.weight", value: value)
        embeddingParameter = parameter
        embedding = .rows(value)
        return parameter
    }
}
