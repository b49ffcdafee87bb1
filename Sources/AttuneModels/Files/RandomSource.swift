import AttuneFiles
import AttuneTensor

/// A checkpoint that is not on disk: every matrix normal with the given deviation, norms at one, biases at zero, as the reference
/// initializes. Training from scratch and benchmarks start from it.
public struct RandomSource: DecoderSource {
    private let descriptions: [String: TensorDescription]
    /// The names, in the order of the model.
    public let tensorNames: [String]
    private let seed: UInt64
    private let deviation: Float
    private let normOffset: Float

    /// What messages call it.
    public var path: String { "random weights" }

    /// - Parameter deviation: `initializer_range` of the configuration.
    public init(_ c: DecoderConfiguration, seed: UInt64, deviation: Float = 0.02) {
        var list: [TensorDescription] = []
        func add(_ name: String, _ shape: [Int]) {
            list.append(TensorDescription(name: "model." + name, dtype: .float32, shape: shape))
        }
        add("embed_tokens.weight", [c.vocabularySize, c.hiddenSize])
        let norms = NormNames(c.normPlacement)
        for index in c.layers.indices {
            let layer = "layers.\(index)."
            func matrix(_ name: String, _ out: Int, _ input: Int, bias: Bool) {
                add(layer + name + ".weight", [out, input])
                if bias { add(layer + name + ".bias", [out]) }
            }
            for norm in [norms.attention, norms.attentionOut, norms.mlp, norms.mlpOut].compactMap({ $0 }) {
                add(layer + norm + ".weight", [c.hiddenSize])
            }
            if c.queryKeyNorm != .none {
                let perHead = c.queryKeyNorm == .perHead
                add(layer + "self_attn.q_norm.weight", [perHead ? c.headDimension : c.queryWidth])
                add(layer + "self_attn.k_norm.weight", [perHead ? c.headDimension : c.kvWidth])
            }
            if c.isFused {
                matrix("self_attn.qkv_proj", c.queryWidth + 2 * c.kvWidth, c.hiddenSize, bias: c.hasQKVBias)
                matrix("mlp.gate_up_proj", 2 * c.intermediateSize, c.hiddenSize, bias: c.hasMLPBias)
            } else {
                matrix("self_attn.q_proj", c.queryWidth, c.hiddenSize, bias: c.hasQKVBias)
                matrix("self_attn.k_proj", c.kvWidth, c.hiddenSize, bias: c.hasQKVBias)
                matrix("self_attn.v_proj", c.kvWidth, c.hiddenSize, bias: c.hasQKVBias)
                matrix("mlp.gate_proj", c.intermediateSize, c.hiddenSize, bias: c.hasMLPBias)
                matrix("mlp.up_proj", c.intermediateSize, c.hiddenSize, bias: c.hasMLPBias)
            }
            matrix("self_attn.o_proj", c.hiddenSize, c.queryWidth, bias: c.hasOutputBias)
            matrix("mlp.down_proj", c.hiddenSize, c.intermediateSize, bias: c.hasMLPBias)
        }
        add("norm.weight", [c.hiddenSize])
        if !c.tiesEmbeddings {
            list.append(
                TensorDescription(name: "lm_head.weight", dtype: .float32, shape: [c.vocabularySize, c.hiddenSize]))
        }
        tensorNames = list.map(\.name)
        descriptions = Dictionary(uniqueKeysWithValues: list.map { ($0.name, $0) })
        self.seed = seed
        self.deviation = deviation
        normOffset = c.normOffset
    }

    /// Type and shape of a tensor.
    public func description(of name: String) -> TensorDescription? { descriptions[name] }

    /// The tensor, the same for the same seed.
    public func tensor(named name: String) throws(FilesError) -> Tensor {
        guard let description = descriptions[name], let place = tensorNames.firstIndex(of: name) else {
            throw .missing(path: path, hint: "no tensor '\(name)'")
        }
        let values: [Float]
        if name.hasSuffix("norm.weight") {
            values = Array(repeating: 1 - normOffset, count: description.count)
        } else if name.hasSuffix(".bias") {
            values = Array(repeating: 0, count: description.count)
        } else {
            let key = RandomKey(seed: seed, step: 1, stream: UInt32(place))
            values = Philox(key).normals(description.count).map { $0 * deviation }
        }
        do {
            return try Tensor(values, shape: description.shape)
        } catch {
            throw .outOfMemory(path: path, byteCount: description.byteCount)
        }
    }

    /// Random weights are dense.
    public func quantizedTensor(named name: String) throws(FilesError) -> QuantizedTensor? { nil }
}
