/// The engine without thread or clock of its own: schedule, run, sample, report, one step at a time.
///
/// Not for use from two threads; `Engine` wraps it for concurrent callers, `generateAll` runs it in place.
public final class GenerationLoop {
    /// The set-up.
    public let options: EngineOptions
    /// Counters up to the last step.
    public private(set) var metrics = EngineMetrics()

    private let runner: any ModelRunner
    private let text: any TokenText
    private let now: () -> Double
    private var scheduler: Scheduler
    private var sampler = Sampler()
    private var requests: [Int: LiveRequest] = [:]
    private var texts: [Int: LiveText] = [:]
    private var nextID = 0

    /// A loop over an empty cache.
    /// - Parameter now: seconds from any fixed moment.
    public init(
        runner: any ModelRunner, text: any TokenText, options: EngineOptions,
        now: @escaping () -> Double = GenerationLoop.secondsSinceStart
    ) {
        self.runner = runner
        self.text = text
        self.now = now
        scheduler = Scheduler(rowCount: runner.cacheRowCount, options: options.scheduler)
        var options = options
        options.scheduler = scheduler.options
        self.options = options
    }

    private static let start = ContinuousClock.now

    /// Seconds of the continuous clock since the first call.
    public static func secondsSinceStart() -> Double { start.duration(to: .now) / .seconds(1) }

    /// Whether no request is left.
    public var isEmpty: Bool { requests.isEmpty }
    /// Blocks of the cache that nobody holds.
    public var freeBlockCount: Int { scheduler.pool.freeCount }
    /// Blocks of the cache.
    public var blockCount: Int { scheduler.pool.blockCount }
    /// Texts that wait for a seat, and their tokens.
    public var queue: (requests: Int, tokens: Int) { (scheduler.waiting.count, scheduler.waitingTokens) }
    /// Tokens of the longest text that fits the cache.
    public var cacheLength: Int { scheduler.longestText }

    /// Takes a request.
    /// - Parameter emit: gets the request's events during later steps.
    /// - Returns: the request's name for `cancel`.
    /// - Throws: `GenerationError` where the request is not possible.
    public func submit(
        _ request: GenerationRequest, emit: @escaping (GenerationEvent) -> Void
    ) throws(GenerationError) -> Int {
        let request = try options.checked(
            request, vocabularySize: runner.vocabularySize, cacheLength: scheduler.longestText)
        let id = nextID
        nextID += request.options.n
        let moment = now()
        requests[id] = LiveRequest(
            request: request, emit: emit, seed: request.options.seed ?? UInt64.random(in: 0...(.max)),
            submitted: moment, deadline: request.timeLimit.map { moment + $0 / .seconds(1) },
            unfinished: request.options.n)
        texts[id] = makeText(request, id: id, index: 0)
        scheduler.add(
            RunningSequence(
                id: id, prompt: request.prompt,
                scope: CacheScope(adapter: request.adapter, salt: request.cacheSalt), seats: request.options.n,
                wantsPromptLogits: request.options.echo))
        metrics.promptTokens += request.prompt.count
        metrics.requestPromptTokens.record(Double(request.prompt.count))
        return id
    }

    /// Ends a request now with the reason `abort`; its blocks are free at once.
    public func cancel(_ id: Int) {
        guard let live = requests[id] else { return }
        for index in 0..<live.request.options.n {
            if let text = texts[id + index] {
                finish(text, .abort)
            } else if !live.hasForked {
                report(id, index: index, GenerationFinish(reason: .abort, text: "", usage: usage(id, nil)))
            }
        }
    }

    /// Ends everything with the reason `abort`.
    public func cancelAll() { for id in requests.keys.sorted() { cancel(id) } }

    /// Holds a request back or lets it go on.
    public func setPaused(_ id: Int, _ isPaused: Bool) {
        guard let live = requests[id] else { return }
        for index in 0..<live.request.options.n { scheduler.setPaused(id + index, isPaused) }
    }

    /// Computes one step. Returns false when nothing could run.
    public func step() -> Bool {
        expire()
        let plan = scheduler.plan()
        defer { snapshot() }
        guard !plan.parts.isEmpty else { return false }
        for copy in plan.copies { runner.copyCacheRows(from: copy.from, to: copy.to) }
        var (batch, logitCounts) = scheduler.batch(for: plan)
        batch.onlyMaxima = zip(plan.parts, logitCounts).allSatisfy { part, count in count == 0 || isGreedy(part) }
        let moment = now()
        for part in plan.parts {
            guard let live = texts[part.id], requests[live.request]?.started == nil else { continue }
            requests[live.request]?.started = moment
            metrics.queueTime.record(moment - (requests[live.request]?.submitted ?? moment))
        }
        metrics.steps += 1
        do {
            try runner.run(batch) { consume(plan, logitCounts, $0) }
        } catch {
            metrics.failedSteps += 1
            for part in plan.parts { fail(part.id, .stepFailed("\(error)")) }
        }
        return true
    }

