import AttuneFiles
import AttuneTensor

/// A checkpoint with an adapter added into its matrices: `W' = g ⊙ (W + scale·B·A)`, in float32 from the checkpoint's own values (never
/// from a packed or quantized copy) and then rounded once to the type of the output.
public struct MergedSource: DecoderSource {
    private let base: any DecoderSource
    private let model: Decoder
    private let adapter: String
    private let dtype: DType
    /// The parameters that replace tensors of the base whole.
    private let saved: [String: Parameter]
    /// Whether an adapter's own head separates it from the embedding, so that config.json must say so.
    public let untiesHead: Bool
    /// The base's tensors, and a head where the adapter brings its own.
    public let tensorNames: [String]

    /// What messages call it.
    public var path: String { base.path }

    /// - Parameters:
    ///   - model: the decoder the adapter is attached to.
    ///   - dtype: of the merged checkpoint.
    public init(_ base: any DecoderSource, model: Decoder, adapter: String, dtype: DType) {
        self.base = base
        self.model = model
        self.adapter = adapter
        self.dtype = dtype
        let parameters = model.savedParameters(adapter)
        saved = Dictionary(parameters.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let names = base.tensorNames.filter { !Self.isQuantizationPart($0) }
        // A tied model whose embedding or head was trained on its own has two different matrices from now on.
        untiesHead =
            model.configuration.tiesEmbeddings && !(model.adapters[adapter]?.tiesSavedEmbedding ?? false)
            && (saved["lm_head.weight"] != nil || saved["model.embed_tokens.weight"] != nil)
        tensorNames = untiesHead && !names.contains("lm_head.weight") ? names + ["lm_head.weight"] : names
    }

    /// Names that only describe a quantized matrix; the merged one is dense.
    private static func isQuantizationPart(_ name: String) -> Bool {
        [".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".SCB", ".weight_format"].contains {
            name.hasSuffix($0)
        } || name.contains(".quant_state.bitsandbytes__")
    }

    /// Type and shape of a tensor of the merged checkpoint.
    public func description(of name: String) -> TensorDescription? {
        if name == "lm_head.weight", untiesHead {
            let c = model.configuration
            return TensorDescription(name: name, dtype: dtype, shape: [c.vocabularySize, c.hiddenSize])
        }
        guard var description = base.description(of: name) else { return nil }
        if let quantized = try? base.quantizedTensor(named: name) { description.shape = quantized.shape }
        description.dtype = dtype
        return description
    }

    /// The merged tensor.
    public func tensor(named name: String) throws(FilesError) -> Tensor {
        do {
            return try merged(name)
        } catch let error as FilesError {
            throw error
        } catch {
            throw .invalid(path: path, problem: "\(error)")
        }
    }

    private func merged(_ name: String) throws -> Tensor {
        let backend = model.backend
        let canonical = Decoder.canonicalName(name)
        var value: Tensor
        if let parameter = saved[canonical] {
            value = parameter.value
        } else if name == "lm_head.weight", untiesHead, !base.contains(name) {
            // The head stays what it was when it was the embedding.
            guard
                let embedding = base.tensorNames.first(where: {
                    Decoder.canonicalName($0) == "model.embed_tokens.weight"
                })
            else { throw ModelError.badModel("\(path): no tensor 'model.embed_tokens.weight'") }
            value = try dense(embedding)
        } else {
            value = try dense(name)
            for group in model.blocks.flatMap(\.groups) {
                guard let attached = group.adapters[adapter] else { continue }
                for (projection, pair) in zip(group.projections, attached.pairs) {
                    if let pair, projection.name + ".weight" == canonical { value = try add(pair, to: value) }
                }
            }
        }
        let out = try backend.makeTensor(value.shape, dtype)
        backend.copy(out, value)
        return out
    }

    private func dense(_ name: String) throws -> Tensor {
        if let quantized = try base.quantizedTensor(named: name) {
            let out = try model.backend.makeTensor(quantized.shape, .float32)
            model.backend.dequantize(out, quantized)
            return out
        }
        return try base.tensor(named: name)
    }

    private func add(_ pair: LowRankPair, to weight: Tensor) throws -> Tensor {
        let backend = model.backend
        let out = try backend.makeTensor(weight.shape, .float32)
        backend.copy(out, weight)
        let packed = try backend.pack(.dense(pair.a.value), computeType: .float32)
        backend.linearInputGradient(out, pair.b.value, packed, extra: nil, scale: pair.scale, residual: out)
        guard let gain = pair.gain?.floats() else { return out }
        // Row i of the matrix times g_i.
        for (row, factor) in gain.enumerated() {
            backend.scale(out.rows(row..<row + 1), out.rows(row..<row + 1), by: factor)
        }
        return out
    }

    /// A merged checkpoint is dense.
    public func quantizedTensor(named name: String) throws(FilesError) -> QuantizedTensor? { nil }
}
