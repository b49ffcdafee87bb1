import AttuneTensor

/// What a decoder is made of, whatever its family calls the parts. Families differ only in this value.
public struct DecoderConfiguration: Sendable, Equatable {
    /// Where a block normalizes.
    public enum NormPlacement: Sendable, Equatable {
        /// Before attention and MLP (Llama and most others).
        case before
        /// After them, before the residual sum (OLMo 2).
        case after
        /// Both (Gemma 2 and 3).
        case both
    }

    /// Normalization of queries and keys before the rotation.
    public enum QueryKeyNorm: Sendable, Equatable {
        /// None.
        case none
        /// Each head by itself (Qwen 3, Gemma 3).
        case perHead
        /// All heads together (OLMo 2).
        case allHeads
    }

    /// One block's own rules.
    public struct Layer: Sendable, Equatable {
        /// How many positions back a query sees, itself included; 0 for all.
        public var window: Int
        /// Which of `ropes` turns its queries and keys; `nil` for none (SmolLM3).
        public var rope: Int?
    }

    /// `model_type` of config.json.
    public var family: String
    /// Width of the residual stream.
    public var hiddenSize: Int
    /// Width inside the MLP.
    public var intermediateSize: Int
    /// Query heads.
    public var headCount: Int
    /// Key/value heads.
    public var kvHeadCount: Int
    /// Elements a head.
    public var headDimension: Int
    /// Rows of the embedding.
    public var vocabularySize: Int
    /// Positions the model was made for.
    public var maximumPositions: Int
    /// One entry a block.
    public var layers: [Layer]
    /// The rotations blocks choose from.
    public var ropes: [RopeConfiguration]

    /// ε of every RMS norm.
    public var normEpsilon: Float = 1e-6
    /// Added to norm weights (1 for Gemma).
    public var normOffset: Float = 0
    /// Where blocks normalize.
    public var normPlacement = NormPlacement.before
    /// Whether and how queries and keys are normalized.
    public var queryKeyNorm = QueryKeyNorm.none
    /// The function on the gate.
    public var activation = ActivationFunction.silu
    /// Biases on query, key and value projections.
    public var hasQKVBias = false
    /// A bias on the output projection of attention.
    public var hasOutputBias = false
    /// Biases in the MLP.
    public var hasMLPBias = false
    /// One matrix for query, key and value, and one for gate and up (Phi-3).
    public var isFused = false
    /// The head is the embedding.
    public var tiesEmbeddings = false
    /// Factor on attention scores.
    public var attentionScale: Float
    /// Soft cap of attention scores; 0 for none.
    public var attentionSoftcap: Float = 0
    /// Soft cap of logits; 0 for none.
    public var logitSoftcap: Float = 0
    /// Factor on logits.
    public var logitScale: Float = 1
    /// Factor on embeddings.
    public var embeddingScale: Float = 1
    /// Factor on what a block adds to the residual stream.
    public var residualScale: Float = 1

    /// Blocks.
    public var layerCount: Int { layers.count }
    /// Width of all query heads.
    public var queryWidth: Int { headCount * headDimension }
    /// Width of all key (or value) heads.
    public var kvWidth: Int { kvHeadCount * headDimension }

    /// The attention of block `index`.
    public func attentionShape(_ index: Int) -> AttentionShape {
        AttentionShape(
            headCount: headCount, kvHeadCount: kvHeadCount, headDimension: headDimension, scale: attentionScale,
            softcap: attentionSoftcap, window: layers[index].window)
    }
}
