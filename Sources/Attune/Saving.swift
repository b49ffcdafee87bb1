import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor

extension Decoder {
    /// Writes an attached adapter as PEFT does, in float32.
    ///
    /// - Parameters:
    ///   - base: what `base_model_name_or_path` says.
    /// - Throws: `FilesError`.
    public func saveAdapter(_ name: String, base: String, to folder: String) throws {
        guard let options = adapters[name] else { throw ModelError.mismatch("no adapter named '\(name)' is attached") }
        let parameters = adapterParameters(name)
        var pairs: Set<String> = []
        var tensors: [(name: AdapterTensorName, tensor: Tensor)] = []
        for parameter in parameters {
            guard let file = AdapterTensorName(parsing: AdapterTensorName.prefix + parameter.name) else { continue }
            pairs.insert(file.module)
            tensors.append((file, parameter.value))
        }
        for parameter in savedParameters(name) {
            let module = parameter.name.split(separator: ".").dropLast().joined(separator: ".")
            tensors.append(
                (
                    AdapterTensorName(baseTensor: parameter.name, carriesPair: pairs.contains(module)),
                    parameter.value
                ))
        }
        var configuration = AdapterConfiguration()
        configuration.rank = options.rank
        configuration.alpha = options.alpha
        configuration.dropout = Double(options.dropout)
        switch options.targets {
        case .names(let names): configuration.targetModules = .list(names)
        case .pattern(let pattern): configuration.targetModules = .expression(pattern.source)
        case .allLinear:
            let short = Set(pairs.map { String($0.split(separator: ".").last ?? "") })
            configuration.targetModules = .list(short.sorted())
        }
        configuration.bias = options.bias.rawValue
        configuration.modulesToSave = options.modulesToSave.isEmpty ? nil : options.modulesToSave
        configuration.usesRSLoRA = options.isRankStabilized
        configuration.usesDoRA = options.usesDoRA
        configuration.rankPattern = options.rankPattern.map { (AttuneFiles.ModulePattern($0.key.source), $0.rank) }
        configuration.alphaPattern = options.alphaPattern.map { (AttuneFiles.ModulePattern($0.key.source), $0.alpha) }
        configuration.layersToTransform = options.layers
        configuration.initialization = options.initialization == .kaiming ? true : JSON(options.initialization.rawValue)
        configuration.baseModel = base
        try AdapterDirectory.write(configuration: configuration, tensors: tensors, to: folder)
    }

    /// Writes the trained base in the given type: masters where there are some, the checkpoint's own tensors elsewhere.
    /// - Throws: `FilesError`.
    public func saveWeights(
        from source: any DecoderSource, dtype: DType, maximumByteCount: Int = ShardedWriter.defaultMaximumByteCount,
        to folder: String
    ) throws {
        let masters = Dictionary(
            trainableParameters.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        let names = source.tensorNames
        let descriptions = names.compactMap { name -> TensorDescription? in
            guard var description = source.description(of: name) else { return nil }
            description.dtype = dtype
            return description
        }
        try ShardedWriter.write(descriptions, to: folder, maximumByteCount: maximumByteCount) { description in
            let value = try masters[description.name] ?? source.tensor(named: description.name)
            let out = try backend.makeTensor(description.shape, dtype)
            backend.copy(out, value)
            return out
        }
    }
}

/// Copies of files that travel with a model.
enum Companions {
    private static let limit = 1 << 30

    /// Copies tokenizer, template and generation files of a model into a folder.
    static func copy(of directory: ModelDirectory, to folder: String) throws(FilesError) {
        for path in directory.companionFiles {
            let bytes = try WholeFile.read(path, limit: limit)
            try AtomicFile.write(bytes, to: Folder.path(folder, Folder.split(path).name))
        }
        for template in directory.additionalChatTemplates {
            let target = Folder.path(folder, "additional_chat_templates")
            try Folder.create(target)
            try AtomicFile.write(
                try WholeFile.read(template.path, limit: limit), to: Folder.path(target, template.name + ".jinja"))
        }
    }
}
