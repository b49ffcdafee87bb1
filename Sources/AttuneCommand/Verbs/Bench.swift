import ArgumentParser
import Attune
import AttuneCPU
import AttuneFiles
import AttuneJSON
import AttuneTensor

/// `attune bench`: whole steps in tokens a second against what the machine can do, and where the time goes.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure training, prefill, decoding, serving, single kernels or tokenizing on this machine.",
        discussion: """
            Examples:
              attune bench --shape smollm2-135m --method lora --dtype bfloat16 --tokens 2048
              attune bench --model Models/pocket --method decode --sequences 8 --json
              attune bench --shape qwen2.5-0.5b --method kernels
              attune bench --model Models/pocket --method tokenize --file english.txt
            """)

    @Option(help: "Shape of the model, with random weights: \(BenchShape.all.map(\.name).joined(separator: ", ")).")
    var shape: String?
    @Option(help: "A model folder instead of a shape.")
    var model: String?
    @Option(help: "\(BenchMethod.allCases.map(\.rawValue).joined(separator: ", ")).")
    var method = BenchMethod.lora
    @Option(help: "float32, bfloat16 or float16.")
    var dtype = "bfloat16"
    @Option(help: "Quantize the model: none or nf4 (qlora is always nf4).")
    var quantization = "none"
    @Option(help: "Tokens of a training step or a prefilled prompt; of the context when decoding (by default 64).")
    var tokens: Int?
    @Option(help: "Tokens a training row.")
    var length = 512
    @Option(help: "The part of each row that is trained on.")
    var trainedShare = 1.0
    @Option(help: "Texts decoded side by side, or requests served at once (by default 1 and 32).")
    var sequences: Int?
    @Option(help: "Tokens each served request writes.")
    var newTokens = 64
    @Option(help: "Measured steps (by default 3; 32 when decoding).")
    var steps: Int?
    @Option(help: "The text of --method tokenize, each line for itself.")
    var file: String?
    @OptionGroup var machine: MachineOptions
    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard shape == nil || model == nil else { throw ValidationError("give --shape or --model, not both") }
        if let shape {
            do { _ = try BenchShape.configuration(named: shape) } catch { throw ValidationError("\(error)") }
        }
        for (name, value) in [
            ("tokens", tokens ?? 1), ("length", length), ("sequences", sequences ?? 1), ("new-tokens", newTokens),
            ("steps", steps ?? 1),
        ] where !(1...1_000_000).contains(value) {
            throw ValidationError("--\(name) \(value): give 1 to 1000000")
        }
        guard (method == .tokenize) == (file != nil), method != .tokenize || model != nil else {
            throw ValidationError("--method tokenize needs --file and --model, and nothing else takes --file")
        }
        guard trainedShare > 0, trainedShare <= 1 else { throw ValidationError("--trained-share: give 0 < s <= 1") }
        guard ["none", "nf4"].contains(quantization) else {
            throw ValidationError("--quantization \(quantization): give none or nf4")
        }
    }

    func run() throws { try Failure.guarding(measure) }

    private func measure() throws {
        if let file, let model { return try tokenize(file, model) }
        guard let type = DType(torchName: dtype), type.isComputeType else {
            throw CommandError.usage("--dtype \(dtype): give float32, bfloat16 or float16")
        }
        // As `train` does.
        let trains = [.lora, .qlora, .full].contains(method)
        guard let cpu = try machine.makeBackend(largePages: !trains) as? CPUBackend else {
            throw CommandError.unavailable("bench measures processors only; use --device cpu")
        }
        let limits = { MachineLimits(cpu, type) }
        let backend = ProfilingBackend(cpu)
        let name = model ?? shape ?? "smollm2-135m"
        if method == .kernels {
            let configuration =
                try model.map { try BenchShape.configuration(folder: $0) } ?? BenchShape.configuration(named: name)
            let measured = limits()
            let kernels = try KernelBench(cpu, type: type, limits: measured).run(configuration)
            report(kernels, name: name, cpu, measured)
            return
        }
        let isNF4 = method == .qlora || quantization == "nf4"
        let decoder =
            try model.map { try BenchShape.decoder(folder: $0, type, isNF4: isNF4, backend) }
            ?? BenchShape.decoder(named: name, type, isNF4: isNF4, backend)
        let result: BenchReport
        switch method {
        case .lora, .qlora, .full:
            let bench = try TrainingBench(decoder, method: method, backend: backend, limits: limits)
            let row = min(length, tokens ?? 2048)
            result = try bench.run(
                sequences: max(1, (tokens ?? 2048) / row), length: row, trainedShare: trainedShare,
                steps: steps ?? 3)
        case .prefill:
            result = try InferenceBench(decoder, backend: backend, limits: limits)
                .prefill(tokens: tokens ?? 512, steps: steps ?? 3)
        case .decode:
            result = try InferenceBench(decoder, backend: backend, limits: limits)
                .decode(sequences: sequences ?? 1, context: tokens ?? 64, steps: steps ?? 32)
        case .serve, .kernels, .tokenize:
            result = try InferenceBench(decoder, backend: backend, limits: limits)
                .serve(requests: sequences ?? 32, prompt: tokens ?? 64, answer: newTokens, steps: steps ?? 1)
        }
        report(result, name: name, cpu)
    }

    private func tokenize(_ file: String, _ folder: String) throws {
        let bytes = try WholeFile.read(file, limit: 1 << 30)
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        let result = TokenizerBench(try ModelFolder.tokenizer(folder), lines: lines)
        let tokensPerSecond = Double(result.tokenCount) / result.seconds
        let bytesPerSecond = Double(result.byteCount) / result.seconds
        if json {
            let digits = String(result.checksum, radix: 16)
            let object: JSON = [
                "tokens_per_second": JSON(tokensPerSecond), "bytes_per_second": JSON(bytesPerSecond),
                "tokens": JSON(result.tokenCount), "seconds": JSON(result.seconds),
                "checksum": JSON(String(repeating: "0", count: 16 - digits.count) + digits),
                "peak_memory_bytes": JSON(result.peakMemory),
            ]
            print(object.text())
            return
        }
        print(
            "\(rounded(bytesPerSecond * 1e-6)) MB/s, \(rounded(tokensPerSecond)) tokens/s, \(result.tokenCount) tokens, "
                + "peak memory \(result.peakMemory >> 20) MiB")
    }

    private func report(_ result: BenchReport, name: String, _ cpu: CPUBackend) {
        if json {
            let operations = result.operations.map { operation -> JSON in
                [
                    "name": JSON(operation.name), "seconds": JSON(operation.seconds), "share": JSON(operation.share),
                ]
            }
            let object: JSON = [
                "tokens_per_second": JSON(result.tokensPerSecond), "fraction_of_limit": JSON(result.fractionOfLimit),
                "gflops": JSON(result.operationsPerStep / result.stepSeconds * 1e-9),
                "step_seconds": JSON(result.stepSeconds), "peak_memory_bytes": JSON(result.peakMemory),
                "planned_memory_bytes": result.plannedMemory.map { JSON($0) } ?? JSON.null,
                "machine": limitsJSON(result.limits), "operations": .array(operations),
            ]
            print(object.text())
            return
        }
        print("\(name) \(method.rawValue) \(dtype), \(cpu.name); \(describe(result.limits))")
        print(
            "\(rounded(result.tokensPerSecond)) tokens/s, \(rounded(result.operationsPerStep / result.stepSeconds * 1e-9)) GFLOP/s, "
                + "\(rounded(result.fractionOfLimit * 100)) % of the limit")
        let planned = result.plannedMemory.map { ", planned \($0 >> 20) MiB" } ?? ""
        print("peak memory \(result.peakMemory >> 20) MiB\(planned)")
        for operation in result.operations where operation.share > 0.002 || operation.name == "other" {
            print(
                "  \(operation.name.padded(28)) \(rounded(operation.seconds * 1e3)) ms  \(rounded(operation.share * 100)) %"
            )
        }
    }

    private func report(
        _ kernels: [KernelBench.Measurement], name: String, _ cpu: CPUBackend, _ limits: MachineLimits
    ) {
        let total = kernels.reduce(0) { $0 + $1.seconds }
        let fraction = kernels.reduce(0) { $0 + $1.seconds * $1.fractionOfLimit } / total
        if json {
            let operations = kernels.map { kernel -> JSON in
                [
                    "name": JSON("\(kernel.name) \(kernel.inputs) to \(kernel.outputs), \(kernel.rows) rows"),
                    "seconds": JSON(kernel.seconds), "share": JSON(kernel.seconds / total),
                    "gflops": JSON(kernel.operationsPerSecond * 1e-9),
                    "gigabytes_per_second": JSON(kernel.bytesPerSecond * 1e-9),
                    "fraction_of_limit": JSON(kernel.fractionOfLimit),
                ]
            }
            let object: JSON = [
                "fraction_of_limit": JSON(fraction), "machine": limitsJSON(limits), "operations": .array(operations),
            ]
            print(object.text())
            return
        }
        print("\(name) kernels \(dtype), \(cpu.name); \(describe(limits))")
        print("  product           rows  inputs outputs       GFLOP/s       GB/s  % of the limit")
        for kernel in kernels {
            print(
                "  \(kernel.name.padded(16)) \("\(kernel.rows)".padded(5)) \("\(kernel.inputs)".padded(7)) "
                    + "\("\(kernel.outputs)".padded(9)) \(rounded(kernel.operationsPerSecond * 1e-9).padded(11)) "
                    + "\(rounded(kernel.bytesPerSecond * 1e-9).padded(10)) \(rounded(kernel.fractionOfLimit * 100))")
        }
    }

    private func limitsJSON(_ limits: MachineLimits) -> JSON {
        [
            "gflops": JSON(limits.operationsPerSecond * 1e-9),
            "gigabytes_per_second": JSON(limits.bytesPerSecond * 1e-9),
        ]
    }

    private func describe(_ limits: MachineLimits) -> String {
        "this machine at most \(rounded(limits.operationsPerSecond * 1e-9)) GFLOP/s, reads \(rounded(limits.bytesPerSecond * 1e-9)) GB/s"
    }

    /// One digit after the point below a hundred, none above.
    private func rounded(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "-" }
        guard value < 100 else { return "\(Int(value.rounded()))" }
        return "\((value * 10).rounded() / 10)"
    }
}

extension String {
    fileprivate func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

extension BenchMethod: ExpressibleByArgument {}
