import AttuneModels
import AttuneTensor

/// The optimizers, by transformers' `optim` names.
public enum OptimizerKind: String, Sendable, CaseIterable {
    /// AdamW with float32 moments.
    case adamW = "adamw_torch"
    /// AdamW with eight-bit moments (Dettmers et al. 2022) for tensors of 4,096 elements and more; those of embeddings are
    /// float32, as transformers asks of bitsandbytes.
    case adamW8Bit = "adamw_8bit"
    /// The same under bitsandbytes' paged name; in host memory there is nothing to page.
    case pagedAdamW8Bit = "paged_adamw_8bit"
    /// AdamW with float32 moments under bitsandbytes' paged name.
    case pagedAdamW32Bit = "paged_adamw_32bit"
    /// Plain gradient descent.
    case sgd

    /// Reads the names in use, the fused and bitsandbytes spellings included.
    public init?(name: String) {
        switch name {
        case "adamw_torch_fused", "adamw_hf", "adamw": self = .adamW
        case "adamw_bnb_8bit": self = .adamW8Bit
        case "paged_adamw": self = .pagedAdamW32Bit
        default: self.init(rawValue: name)
        }
    }

    var usesEightBits: Bool { self == .adamW8Bit || self == .pagedAdamW8Bit }
}

/// Moments of every parameter and the step they have reached.
public final class Optimizer {
    private enum State {
        case moments(first: Tensor, second: Tensor)
        case eightBit(EightBitMoments)
        case none
    }

    /// Which rule.
    public let kind: OptimizerKind
    /// Steps taken.
    public private(set) var step = 0
    private let parameters: [Parameter]
    private var states: [State]
    private let backend: any Backend
    private let options: TrainingOptions
    private static let eightBitThreshold = 4096
    private static let eightBitBlock = 256

    /// Takes memory for the moments.
    /// - Throws: `TensorError.outOfMemory`.
    public init(
        _ parameters: [Parameter], options: TrainingOptions, backend: any Backend
    ) throws(TensorError) {
        self.parameters = parameters
        self.options = options
        self.backend = backend
        kind = options.optimizer
        states = []
        for parameter in parameters { states.append(try Self.makeState(parameter, kind, backend)) }
    }

    private static func makeState(
        _ parameter: Parameter, _ kind: OptimizerKind, _ backend: any Backend
    ) throws(TensorError) -> State {
        if kind == .sgd { return .none }
        let count = parameter.value.count
        guard hasEightBits(count: count, isEmbedding: parameter.isEmbedding, kind) else {
            let shape = parameter.value.shape
            return .moments(
                first: try backend.makeTensor(shape, .float32), second: try backend.makeTensor(shape, .float32))
        }
        let blocks = (count + eightBitBlock - 1) / eightBitBlock
        return .eightBit(
            EightBitMoments(
                firstCodes: try backend.makeTensor([count], .uint8),
                secondCodes: try backend.makeTensor([count], .uint8),
                firstAbsmax: try backend.makeTensor([blocks], .float32),
                secondAbsmax: try backend.makeTensor([blocks], .float32)))
    }

    private static func hasEightBits(count: Int, isEmbedding: Bool, _ kind: OptimizerKind) -> Bool {
        kind.usesEightBits && count >= eightBitThreshold && !isEmbedding
    }

    /// Bytes of moments a parameter of this many elements costs.
    public static func stateBytes(count: Int, isEmbedding: Bool, kind: OptimizerKind) -> Int {
        if kind == .sgd { return 0 }
        guard hasEightBits(count: count, isEmbedding: isEmbedding, kind) else { return 8 * count }
        return 2 * count + 8 * ((count + eightBitBlock - 1) / eightBitBlock)
    }

    /// One update of every parameter from its gradient.
    ///
    /// - Parameter gradientScale: factor on gradients: clipping, and one over the loss scale.
    public func update(learningRate: Double, gradientScale: Float) {
        step += 1
        for (parameter, state) in zip(parameters, states) {
            guard let gradient = parameter.gradient else { continue }
            let decay = parameter.decays ? Float(options.weightDecay) : 0
            let rate = parameter.isLoRAB ? learningRate * options.loraPlusRatio : learningRate
            let values = AdamWStep(
                learningRate: Float(rate), beta1: Float(options.adamBeta1), beta2: Float(options.adamBeta2),
                epsilon: Float(options.adamEpsilon), weightDecay: decay, step: step, gradientScale: gradientScale)
            switch state {
            case .moments(let first, let second):
                backend.adamW(parameter.value, gradient: gradient, first: first, second: second, values)
            case .eightBit(let moments):
                backend.adamW8Bit(parameter.value, gradient: gradient, moments: moments, values)
            case .none:
                backend.sgd(
                    parameter.value, gradient: gradient, velocity: nil, learningRate: Float(rate), momentum: 0,
                    weightDecay: decay, gradientScale: gradientScale)
            }
        }
    }

    /// The moments by name, for a checkpoint.
    public var stateTensors: [(name: String, tensor: Tensor)] {
        zip(parameters, states).flatMap { parameter, state -> [(name: String, tensor: Tensor)] in
            switch state {
            case .none: []
            case .moments(let first, let second):
                [(parameter.name + ".exp_avg", first), (parameter.name + ".exp_avg_sq", second)]
            case .eightBit(let moments):
                [
                    (parameter.name + ".state1", moments.firstCodes), (parameter.name + ".state2", moments.secondCodes),
                    (parameter.name + ".absmax1", moments.firstAbsmax),
                    (parameter.name + ".absmax2", moments.secondAbsmax),
                ]
            }
        }
    }

    /// Declares how many steps the restored moments have seen.
    public func restore(step: Int) { self.step = step }
}
