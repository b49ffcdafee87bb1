import ArgumentParser
import Attune
import AttuneTensor
import Foundation

/// Which model, in which numbers: shared by every verb that runs one.
struct ModelOptions: ParsableArguments {
    @Option(help: "A model folder, or a cached hub name.")
    var model: String
    @Option(help: "A PEFT adapter folder.")
    var adapter: String?
    @OptionGroup var weights: WeightOptions
    @OptionGroup var machine: MachineOptions

    func load() throws -> LanguageModel {
        let start = ContinuousClock.now
        let loaded = try LanguageModel.load(
            model, dtype: try weights.computeType(), quantization: try weights.quantizationChoice(),
            backend: try machine.makeBackend())
        if let adapter { try loaded.attachAdapter(adapter) }
        machine.log.line(
            "loaded \(loaded.directory.path) as \(loaded.decoder.computeType.torchName) on "
                + "\(loaded.decoder.backend.name) in \(start.duration(to: .now).formatted())", .debug)
        return loaded
    }

    /// The name under which `load` attaches the adapter.
    var adapterName: String? { adapter == nil ? nil : "default" }
}
