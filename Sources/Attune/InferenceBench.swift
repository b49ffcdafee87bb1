import AttuneGeneration
import AttuneModels
import AttuneTensor

/// Reading prompts, continuing texts and serving requests, measured through the engine's own scheduler and cache.
public struct InferenceBench {
    private let backend: ProfilingBackend
    private let model: Decoder
    private let limits: () -> MachineLimits

    /// A model to run, already built on `backend`.
    public init(_ model: Decoder, backend: ProfilingBackend, limits: @escaping () -> MachineLimits) {
        self.model = model
        self.backend = backend
        self.limits = limits
    }

    /// Reads one prompt of `tokens` a step, after one that is not counted.
    /// - Throws: `TensorError`, `GenerationError`.
    public func prefill(tokens: Int, steps: Int) throws -> BenchReport {
        let (loop, runner) = try makeLoop(sequences: 1, batchRows: tokens, cacheRows: tokens + 16)
        var durations: [Double] = []
        for step in 0...steps {
            if step == 1 { backend.reset() }
            _ = try loop.submit(request(step, prompt: tokens, answer: 1)) { _ in }
            let elapsed = secondsOf { while loop.step() {} }
            if step > 0 { durations.append(elapsed) }
        }
        return BenchReport(
            durations: durations, tokens: Double(tokens),
            operationsPerStep: work(rows: Double(tokens), logits: 1, context: Double(tokens) / 2),
            bytesPerStep: weightBytes(runner, texts: 1), seconds: backend.seconds, plannedMemory: nil, limits: limits)
    }

    /// One token a step for each of `sequences` texts, from a context of `context` tokens on.
    /// - Throws: `TensorError`, `GenerationError`.
    public func decode(sequences: Int, context: Int, steps: Int) throws -> BenchReport {
        let length = context + steps + 8
        let (loop, runner) = try makeLoop(
            sequences: sequences, batchRows: 512, cacheRows: sequences * ((length + 15) / 16 * 16 + 16))
        for index in 0..<sequences {
            _ = try loop.submit(request(index, prompt: context, answer: steps + 4)) { _ in }
        }
        // Every prompt read and one token of each text written.
        while loop.metrics.generatedTokens < sequences, loop.step() {}
        _ = loop.step()
        backend.reset()
        var durations: [Double] = []
        for _ in 0..<steps { durations.append(secondsOf { _ = loop.step() }) }
        loop.cancelAll()
        let middle = Double(context + steps / 2)
        return BenchReport(
            durations: durations, tokens: Double(sequences),
            operationsPerStep: work(rows: Double(sequences), logits: Double(sequences), context: middle),
            bytesPerStep: weightBytes(runner, texts: sequences)
                + Double(sequences) * middle * Double(KVCache.bytesPerToken(model)),
            seconds: backend.seconds, plannedMemory: nil, limits: limits)
    }

    /// `requests` at once, each a prompt and an answer of so many tokens; a step is all of them, and tokens are those of
    /// prompts and answers.
    /// - Throws: `TensorError`, `GenerationError`.
    public func serve(requests: Int, prompt: Int, answer: Int, steps: Int) throws -> BenchReport {
        let length = (prompt + answer + 15) / 16 * 16 + 16
        let (loop, runner) = try makeLoop(sequences: requests, batchRows: 512, cacheRows: requests * length)
        var durations: [Double] = []
        for step in 0...steps {
            if step == 1 { backend.reset() }
            for index in 0..<requests {
                _ = try loop.submit(request(step * requests + index, prompt: prompt, answer: answer)) { _ in }
            }
            let elapsed = secondsOf { while !loop.isEmpty, loop.step() {} }
            if step > 0 { durations.append(elapsed) }
        }
        let rows = Double(requests * (prompt + answer - 1))
        return BenchReport(
            durations: durations, tokens: Double(requests * (prompt + answer)),
            operationsPerStep: work(
                rows: rows, logits: Double(requests * answer), context: Double(prompt + answer) / 2),
            bytesPerStep: Double(answer) * weightBytes(runner, texts: requests), seconds: backend.seconds,
            plannedMemory: nil, limits: limits)
    }

    private func makeLoop(
        sequences: Int, batchRows: Int, cacheRows: Int
    ) throws -> (GenerationLoop, DecoderRunner) {
        var options = EngineOptions()
        options.maxModelLength = cacheRows
        options.scheduler.maxSequences = sequences
        options.scheduler.maxBatchedTokens = batchRows
        options.scheduler.reusesPrefixes = false
        let runner = try DecoderRunner(
            model, cacheRows: (cacheRows + 15) / 16 * 16, batchRows: max(batchRows, sequences),
            logitRows: sequences)
        return (GenerationLoop(runner: runner, text: NoText(), options: options), runner)
    }

    /// A greedy request of random tokens that never ends early.
    private func request(_ index: Int, prompt: Int, answer: Int) -> GenerationRequest {
        let random = Philox(RandomKey(seed: 5, step: UInt64(index), stream: 0))
        let vocabulary = UInt64(model.configuration.vocabularySize)
        let tokens = (0..<prompt).map { Int32(UInt64(random.block(UInt64($0))[0]) % vocabulary) }
        var options = SamplingOptions()
        options.temperature = 0
        options.maxNewTokens = answer
        options.ignoresEndOfText = true
        return GenerationRequest(prompt: tokens, options: options)
    }

    /// Bytes of the weights one step of so many texts streams; of the table tokens are looked up in, next to nothing.
    private func weightBytes(_ runner: DecoderRunner, texts: Int) -> Double {
        let blocks = model.projections.reduce(0) { $0 + $1.weight.byteCount + ($1.bias?.byteCount ?? 0) }
        return Double(blocks + runner.headByteCount(texts: texts))
    }

    /// 2 operations a multiply-add: every matrix for every row, the head for rows that need logits, attention's two products.
    private func work(rows: Double, logits: Double, context: Double) -> Double {
        let c = model.configuration
        let matrices = Double(model.projections.reduce(0) { $0 + $1.outFeatures * $1.inFeatures })
        let attention = 2 * 2 * Double(c.layerCount * c.queryWidth) * context
        return rows * (2 * matrices + attention) + logits * 2 * Double(c.vocabularySize * c.hiddenSize)
    }
}
