import AttuneModels
import AttuneTraining
import Foundation
import Synchronization

extension FineTuning {
    /// Runs on a thread of its own and hands out its events. Who stops reading stops the run, which then saves its state.
    ///
    /// The run belongs to that thread until the stream ends; until then nothing else of it may be used.
    public func events() -> AsyncThrowingStream<TrainingEvent, any Error> {
        let owned = OwnedRun(run: self)
        return AsyncThrowingStream { continuation in
            continuation.onTermination = { _ in owned.stops.store(true, ordering: .relaxed) }
            Thread.detachNewThread {
                do {
                    _ = try owned.run.run(shouldStop: { owned.stops.load(ordering: .relaxed) }) {
                        continuation.yield($0)
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
        }
    }

    /// A run on its way to a thread. `@unchecked`: only that thread touches `run` once it has begun, as `events` demands.
    private final class OwnedRun: @unchecked Sendable {
        let run: FineTuning
        let stops = Atomic(false)

        init(run: FineTuning) { self.run = run }
    }
}

extension LanguageModel {
    /// Attaches a fresh adapter, to be trained.
    ///
    /// - Parameter seed: of the A matrices; B is zero.
    /// - Throws: `ModelError` when the options reach no module.
    public func attachLoRA(_ options: LoRAOptions, named name: String = "default", seed: UInt64 = 42) throws {
        try decoder.attach(name, options, seed: seed)
    }
}
