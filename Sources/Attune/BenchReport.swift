import AttuneCPU
import AttuneModels
import AttuneTensor
import AttuneTraining

/// What `attune bench` measures.
public enum BenchMethod: String, Sendable, CaseIterable {
    /// Training steps of adapters over a dense base.
    case lora
    /// Training steps of adapters over an NF4 base with double quantization.
    case qlora
    /// Training steps of every parameter.
    case full
    /// Reading prompts.
    case prefill
    /// Continuing texts, one token a step each.
    case decode
    /// Requests that come at once: their prompts read and their answers written, through the engine's scheduler.
    case serve
    /// Single products at the shapes of the model.
    case kernels
    /// Text to ids, on one thread.
    case tokenize
}

/// What the machine can do at most.
public struct MachineLimits: Sendable {
    /// Floating-point operations a second with operands in registers.
    public let operationsPerSecond: Double
    /// Bytes a second read from memory.
    public let bytesPerSecond: Double

    /// Measures both.
    /// - Parameter type: what is multiplied.
    public init(_ backend: CPUBackend, _ type: DType) {
        operationsPerSecond = backend.measureMultiplyLimit(type)
        bytesPerSecond = backend.measureReadLimit()
    }

    /// The least time the machine could need for so much arithmetic and so many bytes.
    public func leastSeconds(operations: Double, bytes: Double) -> Double {
        let arithmetic = operationsPerSecond > 0 ? operations / operationsPerSecond : 0
        return max(arithmetic, bytesPerSecond > 0 ? bytes / bytesPerSecond : 0)
    }
}

/// A measured step.
public struct BenchReport: Sendable {
    /// One operation's part of a step.
    public struct Operation: Sendable {
        /// `Backend`'s name for it.
        public var name: String
        /// Seconds a step.
        public var seconds: Double
        /// Of the step.
        public var share: Double
    }

    /// Tokens of a step over its median seconds.
    public var tokensPerSecond: Double
    /// Median seconds a step.
    public var stepSeconds: Double
    /// Multiply-add work a step counts, in floating-point operations.
    public var operationsPerStep: Double
    /// Bytes a step must read from memory.
    public var bytesPerStep: Double
    /// Where the time goes, largest first; sums to the step, what no operation took being `other`.
    public var operations: [Operation]
    /// The most the process held.
    public var peakMemory: Int
    /// What the memory plan says it should hold, where there is a plan.
    public var plannedMemory: Int?
    /// What it is measured against.
    public var limits: MachineLimits

    /// The part of the machine's limit a step reaches: the least time it could take over the time it takes.
    public var fractionOfLimit: Double {
        limits.leastSeconds(operations: operationsPerStep, bytes: bytesPerStep) / stepSeconds
    }

    /// The report of steps of these durations.
    init(
        durations: [Double], tokens: Double, operationsPerStep: Double, bytesPerStep: Double,
        seconds: [String: Double], plannedMemory: Int?, limits: () -> MachineLimits
    ) {
        // Before the limits are measured, which takes memory of its own.
        peakMemory = ProcessMemory.peak
        let total = durations.reduce(0, +)
        let steps = Double(durations.count)
        stepSeconds = durations.sorted()[durations.count / 2]
        tokensPerSecond = tokens / stepSeconds
        self.operationsPerStep = operationsPerStep
        self.bytesPerStep = bytesPerStep
        self.plannedMemory = plannedMemory
        self.limits = limits()
        operations = seconds.map { Operation(name: $0.key, seconds: $0.value / steps, share: $0.value / total) }
        let measured = operations.reduce(0) { $0 + $1.seconds }
        operations.append(
            Operation(name: "other", seconds: total / steps - measured, share: 1 - measured * steps / total))
        operations.sort { $0.seconds > $1.seconds }
    }
}

/// Seconds of the continuous clock a piece of work takes.
func secondsOf(_ body: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    try body()
    return start.duration(to: clock.now) / .seconds(1)
}
