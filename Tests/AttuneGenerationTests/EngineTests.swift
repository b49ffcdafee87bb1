import AttuneGeneration
import Foundation
import Synchronization
import Testing

private final class Counts: Sendable {
    let values = Mutex((done: 0, gone: 0, refused: 0))
}

@Suite(.serialized) struct EngineTests {
    @Test func streamsWhatTheModelSays() async throws {
        let engine = Engine(runner: ToyRunner(), text: ToyText(), options: toyOptions())
        let prompt = ToyText.ids("hello")
        var options = SamplingOptions()
        options.seed = 9
        options.maxNewTokens = 30
        var result = GenerationResult(n: 1)
        for try await event in try engine.submit(GenerationRequest(prompt: prompt, options: options)) {
            result.apply(event)
        }
        #expect(result.texts[0].ids == (try expectedIDs(prompt, options)))
        #expect(result.isFinished)
        let many = try await engine.generate(prompts: [[Int32]](repeating: prompt, count: 50), options: options)
        #expect(many.allSatisfy { $0.texts[0].ids == result.texts[0].ids })
        let blocks = await engine.blocks
        #expect(blocks.free == blocks.all)
        #expect(engine.metrics.finished.values.reduce(0, +) == 51)
        #expect(engine.metrics.timeToFirstToken.count == 51)
    }

    /// Ten thousand requests, nearly a third of which go away at a random moment.
    @Test(.timeLimit(.minutes(3))) func nothingIsLeftAfterAStorm() async throws {
        let runner = ToyRunner(cacheRowCount: 16 * 80)
        let engine = Engine(
            runner: runner, text: ToyText(),
            options: toyOptions {
                $0.scheduler.maxSequences = 32
                $0.scheduler.maxBatchedTokens = 64
                $0.maxWaitingRequests = 200
            })
        let counts = Counts()
        await withTaskGroup(of: Void.self) { group in
            for client in 0..<50 {
                group.addTask {
                    var dice = Dice(UInt64(client))
                    for _ in 0..<200 {
                        let prompt = (0..<Int.random(in: 1...40, using: &dice)).map { _ in
                            Int32.random(in: 0..<4, using: &dice)
                        }
                        var options = SamplingOptions()
                        options.maxNewTokens = Int.random(in: 1...12, using: &dice)
                        options.n = Int.random(in: 1...3, using: &dice)
                        options.seed = 1
                        let leavesAfter =
                            Int.random(in: 0..<10, using: &dice) < 3 ? Int.random(in: 0...4, using: &dice) : nil
                        do {
                            var seen = 0
                            var ends = 0
                            let stream = try engine.submit(GenerationRequest(prompt: prompt, options: options))
                            if leavesAfter != 0 {
                                for try await event in stream {
                                    seen += 1
                                    if case .finished = event { ends += 1 }
                                    if seen == leavesAfter { break }
                                }
                            }
                            let whole = ends == options.n
                            counts.values.withLock { whole ? ($0.done += 1) : ($0.gone += 1) }
                            if leavesAfter == nil { #expect(whole) }
                        } catch {
                            counts.values.withLock { $0.refused += 1 }
                        }
                    }
                }
            }
        }
        let total = counts.values.withLock { $0 }
        #expect(total.done + total.gone + total.refused == 10_000)
        #expect(total.gone > 1000)
        await engine.drain(timeout: .seconds(10))
        let blocks = await engine.blocks
        #expect(blocks.free == blocks.all)
        #expect(runner.faults == [])
        #expect(throws: GenerationError.shuttingDown) { try engine.submit(GenerationRequest(prompt: [1])) }
    }

    @Test func cancellingTheReaderFreesTheBlocks() async throws {
        let engine = Engine(
            runner: ToyRunner { _ in Thread.sleep(forTimeInterval: 0.001) }, text: ToyText(), options: toyOptions())
        var options = SamplingOptions.greedy(maxNewTokens: 3000)
        options.ignoresEndOfText = true
        let request = GenerationRequest(prompt: [1, 2, 3], options: options)
        let reader = Task { for try await _ in try engine.submit(request) {} }
        try await Task.sleep(for: .milliseconds(30))
        #expect(await engine.blocks.free < engine.blocks.all)
        reader.cancel()
        try await reader.value
        var free = false
        for _ in 0..<200 where !free {
            try await Task.sleep(for: .milliseconds(5))
            let blocks = await engine.blocks
            free = blocks.free == blocks.all
        }
        #expect(free)
        #expect(engine.metrics.finished[.abort] == 1)
    }

    @Test func aFullQueueRefuses() async throws {
        let engine = Engine(
            runner: ToyRunner { _ in Thread.sleep(forTimeInterval: 0.002) }, text: ToyText(),
            options: toyOptions {
                $0.scheduler.maxSequences = 1
                $0.maxWaitingRequests = 3
                $0.maxWaitingTokens = 100
            })
        var options = SamplingOptions.greedy(maxNewTokens: 1000)
        options.ignoresEndOfText = true
        var streams: [AsyncThrowingStream<GenerationEvent, any Error>] = []
        var refused = 0
        for _ in 0..<10 {
            do throws(GenerationError) {
                streams.append(try engine.submit(GenerationRequest(prompt: [1], options: options)))
            } catch {
                guard case .overloaded = error else { throw error }
                refused += 1
            }
        }
        #expect(refused >= 6)
        #expect(throws: GenerationError.self) {
            try engine.submit(GenerationRequest(prompt: [Int32](repeating: 1, count: 101), options: options))
        }
        streams = []
    }

