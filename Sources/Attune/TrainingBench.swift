import AttuneModels
import AttuneTensor
import AttuneTraining

/// Whole training steps on random rows, measured.
public struct TrainingBench {
    /// What is trained.
    public enum Method: String, Sendable, CaseIterable {
        /// Adapters over a dense base.
        case lora
        /// Adapters over an NF4 base with double quantization.
        case qlora
        /// Every parameter.
        case full
    }

    /// One operation's part of a step.
    public struct Operation: Sendable {
        /// `Backend`'s name for it.
        public var name: String
        /// Seconds a step.
        public var seconds: Double
        /// Of the step.
        public var share: Double
    }

    /// The result.
    public struct Report: Sendable {
        /// Median over the steps.
        public var tokensPerSecond: Double
        /// Median seconds a step.
        public var stepSeconds: Double
        /// Multiply-add work a step counts, in floating-point operations.
        public var operationsPerStep: Double
        /// Where the time goes, largest first; the rest of the step is `other`.
        public var operations: [Operation]
        /// The most the process held.
        public var peakMemory: Int
        /// Parameters of the base.
        public var parameterCount: Int
    }

    private let backend: ProfilingBackend
    private let model: Decoder
    private let method: Method
    private let rank = 16

    /// Builds the model with random weights.
    /// - Throws: `ModelError`, `TensorError`.
    public init(
        _ configuration: DecoderConfiguration, method: Method, computeType: DType, backend inner: any Backend
    ) throws {
        self.method = method
        backend = ProfilingBackend(inner)
        model = try Decoder.load(
            RandomSource(configuration, seed: 7), configuration: configuration, backend: backend,
            computeType: computeType, quantization: method == .qlora ? QuantizationChoice(isDouble: true) : nil)
        if method == .full {
            try model.prepareTraining(.full)
        } else {
            var options = LoRAOptions(targets: .allLinear)
            options.rank = rank
            options.alpha = 32
            try model.attach("bench", options, seed: 1)
            try model.prepareTraining(.adapter("bench"))
        }
    }

    /// Runs `steps` optimizer steps after one that is not counted.
    ///
    /// - Parameters:
    ///   - sequences: rows a step.
    ///   - length: tokens a row.
    ///   - trainedShare: the part of each row that has a target, at its end.
    /// - Throws: `TensorError`.
    public func run(sequences: Int, length: Int, trainedShare: Double, steps: Int) throws -> Report {
        let vocabulary = UInt64(model.configuration.vocabularySize)
        let random = Philox(RandomKey(seed: 3, step: 0, stream: 0))
        let count = sequences * length
        let tokens = (0..<count).map { Int32(UInt64(random.block(UInt64($0))[0]) % vocabulary) }
        let firstTrained = Int(Double(length) * (1 - trainedShare))
        let targets = (0..<count).map { place -> Int32 in
            let inRow = place % length
            return inRow + 1 < length && inRow >= firstTrained ? tokens[place + 1] : TokenBatch.ignored
        }
        let segments = (0..<sequences).map { Segment(rows: $0 * length..<($0 + 1) * length, identity: UInt64($0)) }
        let batch = TokenBatch(tokens: tokens, targets: targets, segments: SegmentTable(segments))
        let trained = targets.count { $0 != TokenBatch.ignored }
        let pass = try TrainingPass(model, capacity: count, tier: .keepAll, trains: true)
        var options = TrainingOptions()
        options.learningRate = 1e-4
        let optimizer = try Optimizer(model.trainableParameters, options: options, backend: backend)
        let adapter = method == .full ? nil : "bench"
        let clock = ContinuousClock()
        var durations: [Double] = []
        for step in 0...steps {
            if step == 1 { backend.reset() }
            let start = clock.now
            model.zeroGradients()
            _ = try pass.forwardBackward(
                batch, adapter: adapter, gradientScale: 1 / Float(max(trained, 1)), labelSmoothing: 0,
                key: RandomKey(seed: 1, step: UInt64(step), stream: 0), noiseAlpha: 0)
            let norm = model.trainableParameters.reduce(0.0) { $0 + ($1.gradient.map(backend.sumOfSquares) ?? 0) }
            optimizer.update(learningRate: 1e-4, gradientScale: Float(1 / max(1, norm.squareRoot())))
            try model.refreshAfterStep()
            let elapsed = (clock.now - start).components
            if step > 0 { durations.append(Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18) }
        }
        let median = durations.sorted()[durations.count / 2]
        let total = durations.reduce(0, +)
        var operations = backend.seconds.map {
            Operation(name: $0.key, seconds: $0.value / Double(steps), share: $0.value / total)
        }
        let measured = operations.reduce(0) { $0 + $1.seconds }
        operations.append(
            Operation(
                name: "other", seconds: total / Double(steps) - measured,
                share: 1 - measured * Double(steps) / total))
        return Report(
            tokensPerSecond: Double(count) / median, stepSeconds: median,
            operationsPerStep: work(tokens: count, trained: trained, length: length),
            operations: operations.sorted { $0.seconds > $1.seconds }, peakMemory: ProcessMemory.peak,
            parameterCount: model.parameterCount)
    }

    /// 2 operations a multiply-add: forward and input gradient of every matrix (weight gradient too in full training), the head on
    /// trained rows only, the low-rank products six times, and attention's two products, forward and 2.5 times backward.
    private func work(tokens: Int, trained: Int, length: Int) -> Double {
        let c = model.configuration
        let matrices = Double(model.projections.reduce(0) { $0 + $1.outFeatures * $1.inFeatures })
        let head = Double(c.vocabularySize * c.hiddenSize)
        let lowRank = Double(rank * model.projections.reduce(0) { $0 + $1.outFeatures + $1.inFeatures })
        let attention = 2.0 * 2.0 * Double(c.layerCount * c.queryWidth) * Double(length) / 2
        let passes = method == .full ? 6.0 : 4.0
        return Double(tokens) * (passes * matrices + (method == .full ? 0 : 6 * lowRank) + 3.5 * attention)
            + Double(trained) * passes * head
    }
}
