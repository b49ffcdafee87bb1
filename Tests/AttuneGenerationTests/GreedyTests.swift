import AttuneCPU
import AttuneGeneration
import AttuneJSON
import AttuneModels
import AttuneTensor
import Testing

/// Greedy texts read a coarse copy of the head first; what they say must not depend on it.
@Suite struct GreedyTests {
    private func decoder(_ type: DType) throws -> Decoder {
        let config: JSON = [
            "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 3001, "max_position_embeddings": 256,
        ]
        let configuration = try DecoderConfiguration(config: config)
        return try Decoder.load(
            RandomSource(configuration, seed: 8, deviation: 0.2), configuration: configuration, backend: CPUBackend(),
            computeType: type)
    }

    /// The tokens of some requests run together.
    private func tokens(
        _ decoder: Decoder, _ requests: [GenerationRequest], screens: Bool = true
    ) throws -> [[Int32]] {
        let runner = try DecoderRunner(decoder, cacheRows: 1024, batchRows: 128, logitRows: 16)
        let loop = GenerationLoop(runner: runner, text: NoText(), options: EngineOptions())
        var texts = [[Int32]](repeating: [], count: requests.count)
        for (index, request) in requests.enumerated() {
            _ = try loop.submit(request) { event in
                if case .token(_, let token) = event { texts[index].append(token.id) }
            }
        }
        while loop.step() {}
        if InstructionSet.best.rawValue >= InstructionSet.avx2.rawValue {
            let (few, many) = (runner.headByteCount(texts: 1), runner.headByteCount(texts: 16))
            #expect(screens ? few < many : few == many)
        }
        return texts
    }

    private func request(_ index: Int, _ change: (inout SamplingOptions) -> Void = { _ in }) -> GenerationRequest {
        var options = SamplingOptions.greedy(maxNewTokens: 24)
        options.ignoresEndOfText = true
        change(&options)
        return GenerationRequest(prompt: (0..<5 + index).map { Int32(($0 * 37 + index * 11) % 3001) }, options: options)
    }

    @Test(arguments: [DType.float32, .bfloat16]) func theScreenChangesNoToken(_ type: DType) throws {
        let decoder = try decoder(type)
        // Asking for log-probabilities makes every step compute all logits.
        let whole = try (0..<6).map { try tokens(decoder, [request($0) { $0.logprobs = 0 }], screens: false)[0] }
        #expect(Set(whole.flatMap { $0 }).count > 20, "texts that vary")
        #expect(try (0..<6).map { try tokens(decoder, [request($0)])[0] } == whole)
        #expect(try tokens(decoder, (0..<3).map { request($0) }) == Array(whole[0..<3]))
        #expect(try tokens(decoder, (0..<6).map { request($0) }, screens: false) == whole)
        // Beside a text that needs all logits, and with options that change them.
        #expect(try tokens(decoder, [request(0), request(1) { $0.temperature = 1 }], screens: false)[0] == whole[0])
        let banned = whole[0][0]
        let other = try tokens(decoder, [request(0) { $0.logitBias = [banned: -100] }], screens: false)[0]
        #expect(other[0] != banned)
        let penalized = try tokens(decoder, [request(0) { $0.repetitionPenalty = 10 }], screens: false)[0]
        #expect(Set(penalized).count == penalized.count, "no token twice")
    }

    /// Adapters that bring a head of their own use no screen of the base's.
    @Test func headsOfAdaptersAreTheirOwn() throws {
        let decoder = try decoder(.float32)
        let base = try tokens(decoder, [request(0)])[0]
        var options = LoRAOptions(targets: .allLinear)
        options.rank = 2
        options.modulesToSave = ["lm_head"]
        try decoder.attach("own", options, seed: 1)
        var tensors: [String: Tensor] = [:]
        for parameter in decoder.adapterParameters("own") + decoder.savedParameters("own") {
            let isHead = parameter.name.contains("lm_head")
            tensors[parameter.name] = try Tensor(
                parameter.value.floats().map { isHead ? -$0 : $0 }, shape: parameter.value.shape)
        }
        try decoder.loadAdapter("own", tensors: tensors)
        var asked = request(0)
        asked.adapter = "own"
        var engine = EngineOptions()
        engine.adapters = ["own"]
        let runner = try DecoderRunner(decoder, cacheRows: 256, batchRows: 64, logitRows: 8)
        let texts = try [asked, request(0) { $0.logprobs = 0 }].map { request in
            var request = request
            request.adapter = "own"
            let loop = GenerationLoop(runner: runner, text: NoText(), options: engine)
            var text: [Int32] = []
            _ = try loop.submit(request) { event in if case .token(_, let token) = event { text.append(token.id) } }
            while loop.step() {}
            return text
        }
        #expect(texts[0] == texts[1])
        #expect(texts[0] != base)
    }
}
