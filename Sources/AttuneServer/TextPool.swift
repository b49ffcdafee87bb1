import Dispatch
import Foundation
import Synchronization

/// Threads for templates, tokenizers and grammars, so that a long text holds up neither the network nor other streams.
final class TextPool: Sendable {
    private let workers: [Worker]
    private let limit: Int

    /// - Parameters:
    ///   - width: jobs at once.
    ///   - limit: jobs that may wait or run; more are refused.
    init(width: Int, limit: Int) {
        workers = (0..<max(1, width)).map { Worker(name: "attune-text-\($0)") }
        self.limit = limit
    }

    deinit { for worker in workers { worker.stop() } }

    /// Runs a job on the least loaded thread.
    /// - Throws: `APIError` 429 when too many wait; what the job throws.
    func run<Value: Sendable>(_ job: @escaping @Sendable () throws -> Value) async throws -> Value {
        let loads = workers.map(\.load)
        guard loads.reduce(0, +) < limit, let place = loads.indices.min(by: { loads[$0] < loads[$1] }) else {
            throw APIError.overloaded(retryAfter: 1)
        }
        return try await withCheckedThrowingContinuation { continuation in
            workers[place].add { continuation.resume(with: Result { try job() }) }
        }
    }

    private final class Worker: Sendable {
        private struct State {
            var jobs: [@Sendable () -> Void] = []
            var load = 0
            var isStopped = false
        }

        private let state = Mutex(State())
        private let signal = DispatchSemaphore(value: 0)

        init(name: String) {
            let thread = Thread { [self] in run() }
            thread.name = name
            thread.stackSize = 8 << 20
            thread.start()
        }

        /// Jobs that wait or run.
        var load: Int { state.withLock { $0.load } }

        func add(_ job: @escaping @Sendable () -> Void) {
            state.withLock { state in
                state.jobs.append(job)
                state.load += 1
            }
            signal.signal()
        }

        /// Ends the thread once its jobs are done.
        func stop() {
            state.withLock { $0.isStopped = true }
            signal.signal()
        }

        private func run() {
            while true {
                signal.wait()
                let (jobs, isStopped) = state.withLock { state in
                    defer { state.jobs = [] }
                    return (state.jobs, state.isStopped)
                }
                for job in jobs {
                    job()
                    state.withLock { $0.load -= 1 }
                }
                if isStopped, jobs.isEmpty { return }
            }
        }
    }
}
