import AttuneModels
import AttuneTensor
import AttuneTraining

/// Whole training steps on random rows, measured.
public struct TrainingBench {
    private let backend: ProfilingBackend
    private let model: Decoder
    private let method: BenchMethod
    private let limits: () -> MachineLimits
    private var adapter: LoRAOptions?

    /// Prepares a model, already built on `backend`, for training: every parameter, or rank 16 on every matrix.
    /// - Throws: `ModelError`, `TensorError`.
    public init(_ model: Decoder, method: BenchMethod, backend: ProfilingBackend, limits: @escaping () -> MachineLimits)
        throws
    {
        self.model = model
        self.method = method
        self.backend = backend
        self.limits = limits
        guard method != .full else {
            try model.prepareTraining(.full)
            return
        }
        var options = LoRAOptions(targets: .allLinear)
        options.rank = 16
        options.alpha = 32
        try model.attach("bench", options, seed: 1)
        try model.prepareTraining(.adapter("bench"))
        adapter = options
    }

    /// Runs `steps` optimizer steps after one that is not counted.
    ///
    /// - Parameters:
    ///   - sequences: rows a step.
    ///   - length: tokens a row.
    ///   - trainedShare: the part of each row that has a target, at its end.
    /// - Throws: `TensorError`.
    public func run(sequences: Int, length: Int, trainedShare: Double, steps: Int) throws -> BenchReport {
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
        let adapterName = adapter == nil ? nil : "bench"
        var durations: [Double] = []
        for step in 0...steps {
            if step == 1 { backend.reset() }
            let elapsed = try secondsOf {
                model.zeroGradients()
                _ = try pass.forwardBackward(
                    batch, adapter: adapterName, gradientScale: 1 / Float(max(trained, 1)), labelSmoothing: 0,
                    key: RandomKey(seed: 1, step: UInt64(step), stream: 0), noiseAlpha: 0)
                let norm = model.trainableParameters.reduce(0.0) {
                    $0 + ($1.gradient.map(backend.sumOfSquares) ?? 0)
                }
                optimizer.update(learningRate: 1e-4, gradientScale: Float(1 / max(1, norm.squareRoot())))
                try model.refreshAfterStep()
            }
            if step > 0 { durations.append(elapsed) }
        }
        return BenchReport(
            durations: durations, tokens: Double(count),
            operationsPerStep: work(tokens: count, trained: trained, length: length), bytesPerStep: 0,
            seconds: backend.seconds, plannedMemory: plannedMemory(tokens: count), limits: limits)
    }

    /// What `ModelFacts` says such a run holds, AdamW's two float32 moments included.
    private func plannedMemory(tokens: Int) -> Int {
        let quantization = method == .qlora ? QuantizationChoice(isDouble: true) : nil
        return ModelFacts(model.configuration).memoryPlan(
            adapter.map { .adapter($0, quantization) } ?? .full, computeType: model.computeType, tokens: tokens,
            tier: .keepAll, momentBytes: { 8 * $0 }
        ).total
    }

    /// 2 operations a multiply-add: forward and input gradient of every matrix (weight gradient too in full training), the head on
    /// trained rows only, the low-rank products six times, and attention's two products, forward and 2.5 times backward.
    private func work(tokens: Int, trained: Int, length: Int) -> Double {
        let c = model.configuration
        let matrices = Double(model.projections.reduce(0) { $0 + $1.outFeatures * $1.inFeatures })
        let head = Double(c.vocabularySize * c.hiddenSize)
        let lowRank = Double((adapter?.rank ?? 0) * model.projections.reduce(0) { $0 + $1.outFeatures + $1.inFeatures })
        let attention = 2.0 * 2.0 * Double(c.layerCount * c.queryWidth) * Double(length) / 2
        let passes = method == .full ? 6.0 : 4.0
        return Double(tokens) * (passes * matrices + 6 * lowRank + 3.5 * attention)
            + Double(trained) * passes * head
    }
}
