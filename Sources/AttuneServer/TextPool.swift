import Dispatch
import Synchronization

/// Threads for templates, tokenizers and grammars, so that a long text holds up neither the network nor other streams.
final class TextPool: Sendable {
    private let queues: [DispatchQueue]
    private let load: Mutex<[Int]>
    private let limit: Int

    /// - Parameters:
    ///   - width: jobs at once.
    ///   - limit: jobs that may wait or run; more are refused.
    init(width: Int, limit: Int) {
        queues = (0..<max(1, width)).map { DispatchQueue(label: "attune-text-\($0)", qos: .userInitiated) }
        load = Mutex([Int](repeating: 0, count: max(1, width)))
        self.limit = limit
    }

    /// Runs a job on the least loaded thread.
    /// - Throws: `APIError` 429 when too many wait; what the job throws.
    func run<Value: Sendable>(_ job: @escaping @Sendable () throws -> Value) async throws -> Value {
        let place = load.withLock { load -> Int? in
            guard load.reduce(0, +) < limit, let place = load.indices.min(by: { load[$0] < load[$1] }) else {
                return nil
            }
            load[place] += 1
            return place
        }
        guard let place else { throw APIError.overloaded(retryAfter: 1) }
        return try await withCheckedThrowingContinuation { continuation in
            queues[place].async { [self] in
                let result = Result { try job() }
                load.withLock { $0[place] -= 1 }
                continuation.resume(with: result)
            }
        }
    }
}