    /// Whether the part's text takes the largest logit whatever the others are.
    private func isGreedy(_ part: StepPlan.Part) -> Bool {
        guard let text = texts[part.id], let options = requests[text.request]?.request.options else { return false }
        return options.takesLargestLogit && text.constraint == nil && text.generated >= options.minTokens
            && !(options.echo && part.range.lowerBound < requests[text.request]?.request.prompt.count ?? 0)
    }

    private func consume(_ plan: StepPlan, _ logitCounts: [Int], _ logits: Span<Float>) {
        scheduler.complete(plan)
        var row = 0
        for (part, count) in zip(plan.parts, logitCounts) {
            if count > 0 { consume(part, rows: row..<row + count, logits) }
            row += count
        }
    }

    private func columns(of row: Int) -> Range<Int> {
        row * runner.vocabularySize..<(row + 1) * runner.vocabularySize
    }

    // MARK: One part

    private func consume(_ part: StepPlan.Part, rows: Range<Int>, _ logits: Span<Float>) {
        guard let text = texts[part.id], let live = requests[text.request] else { return }
        let options = live.request.options
        if options.echo, part.range.lowerBound < live.request.prompt.count {
            recordPrompt(text.request, part, rows, logits)
        }
        guard part.reachesEnd else { return }
        let row = rows.upperBound - 1
        if !live.hasForked {
            requests[text.request]?.hasForked = true
            if options.n > 1 {
                let ids = (1..<options.n).map { text.request + $0 }
                scheduler.fork(text.request, into: ids)
                for (index, id) in ids.enumerated() {
                    texts[id] = makeText(live.request, id: text.request, index: index + 1)
                }
            }
            for index in 0..<options.n { advance(text.request + index, row: row, logits) }
        } else {
            advance(part.id, row: row, logits)
        }
    }

    private func advance(_ id: Int, row: Int, _ logits: Span<Float>) {
        guard var live = texts[id], let request = requests[live.request] else { return }
        let options = request.request.options
        guard options.maxNewTokens > 0 else { return finish(live, .length) }
        do throws(GenerationError) {
            var stops = self.options.endTokens
            if options.ignoresEndOfText { stops = [] }
            stops.formUnion(options.stopTokenIDs)
            let mask = try live.allowedTokens()
            // Where the grammar leaves only the end, the end wins over `min_tokens`.
            let mustStay =
                live.generated < options.minTokens && mask.map { $0.allowed.contains { !stops.contains($0) } } ?? true
            let sampled = try sampler.sample(
                logits.extracting(columns(of: row)), options: options, history: live.history,
                mask: mask, withheld: live.generated < options.minTokens && mustStay ? stops.sorted() : [],
                step: live.generated,
                uniform: Philox(seed: request.seed).uniform(step: live.generated, stream: live.index))
            live.generated += 1
            metrics.generatedTokens += 1
            live.history?.append(sampled.id)
            recordTimes(&live)
            accept(sampled, &live, stops, options)
        } catch {
            texts[id] = live
            fail(id, error)
        }
    }

    /// Turns a chosen token into text, reports it, and ends the text where it is due.
    private func accept(
        _ sampled: SampledToken, _ live: inout LiveText, _ stops: Set<Int32>, _ options: SamplingOptions
    ) {
        var piece = ""
        var cause: StopCause?
        if stops.contains(sampled.id) {
            cause = .token(sampled.id)
        } else {
            do throws(GrammarError) {
                try live.constraint?.advance(by: sampled.id)
            } catch {
                return fail(live.id, .grammar(error))
            }
            piece = live.decoder.push(sampled.id)
            if live.generated > options.minTokens {
                let (certain, stop) = live.matcher.push(piece)
                piece = certain
                if let stop { cause = .text(stop) }
            }
            if cause == nil, live.constraint?.isComplete == true { cause = .grammar }
        }
        texts[live.id] = live
        scheduler.append(sampled.id, to: live.id)
        requests[live.request]?.emit(
            .token(
                index: live.index,
                GeneratedToken(id: sampled.id, text: piece, logprob: sampled.logprob, top: sampled.top)))
        if let cause {
            finish(live, .stop, cause: cause)
        } else if live.generated >= options.maxNewTokens {
            finish(live, .length)
        }
    }

    private func recordTimes(_ live: inout LiveText) {
        let moment = now()
        if let last = live.lastToken {
            metrics.interTokenLatency.record(moment - last)
        } else if let request = requests[live.request] {
            metrics.timeToFirstToken.record(moment - request.submitted)
            metrics.prefillTime.record(moment - (request.started ?? moment))
            live.firstToken = moment
        }
        live.lastToken = moment
    }

