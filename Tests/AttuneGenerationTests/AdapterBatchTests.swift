import AttuneCPU
import AttuneGeneration
import AttuneJSON
import AttuneModels
import AttuneTensor
import Testing

/// Sequences of the base and of several adapters in one step of the engine's runner.
@Suite struct AdapterBatchTests {
    private func decoder() throws -> Decoder {
        let config: JSON = [
            "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 61, "max_position_embeddings": 128,
            "attention_bias": true,
        ]
        let configuration = try DecoderConfiguration(config: config)
        let decoder = try Decoder.load(
            RandomSource(configuration, seed: 4, deviation: 0.3), configuration: configuration, backend: CPUBackend(),
            computeType: .float32)
        try attach("pair", to: decoder) { _ in }
        try attach("whole", to: decoder) {
            $0.modulesToSave = ["lm_head", "norm"]
            $0.bias = .all
        }
        try attach("head", to: decoder) { $0.modulesToSave = ["lm_head"] }
        return decoder
    }

    private func attach(_ name: String, to decoder: Decoder, _ change: (inout LoRAOptions) -> Void) throws {
        var options = LoRAOptions(targets: .allLinear)
        options.rank = 2
        change(&options)
        try decoder.attach(name, options, seed: 1)
        var tensors: [String: Tensor] = [:]
        for parameter in decoder.adapterParameters(name) + decoder.savedParameters(name) {
            let key = RandomKey(seed: UInt64(name.utf8.count), step: UInt64(tensors.count), stream: 9)
            let noise = Philox(key).normals(parameter.value.count)
            tensors[parameter.name] = try Tensor(
                zip(parameter.value.floats(), noise).map { $0 + 0.2 * $1 }, shape: parameter.value.shape)
        }
        try decoder.loadAdapter(name, tensors: tensors)
    }

    /// A step with a prompt for each name; the logits of each one's last row.
    private func step(_ runner: DecoderRunner, _ names: [String?]) throws -> [[Float]] {
        var batch = InferenceBatch(
            tokens: [], cacheRows: [], segments: SegmentTable([]), logitRows: [], adapters: [])
        var segments: [Segment] = []
        for (place, name) in names.enumerated() {
            let tokens = (0..<5).map { Int32(($0 * 7 + 3) % 61) }
            let rows = batch.tokens.count..<batch.tokens.count + tokens.count
            // Each in a block of the cache of its own, not in the order of the batch.
            let block = (names.count - 1 - place) * 16
            batch.tokens += tokens
            batch.cacheRows += (block..<block + tokens.count).map(Int32.init)
            segments.append(Segment(queries: rows, keys: [block..<block + tokens.count], identity: UInt64(place)))
            batch.logitRows.append(Int32(rows.upperBound - 1))
            batch.adapters.append((rows, name))
        }
        batch.segments = SegmentTable(segments)
        var logits: [Float] = []
        try runner.run(batch) { lent in logits = lent.indices.map { lent[$0] } }
        return names.indices.map { Array(logits[$0 * 61..<($0 + 1) * 61]) }
    }

    @Test func eachSequenceIsWhatItIsAlone() throws {
        let decoder = try decoder()
        let runner = try DecoderRunner(decoder, cacheRows: 256, batchRows: 64, logitRows: 16)
        let names = ["whole", nil, "pair", "head", "whole", "pair", nil]
        let alone = try names.map { try step(runner, [$0])[0] }
        #expect(try step(runner, names) == alone)
        #expect(try step(runner, names.reversed()) == alone.reversed())
        for (place, other) in [(0, 1), (1, 2), (2, 3), (3, 0), (3, 1)] { #expect(alone[place] != alone[other]) }
        decoder.detach("whole")
        decoder.detach("head")
        #expect(try step(runner, [nil, "pair"]) == [alone[1], alone[2]])
    }
}
