import Synchronization

/// Where requests arrive while the engine's thread is busy with a step: admission is decided here, at once.
final class EngineDoor: Sendable {
    struct Arrival: Sendable {
        var ticket: Int
        var request: GenerationRequest
        var sink: any EventSink
    }

    /// What the engine finds before a step.
    struct Mail: Sendable {
        var arrivals: [Arrival] = []
        var cancelled: [Int] = []

        var isEmpty: Bool { arrivals.isEmpty && cancelled.isEmpty }
    }

    private struct State {
        var mail = Mail()
        var nextTicket = 0
        // Of the scheduler, as of the last step.
        var waitingRequests = 0
        var waitingTokens = 0
        var metrics = EngineMetrics()
        var isClosed = false
        var isAwake = false
    }

    private let state = Mutex(State())
    private let options: EngineOptions
    private let vocabularySize: Int
    private let cacheLength: Int

    init(options: EngineOptions, vocabularySize: Int, cacheLength: Int) {
        self.options = options
        self.vocabularySize = vocabularySize
        self.cacheLength = cacheLength
    }

    /// As of the last step, but for those who wait: they count from the moment they are taken.
    var metrics: EngineMetrics {
        state.withLock { state in
            var metrics = state.metrics
            metrics.waiting = state.mail.arrivals.reduce(state.waitingRequests) { $0 + $1.request.options.n }
            return metrics
        }
    }
    var isIdle: Bool { state.withLock { $0.mail.isEmpty } }

    /// Takes a request or refuses it. Returns its ticket and whether the engine must be woken.
    func take(
        _ request: GenerationRequest, sink: any EventSink, isBounded: Bool
    ) throws(GenerationError) -> (ticket: Int, mustWake: Bool) {
        let request = try options.checked(request, vocabularySize: vocabularySize, cacheLength: cacheLength)
        return try state.withLock { state throws(GenerationError) in
            guard !state.isClosed else { throw .shuttingDown }
            if isBounded {
                let waiting = state.mail.arrivals.reduce((state.waitingRequests, state.waitingTokens)) {
                    ($0.0 + $1.request.options.n, $0.1 + $1.request.prompt.count)
                }
                guard waiting.0 + request.options.n <= options.maxWaitingRequests,
                    waiting.1 + request.prompt.count <= options.maxWaitingTokens
                else { throw .overloaded(waitingRequests: waiting.0, waitingTokens: waiting.1) }
            }
            let ticket = state.nextTicket
            state.nextTicket += 1
            state.mail.arrivals.append(Arrival(ticket: ticket, request: request, sink: sink))
            return (ticket, Self.wake(&state))
        }
    }

    /// Returns whether the engine must be woken.
    func cancel(_ ticket: Int) -> Bool {
        state.withLock { state in
            state.mail.cancelled.append(ticket)
            return Self.wake(&state)
        }
    }

    /// Returns whether the engine must be woken.
    func wake() -> Bool { state.withLock { Self.wake(&$0) } }

    /// Refuses requests from now on.
    func close() { state.withLock { $0.isClosed = true } }

    /// Empties the box. What was in it counts as waiting until the next `publish`.
    func collect() -> Mail {
        state.withLock { state in
            defer { state.mail = Mail() }
            for arrival in state.mail.arrivals {
                state.waitingRequests += arrival.request.options.n
                state.waitingTokens += arrival.request.prompt.count
            }
            return state.mail
        }
    }

    /// Publishes what the last step left.
    func publish(_ metrics: EngineMetrics, waitingRequests: Int, waitingTokens: Int) {
        state.withLock {
            $0.metrics = metrics
            $0.waitingRequests = waitingRequests
            $0.waitingTokens = waitingTokens
        }
    }

    /// Goes to sleep unless something arrived meanwhile. Returns whether it did.
    func sleep() -> Bool {
        state.withLock { state in
            guard state.mail.isEmpty else { return false }
            state.isAwake = false
            return true
        }
    }

    private static func wake(_ state: inout State) -> Bool {
        defer { state.isAwake = true }
        return !state.isAwake
    }
}
