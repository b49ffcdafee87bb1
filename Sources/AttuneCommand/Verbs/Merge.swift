import ArgumentParser
import Attune
import AttuneJSON

/// `attune merge`: an adapter into its base.
struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Merge an adapter into its base model.",
        discussion: "Example: attune merge --model Models/pocket --adapter results --output merged_model")

    @Option(help: "The base model.")
    var model: String
    @Option(help: "The adapter.")
    var adapter: String
    @Option(help: "The folder to write.")
    var output: String
    @Option(help: "The type of the result; the checkpoint's own by default.")
    var dtype: String?
    @Option(help: "The largest file, for example 5GB.")
    var maxShardSize: String?
    @OptionGroup var machine: MachineOptions
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try Failure.guarding {
            var type: DType?
            if let dtype {
                guard let named = DType(torchName: dtype), named.isComputeType else {
                    throw CommandError.usage("--dtype \(dtype): give float32, bfloat16 or float16")
                }
                type = named
            }
            var limit = ShardedWriter.defaultMaximumByteCount
            if let maxShardSize {
                guard let bytes = ShardedWriter.byteCount(parsing: maxShardSize), bytes > 0 else {
                    throw CommandError.usage("--max-shard-size \(maxShardSize): write it as 5GB or 500MB")
                }
                limit = bytes
            }
            let report = try Merging.merge(
                model: model, adapter: adapter, dtype: type, maximumByteCount: limit, output: output,
                backend: try machine.makeBackend())
            if json {
                let object: JSON = [
                    "max_logit_difference": JSON(report.maximumLogitDifference),
                    "greedy_agreement": JSON(report.greedyAgreement), "dequantized": JSON(report.wasDequantized),
                ]
                print(object.text())
            } else {
                if report.wasDequantized { print("the base is stored in few bits: merged into its dequantized values") }
                print("max logit difference to base + adapter: \(report.maximumLogitDifference)")
                print("greedy agreement: \(report.greedyAgreement)")
                print("Merged model saved to \(output). It can now be loaded without PEFT.")
            }
        }
    }
}
