import AttuneCPU
import AttuneData
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneTraining
import Testing

/// Shared beginnings computed once give the losses and gradients of rows computed apart.
@Suite struct PrefixSharingTests {
    static let families = ["llama", "gemma3_text", "olmo2", "phi3", "mistral", "granite"]

    private func model(_ family: String) throws -> Decoder {
        let config: JSON = [
            "model_type": .string(family), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 61,
            "max_position_embeddings": 128, "sliding_window": 6, "query_pre_attn_scalar": 16,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "pad_token_id": 0,
        ]
        let configuration = try DecoderConfiguration(config: config)
        return try Decoder.load(
            RandomSource(configuration, seed: 4, deviation: 0.3), configuration: configuration,
            backend: CPUBackend(threads: 2), computeType: .float32)
    }

    /// Rows of two tasks with long openings in common, and one of its own.
    private func batch() -> Batch {
        let opening = (0..<14).map { Int32(3 + $0 * 5 % 53) }
        let second = opening.prefix(9) + (0..<9).map { Int32(7 + $0 * 3 % 41) }
        let rows: [[Int32]] = [
            opening + [11, 12, 13, 14, 9, 8, 2], opening + [21, 9, 30, 2], second + [5, 6, 7, 8, 2],
            [50, 51, 52, 53, 54, 2], opening + [11, 12, 13, 14, 33, 34, 35, 2], second + [40, 41, 2],
        ]
        return Batch(
            rows.enumerated().map { place, tokens in
                let prompt = tokens.count - 3
                return TrainingRow(
                    tokens: tokens, trained: tokens.indices.map { $0 >= prompt },
                    source: RowSource(file: "rows", line: place + 1))
            })
    }

    private func trained(_ family: String, full: Bool) throws -> (model: Decoder, adapter: String?) {
        let model = try model(family)
        if full {
            try model.prepareTraining(.full)
            return (model, nil)
        }
        var options = LoRAOptions(targets: .allLinear)
        options.usesDoRA = family == "llama"
        try model.attach("a", options, seed: 2)
        try model.prepareTraining(.adapter("a"))
        for parameter in model.trainableParameters where parameter.isLoRAB {
            let noise = Philox(RandomKey(seed: 1, step: 0, stream: 3)).normals(parameter.value.count)
            model.backend.copy(parameter.value, try Tensor(noise.map { $0 * 0.1 }, shape: parameter.value.shape))
        }
        try model.refreshAfterStep()
        return (model, "a")
    }

    private func gradients(
        _ model: Decoder, _ batch: TokenBatch, adapter: String?, tier: RecomputeTier
    ) throws -> (loss: Double, gradients: [[Float]]) {
        model.zeroGradients()
        let pass = try TrainingPass(model, capacity: 128, tier: tier, trains: true)
        let report = try pass.forwardBackward(
            batch, adapter: adapter, gradientScale: 1 / 16, labelSmoothing: 0.1,
            key: RandomKey(seed: 0, step: 0, stream: 0), noiseAlpha: 0)
        return (report.lossSum, model.trainableParameters.map { $0.gradient?.floats() ?? [] })
    }

    private func worst(_ a: [[Float]], _ b: [[Float]]) -> Float {
        zip(a, b).map { x, y in
            let scale = max(y.map(abs).max() ?? 0, 1e-12)
            return zip(x, y).map { abs($0 - $1) }.max().map { $0 / scale } ?? 0
        }.max() ?? 1
    }

    @Test(arguments: families, RecomputeTier.allCases)
    func gradientsAreThoseOfSeparateRows(family: String, tier: RecomputeTier) throws {
        let batch = batch()
        let layout = PrefixLayout(batch.needed)
        #expect(layout.savedTokens > 40 && batch.needed.tokens.count <= batch.tokens.count - batch.rows.count)
        for full in [true, false] {
            let (model, adapter) = try trained(family, full: full)
            let apart = try gradients(model, TokenBatch(batch), adapter: adapter, tier: tier)
            let shared = try gradients(model, TokenBatch(layout), adapter: adapter, tier: tier)
            #expect(abs(apart.loss - shared.loss) < 1e-4 * apart.loss, "\(full)")
            #expect(worst(shared.gradients, apart.gradients) < 2e-4, "\(full)")
            // The comparison notices a row that continues another's opening.
            var wrong = TokenBatch(layout)
            wrong.segments = SegmentTable(
                wrong.segments.segments.map { segment in
                    guard segment.keys.count > 1 else { return segment }
                    return Segment(rows: segment.queries, identity: segment.identity)
                })
            #expect(worst(try gradients(model, wrong, adapter: adapter, tier: tier).gradients, apart.gradients) > 1e-2)
        }
    }

    /// Two batches of a step whose rows all begin with the same nine tokens.
    private func batches() -> (trunk: [Int32], batches: [Batch]) {
        let rows = batch().rows.indices.filter { $0 != 3 }.map { place in
            let row = batch().rows[place]
            let tokens = Array(batch().tokens[row.range])
            return TrainingRow(
                tokens: tokens, trained: tokens.indices.map { $0 >= tokens.count - 3 }, source: row.source)
        }
        return (Array(rows[0].tokens[..<9]), [Batch(rows[..<3]), Batch(rows[3...])])
    }

    private func gradients(
        _ model: Decoder, trunk: [Int32], _ batches: [TokenBatch], adapter: String?, takesTrunkBack: Bool = true
    ) throws -> [[Float]] {
        let pass = try TrainingPass(model, capacity: 64, trunk: trunk.count, tier: .keepAll, trains: true)
        let body = { () throws -> Bool? in
            for batch in batches {
                _ = try pass.forwardBackward(
                    batch, adapter: adapter, gradientScale: 1 / 16, labelSmoothing: 0.1,
                    key: RandomKey(seed: 0, step: 0, stream: 0), noiseAlpha: 0)
            }
            return takesTrunkBack ? true : nil
        }
        // Twice, so that nothing of a step may stay behind.
        for _ in 0..<2 {
            model.zeroGradients()
            _ = try trunk.isEmpty ? body() : pass.withTrunk(trunk, adapter: adapter, body)
        }
        return model.trainableParameters.map { $0.gradient?.floats() ?? [] }
    }

    @Test(arguments: families) func batchesContinueATrunk(family: String) throws {
        let (trunk, batches) = batches()
        let layouts = batches.map { PrefixLayout($0, trunk: trunk.count, minimum: 2) }
        #expect(layouts.contains { $0.stretches.contains { $0.ancestors.count > 1 } }, "a tree behind the trunk")
        for full in [true, false] {
            let (model, adapter) = try trained(family, full: full)
            let apart = try gradients(model, trunk: [], batches.map { TokenBatch($0) }, adapter: adapter)
            let continued = layouts.map { TokenBatch($0) }
            let shared = try gradients(model, trunk: trunk, continued, adapter: adapter)
            #expect(worst(shared, apart) < 2e-4, "\(full)")
            // The comparison notices other tokens, and a trunk that is not taken back.
            let other = trunk.dropLast() + [trunk[8] + 1]
            #expect(worst(try gradients(model, trunk: Array(other), continued, adapter: adapter), apart) > 1e-2)
            let half = try gradients(model, trunk: trunk, continued, adapter: adapter, takesTrunkBack: false)
            #expect(worst(half, apart) > 1e-2)
        }
    }
}
