import ArgumentParser
import Attune

/// Which model, in which numbers: shared by every verb that runs one.
struct ModelOptions: ParsableArguments {
    @Option(help: "A model folder, or a cached hub name.")
    var model: String
    @Option(help: "A PEFT adapter folder.")
    var adapter: String?
    @OptionGroup var weights: WeightOptions
    @Option(help: "Threads; all by default.")
    var threads: Int?

    func load() throws -> LanguageModel {
        let loaded = try LanguageModel.load(
            model, dtype: try weights.computeType(), quantization: try weights.quantizationChoice(),
            backend: try CPUBackend(threads: threads))
        if let adapter { try loaded.attachAdapter(adapter) }
        return loaded
    }

    /// The name under which `load` attaches the adapter.
    var adapterName: String? { adapter == nil ? nil : "default" }
}