    /// Row i of the part holds the logits of the token at position i + 1.
    private func recordPrompt(_ id: Int, _ part: StepPlan.Part, _ rows: Range<Int>, _ logits: Span<Float>) {
        guard let live = requests[id] else { return }
        let prompt = live.request.prompt
        var tokens = live.prompt
        if tokens.isEmpty { tokens.append(SampledToken(id: prompt[0], logprob: nil, top: [])) }
        for (row, position) in zip(rows, part.range) where position + 1 == tokens.count && position + 1 < prompt.count {
            let (chosen, top) = Sampler.logprobs(
                logits.extracting(columns(of: row)), of: prompt[position + 1],
                top: live.request.options.logprobs ?? 0)
            tokens.append(SampledToken(id: prompt[position + 1], logprob: chosen, top: top))
        }
        requests[id]?.prompt = tokens
        if tokens.count == prompt.count, !live.reportedPrompt {
            requests[id]?.reportedPrompt = true
            live.emit(.prompt(tokens))
        }
    }

    // MARK: Ends

    private func finish(
        _ text: LiveText, _ reason: FinishReason, cause: StopCause? = nil, error: GenerationError? = nil
    ) {
        var text = text
        var held = ""
        if case .text = cause {
            // What follows the stop text is not part of the answer.
        } else {
            let (certain, stop) = text.matcher.push(text.decoder.finish())
            held = stop == nil ? certain + text.matcher.finish() : certain
        }
        let usage = usage(text.request, text)
        scheduler.remove(text.id)
        texts[text.id] = nil
        if let first = text.firstToken, let last = text.lastToken { metrics.decodeTime.record(last - first) }
        metrics.requestGenerationTokens.record(Double(text.generated))
        report(
            text.request, index: text.index,
            GenerationFinish(reason: reason, cause: cause, text: held, usage: usage, error: error))
    }

    /// Fails one text, and with it those that were to fork from it.
    private func fail(_ id: Int, _ error: GenerationError) {
        guard let text = texts[id], let live = requests[text.request] else { return }
        finish(text, .error, error: error)
        guard !live.hasForked else { return }
        for index in 1..<max(1, live.request.options.n) {
            report(
                text.request, index: index,
                GenerationFinish(reason: .error, text: "", usage: usage(text.request, nil), error: error))
        }
    }

    private func report(_ id: Int, index: Int, _ finish: GenerationFinish) {
        guard let live = requests[id] else { return }
        metrics.finished[finish.reason, default: 0] += 1
        requests[id]?.unfinished -= 1
        if requests[id]?.unfinished == 0 {
            metrics.requestLatency.record(now() - live.submitted)
            requests[id] = nil
        }
        live.emit(.finished(index: index, finish))
    }

    private func usage(_ request: Int, _ text: LiveText?) -> GenerationUsage {
        GenerationUsage(
            promptTokens: requests[request]?.request.prompt.count ?? 0, completionTokens: text?.generated ?? 0,
            cachedTokens: text.flatMap { scheduler.sequences[$0.id]?.reusedTokens } ?? 0)
    }

    private func expire() {
        guard requests.values.contains(where: { $0.deadline != nil }) else { return }
        let moment = now()
        for (id, live) in requests where live.deadline.map({ $0 <= moment }) ?? false { cancel(id) }
    }

    private func makeText(_ request: GenerationRequest, id: Int, index: Int) -> LiveText {
        let options = request.options
        return LiveText(
            id: id + index, request: id, index: index, decoder: text.makeStreamDecoder(),
            matcher: StopMatcher(options.stop, includesStopText: options.includesStopText),
            constraint: request.constraint, history: options.hasPenalty ? TokenHistory(prompt: request.prompt) : nil)
    }

    private func snapshot() {
        metrics.running = scheduler.running.count
        metrics.waiting = scheduler.waiting.count
        let blocks = max(1, scheduler.pool.blockCount)
        metrics.cacheUsage = 1 - Double(scheduler.pool.freeCount) / Double(blocks)
        metrics.prefixQueriedTokens = scheduler.pool.queriedBlocks * scheduler.pool.blockSize
        metrics.prefixHitTokens = scheduler.pool.hitBlocks * scheduler.pool.blockSize
        metrics.preemptions = scheduler.preemptionCount
    }
}

/// A request that has texts to finish.
private struct LiveRequest {
    let request: GenerationRequest
    let emit: (GenerationEvent) -> Void
    let seed: UInt64
    let submitted: Double
    let deadline: Double?
    var unfinished: Int
    var started: Double?
    var hasForked = false
    var prompt: [SampledToken] = []
    var reportedPrompt = false
}

/// One text of a request.
private struct LiveText {
    let id: Int
    let request: Int
    let index: Int
    var decoder: any TextStream
    var matcher: StopMatcher
    var constraint: (any TokenConstraint)?
    var history: TokenHistory?
    var generated = 0
    var firstToken: Double?
    var lastToken: Double?

    mutating func allowedTokens() throws(GenerationError) -> TokenMask? {
        do throws(GrammarError) {
            return try constraint?.allowedTokens()
        } catch {
            throw .grammar(error)
        }
    }
}
