import AttuneGeneration
import Testing

@Suite struct SchedulerTests {
    private func options(tokens: Int, sequences: Int, block: Int = 4, reuse: Bool = true) -> SchedulerOptions {
        var options = SchedulerOptions()
        options.maxBatchedTokens = tokens
        options.maxSequences = sequences
        options.blockSize = block
        options.reusesPrefixes = reuse
        return options
    }

    /// Runs a plan as a model would, giving every finished row the token 7.
    private func advance(_ scheduler: inout Scheduler) -> StepPlan {
        let plan = scheduler.plan()
        scheduler.complete(plan)
        for part in plan.parts where part.reachesEnd { scheduler.append(7, to: part.id) }
        return plan
    }

    @Test func runningTextsAdvanceWhileALongPromptIsChunked() {
        var scheduler = Scheduler(rowCount: 400, options: options(tokens: 8, sequences: 4))
        scheduler.add(RunningSequence(id: 0, prompt: [1, 2, 3]))
        _ = advance(&scheduler)
        scheduler.add(RunningSequence(id: 1, prompt: [Int32](repeating: 5, count: 30)))
        for _ in 0..<4 {
            let plan = advance(&scheduler)
            #expect(plan.parts.first?.id == 0)
            #expect(plan.parts.first?.range.count == 1)
            #expect(plan.tokenCount == 8)
        }
        let last = advance(&scheduler)
        #expect(last.parts.last == StepPlan.Part(id: 1, range: 28..<30, reachesEnd: true))
    }

    /// However many long prompts come, and whenever: every running text has its token in every step, and a step is never larger than
    /// the budget. So the longest pause of a stream is one step of `maxBatchedTokens` rows, whatever a row costs.
    @Test(arguments: [16, 64, 100_000]) func noStreamWaitsLongerThanAChunk(budget: Int) {
        var scheduler = Scheduler(rowCount: 20_000, options: options(tokens: budget, sequences: 12))
        let streams = 0..<6
        for id in streams { scheduler.add(RunningSequence(id: id, prompt: [1, 2, 3])) }
        while streams.contains(where: { scheduler.sequences[$0]?.tokens.count ?? 0 < 4 }) { _ = advance(&scheduler) }
        var largest = 0
        var chunked = 0
        for step in 0..<200 {
            if step % 10 == 0, step < 150 {
                scheduler.add(RunningSequence(id: 6 + step, prompt: [Int32](repeating: Int32(step), count: 300)))
            }
            let before = streams.map { scheduler.sequences[$0]?.tokens.count ?? 0 }
            let plan = advance(&scheduler)
            #expect(streams.map { scheduler.sequences[$0]?.tokens.count ?? 0 } == before.map { $0 + 1 }, "step \(step)")
            largest = max(largest, plan.tokenCount)
            chunked += plan.parts.contains { $0.range.count > 1 } ? 1 : 0
            for part in plan.parts where part.reachesEnd && !streams.contains(part.id) { scheduler.remove(part.id) }
        }
        // The negative: without a budget a step is as long as the prompt, and the streams wait for all of it.
        #expect(budget < 1000 ? largest <= budget : largest >= 300)
        #expect(budget > 1000 ? chunked == 15 : chunked > 60)
    }

    @Test func admissionIsInOrderAndBounded() {
        var scheduler = Scheduler(rowCount: 400, options: options(tokens: 100, sequences: 2))
        for id in 0..<5 { scheduler.add(RunningSequence(id: id, prompt: [1, 2])) }
        #expect(scheduler.waitingTokens == 10)
        #expect(advance(&scheduler).parts.map(\.id) == [0, 1])
        #expect(scheduler.waiting == [2, 3, 4])
        scheduler.remove(0)
        #expect(advance(&scheduler).parts.map(\.id) == [1, 2])
    }

    @Test func theNewestGivesWayAndIsComputedAgain() {
        var scheduler = Scheduler(rowCount: 16, options: options(tokens: 16, sequences: 4, reuse: false))
        scheduler.add(RunningSequence(id: 0, prompt: [1, 2, 3, 4, 5]))
        scheduler.add(RunningSequence(id: 1, prompt: [1, 2, 3]))
        _ = advance(&scheduler)
        var preempted: [Int] = []
        for _ in 0..<8 {
            preempted += advance(&scheduler).preempted
            #expect(scheduler.brokenInvariant == nil)
        }
        #expect(preempted == [1])
        #expect(scheduler.waiting == [1])
        scheduler.remove(0)
        let again = advance(&scheduler)
        #expect(again.parts.first?.range.lowerBound == 0)
        #expect(again.parts.first?.reachesEnd == true)
    }

