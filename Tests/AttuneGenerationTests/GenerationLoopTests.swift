import AttuneGeneration
import Testing

@Suite struct GenerationLoopTests {
    private static func prompts(_ count: Int, seed: UInt64) -> [[Int32]] {
        var dice = Dice(seed)
        let shared = (0..<70).map { _ in Int32.random(in: 0..<256, using: &dice) }
        return (0..<count).map { place in
            let own = (0..<Int.random(in: 1...60, using: &dice)).map { _ in Int32.random(in: 0..<256, using: &dice) }
            return place % 2 == 0 ? own : Array(shared.prefix(Int.random(in: 1...70, using: &dice))) + own
        }
    }

    private static func sampling(_ seed: UInt64?) -> SamplingOptions {
        var options = SamplingOptions()
        options.maxNewTokens = 24
        options.temperature = seed == nil ? 0 : 0.9
        options.seed = seed
        options.topP = 0.95
        options.topK = 50
        options.repetitionPenalty = 1.1
        options.frequencyPenalty = 0.1
        return options
    }

    struct Setting: Sendable, CustomTestStringConvertible {
        var name: String
        var tokens: Int
        var sequences: Int
        var rows: Int
        var reuse: Bool
        var testDescription: String { name }
    }

    /// However the batch is made up, each text is the one the model gives alone.
    @Test(arguments: [
        Setting(name: "one at a time", tokens: 4096, sequences: 1, rows: 8192, reuse: false),
        Setting(name: "32 at once", tokens: 4096, sequences: 32, rows: 65536, reuse: false),
        Setting(name: "chunks of 7", tokens: 7, sequences: 5, rows: 8192, reuse: false),
        Setting(name: "prefix cache", tokens: 64, sequences: 8, rows: 8192, reuse: true),
        Setting(name: "scarce blocks", tokens: 40, sequences: 16, rows: 16 * 18, reuse: false),
        Setting(name: "scarce blocks, prefix cache", tokens: 40, sequences: 16, rows: 16 * 18, reuse: true),
    ])
    func outputsDoNotDependOnTheBatch(setting: Setting) throws {
        let runner = ToyRunner(cacheRowCount: setting.rows)
        let loop = GenerationLoop(
            runner: runner, text: ToyText(),
            options: toyOptions {
                $0.scheduler.maxBatchedTokens = setting.tokens
                $0.scheduler.maxSequences = setting.sequences
                $0.scheduler.reusesPrefixes = setting.reuse
            })
        let prompts = Self.prompts(40, seed: 1)
        for (options, adapter) in [(Self.sampling(nil), nil), (Self.sampling(17), "red"), (Self.sampling(17), "blue")] {
            let results = try loop.generateAll(prompts, options: options, adapter: adapter)
            for (prompt, result) in zip(prompts, results) {
                #expect(result.texts[0].ids == (try expectedIDs(prompt, options, adapter: adapter)))
                #expect(result.texts[0].finish?.usage.promptTokens == prompt.count)
            }
            #expect(loop.freeBlockCount == loop.blockCount)
        }
        #expect(runner.faults == [])
        #expect((loop.metrics.prefixHitTokens > 0) == setting.reuse)
        if setting.name.hasPrefix("scarce") { #expect(loop.metrics.preemptions > 0) }
        // The comparison can fail: another adapter gives another text.
        #expect(
            try expectedIDs(prompts[0], Self.sampling(17), adapter: "red") != expectedIDs(prompts[0], Self.sampling(17))
        )
    }

