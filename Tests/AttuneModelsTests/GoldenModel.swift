import AttuneCPU
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneText
import Foundation
import Testing

/// A tiny model made by `dev/golden/models.py`, with what PyTorch computed for it.
struct GoldenModel {
    static let all = [
        "llama", "llama3", "llama_yarn", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "smollm3", "granite",
        "olmo2",
    ]

    let name: String
    let folder: URL
    let configuration: DecoderConfiguration
    let expected: SafetensorsFile

    init(_ name: String) throws {
        self.name = name
        folder = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/models/\(name)")
        let config = try Data(contentsOf: folder.appending(path: "config.json"))
        configuration = try DecoderConfiguration(config: JSON(parsing: config))
        expected = try SafetensorsFile(folder.appending(path: "expected.safetensors").path)
    }

    func load(
        _ backend: any Backend, computeType: DType = .float32, quantization: QuantizationChoice? = nil
    ) throws -> Decoder {
        try Decoder.load(
            FileSource(path: folder.appending(path: "model.safetensors").path), configuration: configuration,
            backend: backend, computeType: computeType, quantization: quantization)
    }

    /// Attaches the adapter PEFT saved beside the model.
    func attachAdapter(to model: Decoder) throws {
        var options = LoRAOptions(targets: .allLinear)
        options.rank = 4
        options.alpha = 6
        try model.attach("golden", options, seed: 1)
        let file = try SafetensorsFile(folder.appending(path: "adapter/adapter_model.safetensors").path)
        let prefix = "base_model.model."
        let tensors = try file.tensorNames.map { (String($0.dropFirst(prefix.count)), try file.tensor(named: $0)) }
        try model.loadAdapter("golden", tensors: Dictionary(uniqueKeysWithValues: tensors))
    }

    func tensor(_ name: String) throws -> Tensor { try expected.tensor(named: name) }
    func floats(_ name: String) throws -> [Float] { try tensor(name).floats() }
    func tokens(_ row: Int) throws -> [Int32] { try tensor("tokens.\(row)").integers() }

    /// Targets of a row: the next token where it was trained on.
    func targets(_ row: Int) throws -> [Int32] {
        let tokens = try tokens(row)
        let trained = try tensor("trained.\(row)").integers()
        return tokens.indices.map {
            $0 + 1 < tokens.count && trained[$0 + 1] == 1 ? tokens[$0 + 1] : TokenBatch.ignored
        }
    }

    /// The rows as one packed batch.
    func packed(_ rows: [Int]) throws -> TokenBatch {
        var tokens: [Int32] = []
        var targets: [Int32] = []
        var segments: [Segment] = []
        for row in rows {
            let own = try self.tokens(row)
            segments.append(Segment(rows: tokens.count..<tokens.count + own.count, identity: UInt64(row)))
            tokens += own
            targets += try self.targets(row)
        }
        return TokenBatch(tokens: tokens, targets: targets, segments: SegmentTable(segments))
    }

    /// The reference turns rows of different length differently where frequencies depend on the length.
    var batches: [[Int]] { name == "phi3" ? [[0], [1]] : [[0, 1]] }
}

/// One dense safetensors file as a decoder's source.
struct FileSource: DecoderSource {
    let file: SafetensorsFile
    var path: String { file.path }
    var tensorNames: [String] { file.tensorNames }

    init(path: String) throws { file = try SafetensorsFile(path) }
    func description(of name: String) -> TensorDescription? { file.description(of: name) }
    func tensor(named name: String) throws(FilesError) -> Tensor { try file.tensor(named: name) }
    func quantizedTensor(named name: String) throws(FilesError) -> QuantizedTensor? { nil }
}

/// The largest difference, relative to the largest expected value.
func relativeError(_ actual: [Float], _ expected: [Float]) -> Float {
    guard actual.count == expected.count else { return .infinity }
    let scale = expected.map(abs).max() ?? 0
    let error = zip(actual, expected).map { abs($0 - $1) }.max() ?? 0
    return error.isNaN ? .infinity : error / max(scale, 1e-12)
}
