import Foundation
import Synchronization

/// Whether SIGINT or SIGTERM asked the program to save and stop. The second signal ends it at once.
enum StopSignal {
    private static let count = Atomic<Int>(0)

    /// Whether one has arrived.
    static var isRaised: Bool { count.load(ordering: .relaxed) > 0 }

    /// Takes the signals over.
    static func install() {
        // A file beyond `ulimit -f` is then an error like a full disk, and not the end.
        signal(SIGXFSZ, SIG_IGN)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                // Only async-signal-safe work here.
                if StopSignal.count.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(128 + number) }
            }
        }
    }

    /// Gives them back, where nothing is left that would look at `isRaised`.
    static func remove() {
        for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
    }
}
