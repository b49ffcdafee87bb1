import AttuneFiles
import AttuneTensor

/// How the matrices of the blocks are stored when a dense checkpoint is loaded.
public struct QuantizationChoice: Sendable, Equatable {
    /// The number format.
    public var format: QuantizationFormat
    /// Elements that share a scale (four-bit formats).
    public var blockSize: Int
    /// Whether the scales themselves are quantized.
    public var isDouble: Bool

    /// bitsandbytes' defaults are NF4 with blocks of 64 and plain scales.
    public init(format: QuantizationFormat = .nf4, blockSize: Int = 64, isDouble: Bool = false) {
        self.format = format
        self.blockSize = blockSize
        self.isDouble = isDouble
    }
}

/// Where a decoder's tensors come from: a checkpoint, with its matrices dense or already in few bits.
public protocol DecoderSource: TensorSource {
    /// The quantized matrix of that name, or `nil` when it is stored dense.
    /// - Throws: `FilesError`.
    func quantizedTensor(named name: String) throws(FilesError) -> QuantizedTensor?
}

extension Decoder {
    /// A checkpoint's name of a tensor under the prefix this program uses for modules.
    public static func canonicalName(_ name: String) -> String {
        for prefix in ["language_model.model.", "model.language_model."] where name.hasPrefix(prefix) {
            return "model." + name.dropFirst(prefix.count)
        }
        if name.hasSuffix("lm_head.weight") { return "lm_head.weight" }
        return name.hasPrefix("model.") ? name : "model." + name
    }

    /// Builds a decoder from a checkpoint.
    ///
    /// The head and the embedding stay unquantized, as the reference leaves them.
    ///
    /// - Parameters:
    ///   - computeType: float32, bfloat16 or float16.
    ///   - quantization: quantizes dense matrices of the blocks while loading; matrices stored in few bits are taken as they are.
    /// - Throws: `ModelError` or `FilesError` naming the tensor.
    public static func load(
        _ source: some DecoderSource, configuration: DecoderConfiguration, backend: any Backend, computeType: DType,
        quantization: QuantizationChoice? = nil
    ) throws -> Decoder {
        let loader = try DecoderLoader(
            source: source, configuration: configuration, backend: backend, computeType: computeType,
            quantization: quantization)
        return try loader.load()
    }
}

/// Names of a checkpoint's tensors and how each becomes a part of the decoder.
struct DecoderLoader<Source: DecoderSource> {
    let source: Source
    let configuration: DecoderConfiguration
    let backend: any Backend
    let computeType: DType
    let quantization: QuantizationChoice?
    /// What precedes `layers.0` in this checkpoint; modules are always named as if it were `"model."`.
    let prefix: String

    init(
        source: Source, configuration: DecoderConfiguration, backend: any Backend, computeType: DType,
        quantization: QuantizationChoice?
    ) throws(ModelError) {
        self.source = source
        self.configuration = configuration
        self.backend = backend
        self.computeType = computeType
        self.quantization = quantization
        let prefixes = ["model.", "language_model.model.", "model.language_model.", ""]
        guard let prefix = prefixes.first(where: { source.contains($0 + "embed_tokens.weight") }) else {
            throw .badModel("\(source.path): no tensor 'model.embed_tokens.weight'; is this a decoder's checkpoint?")
        }
        self.prefix = prefix
    }

    func load() throws -> Decoder {
        let c = configuration
        let table = try dense("embed_tokens.weight", [c.vocabularySize, c.hiddenSize])
        let blocks = try c.layers.indices.map(loadBlock)
        let finalNorm = try norm("norm", [c.hiddenSize])
        let headTensor = try c.tiesEmbeddings ? table : headMatrix()
        let head = Projection(
            name: "lm_head", weight: try backend.pack(.dense(headTensor), computeType: computeType), bias: nil)
        evict(headTensor)
        return Decoder(
            configuration: c, backend: backend, computeType: computeType, blocks: blocks, finalNorm: finalNorm,
            head: head, embedding: c.tiesEmbeddings ? .packed(head.weight) : .rows(table))
    }

    private func headMatrix() throws -> Tensor {
        let names = ["lm_head.weight", "language_model.lm_head.weight"]
        guard let name = names.first(where: source.contains) else {
            throw ModelError.badModel(
                "\(source.path): no 'lm_head.weight' and config.json does not tie it to the embedding (tie_word_embeddings)"
            )
        }
        return try checked(name, [configuration.vocabularySize, configuration.hiddenSize])
    }

