import ArgumentParser
import Attune
import AttuneJSON

/// `attune bench`: whole steps in tokens a second, and where the time goes.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure training steps on this machine.",
        discussion: "Example: attune bench --shape smollm2-135m --method lora --dtype bfloat16 --tokens 2048")

    @Option(help: "Shape of the model: \(BenchShape.all.map(\.name).joined(separator: ", ")).")
    var shape = "smollm2-135m"
    @Option(help: "lora, qlora or full.")
    var method = TrainingBench.Method.lora
    @Option(help: "float32, bfloat16 or float16.")
    var dtype = "bfloat16"
    @Option(help: "Tokens a step.")
    var tokens = 2048
    @Option(help: "Tokens a row.")
    var length = 512
    @Option(help: "The part of each row that is trained on.")
    var trainedShare = 1.0
    @Option(help: "Measured steps.")
    var steps = 3
    @OptionGroup var machine: MachineOptions
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws { try Failure.guarding(measure) }

    private func measure() throws {
        guard let shape = BenchShape.all.first(where: { $0.name == shape }) else {
            throw CommandError.usage(
                "--shape \(shape): give one of \(BenchShape.all.map(\.name).joined(separator: ", "))")
        }
        guard let type = DType(torchName: dtype), type.isComputeType else {
            throw CommandError.usage("--dtype \(dtype): give float32, bfloat16 or float16")
        }
        guard tokens > 0, length > 0, steps > 0, (0...1).contains(trainedShare) else {
            throw CommandError.usage("--tokens, --length and --steps are at least 1, --trained-share is from 0 to 1")
        }
        let configuration = try DecoderConfiguration(config: shape.config)
        let backend = try machine.makeBackend()
        let bench = try TrainingBench(configuration, method: method, computeType: type, backend: backend)
        let report = try bench.run(
            sequences: max(1, tokens / length), length: length, trainedShare: trainedShare, steps: steps)
        if json {
            let operations = report.operations.map { operation -> JSON in
                [
                    "name": JSON(operation.name), "seconds": JSON(operation.seconds), "share": JSON(operation.share),
                ]
            }
            let object: JSON = [
                "tokens_per_second": JSON(report.tokensPerSecond),
                "gflops": JSON(report.operationsPerStep / report.stepSeconds * 1e-9),
                "peak_memory_bytes": JSON(report.peakMemory), "operations": .array(operations),
            ]
            print(object.text())
            return
        }
        print("\(shape.name) \(method.rawValue) \(dtype), \(backend.name)")
        print(
            "\(Int(report.tokensPerSecond)) tokens/s, \(Int(report.operationsPerStep / report.stepSeconds * 1e-9)) GFLOP/s, peak \(report.peakMemory >> 20) MiB"
        )
        for operation in report.operations where operation.share > 0.002 {
            print("  \(operation.name)  \(Int(operation.seconds * 1e3)) ms  \(Int(operation.share * 1000) / 10)%")
        }
    }
}

extension TrainingBench.Method: ExpressibleByArgument {}