    @Test func severalTextsShareOnePrompt() throws {
        let runner = ToyRunner()
        let loop = GenerationLoop(
            runner: runner, text: ToyText(), options: toyOptions { $0.scheduler.reusesPrefixes = false })
        var options = Self.sampling(5)
        options.n = 6
        options.ignoresEndOfText = true
        let prompt = ToyText.ids("a prompt of 21 bytes.")
        let result = try loop.generateAll([prompt], options: options)[0]
        options.ignoresEndOfText = false
        for (index, text) in result.texts.enumerated() {
            let expected = try expectedIDs(prompt, options, index: index)
            #expect(text.ids.starts(with: expected))
            #expect(text.finish?.reason == .length)
        }
        #expect(Set(result.texts.map(\.text)).count == 6)
        #expect(runner.tokensRun == prompt.count + 6 * (options.maxNewTokens - 1))
        #expect(runner.copies == 5)
        #expect(runner.faults == [])
        #expect(loop.freeBlockCount == loop.blockCount)
    }

    @Test func adaptersMixInOneBatch() throws {
        let runner = ToyRunner()
        let loop = GenerationLoop(runner: runner, text: ToyText(), options: toyOptions())
        let options = SamplingOptions.greedy(maxNewTokens: 20)
        let prompt = ToyText.ids("the same prompt for everybody here")
        let names: [String?] = [nil, "red", "blue", "red", nil]
        var results = names.map { _ in GenerationResult(n: 1) }
        for (place, name) in names.enumerated() {
            _ = try loop.submit(GenerationRequest(prompt: prompt, options: options, adapter: name)) {
                results[place].apply($0)
            }
        }
        while loop.step() {}
        for (name, result) in zip(names, results) {
            #expect(result.texts[0].ids == (try expectedIDs(prompt, options, adapter: name)))
        }
        #expect(throws: GenerationError.unknownAdapter("green")) {
            try loop.submit(GenerationRequest(prompt: prompt, options: options, adapter: "green")) { _ in }
        }
    }

    @Test func endsComeForTheRightReasons() throws {
        let loop = GenerationLoop(runner: ToyRunner(), text: ToyText(), options: toyOptions())
        var options = SamplingOptions()
        options.seed = 3
        options.maxNewTokens = 40
        options.ignoresEndOfText = true
        let prompt = ToyText.ids("x")
        let whole = try loop.generateAll([prompt], options: options)[0].texts[0]
        #expect(whole.finish?.reason == .length)
        #expect(whole.ids.count == 40)

        options.stopTokenIDs = [whole.ids[9]]
        let first = whole.ids.firstIndex(of: whole.ids[9]) ?? 0
        let byToken = try loop.generateAll([prompt], options: options)[0].texts[0]
        #expect(byToken.ids == Array(whole.ids[...first]))
        #expect(byToken.finish?.cause == .token(whole.ids[9]))
        options.stopTokenIDs = []

        let characters = Array(whole.text.unicodeScalars)
        let stop = String(String.UnicodeScalarView(characters[5...7]))
        options.stop = [stop]
        let byText = try loop.generateAll([prompt], options: options)[0].texts[0]
        #expect(byText.finish?.reason == .stop)
        #expect(byText.finish?.cause == .text(stop))
        #expect(whole.text.utf8.starts(with: (byText.text + stop).utf8))
        options.stop = []

        options.ignoresEndOfText = false
        options.logitBias = [ToyText.end: 100]
        options.minTokens = 4
        let late = try loop.generateAll([prompt], options: options)[0].texts[0]
        #expect(late.ids.count == 5)
        #expect(late.ids.last == ToyText.end)
        #expect(late.finish?.usage.completionTokens == 5)
    }

    @Test func echoReportsThePromptsLogprobs() throws {
        let loop = GenerationLoop(runner: ToyRunner(), text: ToyText(), options: toyOptions())
        var options = SamplingOptions.greedy(maxNewTokens: 0)
        options.echo = true
        options.logprobs = 2
        let prompt = Self.prompts(1, seed: 9)[0] + ToyText.ids("and some more so that several chunks are needed")
        let result = try loop.generateAll([prompt, prompt], options: options)[1]
        #expect(result.prompt.map(\.id) == prompt)
        var state: UInt64 = 1
        var logits = [Float](repeating: 0, count: ToyText.size)
        for (place, token) in prompt.enumerated() {
            if place > 0 {
                ToyRunner.logits(state, into: &logits, at: 0)
                let expected = Sampler.logprobs(logits.span, of: token, top: 2)
                #expect(result.prompt[place].logprob == expected.chosen)
                #expect(result.prompt[place].top == expected.top)
            }
            state = ToyRunner.next(state, token, nil)
        }
        #expect(result.texts[0].finish?.reason == .length)
    }

    @Test func oneBadRowFailsOneText() throws {
        final class Poisoned: ModelRunner {
            let inner = ToyRunner()
            var vocabularySize: Int { inner.vocabularySize }
            var cacheRowCount: Int { inner.cacheRowCount }
            func run(_ batch: InferenceBatch, _ use: (Span<Float>) -> Void) throws {
                var logits: [Float] = []
                try inner.run(batch) { inner in logits = inner.indices.map { inner[$0] } }
                for (row, place) in batch.logitRows.enumerated() where batch.tokens[Int(place)] == 255 {
                    logits[row * vocabularySize + 3] = .nan
                }
                use(logits.span)
            }
            func copyCacheRows(from: Range<Int>, to: Int) { inner.copyCacheRows(from: from, to: to) }
        }
        let loop = GenerationLoop(runner: Poisoned(), text: ToyText(), options: toyOptions())
        var options = SamplingOptions.greedy(maxNewTokens: 8)
        options.logitBias = [255: -100]
        let results = try loop.generateAll([[1], [255], [2]], options: options)
        #expect(results.map { $0.texts[0].finish?.reason == .error } == [false, true, false])
        #expect(results[1].texts[0].finish?.error == .notFinite(step: 0))
        #expect(loop.freeBlockCount == loop.blockCount)
    }

    @Test func aFailingStepFailsItsTextsAndNoOthers() throws {
        struct Broken: Error {}
        let runner = ToyRunner { batch in if batch.tokens.contains(254) { throw Broken() } }
        let loop = GenerationLoop(
            runner: runner, text: ToyText(), options: toyOptions { $0.scheduler.maxSequences = 1 })
        var options = SamplingOptions.greedy(maxNewTokens: 4)
        options.logitBias = [254: -100]
        let results = try loop.generateAll([[1], [254], [2]], options: options)
        #expect(results.map { $0.texts[0].finish?.reason == .error } == [false, true, false])
        #expect(loop.metrics.failedSteps == 1)
        #expect(loop.freeBlockCount == loop.blockCount)
    }

    @Test func impossibleRequestsAreRefused() {
        let loop = GenerationLoop(
            runner: ToyRunner(cacheRowCount: 64), text: ToyText(), options: toyOptions { $0.maxModelLength = 1000 })
        func error(_ prompt: [Int32]) -> GenerationError? {
            do throws(GenerationError) {
                _ = try loop.submit(GenerationRequest(prompt: prompt)) { _ in }
                return nil
            } catch {
                return error
            }
        }
        #expect(error([Int32](repeating: 1, count: 64)) == .tooLong(tokens: 65, limit: 64))
        #expect(error([Int32](repeating: 1, count: 63)) == nil)
        if case .invalidParameter(let name, _) = error([]) { #expect(name == "prompt") } else { Issue.record("taken") }
        if case .invalidParameter = error([Int32(ToyText.size)]) {} else { Issue.record("taken") }
    }

    @Test func timeLimitsEndRequests() throws {
        var clock = 0.0
        let loop = GenerationLoop(runner: ToyRunner(), text: ToyText(), options: toyOptions()) { clock }
        var options = SamplingOptions.greedy(maxNewTokens: 1000)
        options.ignoresEndOfText = true
        var result = GenerationResult(n: 1)
        _ = try loop.submit(GenerationRequest(prompt: [1], options: options, timeLimit: .seconds(5))) {
            result.apply($0)
        }
        for _ in 0..<20 {
            clock += 1
            _ = loop.step()
        }
        #expect(result.texts[0].finish?.reason == .abort)
        #expect(result.texts[0].ids.count == 4)
        #expect(loop.isEmpty && loop.freeBlockCount == loop.blockCount)
    }
}