    private func loadBlock(_ index: Int) throws -> DecoderBlock {
        let c = configuration
        let layer = "layers.\(index)."
        let attention = layer + "self_attn."
        let mlp = layer + "mlp."
        let (d, f) = (c.hiddenSize, c.intermediateSize)
        let qkv: [Projection]
        let gateUp: [Projection]
        if c.isFused {
            qkv = [try projection(attention + "qkv_proj", c.queryWidth + 2 * c.kvWidth, d, bias: c.hasQKVBias)]
            gateUp = [try projection(mlp + "gate_up_proj", 2 * f, d, bias: c.hasMLPBias)]
        } else {
            qkv = [
                try projection(attention + "q_proj", c.queryWidth, d, bias: c.hasQKVBias),
                try projection(attention + "k_proj", c.kvWidth, d, bias: c.hasQKVBias),
                try projection(attention + "v_proj", c.kvWidth, d, bias: c.hasQKVBias),
            ]
            gateUp = [
                try projection(mlp + "gate_proj", f, d, bias: c.hasMLPBias),
                try projection(mlp + "up_proj", f, d, bias: c.hasMLPBias),
            ]
        }
        let names = NormNames(c.normPlacement)
        let optionalNorm = { (name: String?) in try name.map { try norm(layer + $0, [d]) } }
        let perHead = c.queryKeyNorm == .perHead
        let normsQK = c.queryKeyNorm != .none
        return DecoderBlock(
            index: index, configuration: c, attentionNorm: try optionalNorm(names.attention),
            attentionOutNorm: try optionalNorm(names.attentionOut), mlpNorm: try optionalNorm(names.mlp),
            mlpOutNorm: try optionalNorm(names.mlpOut),
            queryNorm: normsQK ? try norm(attention + "q_norm", [perHead ? c.headDimension : c.queryWidth]) : nil,
            keyNorm: normsQK ? try norm(attention + "k_norm", [perHead ? c.headDimension : c.kvWidth]) : nil,
            qkv: qkv, output: try projection(attention + "o_proj", d, c.queryWidth, bias: c.hasOutputBias),
            gateUp: gateUp, down: try projection(mlp + "down_proj", d, f, bias: c.hasMLPBias))
    }

    private func projection(_ path: String, _ out: Int, _ input: Int, bias: Bool) throws -> Projection {
        let name = prefix + path + ".weight"
        let weight: any PackedWeight
        if let quantized = try source.quantizedTensor(named: name) {
            guard quantized.shape == [out, input] else {
                throw ModelError.badModel(
                    "tensor '\(name)' has shape \(quantized.shape), config.json says \([out, input])")
            }
            weight = try backend.pack(.quantized(quantized), computeType: computeType)
            evict(quantized.codes)
        } else {
            let tensor = try checked(name, [out, input])
            if let quantization {
                let quantized = try backend.quantize(
                    tensor, format: quantization.format, blockSize: quantization.blockSize,
                    doubleQuantization: quantization.isDouble)
                weight = try backend.pack(.quantized(quantized), computeType: computeType)
            } else {
                weight = try backend.pack(.dense(tensor), computeType: computeType)
            }
            evict(tensor)
        }
        let biasTensor = bias ? try float32(path + ".bias", [out]) : nil
        return Projection(name: "model." + path, weight: weight, bias: biasTensor)
    }

    /// What was packed is not read again: a model is not held twice.
    private func evict(_ tensor: Tensor) {
        guard tensor.isContiguous else { return }
        tensor.storage.evict(tensor.byteOffset..<tensor.byteOffset + tensor.byteCount)
    }

    private func norm(_ path: String, _ shape: [Int]) throws -> RMSNorm {
        RMSNorm(
            name: "model." + path, weight: try float32(path + ".weight", shape), offset: configuration.normOffset,
            epsilon: configuration.normEpsilon)
    }

    private func float32(_ path: String, _ shape: [Int]) throws -> Tensor {
        let tensor = try dense(path, shape)
        let out = try backend.makeTensor(shape, .float32)
        backend.copy(out, tensor)
        return out
    }

    private func dense(_ path: String, _ shape: [Int]) throws -> Tensor { try checked(prefix + path, shape) }

    private func checked(_ name: String, _ shape: [Int]) throws -> Tensor {
        guard source.contains(name) else {
            throw ModelError.badModel("\(source.path): tensor '\(name)' is missing; config.json asks for it")
        }
        let tensor = try source.tensor(named: name)
        guard tensor.shape == shape else {
            throw ModelError.badModel("tensor '\(name)' has shape \(tensor.shape), config.json says \(shape)")
        }
        guard tensor.dtype.isComputeType else {
            throw ModelError.badModel(
                "tensor '\(name)' has type \(tensor.dtype.rawValue); float32, bfloat16 and float16 are supported")
        }
        return tensor
    }
}

/// What a family calls its four norms.
struct NormNames {
    let attention: String?
    let attentionOut: String?
    let mlp: String?
    let mlpOut: String?

    init(_ placement: DecoderConfiguration.NormPlacement) {
        switch placement {
        case .before:
            (attention, attentionOut, mlp, mlpOut) = ("input_layernorm", nil, "post_attention_layernorm", nil)
        case .after:
            (attention, attentionOut, mlp, mlpOut) = (
                nil, "post_attention_layernorm", nil, "post_feedforward_layernorm"
            )
        case .both:
            (attention, attentionOut, mlp, mlpOut) = (
                "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"
            )
        }
    }
}
