import ArgumentParser
import Attune

/// Which model, in which numbers: shared by every verb that runs one.
struct ModelOptions: ParsableArguments {
    @Option(help: "A model folder, or a cached hub name.")
    var model: String
    @Option(help: "A PEFT adapter folder.")
    var adapter: String?
    @Option(help: "float32, bfloat16 or float16; the checkpoint's own by default.")
    var dtype: String?
    @Option(help: "none, nf4, fp4 or int8.")
    var quantization = "none"
    @Flag(help: "Quantize the scales too.")
    var doubleQuant = false
    @Option(help: "Threads; all by default.")
    var threads: Int?

    func load() throws -> LanguageModel {
        var type: DType?
        if let dtype {
            guard let named = DType(torchName: dtype), named.isComputeType else {
                throw ValidationError("--dtype '\(dtype)': float32, bfloat16 or float16 is expected")
            }
            type = named
        }
        var choice: QuantizationChoice?
        if quantization != "none" {
            guard let format = QuantizationFormat(rawValue: quantization) else {
                throw ValidationError("--quantization '\(quantization)': none, nf4, fp4 or int8 is expected")
            }
            choice = QuantizationChoice(format: format, isDouble: doubleQuant)
        }
        let loaded = try LanguageModel.load(
            model, dtype: type, quantization: choice, backend: try CPUBackend(threads: threads))
        if let adapter { try loaded.attachAdapter(adapter) }
        return loaded
    }

    /// The name under which `load` attaches the adapter.
    var adapterName: String? { adapter == nil ? nil : "default" }
}
