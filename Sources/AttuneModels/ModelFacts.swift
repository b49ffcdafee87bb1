import AttuneFiles
import AttuneTensor

/// What can be said of a model from its configuration alone: sizes, and what training it would take.
public struct ModelFacts: Sendable {
    /// The configuration.
    public let configuration: DecoderConfiguration
    private let tensors: [TensorDescription]

    /// Counts the tensors of a configuration.
    public init(_ configuration: DecoderConfiguration) {
        self.configuration = configuration
        let source = RandomSource(configuration, seed: 0)
        tensors = source.tensorNames.compactMap(source.description)
    }

    /// Parameters of the base.
    public var parameterCount: Int { tensors.reduce(0) { $0 + $1.count } }

    /// The matrices of the blocks: what adapters reach and quantization shrinks.
    private var matrices: [TensorDescription] { tensors.filter { $0.shape.count == 2 && $0.name.contains(".layers.") } }

    /// Bytes of the weights in a storage; the embedding and head stay in 16 bits (or 32), as do norms.
    public func weightBytes(_ type: DType, quantization: QuantizationChoice? = nil) -> Int {
        tensors.reduce(0) { total, tensor in
            guard let quantization, tensor.shape.count == 2, tensor.name.contains(".layers.") else {
                return total + tensor.count * type.byteWidth
            }
            return total + Self.quantizedBytes(tensor, quantization)
        }
    }

    private static func quantizedBytes(_ tensor: TensorDescription, _ choice: QuantizationChoice) -> Int {
        if choice.format == .int8 { return tensor.count + 4 * tensor.shape[0] }
        let blocks = (tensor.count + choice.blockSize - 1) / choice.blockSize
        let scales = choice.isDouble ? blocks + 4 * ((blocks + 255) / 256) : 4 * blocks
        return (tensor.count + 1) / 2 + scales
    }

    /// Parameters an adapter of these options adds.
    public func adapterParameterCount(_ options: LoRAOptions) -> Int {
        reached(options).reduce(0) { total, module in
            let rank = options.rank(of: module.path)
            return total + rank * (module.out + module.input) + (options.usesDoRA ? module.out : 0)
        }
    }

    /// The modules the options reach.
    func reached(_ options: LoRAOptions) -> [(path: String, out: Int, input: Int, block: Int)] {
        matrices.compactMap { tensor in
            let path = String(tensor.name.dropLast(".weight".count))
            let block = path.split(separator: ".").compactMap { Int($0) }.first ?? 0
            guard options.reaches(path, block: block) else { return nil }
            return (path, tensor.shape[0], tensor.shape[1], block)
        }
    }

    /// How a run trains, for its memory.
    public enum Method: Sendable {
        /// Every parameter.
        case full
        /// Adapters over a base in the given storage.
        case adapter(LoRAOptions, QuantizationChoice?)
    }

    /// What a run would hold.
    public struct MemoryPlan: Sendable {
        /// The base, packed for the kernels.
        public var weights: Int
        /// float32 masters of trained parameters.
        public var masters: Int
        /// float32 gradients.
        public var gradients: Int
        /// Moments of the optimizer.
        public var moments: Int
        /// Activations, their gradients and scratch, as the workspace plans them.
        public var activations: Int
        /// The sum.
        public var total: Int { weights + masters + gradients + moments + activations }
    }

    /// Plans the memory of a training run.
    ///
    /// - Parameters:
    ///   - tokens: of the longest batch.
    ///   - momentBytes: of the optimizer, for a tensor of so many elements.
    public func memoryPlan(
        _ method: Method, computeType: DType, tokens: Int, tier: RecomputeTier, momentBytes: (Int) -> Int
    ) -> MemoryPlan {
        var shape = PassShape(configuration: configuration, computeType: computeType)
        var plan: MemoryPlan
        switch method {
        case .full:
            let count = parameterCount
            shape.trainsHead = true
            plan = MemoryPlan(
                weights: weightBytes(computeType), masters: 4 * count, gradients: 4 * count,
                moments: tensors.reduce(0) { $0 + momentBytes($1.count) }, activations: 0)
        case .adapter(let options, let quantization):
            let modules = reached(options)
            let count = adapterParameterCount(options)
            plan = MemoryPlan(
                weights: weightBytes(computeType, quantization: quantization) + count * computeType.byteWidth,
                masters: 4 * count, gradients: 4 * count,
                moments: modules.reduce(0) { total, module in
                    let rank = options.rank(of: module.path)
                    return total + momentBytes(rank * module.input) + momentBytes(rank * module.out)
                }, activations: 0)
            let groups = [
                ["q_proj", "k_proj", "v_proj", "qkv_proj"], ["o_proj"], ["gate_proj", "up_proj", "gate_up_proj"],
                ["down_proj"],
            ]
            for (index, names) in groups.enumerated() {
                let ranks = Dictionary(
                    grouping: modules.filter { module in names.contains { module.path.hasSuffix($0) } }, by: \.block)
                shape.ranks[index] = ranks.values.map { $0.reduce(0) { $0 + options.rank(of: $1.path) } }.max() ?? 0
                shape.doRA[index] = options.usesDoRA && shape.ranks[index] > 0
            }
            shape.hasDropout = options.dropout > 0
        }
        plan.activations = TrainingPass.plan(shape, capacity: tokens, trunk: 0, tier: tier, trains: true).byteCount
        return plan
    }
}
