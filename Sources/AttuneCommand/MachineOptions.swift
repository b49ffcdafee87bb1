import ArgumentParser
import Attune
import AttuneCPU
import AttuneTensor
import AttuneTraining

/// What every verb takes: where it computes, and how much it says beside its result.
struct MachineOptions: ParsableArguments {
    @Option(help: "auto, cpu or cuda[:N].")
    var device = "auto"
    @Option(help: "Threads; 0 for one a core.")
    var threads = 0
    @Flag(help: "Say nothing but errors on standard error.")
    var quiet = false
    @Option(help: "What is said on standard error: debug, info, warning or error.")
    var logLevel = LogLevel.info

    /// The backend asked for.
    /// - Parameter largePages: see `CPUBackend`.
    /// - Throws: `CommandError` for a device that is not there, `TensorError` when the machine refuses threads.
    func makeBackend(largePages: Bool = true) throws -> any Backend {
        try check()
        return try CPUBackend(threads: threads == 0 ? nil : threads, largePages: largePages)
    }

    /// Refuses what cannot be, for verbs that compute nothing too.
    /// - Throws: `CommandError`.
    func check() throws {
        guard let device = RecipeDevice(device) else {
            throw CommandError.usage("--device \(device): no such device; give auto, cpu or cuda[:N]")
        }
        try Self.check(device)
        guard (0...4096).contains(threads) else { throw CommandError.usage("--threads \(threads): give 0 to 4096") }
    }

    /// Refuses devices this build does not have.
    /// - Throws: `CommandError`.
    static func check(_ device: RecipeDevice) throws {
        if case .cuda = device {
            throw CommandError.unavailable("--device cuda: this build has no CUDA backend; use --device cpu")
        }
    }

    /// Where the verb's remarks go.
    var log: CommandLog { CommandLog(quiet ? .error : logLevel) }
}

/// How the weights of a model are held.
struct WeightOptions: ParsableArguments {
    @Option(help: "Compute type: float32, bfloat16 or float16; the checkpoint's own when not given.")
    var dtype: String?
    @Option(help: "Quantize while loading: none, nf4, fp4 or int8.")
    var quantization = "none"
    @Flag(help: "Quantize the block scales too.")
    var doubleQuant = false

    /// The compute type, when one is named.
    /// - Throws: `CommandError`.
    func computeType() throws -> DType? {
        guard let dtype, dtype != "auto" else { return nil }
        guard let type = DType(torchName: dtype), type.isComputeType else {
            throw CommandError.usage("--dtype \(dtype): give float32, bfloat16 or float16")
        }
        return type
    }

    /// The quantization, when one is named.
    /// - Throws: `CommandError`.
    func quantizationChoice() throws -> QuantizationChoice? {
        if quantization == "none" {
            guard !doubleQuant else {
                throw CommandError.usage("--double-quant needs --quantization nf4 or fp4")
            }
            return nil
        }
        guard let format = QuantizationFormat(rawValue: quantization) else {
            throw CommandError.usage("--quantization \(quantization): give none, nf4, fp4 or int8")
        }
        guard format != .int8 || !doubleQuant else {
            throw CommandError.usage("--double-quant is for nf4 and fp4; int8 has one scale a row")
        }
        return QuantizationChoice(format: format, isDouble: doubleQuant)
    }
}
