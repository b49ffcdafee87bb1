import AttuneCPU
import AttuneFiles
import AttuneModels
import AttuneTensor
import Testing

/// Every family against PyTorch in float32: logits, losses, and every gradient, packed as the trainer packs.
@Suite struct GoldenModelTests {
    private func logits(_ model: Decoder, _ batch: TokenBatch, adapter: String?) throws -> [Float] {
        let rows = batch.tokens.count
        let pass = try InferencePass(model, capacity: rows, logitCapacity: rows)
        let all = (0..<rows).map(Int32.init)
        let run = AdapterRun(rows: 0..<rows, adapter: adapter)
        return try pass.run(batch.tokens, batch.segments, cache: nil, logitRows: all, adapterRuns: [run]).floats()
    }

    @Test(arguments: GoldenModel.all)
    func logitsOfEveryPosition(name: String) throws {
        let golden = try GoldenModel(name)
        let model = try golden.load(try CPUBackend())
        for rows in golden.batches {
            let actual = try logits(model, golden.packed(rows), adapter: nil)
            let expected = try rows.flatMap { try golden.floats("logits.\($0)") }
            #expect(zip(actual, expected).map { abs($0 - $1) }.max() ?? 1 < 1e-4)
        }
        try golden.attachAdapter(to: model)
        for rows in golden.batches {
            let actual = try logits(model, golden.packed(rows), adapter: "golden")
            let expected = try rows.flatMap { try golden.floats("lora.logits.\($0)") }
            #expect(zip(actual, expected).map { abs($0 - $1) }.max() ?? 1 < 1e-4)
            let without = try logits(model, golden.packed(rows), adapter: nil)
            #expect(without != actual, "the adapter must change something")
        }
    }

    /// Loss and gradients of one step over both rows; returns the loss.
    private func step(
        _ golden: GoldenModel, _ model: Decoder, adapter: String?, tier: RecomputeTier
    ) throws -> Double {
        model.zeroGradients()
        let batches = try golden.batches.map(golden.packed)
        let count = batches.reduce(0) { $0 + $1.targets.count { $0 != TokenBatch.ignored } }
        let pass = try TrainingPass(model, capacity: 32, tier: tier, trains: true)
        var sum = 0.0
        for batch in batches {
            let report = try pass.forwardBackward(
                batch, adapter: adapter, gradientScale: 1 / Float(count), labelSmoothing: 0,
                key: RandomKey(seed: 0, step: 0, stream: 0), noiseAlpha: 0)
            sum += report.lossSum
        }
        return sum / Double(count)
    }

    @Test(arguments: GoldenModel.all, RecomputeTier.allCases)
    func everyGradientOfFullTraining(name: String, tier: RecomputeTier) throws {
        let golden = try GoldenModel(name)
        let model = try golden.load(try CPUBackend())
        try model.prepareTraining(.full)
        let loss = try step(golden, model, adapter: nil, tier: tier)
        #expect(abs(loss - Double(try golden.floats("loss")[0])) < 1e-5)
        let names = golden.expected.tensorNames.filter { $0.hasPrefix("gradient.") }
        #expect(Set(names.map { String($0.dropFirst(9)) }) == Set(model.trainableParameters.map(\.name)))
        for parameter in model.trainableParameters {
            let gradient = try #require(parameter.gradient)
            let error = relativeError(gradient.floats(), try golden.floats("gradient." + parameter.name))
            #expect(error < 1e-4, "\(parameter.name)")
        }
    }

    @Test(arguments: GoldenModel.all, RecomputeTier.allCases)
    func everyGradientOfAnAdapter(name: String, tier: RecomputeTier) throws {
        let golden = try GoldenModel(name)
        let model = try golden.load(try CPUBackend())
        try golden.attachAdapter(to: model)
        try model.prepareTraining(.adapter("golden"))
        let loss = try step(golden, model, adapter: "golden", tier: tier)
        #expect(abs(loss - Double(try golden.floats("lora.loss")[0])) < 1e-5)
        for parameter in model.trainableParameters {
            let gradient = try #require(parameter.gradient)
            let error = relativeError(gradient.floats(), try golden.floats("lora.gradient." + parameter.name))
            #expect(error < 1e-4, "\(parameter.name)")
        }
    }

    /// A tied model whose head is trained with its last block: the embedding, which is not, stays as it was.
    @Test func aTrainedHeadLeavesItsEmbeddingAlone() throws {
        let golden = try #require(
            try GoldenModel.all.lazy.map { try GoldenModel($0) }.first { $0.configuration.tiesEmbeddings })
        let model = try golden.load(try CPUBackend())
        try model.prepareTraining(.lastBlocks(1))
        let batch = try golden.packed(golden.batches[0])
        let pass = try TrainingPass(model, capacity: 32, tier: .keepAll, trains: false)
        let before = try pass.evaluate(batch, adapter: nil).lossSum
        let stream = pass.finalStream(batch.tokens.count).floats()
        let head = try #require(model.trainableParameters.first { $0.name == "lm_head.weight" })
        model.backend.scale(head.value, head.value, by: 1.5)
        try model.refreshAfterStep()
        #expect(try pass.evaluate(batch, adapter: nil).lossSum != before, "the head must have changed")
        #expect(pass.finalStream(batch.tokens.count).floats() == stream)
    }

    /// Negative control: the comparison above must notice one changed weight.
    @Test func aChangedWeightIsNoticed() throws {
        let golden = try GoldenModel("llama")
        let model = try golden.load(try CPUBackend())
        try model.prepareTraining(.full)
        let weight = try #require(model.trainableParameters.first { $0.name.hasSuffix("0.self_attn.q_proj.weight") })
        model.backend.scale(weight.value, weight.value, by: 1.05)
        try model.refreshAfterStep()
        let loss = try step(golden, model, adapter: nil, tier: .keepAll)
        #expect(abs(loss - Double(try golden.floats("loss")[0])) > 1e-5)
    }
}
