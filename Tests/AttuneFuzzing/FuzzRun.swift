import Foundation

/// A run of made inputs through one reader.
///
/// Every input must end in a result or one refusal, soon. A trap ends the process; an error of another type and a case
/// that takes too long are findings. A short run by default; `ATTUNE_FUZZ_ITERATIONS`, `ATTUNE_FUZZ_CPU_SECONDS` and
/// `ATTUNE_FUZZ_SEED` make it long and new. Time is the processor's time on this thread, so that a run on a busy machine
/// neither ends early nor calls a case slow that only waited.
package struct FuzzRun {
    /// Inputs that were read.
    package private(set) var accepted = 0
    /// Inputs that were refused with the expected error.
    package private(set) var refused = 0
    /// The longest time one input took.
    package private(set) var slowest = Duration.zero
    /// What is wrong, one entry an input; empty when the reader holds. A run ends early after `mostFindings`.
    package private(set) var findings: [String] = []

    /// All inputs.
    package var count: Int { accepted + refused + failed }
    private var failed = 0
    private static let mostFindings = 20

    private static func setting(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init)
    }

    /// The seed of every stream.
    package static var seed: Int { setting("ATTUNE_FUZZ_SEED") ?? 1 }

    /// The time this thread has computed.
    private static func processorTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// Makes inputs and reads them. `stream` parts the runs of one seed. When `ATTUNE_FUZZ_KEEP` names a folder, each
    /// input lies there as `STREAM-last` before it is read, so that one that traps or hangs can be read again, and each
    /// finding as `STREAM-finding-NUMBER`.
    ///
    /// - Parameters:
    ///   - limit: the longest time a case may take.
    ///   - isRefusal: whether an error is the reader's own.
    package init(
        stream: UInt64, iterations: Int, limit: Duration = .seconds(1), make: (inout Chance) throws -> [UInt8],
        read: ([UInt8]) throws -> Void, isRefusal: (any Error) -> Bool
    ) throws {
        var chance = Chance(seed: Self.seed, stream: stream)
        let seconds = Self.setting("ATTUNE_FUZZ_CPU_SECONDS").map { Duration.seconds($0) }
        let most = seconds == nil ? Self.setting("ATTUNE_FUZZ_ITERATIONS") ?? iterations : Int.max
        let keep = ProcessInfo.processInfo.environment["ATTUNE_FUZZ_KEEP"].map {
            URL(fileURLWithPath: $0, isDirectory: true)
        }
        let begin = Self.processorTime()
        var spent = Duration.zero
        while count < most, seconds.map({ spent < $0 }) ?? true, findings.count < Self.mostFindings {
            let input = try make(&chance)
            if let keep { try Data(input).write(to: keep.appending(path: "\(stream)-last")) }
            let before = Self.processorTime()
            var finding: String?
            do {
                try read(input)
                accepted += 1
            } catch let error where isRefusal(error) {
                refused += 1
            } catch let error {
                failed += 1
                finding = "\(error)"
            }
            let after = Self.processorTime()
            slowest = max(slowest, after - before)
            spent = after - begin
            if after - before > limit { finding = "\(after - before)" }
            if let finding {
                findings.append("input \(count), \(input.count) bytes: \(finding)")
                try keep.map {
                    try Data(input).write(to: $0.appending(path: "\(stream)-finding-\(findings.count)"))
                }
            }
        }
        if seconds != nil {
            print(
                "fuzzed stream \(stream), seed \(Self.seed): \(count) in \(spent), \(accepted) read, \(refused) refused,",
                "\(findings.count) findings, slowest \(slowest)")
        }
    }
}
