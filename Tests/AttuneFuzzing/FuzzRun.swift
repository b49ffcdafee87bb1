import Foundation

/// A run of made inputs through one reader.
///
/// Every input must end in a result or one typed error, soon; anything else (a trap, a hang, an error of another type,
/// which is thrown on) is a finding. A short run by default; `ATTUNE_FUZZ_ITERATIONS`, `ATTUNE_FUZZ_SECONDS` and
/// `ATTUNE_FUZZ_SEED` make it long and new.
package struct FuzzRun {
    /// Inputs that were read.
    package private(set) var accepted = 0
    /// Inputs that were refused with the expected error.
    package private(set) var refused = 0
    /// The longest time one input took.
    package private(set) var slowest = Duration.zero
    /// What took it.
    package private(set) var slowestInput: [UInt8] = []

    /// All inputs.
    package var count: Int { accepted + refused }

    private static func setting(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init)
    }

    /// The seed of every stream.
    package static var seed: Int { setting("ATTUNE_FUZZ_SEED") ?? 1 }

    /// Makes inputs and reads them. `stream` parts the runs of one seed. Each input lies in `ATTUNE_FUZZ_KEEP`, when
    /// that names a file, before it is read, so that one that traps can be read again.
    ///
    /// - Parameter isRefusal: whether an error is the reader's own.
    package init(
        stream: UInt64, iterations: Int, make: (inout Chance) throws -> [UInt8], read: ([UInt8]) throws -> Void,
        isRefusal: (any Error) -> Bool
    ) throws {
        var chance = Chance(seed: Self.seed, stream: stream)
        let seconds = Self.setting("ATTUNE_FUZZ_SECONDS")
        let limit = seconds == nil ? Self.setting("ATTUNE_FUZZ_ITERATIONS") ?? iterations : Int.max
        let end = ContinuousClock.now + .seconds(seconds ?? 0)
        let keep = ProcessInfo.processInfo.environment["ATTUNE_FUZZ_KEEP"].map { URL(fileURLWithPath: $0) }
        while count < limit, seconds == nil || ContinuousClock.now < end {
            let input = try make(&chance)
            if let keep { try Data(input).write(to: keep) }
            let time = try ContinuousClock().measure {
                do {
                    try read(input)
                    accepted += 1
                } catch let error where isRefusal(error) {
                    refused += 1
                }
            }
            if time > slowest { (slowest, slowestInput) = (time, input) }
        }
        if seconds != nil { print("fuzzed \(count): \(accepted) read, \(refused) refused, slowest \(slowest)") }
    }
}