    @Test(.timeLimit(.minutes(1))) func slowReadersAreHeldBackThenDropped() async throws {
        let runner = ToyRunner()
        let engine = Engine(
            runner: runner, text: ToyText(),
            options: toyOptions {
                $0.streamBufferBytes = 2000
                $0.slowReaderTimeout = .milliseconds(300)
            })
        var options = SamplingOptions.greedy(maxNewTokens: 3000)
        options.ignoresEndOfText = true
        let slow = try engine.submit(GenerationRequest(prompt: [1], options: options))
        var brisk = GenerationResult(n: 1)
        for try await event in try engine.submit(GenerationRequest(prompt: [2], options: options)) {
            brisk.apply(event)
        }
        #expect(brisk.texts[0].ids.count == 3000)
        try await Task.sleep(for: .milliseconds(600))
        var late = GenerationResult(n: 1)
        for try await event in slow { late.apply(event) }
        #expect(late.texts[0].finish?.reason == .abort)
        #expect(late.texts[0].ids.count < 200)
        let blocks = await engine.blocks
        #expect(blocks.free == blocks.all)
    }

    @Test(.timeLimit(.minutes(1))) func aReaderThatCatchesUpGetsEverything() async throws {
        let engine = Engine(
            runner: ToyRunner(), text: ToyText(), options: toyOptions { $0.streamBufferBytes = 2000 })
        var options = SamplingOptions.greedy(maxNewTokens: 400)
        options.ignoresEndOfText = true
        let stream = try engine.submit(GenerationRequest(prompt: [1], options: options))
        try await Task.sleep(for: .milliseconds(100))
        var result = GenerationResult(n: 1)
        for try await event in stream { result.apply(event) }
        #expect(result.texts[0].ids.count == 400)
        #expect(result.texts[0].finish?.reason == .length)
    }

    @Test func drainingFinishesWhatWasTakenOrAbortsIt() async throws {
        let engine = Engine(
            runner: ToyRunner { _ in Thread.sleep(forTimeInterval: 0.001) }, text: ToyText(), options: toyOptions())
        func run(_ count: Int) throws -> Task<GenerationResult, any Error> {
            var options = SamplingOptions.greedy(maxNewTokens: count)
            options.ignoresEndOfText = true
            let stream = try engine.submit(GenerationRequest(prompt: [1], options: options))
            return Task {
                var result = GenerationResult(n: 1)
                for try await event in stream { result.apply(event) }
                return result
            }
        }
        let short = try run(20)
        let long = try run(4000)
        await engine.drain(timeout: .milliseconds(200))
        #expect(try await short.value.texts[0].finish?.reason == .length)
        #expect(try await long.value.texts[0].finish?.reason == .abort)
    }
}
