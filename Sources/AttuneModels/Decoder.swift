import AttuneTensor

/// A decoder-only language model: embedding, blocks, norm, head, on one backend.
///
/// One owner at a time runs or changes it: a trainer, an engine, a verb. `@unchecked Sendable` lets that owner live on a thread of its
/// own; nothing here is meant to be shared between two.
public final class Decoder: @unchecked Sendable {
    /// What it is made of.
    public let configuration: DecoderConfiguration
    /// Where it computes.
    public let backend: any Backend
    /// The type of activations and products.
    public let computeType: DType
    let blocks: [DecoderBlock]
    let finalNorm: RMSNorm
    /// [V, D]; the head's matrix, also when it is tied to the embedding.
    let head: Projection
    /// [V, D] rows to look up.
    var embedding: EmbeddingTable
    /// The embedding as a parameter, when it is trained (with a tied head, the head's master too).
    var embeddingParameter: Parameter?
    let ropes: [RopeTable]
    /// Options of attached adapters, by name.
    public internal(set) var adapters: [String: LoRAOptions] = [:]
    /// What adapters put in the place of parts of the base.
    var replacements: [String: [Replacement]] = [:]
    /// The adapter whose replacements are in place.
    var active: String?
    /// Parameters that training changes, set by `prepareTraining`.
    public internal(set) var trainableParameters: [Parameter] = []
    /// Which kinds of parameters are trained.
    public internal(set) var trainingMode = TrainingMode.none

    init(
        configuration: DecoderConfiguration, backend: any Backend, computeType: DType, blocks: [DecoderBlock],
        finalNorm: RMSNorm, head: Projection, embedding: EmbeddingTable
    ) {
        self.configuration = configuration
        self.backend = backend
        self.computeType = computeType
        self.blocks = blocks
        self.finalNorm = finalNorm
        self.head = head
        self.embedding = embedding
        ropes = configuration.ropes.map { RopeTable($0, headDimension: configuration.headDimension) }
    }

    /// Every matrix of the blocks, in order; the head is not among them.
    public var projections: [Projection] { blocks.flatMap { $0.groups.flatMap(\.projections) } }
    var norms: [RMSNorm] { blocks.flatMap(\.norms) + [finalNorm] }

    /// Parameters of the base: matrices, biases, norms, the embedding, and the head unless it is tied.
    public var parameterCount: Int {
        let matrices = projections.reduce(0) { $0 + $1.outFeatures * $1.inFeatures + ($1.bias?.count ?? 0) }
        let norms = norms.reduce(0) { $0 + $1.weight.count }
        let embedding = configuration.vocabularySize * configuration.hiddenSize
        return matrices + norms + embedding * (configuration.tiesEmbeddings ? 1 : 2)
    }

    /// Bytes of the weights as they lie in memory.
    public var weightByteCount: Int {
        projections.reduce(head.weight.byteCount + embedding.byteCount) {
            $0 + $1.weight.byteCount + ($1.bias?.byteCount ?? 0)
        }
    }

    /// `out[t]` = the embedding of `ids[t]`, scaled.
    func embed(_ out: Tensor, ids: [Int32]) {
        switch embedding {
        case .rows(let table): backend.embed(out, table: table, ids: ids, scale: embeddingScale)
        case .packed(let weight): backend.embed(out, weight: weight, ids: ids, scale: embeddingScale)
        }
    }

    /// The factor on embeddings, rounded to the compute type as the reference rounds its constant.
    var embeddingScale: Float {
        let scale = configuration.embeddingScale
        return computeType == .bfloat16 && configuration.family.hasPrefix("gemma") ? BFloat16(scale).float : scale
    }

    func rope(of block: DecoderBlock) -> RopeTable? { configuration.layers[block.index].rope.map { ropes[$0] } }

    /// Makes the rotations cover texts of the given length.
    /// - Throws: `TensorError.outOfMemory`.
    func coverRopes(_ length: Int) throws(TensorError) {
        for rope in ropes { try rope.cover(length, on: backend) }
    }

    /// The widest Σr of each kind of projection group, over all blocks and attached adapters.
    func widestLowRank() -> [Int] {
        (0..<4).map { group in
            blocks.flatMap { $0.groups[group].adapters.values.map(\.rankSum) }.max() ?? 0
        }
    }

    /// Below this block nothing is trained, so no gradient is propagated there.
    var lowestTrainedBlock: Int {
        if embeddingParameter != nil { return 0 }
        return blocks.first(where: \.isTrained)?.index ?? blocks.count
    }

    /// Whether any adapter of each kind of projection group has a magnitude.
    func usesDoRA() -> [Bool] {
        (0..<4).map { group in blocks.contains { $0.groups[group].adapters.values.contains(where: \.usesDoRA) } }
    }
}

/// What training changes.
public enum TrainingMode: Sendable, Equatable {
    /// Nothing.
    case none
    /// The matrices of the adapter of this name (with biases and saved modules where its options ask).
    case adapter(String)
    /// Every parameter of the base.
    case full
    /// The last blocks, the final norm and the head (`method: freeze`).
    case lastBlocks(Int)
}
