import AttuneFiles
import AttuneTensor

extension Decoder {
    /// Attaches a PEFT adapter, strictly: every tensor lands and every reached module receives one.
    /// - Throws: `FilesError`, `ModelError`; the decoder is then as it was.
    public func attach(_ adapter: AdapterDirectory, named name: String) throws {
        let reached = try attach(name, LoRAOptions(adapter), seed: 0)
        do {
            let pairs = Set(reached)
            if let stranger = adapter.modules.first(where: { !pairs.contains($0) }),
                ["lm_head", "model.embed_tokens"].contains(stranger)
            {
                throw ModelError.mismatch(
                    "\(adapter.path): a low-rank pair at '\(stranger)' is not supported; train it whole (modules_to_save)"
                )
            }
            var tensors: [String: Tensor] = [:]
            for module in adapter.modules {
                for part in AdapterTensorName.Part.allCases {
                    if let tensor = try adapter.tensor(module: module, part: part) {
                        tensors[module + part.rawValue] = tensor
                    }
                }
            }
            for plain in adapter.plainTensorNames { tensors[plain] = try adapter.plainTensor(named: plain) }
            // PEFT writes a tied matrix under both names.
            if keepsTie(name), tensors["model.embed_tokens.weight"] != nil { tensors["lm_head.weight"] = nil }
            try loadAdapter(name, tensors: tensors)
        } catch {
            detach(name)
            throw error
        }
    }

    /// Writes an attached adapter as PEFT does, in float32.
    ///
    /// - Parameter base: what `base_model_name_or_path` says.
    /// - Throws: `FilesError`, `ModelError` when no adapter has that name.
    public func saveAdapter(_ name: String, base: String, to folder: String) throws {
        guard let options = adapters[name] else { throw ModelError.mismatch("no adapter named '\(name)' is attached") }
        var reached: [String] = []
        var tensors: [(name: AdapterTensorName, tensor: Tensor)] = []
        for parameter in adapterParameters(name) {
            guard let file = AdapterTensorName(parsing: AdapterTensorName.prefix + parameter.name) else { continue }
            if reached.last != file.module { reached.append(file.module) }
            tensors.append((file, parameter.value))
        }
        let pairs = Set(reached)
        for parameter in savedParameters(name) {
            let module = parameter.name.split(separator: ".").dropLast().joined(separator: ".")
            let file = AdapterTensorName(baseTensor: parameter.name, carriesPair: pairs.contains(module))
            tensors.append((file, parameter.value))
            if keepsTie(name), parameter.name == "model.embed_tokens.weight" {
                tensors.append((AdapterTensorName(module: "lm_head.weight", part: nil), parameter.value))
            }
        }
        try AdapterDirectory.write(
            configuration: options.configuration(reached: reached, base: base), tensors: tensors, to: folder)
    }

    private func keepsTie(_ name: String) -> Bool {
        configuration.tiesEmbeddings && adapters[name]?.tiesSavedEmbedding ?? false
    }
}
