import AttuneJSON
import AttuneTensor

/// Writes the weights of a model as the Hugging Face libraries do: `model.safetensors` when they fit one file, else
/// `model-00001-of-000NN.safetensors` and `model.safetensors.index.json`.
public enum ShardedWriter {
    /// One file of the plan and the tensors in it, as places in the list that was planned.
    public struct Shard: Sendable, Equatable {
        /// The name of the file.
        public var fileName: String
        /// Which tensors.
        public var tensors: [Int]
    }

    /// What transformers takes when nothing is said: 50 GB.
    public static let defaultMaximumByteCount = 50_000_000_000
    static let singleName = "model.safetensors"
    static let indexName = "model.safetensors.index.json"

    /// Reads `"5GB"`, `"500 MB"`, `"1.5TB"`, `"200KB"` (powers of ten, as huggingface_hub does), or a plain number of bytes.
    public static func byteCount(parsing text: String) -> Int? {
        let trimmed = text.filter { $0 != " " }.uppercased()
        let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)]
        let (number, factor) =
            units.first { trimmed.hasSuffix($0.0) }.map { (trimmed.dropLast(2), $0.1) } ?? (trimmed[...], 1)
        guard let value = Double(number), value > 0, value * factor < 9e18 else { return nil }
        return Int(value * factor)
    }

    /// Cuts a list of tensors into files, in its order: a tensor that would pass the limit begins the next file; one that
    /// is larger than the limit by itself gets a file of its own, and the file in progress goes on after it.
    public static func plan(_ descriptions: [TensorDescription], maximumByteCount: Int) -> [Shard] {
        var shards: [[Int]] = []
        var current: [Int] = []
        var size = 0
        for (place, description) in descriptions.enumerated() {
            let byteCount = description.byteCount
            if byteCount > maximumByteCount {
                shards.append([place])
                continue
            }
            if size + byteCount > maximumByteCount {
                shards.append(current)
                current = []
                size = 0
            }
            current.append(place)
            size += byteCount
        }
        if !current.isEmpty || shards.isEmpty { shards.append(current) }
        if shards.count == 1 { return [Shard(fileName: singleName, tensors: shards[0])] }
        return shards.enumerated().map { number, tensors in
            Shard(fileName: "model-\(padded(number + 1))-of-\(padded(shards.count)).safetensors", tensors: tensors)
        }
    }

    /// Writes tensors that are at hand.
    ///
    /// - Parameters:
    ///   - totalParameters: what the index gives as the number of parameters; the number of elements when not given.
    /// - Throws: `FilesError`.
    public static func write(
        tensors: [(name: String, tensor: Tensor)], to folder: String,
        maximumByteCount: Int = defaultMaximumByteCount, totalParameters: Int? = nil,
        metadata: [String: String] = ["format": "pt"]
    ) throws(FilesError) {
        let descriptions = tensors.map {
            TensorDescription(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape)
        }
        let shards = plan(descriptions, maximumByteCount: maximumByteCount)
        for shard in shards {
            try SafetensorsWriter.write(
                tensors: shard.tensors.map { tensors[$0] }, metadata: metadata, to: Folder.path(folder, shard.fileName))
        }
        try finish(descriptions, shards, in: folder, totalParameters: totalParameters)
    }

    /// Writes tensors that are made one at a time, so that no more than one need be in memory. Within a file they are asked
    /// for in the order of the file (`SafetensorsWriter`).
    /// - Throws: `FilesError` and what `produce` throws.
    public static func write(
        _ descriptions: [TensorDescription], to folder: String, maximumByteCount: Int = defaultMaximumByteCount,
        totalParameters: Int? = nil, metadata: [String: String] = ["format": "pt"],
        produce: (TensorDescription) throws -> Tensor
    ) throws {
        let shards = plan(descriptions, maximumByteCount: maximumByteCount)
        for shard in shards {
            try SafetensorsWriter.write(
                shard.tensors.map { descriptions[$0] }, metadata: metadata,
                to: Folder.path(folder, shard.fileName), produce: produce)
        }
        try finish(descriptions, shards, in: folder, totalParameters: totalParameters)
    }

    /// Writes the index, then removes weight files of an earlier, different split: a reader would prefer them.
    private static func finish(
        _ descriptions: [TensorDescription], _ shards: [Shard], in folder: String, totalParameters: Int?
    ) throws(FilesError) {
        if shards.count > 1 {
            var map: [(key: String, value: JSON)] = []
            for shard in shards {
                map += shard.tensors.map { (descriptions[$0].name, .string(shard.fileName)) }
            }
            let index: JSON = .object(
                JSONObject([
                    (
                        "metadata",
                        [
                            "total_parameters": JSON(totalParameters ?? descriptions.reduce(0) { $0 + $1.count }),
                            "total_size": JSON(descriptions.reduce(0) { $0 + $1.byteCount }),
                        ]
                    ),
                    ("weight_map", .object(JSONObject(map))),
                ]))
            try AtomicFile.write(
                index.utf8(.sortedPretty) + [UInt8(ascii: "\n")], to: Folder.path(folder, indexName))
        }
        let written = Set(shards.map(\.fileName) + (shards.count > 1 ? [indexName] : []))
        for name in try Folder.names(in: folder) where isWeightFile(name) && !written.contains(name) {
            Folder.remove(Folder.path(folder, name))
        }
    }

    private static func isWeightFile(_ name: String) -> Bool {
        if name == singleName || name == indexName { return true }
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "model", parts[2] == "of", parts[3].hasSuffix(".safetensors") else {
            return false
        }
        return [parts[1], parts[3].dropLast(12)].allSatisfy { $0.utf8.count == 5 && UInt32($0) != nil }
    }

    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.utf8.count)) + digits
    }
}
