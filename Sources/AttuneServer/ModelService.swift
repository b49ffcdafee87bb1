import AttuneGeneration
import AttuneJSON
import AttuneText
import Foundation
import Hummingbird
import Synchronization

/// What all requests share: the model, the limits, the threads for texts, and whether the server still takes requests.
final class ModelService: Sendable {
    let model: ServedModel
    let options: ServerOptions
    let keys: KeyRing
    let pool: TextPool
    let log: ServerLog
    private let state = Mutex(State())

    private struct State {
        var isDraining = false
        /// Requests between their first line and the engine.
        var arriving = 0
        var statuses: [Int: Int] = [:]
        var lastSteps = -1
        var lastProgress = ContinuousClock.now
    }

    init(_ model: ServedModel, _ options: ServerOptions, log: ServerLog) {
        self.model = model
        self.options = options
        self.log = log
        keys = KeyRing(options.apiKeys)
        let width = max(1, min(4, ProcessInfo.processInfo.activeProcessorCount / 2))
        pool = TextPool(width: width, limit: 256)
    }

    // MARK: Gate

    /// Notes that a request is on its way to the engine, which is not drained before it got there.
    func beginArrival() throws(APIError) -> Arrival {
        let isOpen = state.withLock { state in
            if !state.isDraining { state.arriving += 1 }
            return !state.isDraining
        }
        guard isOpen else { throw .shuttingDown }
        return Arrival { [self] in state.withLock { $0.arriving -= 1 } }
    }

    /// Takes no more requests; those that arrived go on.
    func beginDraining() { state.withLock { $0.isDraining = true } }
    /// Whether the server goes down.
    var isDraining: Bool { state.withLock { $0.isDraining } }
    /// Requests that have not reached the engine yet.
    var arrivingCount: Int { state.withLock { $0.arriving } }

    func count(status: Int) { state.withLock { $0.statuses[status, default: 0] += 1 } }
    /// Answers by status.
    var statuses: [Int: Int] { state.withLock { $0.statuses } }

    /// Whether texts wait while no step has been computed for long.
    var isStalled: Bool {
        let metrics = model.engine.metrics
        return state.withLock { state in
            let now = ContinuousClock.now
            if metrics.steps != state.lastSteps || metrics.running + metrics.waiting == 0 {
                state.lastSteps = metrics.steps
                state.lastProgress = now
            }
            return now - state.lastProgress > options.stallTimeout
        }
    }

    // MARK: Generation

    /// Hands a request to the engine.
    func submit(
        _ request: GenerationRequest, promptParam: String, _ call: Call
    ) throws(APIError) -> AsyncThrowingStream<GenerationEvent, any Error> {
        var request = request
        request.timeLimit = options.requestTimeout
        request.cacheSalt = call.salt + request.cacheSalt
        do throws(GenerationError) {
            return try model.engine.submit(request)
        } catch {
            throw APIError(error, promptParam: promptParam, retryAfter: retryAfter, requestID: call.id)
        }
    }

    /// Roughly when the texts that wait now will have had their turn.
    private var retryAfter: Int {
        let waiting = model.engine.metrics.waiting
        return max(1, min(30, waiting / max(1, model.engine.options.scheduler.maxSequences)))
    }

    /// A grammar in its first state; what is wrong with it names the parameter it came from.
    func constraint(_ form: OutputForm?) throws(APIError) -> GrammarMatcher? {
        guard let form else { return nil }
        do throws(GrammarError) {
            return try model.grammars.constraint(form.source) { form.grammar }
        } catch {
            throw .invalid(form.param, error.description)
        }
    }
}

/// The way of one request from its first line to the engine.
final class Arrival: Sendable {
    private let end: Mutex<(@Sendable () -> Void)?>

    init(end: @escaping @Sendable () -> Void) { self.end = Mutex(end) }

    /// The request is with the engine, or will never be.
    func finish() {
        end.withLock { end in
            defer { end = nil }
            return end
        }?()
    }
}

/// One request under way.
struct Call: Sendable {
    /// Stands in the answer's head, in errors and in the log.
    let id: String
    let connection: Connection
    /// Keeps cached prompts of different keys apart.
    let salt: String
    let service: ModelService
    /// `nil` for requests that only read.
    let arrival: Arrival?
    let started = ContinuousClock.now

    /// Whether the time limit of the request is over.
    var isOverdue: Bool { ContinuousClock.now - started >= service.options.requestTimeout }

    /// Ids such as `chatcmpl-…`.
    static func newID(_ prefix: String) -> String {
        let letters = Array("0123456789abcdef")
        return prefix + String((0..<24).map { _ in letters[Int.random(in: 0..<16)] })
    }

    /// What a failed text's reader is told; the log has the rest.
    func failure(_ error: GenerationError?) -> APIError {
        service.log.write("\(id) failed: \(error?.description ?? "the stream ended early")")
        return .internal(id)
    }

    /// The answer after the time limit.
    var overdue: APIError {
        APIError(
            status: 504, message: "The request took longer than \(service.options.requestTimeout).",
            type: "server_error", code: "timeout")
    }

    /// Reads a whole answer; its request ends when the client goes.
    func result(
        of stream: AsyncThrowingStream<GenerationEvent, any Error>, n: Int
    ) async throws -> GenerationResult {
        let result = try await connection.whileOpen {
            var result = GenerationResult(n: n)
            for try await event in stream { result.apply(event) }
            return result
        }
        for text in result.texts {
            guard let finish = text.finish else { throw CancellationError() }
            if finish.reason == .error { throw failure(finish.error) }
            if finish.reason == .abort, isOverdue { throw overdue }
        }
        return result
    }
}

/// Lines on standard error, one an event.
struct ServerLog: Sendable {
    private let sink: @Sendable (String) -> Void

    /// - Parameter sink: takes whole lines.
    init(_ sink: @escaping @Sendable (String) -> Void) { self.sink = sink }

    static let standardError = ServerLog { line in
        try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
    }

    func write(_ text: String) { sink("attune: " + LogText.escaped(text, limit: 1000)) }
}