    @Test func pausedTextsYieldTheirBlocks() {
        var scheduler = Scheduler(rowCount: 16, options: options(tokens: 16, sequences: 4))
        scheduler.add(RunningSequence(id: 0, prompt: [Int32](1...14)))
        _ = advance(&scheduler)
        scheduler.setPaused(0, true)
        #expect(advance(&scheduler).parts.isEmpty)
        scheduler.add(RunningSequence(id: 1, prompt: [9, 9, 9]))
        #expect(advance(&scheduler).parts.map(\.id) == [1])
        scheduler.setPaused(0, false)
        scheduler.remove(1)
        #expect(advance(&scheduler).parts.map(\.id) == [0])
    }

    @Test func forksShareAllBlocksUntilOneWrites() {
        var scheduler = Scheduler(rowCount: 64, options: options(tokens: 16, sequences: 8))
        scheduler.add(RunningSequence(id: 0, prompt: [1, 2, 3, 4, 5, 6], seats: 3))
        let first = scheduler.plan()
        scheduler.complete(first)
        scheduler.fork(0, into: [1, 2])
        #expect(scheduler.pool.freeCount == 14)
        for id in 0..<3 { scheduler.append(Int32(id), to: id) }
        let plan = scheduler.plan()
        #expect(plan.copies.count == 2)
        #expect(plan.copies.allSatisfy { $0.from.count == 2 })
        #expect(scheduler.pool.freeCount == 12)
        #expect(scheduler.brokenInvariant == nil)
    }

    /// Random arrivals, ends, forks, pauses: no block is lost, no budget exceeded, everybody finishes.
    @Test(arguments: 0..<8) func randomRunsKeepTheirPromises(seed: Int) {
        var dice = Dice(UInt64(seed))
        let limits = options(
            tokens: Int.random(in: 4...24, using: &dice), sequences: Int.random(in: 2...6, using: &dice),
            reuse: seed % 2 == 0)
        var scheduler = Scheduler(rowCount: 4 * 16, options: limits)
        var goals: [Int: Int] = [:]
        var next = 0
        var finished = 0
        var steps = 0
        while finished < 120, steps < 20_000 {
            steps += 1
            if next < 120, Int.random(in: 0..<3, using: &dice) == 0 {
                let prompt = (0..<Int.random(in: 1...30, using: &dice)).map { _ in Int32.random(in: 0...1, using: &dice)
                }
                scheduler.add(RunningSequence(id: next, prompt: prompt))
                goals[next] = prompt.count + Int.random(in: 1...30, using: &dice)
                next += 1
            }
            if let some = goals.keys.sorted().randomElement(using: &dice), Int.random(in: 0..<20, using: &dice) == 0 {
                scheduler.setPaused(some, Bool.random(using: &dice))
            }
            if Int.random(in: 0..<50, using: &dice) == 0 { for id in goals.keys { scheduler.setPaused(id, false) } }
            let decoding = scheduler.running.filter {
                scheduler.sequences[$0].map { $0.pending == 1 && !$0.isPaused } ?? false
            }
            let plan = scheduler.plan()
            #expect(plan.tokenCount <= scheduler.options.maxBatchedTokens)
            #expect(scheduler.running.count <= scheduler.options.maxSequences)
            for id in decoding where !plan.preempted.contains(id) {
                #expect(plan.parts.contains { $0.id == id && $0.range.count == 1 }, "text \(id) stalled")
            }
            if let oldest = decoding.first { #expect(!plan.preempted.contains(oldest)) }
            #expect(Set(plan.parts.map(\.id)).count == plan.parts.count)
            scheduler.complete(plan)
            for part in plan.parts where part.reachesEnd {
                scheduler.append(Int32.random(in: 0...1, using: &dice), to: part.id)
                guard let goal = goals[part.id], let now = scheduler.sequences[part.id]?.tokens.count else { continue }
                if now >= goal || Int.random(in: 0..<30, using: &dice) == 0 {
                    scheduler.remove(part.id)
                    goals[part.id] = nil
                    finished += 1
                }
            }
            if let problem = scheduler.brokenInvariant {
                Issue.record("step \(steps): \(problem)")
                return
            }
        }
        #expect(finished == 120)
        #expect(scheduler.pool.freeCount == scheduler.pool.blockCount)
        #expect(scheduler.waitingTokens == 0)
    }
}
