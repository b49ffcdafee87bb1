import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneText
import Foundation

/// Merging an adapter into its base on disk, and proof that the result is the same model.
public enum Merging {
    /// What the check after merging measured.
    public struct Report: Sendable {
        /// The largest difference of any logit between merged and base + adapter, over the check's text.
        public var maximumLogitDifference: Double
        /// The share of positions whose most likely token agrees.
        public var greedyAgreement: Double
        /// Whether the base was stored in few bits.
        public var wasDequantized: Bool
    }

    /// The text both models read for the check.
    private static let checkText =
        "### Instruction:\nClassify this support ticket\n\n### Input:\nMy order #12345 arrived with a broken screen, "
        + "and nobody has answered my e-mails for a week. What happens now?\n\n### Response:\n"

    /// Merges, writes a model folder, reads it back and compares it with base + adapter.
    ///
    /// - Parameters:
    ///   - dtype: of the result; `nil` for the checkpoint's own.
    ///   - maximumByteCount: of a file of weights.
    /// - Throws: `FilesError`, `ModelError`, `TensorError`.
    public static func merge(
        model path: String, adapter: String, dtype: DType? = nil,
        maximumByteCount: Int = ShardedWriter.defaultMaximumByteCount, output: String, backend: any Backend
    ) throws -> Report {
        try checkPlace(output, beside: [path, adapter])
        let base = try LanguageModel.load(path, backend: backend)
        let adapterFolder = try base.attachAdapter(adapter)
        let type = dtype ?? base.decoder.computeType
        let merged = MergedSource(base.directory, model: base.decoder, adapter: "default", dtype: type)
        let staged = try AtomicFolder(output)
        let descriptions = merged.tensorNames.compactMap(merged.description)
        try ShardedWriter.write(descriptions, to: staged.temporaryPath, maximumByteCount: maximumByteCount) {
            try merged.tensor(named: $0.name)
        }
        var config = base.directory.config.objectValue ?? JSONObject()
        let wasQuantized = config["quantization_config"] != nil
        config["quantization_config"] = nil
        config["torch_dtype"] = nil
        config["dtype"] = JSON(type.torchName)
        if merged.untiesHead { config["tie_word_embeddings"] = false }
        try AtomicFile.write(JSON.object(config).utf8(.pretty), to: staged.path(of: "config.json"))
        try Companions.copy(of: base.directory, to: staged.temporaryPath)
        let contract = Folder.path(adapterFolder.path, PromptContract.fileName)
        if Folder.hasFile(contract) {
            try AtomicFile.write(
                try WholeFile.read(contract, limit: 1 << 20), to: staged.path(of: PromptContract.fileName))
        }
        try staged.commit(replacingExisting: true)

        let result = try LanguageModel.load(output, dtype: base.decoder.computeType, backend: backend)
        let tokens = base.tokenizer.ids(of: checkText, addSpecialTokens: true)
        let left = try logits(base.decoder, tokens, adapter: "default")
        let right = try logits(result.decoder, tokens, adapter: nil)
        let vocabulary = base.configuration.vocabularySize
        var difference: Float = 0
        for (a, b) in zip(left, right) { difference = max(difference, abs(a - b)) }
        let agreeing = tokens.indices.count { row in
            let range = row * vocabulary..<(row + 1) * vocabulary
            return argmax(left[range]) == argmax(right[range])
        }
        return Report(
            maximumLogitDifference: Double(difference), greedyAgreement: Double(agreeing) / Double(tokens.count),
            wasDequantized: wasQuantized)
    }

    /// A model that lies in the place may be replaced, as by merging again; nothing else may, and least of all what is merged.
    /// - Throws: `FilesError`.
    private static func checkPlace(_ output: String, beside sources: [String]) throws(FilesError) {
        let resolved = { (path: String) in URL(filePath: path).resolvingSymlinksInPath().standardizedFileURL.path }
        for source in sources where (resolved(source) + "/").hasPrefix(resolved(output) + "/") {
            throw .invalid(path: output, problem: "holds what is to be merged (\(source)); choose another output")
        }
        guard Folder.exists(output) else { return }
        let names = try Folder.names(in: output)
        let isModel =
            names.contains("config.json")
            && names.allSatisfy { $0 == "additional_chat_templates" || !Folder.exists(Folder.path(output, $0)) }
        guard names.isEmpty || isModel else {
            throw .invalid(path: output, problem: "exists already and is no model folder; choose another output")
        }
    }

    private static func logits(_ decoder: Decoder, _ tokens: [Int32], adapter: String?) throws -> [Float] {
        let count = tokens.count
        let pass = try InferencePass(decoder, capacity: count, logitCapacity: count)
        return try pass.run(
            tokens, SegmentTable([Segment(rows: 0..<count)]), cache: nil, logitRows: (0..<count).map(Int32.init),
            adapterRuns: [AdapterRun(rows: 0..<count, adapter: adapter)]
        ).floats()
    }

    private static func argmax(_ values: ArraySlice<Float>) -> Int {
        var best = values.startIndex
        for place in values.indices where values[place] > values[best] { best = place }
        return best - values.startIndex
    }
}
