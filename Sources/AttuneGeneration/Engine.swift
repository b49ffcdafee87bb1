/// Generates texts for many callers at once (continuous batching) on a thread of its own.
///
/// `submit` decides at once, also while a step runs. Steps contain no suspension, so they never interleave.
public actor Engine {
    private let executor: EngineExecutor
    private let loop: GenerationLoop
    private nonisolated let door: EngineDoor
    /// The set-up.
    public nonisolated let options: EngineOptions

    private struct Client {
        var id: Int
        var sink: any EventSink
        var pausedSince: ContinuousClock.Instant?
    }

    private var clients: [Int: Client] = [:]
    private var finished: [Int] = []
    private var alarm: Task<Void, Never>?

    /// The engine's own thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// An engine over an empty cache. All calls to `runner` come from the engine's thread.
    public init(runner: any ModelRunner, text: any TokenText, options: EngineOptions) {
        let loop = GenerationLoop(runner: runner, text: text, options: options)
        self.loop = loop
        self.options = loop.options
        executor = EngineExecutor(name: "attune-engine")
        door = EngineDoor(
            options: loop.options, vocabularySize: runner.vocabularySize, cacheLength: loop.cacheLength)
    }

    deinit { executor.stop() }

    // MARK: Callers

    /// Takes a request; its events come as they are computed.
    ///
    /// Cancelling the task that reads, or dropping the stream, ends the request and frees its blocks. A failed text ends with
    /// the reason `error`; the stream itself ends without error after the last text.
    /// - Throws: `GenerationError` at once where the request is not possible or the queue is full.
    public nonisolated func submit(
        _ request: GenerationRequest
    ) throws(GenerationError) -> AsyncThrowingStream<GenerationEvent, any Error> {
        let buffer = EventBuffer(resumeBelow: max(1, options.streamBufferBytes / 2))
        let (ticket, mustWake) = try door.take(request, sink: buffer, isBounded: true)
        buffer.observe(
            onAbandon: { [weak self] in self?.cancel(ticket) },
            onRead: { [weak self] in self?.wake() })
        if mustWake { start() }
        let lease = ReaderLease(buffer)
        return AsyncThrowingStream { await lease.buffer.next() }
    }

    /// Continues every prompt; the queue's limits do not apply.
    ///
    /// - Parameter progress: called on the engine's thread after each finished prompt with how many are finished.
    /// - Returns: one result a prompt, in their order.
    /// - Throws: `GenerationError` where a prompt is not possible, `CancellationError` when the task is cancelled.
    public nonisolated func generate(
        prompts: [[Int32]], options: SamplingOptions, adapter: String? = nil,
        constraint: (any TokenConstraint)? = nil, progress: (@Sendable (Int) -> Void)? = nil
    ) async throws -> [GenerationResult] {
        let (results, sink) = AsyncStream.makeStream(of: (Int, GenerationResult).self)
        var tickets: [Int] = []
        var all = [GenerationResult](repeating: GenerationResult(n: options.n), count: prompts.count)
        defer { for ticket in tickets { cancel(ticket) } }
        for (place, prompt) in prompts.enumerated() {
            let request = GenerationRequest(
                prompt: prompt, options: options, adapter: adapter, constraint: constraint)
            let collector = ResultCollector(n: options.n) { sink.yield((place, $0)) }
            let (ticket, mustWake) = try door.take(request, sink: collector, isBounded: false)
            tickets.append(ticket)
            if mustWake { start() }
        }
        var count = 0
        guard !prompts.isEmpty else { return [] }
        for await (place, result) in results {
            all[place] = result
            count += 1
            progress?(count)
            if count == prompts.count { break }
        }
        try Task.checkCancellation()
        tickets = []
        return all
    }

    /// Counters as of the last step; never waits.
    public nonisolated var metrics: EngineMetrics { door.metrics }

    /// Blocks of the cache that nobody holds, and all blocks.
    public var blocks: (free: Int, all: Int) { (loop.freeBlockCount, loop.blockCount) }

    /// Runs a job on the engine's thread between two steps, for work that shares the model or its kernels' threads.
    public func betweenSteps<Value: Sendable>(_ job: @Sendable () throws -> Value) rethrows -> Value { try job() }

    /// Refuses new requests, lets those taken finish, and after `timeout` ends the rest with the reason `abort`.
    public func drain(timeout: Duration) async {
        door.close()
        let end = ContinuousClock.now + timeout
        if door.wake() { start() }
        while !(loop.isEmpty && clients.isEmpty && door.isIdle), ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(5))
        }
        admit(door.collect())
        loop.cancelAll()
        settle()
    }

    // MARK: The engine's thread

    private nonisolated func start() { Task { await self.work() } }

    private nonisolated func wake() { if door.wake() { start() } }

    private nonisolated func cancel(_ ticket: Int) { if door.cancel(ticket) { start() } }

    private func work() async {
        while true {
            admit(door.collect())
            watchReaders()
            let advanced = loop.step()
            settle()
            if !advanced {
                if door.sleep() { return setAlarm() }
            }
            // Lets callers of the actor's other methods in between two steps.
            await Task.yield()
        }
    }

    private func admit(_ mail: EngineDoor.Mail) {
        for arrival in mail.arrivals {
            let ticket = arrival.ticket
            do throws(GenerationError) {
                var left = arrival.request.options.n
                let id = try loop.submit(arrival.request) { [self] event in
                    arrival.sink.push(event)
                    guard case .finished = event else { return }
                    left -= 1
                    if left == 0 { assumeIsolated { $0.finished.append(ticket) } }
                }
                clients[ticket] = Client(id: id, sink: arrival.sink)
            } catch {
                // Checked at the door already; whoever is refused here sees his stream end.
                arrival.sink.close()
            }
        }
        for ticket in mail.cancelled { if let client = clients[ticket] { loop.cancel(client.id) } }
    }

    /// Closes the streams of finished requests and publishes the counters.
    private func settle() {
        for ticket in finished { clients.removeValue(forKey: ticket)?.sink.close() }
        finished.removeAll()
        let queue = loop.queue
        door.publish(loop.metrics, waitingRequests: queue.requests, waitingTokens: queue.tokens)
    }

    /// Holds back the texts of readers that lag, lets them go on when they have caught up, and ends them after a while.
    private func watchReaders() {
        let now = ContinuousClock.now
        for (ticket, client) in clients {
            let backlog = client.sink.backlog
            if let since = client.pausedSince {
                if backlog < max(1, options.streamBufferBytes / 2) {
                    clients[ticket]?.pausedSince = nil
                    loop.setPaused(client.id, false)
                } else if now - since >= options.slowReaderTimeout {
                    loop.cancel(client.id)
                }
            } else if backlog > options.streamBufferBytes {
                clients[ticket]?.pausedSince = now
                loop.setPaused(client.id, true)
            }
        }
    }

    /// Wakes the engine when the first of the paused texts is to be ended.
    private func setAlarm() {
        alarm?.cancel()
        alarm = nil
        guard let first = clients.values.compactMap(\.pausedSince).min() else { return }
        let due = first + options.slowReaderTimeout
        alarm = Task { [weak self] in
            try? await Task.sleep(until: due, clock: .continuous)
            if !Task.isCancelled { self?.wake() }
        }
    }
}
