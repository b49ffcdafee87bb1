import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor

extension Decoder {
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
            var name = Decoder.canonicalName(description.name)
            // A checkpoint may hold a tied head beside its embedding.
            if configuration.tiesEmbeddings, name == "lm_head.weight" { name = "model.embed_tokens.weight" }
            let value = try masters[name] ?? source.tensor(named: description.name)
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
