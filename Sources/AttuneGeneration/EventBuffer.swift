import Synchronization

/// Takes a request's events on the engine's thread.
protocol EventSink: AnyObject, Sendable {
    func push(_ event: GenerationEvent)
    /// No more events will come.
    func close()
    /// Bytes of events not read yet.
    var backlog: Int { get }
}

/// Events between the engine and one reader.
final class EventBuffer: EventSink {
    private struct State {
        var events: [GenerationEvent] = []
        var head = 0
        var bytes = 0
        var isClosed = false
        var reader: CheckedContinuation<GenerationEvent?, Never>?
        var onAbandon: (@Sendable () -> Void)?
        var onRead: (@Sendable () -> Void)?
        var resumeBelow: Int
    }

    private let state: Mutex<State>

    /// - Parameter resumeBelow: `onRead` is called when reading brings the backlog below this.
    init(resumeBelow: Int) { state = Mutex(State(resumeBelow: resumeBelow)) }

    func observe(onAbandon: @escaping @Sendable () -> Void, onRead: @escaping @Sendable () -> Void) {
        state.withLock {
            $0.onAbandon = onAbandon
            $0.onRead = onRead
        }
    }

    var backlog: Int { state.withLock { $0.bytes } }

    func push(_ event: GenerationEvent) {
        let reader = state.withLock { state -> CheckedContinuation<GenerationEvent?, Never>? in
            guard !state.isClosed else { return nil }
            if let reader = state.reader {
                state.reader = nil
                return reader
            }
            state.events.append(event)
            state.bytes += Self.size(of: event)
            return nil
        }
        reader?.resume(returning: event)
    }

    func close() {
        let reader = state.withLock { state in
            state.isClosed = true
            state.onAbandon = nil
            state.onRead = nil
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }

    /// The reader is gone: drops what is left and tells the engine.
    func abandon() {
        let (reader, tell) = state.withLock { state in
            defer {
                state.isClosed = true
                state.events = []
                state.head = 0
                state.bytes = 0
                state.reader = nil
                state.onAbandon = nil
                state.onRead = nil
            }
            return (state.reader, state.onAbandon)
        }
        reader?.resume(returning: nil)
        tell?()
    }

    /// The next event, or `nil` after the last. Cancelling the task abandons the request.
    func next() async -> GenerationEvent? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { reader in
                let (event, waits, tell) = state.withLock { state in
                    if state.head < state.events.count {
                        let event = state.events[state.head]
                        state.head += 1
                        if state.head == state.events.count || state.head > 1024 {
                            state.events.removeFirst(state.head)
                            state.head = 0
                        }
                        let before = state.bytes
                        state.bytes -= Self.size(of: event)
                        let crossed = before >= state.resumeBelow && state.bytes < state.resumeBelow
                        return (event as GenerationEvent?, false, crossed ? state.onRead : nil)
                    }
                    if state.isClosed { return (nil, false, nil) }
                    state.reader = reader
                    return (nil, true, nil)
                }
                if !waits { reader.resume(returning: event) }
                tell?()
            }
        } onCancel: {
            abandon()
        }
    }

    private static func size(of event: GenerationEvent) -> Int {
        switch event {
        case .prompt(let tokens): tokens.reduce(64) { $0 + 16 + 8 * $1.top.count }
        case .token(_, let token): 64 + token.text.utf8.count + 8 * token.top.count
        case .finished(_, let finish): 64 + finish.text.utf8.count
        }
    }
}

/// Abandons the buffer when the stream that owns it is thrown away.
final class ReaderLease: Sendable {
    let buffer: EventBuffer

    init(_ buffer: EventBuffer) { self.buffer = buffer }

    deinit { buffer.abandon() }
}

/// Collects a request's events for `Engine.generate`.
final class ResultCollector: EventSink {
    private let result: Mutex<GenerationResult>
    private let done: @Sendable (GenerationResult) -> Void

    init(n: Int, done: @escaping @Sendable (GenerationResult) -> Void) {
        result = Mutex(GenerationResult(n: n))
        self.done = done
    }

    var backlog: Int { 0 }

    func push(_ event: GenerationEvent) { result.withLock { $0.apply(event) } }

    func close() { done(result.withLock { $0 }) }
}
