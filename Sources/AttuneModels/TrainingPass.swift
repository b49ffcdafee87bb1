import AttuneTensor

/// Tokens to learn from or to measure, flat and without padding.
public struct TokenBatch: Sendable {
    /// Token ids [T].
    public var tokens: [Int32]
    /// What each row should predict, or −100 where nothing is asked of it.
    public var targets: [Int32]
    /// Which rows belong together.
    public var segments: SegmentTable

    /// Joins the three.
    public init(tokens: [Int32], targets: [Int32], segments: SegmentTable) {
        precondition(tokens.count == targets.count && tokens.count == segments.tokenCount, "a batch's parts differ")
        self.tokens = tokens
        self.targets = targets
        self.segments = segments
    }

    /// The label that asks nothing.
    public static let ignored: Int32 = -100
}

/// What one pass measured over the rows that have a target.
public struct LossReport: Sendable {
    /// Rows of the batch that have a target.
    public var rows: [Int32] = []
    /// −log p(target) of each of those rows.
    public var losses: [Float] = []
    /// How many of them had the target as their most likely token.
    public var correctCount = 0

    /// Σ losses, in float64 in row order.
    public var lossSum: Double { losses.reduce(0) { $0 + Double($1) } }
    /// Rows with a target.
    public var count: Int { losses.count }
}

/// How much a training pass keeps for its backward half.
public enum RecomputeTier: String, Sendable, CaseIterable {
    /// Everything each block needs.
    case keepAll = "keep_all"
    /// Only each block's input; the block is run again before its backward pass.
    case recomputeBlocks = "recompute_blocks"
}

/// Forward, loss and backward over batches of up to `capacity` tokens, in memory planned once.
///
/// Batches may continue a trunk, tokens that all their texts begin with. It is computed once, before them, and stays in the first
/// rows of every buffer; each batch has the rows behind it, sees its keys and values, and adds to their gradients; last, the
/// trunk is taken backward. So the step's gradients are those of batches that each compute the trunk themselves.
public final class TrainingPass {
    /// The model it runs.
    public let model: Decoder
    /// The most tokens a batch may have, the trunk's included.
    public let capacity: Int
    /// Every buffer by name.
    public let plan: WorkspacePlan
    private let workspace: Workspace
    private let streams: [BufferHandle]
    private let blockBuffers: [BlockBuffers]
    private let shared: SharedBuffers
    private let head: HeadBuffers
    private let tier: RecomputeTier
    private let trains: Bool
    private let trunkGradients: [(key: BufferHandle, value: BufferHandle)]
    private var trunkRows = 0

    /// Plans and takes the memory.
    ///
    /// - Parameters:
    ///   - trunk: the most tokens that `withTrunk` may be given; only where `tier` keeps all.
    ///   - trains: whether there will be a backward pass; without, far less memory is taken.
    /// - Throws: `TensorError.outOfMemory`.
    public init(
        _ model: Decoder, capacity: Int, trunk: Int = 0, tier: RecomputeTier, trains: Bool
    ) throws(TensorError) {
        precondition(trunk == 0 || tier == .keepAll && trains, "a trunk's keys are not kept")
        let layout = Layout(PassShape(model), capacity: capacity, trunk: trunk, tier: tier, trains: trains)
        self.model = model
        self.capacity = capacity
        self.tier = tier
        self.trains = trains
        plan = layout.plan
        streams = layout.streams
        blockBuffers = layout.blocks
        shared = layout.shared
        head = layout.head
        trunkGradients = layout.trunkGradients
        workspace = try Workspace(layout.plan, on: model.backend)
    }

    /// The memory the same pass would take.
    public static func byteCount(_ model: Decoder, capacity: Int, trunk: Int, tier: RecomputeTier) -> Int {
        plan(PassShape(model), capacity: capacity, trunk: trunk, tier: tier, trains: true).byteCount
    }

    /// The memory a pass would take, without taking it.
    static func plan(
        _ shape: PassShape, capacity: Int, trunk: Int, tier: RecomputeTier, trains: Bool
    ) -> WorkspacePlan {
        Layout(shape, capacity: capacity, trunk: trunk, tier: tier, trains: trains).plan
    }

    private struct Layout {
        var plan = WorkspacePlan()
        var streams: [BufferHandle] = []
        var blocks: [BlockBuffers] = []
        let shared: SharedBuffers
        let head: HeadBuffers
        var trunkGradients: [(key: BufferHandle, value: BufferHandle)] = []

        init(_ pass: PassShape, capacity: Int, trunk: Int, tier: RecomputeTier, trains: Bool) {
            let c = pass.configuration
            let type = pass.computeType
            let keepsAll = trains && tier == .keepAll
            // Without a backward pass two streams alternate; with one, every block's input is kept.
            let streamCount = trains ? c.layerCount + 1 : 2
            for index in 0..<streamCount {
                streams.append(plan.add("stream.\(index)", [capacity, c.hiddenSize], type))
            }
            var one: BlockBuffers?
            for index in c.layers.indices {
                let input = streams[index % streamCount]
                if keepsAll || one == nil {
                    one = BlockBuffers(
                        &plan, prefix: keepsAll ? "block.\(index)." : "block.", c, capacity: capacity, type: type,
                        input: input, ranks: pass.ranks, doRA: pass.doRA)
                }
                if var buffers = one {
                    buffers.input = input
                    blocks.append(buffers)
                }
            }
            shared = SharedBuffers(
                &plan, c, capacity: capacity, type: type, trains: trains, rank: pass.ranks.max() ?? 0,
                hasDropout: trains && pass.hasDropout)
            head = HeadBuffers(
                &plan, c, capacity: capacity, type: type, trains: trains, trainsHead: pass.trainsHead)
            guard trunk > 0 else { return }
            for index in c.layers.indices {
                trunkGradients.append(
                    (
                        plan.add("block.\(index).trunk.d.key", [trunk, c.kvWidth], .float32),
                        plan.add("block.\(index).trunk.d.value", [trunk, c.kvWidth], .float32)
                    ))
            }
        }
    }

    // MARK: Passes

    /// Losses of a batch, forward only.
    /// - Throws: `TensorError.outOfMemory` when a rotation table must grow and cannot.
    public func evaluate(_ batch: TokenBatch, adapter: String?, lossOptions: CrossEntropyOptions = .init())
        throws(TensorError) -> LossReport
    {
        precondition(trunkRows == 0, "a batch to measure would take the trunk's place")
        let pass = try forward(batch, adapter: adapter, dropoutKey: nil, noiseAlpha: 0)
        return score(batch, pass, lossOptions, trains: false)
    }

    /// Losses of a batch, and gradients added to those of the trained parameters.
    ///
    /// - Parameters:
    ///   - gradientScale: factor on the sum of losses, usually 1 / trained tokens of the whole step.
    ///   - key: seed and step of dropout and noise.
    ///   - noiseAlpha: NEFTune's α; 0 for none.
    ///   - negligible: gradients of logits, of a loss of one token, that need not reach the head's input; 0 for none.
    /// - Throws: `TensorError.outOfMemory` when a rotation table must grow and cannot.
    public func forwardBackward(
        _ batch: TokenBatch, adapter: String?, gradientScale: Float, labelSmoothing: Float, key: RandomKey,
        noiseAlpha: Float, negligible: Float = 0
    ) throws(TensorError) -> LossReport {
        precondition(trains, "this pass was planned without a backward half")
        let pass = try forward(batch, adapter: adapter, dropoutKey: key, noiseAlpha: noiseAlpha)
        var options = CrossEntropyOptions()
        options.gradientScale = gradientScale
        options.labelSmoothing = labelSmoothing
        options.negligible = negligible
        let report = score(batch, pass, options, trains: true)
        backward(batch.tokens, pass)
        return report
    }

    /// Computes a trunk, lets `body` take the batches that continue it, then adds the trunk's gradients.
    ///
    /// Segments of these batches name rows of the trunk first and their own behind it. Without dropout and noise, which each
    /// text would draw for itself.
    ///
    /// - Parameter body: calls `forwardBackward`; when it returns `nil` the trunk's gradients are left out.
    /// - Throws: what `body` throws; `TensorError.outOfMemory` when a rotation table must grow and cannot.
    public func withTrunk<Result>(
        _ trunk: [Int32], adapter: String?, _ body: () throws -> Result?
    ) throws -> Result? {
        precondition(trunkRows == 0 && !trunk.isEmpty && !trunkGradients.isEmpty, "a trunk that was not planned")
        let segments = SegmentTable([Segment(rows: trunk.indices)])
        let batch = TokenBatch(
            tokens: trunk, targets: trunk.map { _ in TokenBatch.ignored }, segments: segments)
        let pass = try forward(batch, adapter: adapter, dropoutKey: nil, noiseAlpha: 0)
        trunkRows = trunk.count
        defer { trunkRows = 0 }
        for handles in trunkGradients {
            for handle in [handles.key, handles.value] {
                model.backend.zero(workspace[handle, rows: trunk.count])
            }
        }
        guard let result = try body() else { return nil }
        if let b = shared.backward { model.backend.zero(workspace[b.residual, rows: trunk.count]) }
        backward(trunk, pass, isTrunk: true)
        return result
    }

    /// The hidden state of every row before the final norm, after `evaluate`; for checks.
    package func finalStream(_ rows: Int) -> Tensor {
        workspace[streams[model.configuration.layerCount % streams.count], rows: rows]
    }

    /// Where a batch lies: behind the trunk.
    private func places(of tokens: [Int32]) -> Range<Int> { trunkRows..<trunkRows + tokens.count }

    private func tensors(_ block: Int, rows: Range<Int>) -> DecoderBlock.Tensors {
        var t = DecoderBlock.Tensors(
            workspace: workspace, own: blockBuffers[block], shared: shared, rows: rows,
            configuration: model.configuration)
        if trunkRows > 0 {
            let handles = trunkGradients[block]
            t.trunk = .init(
                key: workspace[handles.key, rows: trunkRows], value: workspace[handles.value, rows: trunkRows])
        }
        return t
    }

    private func forward(
        _ batch: TokenBatch, adapter: String?, dropoutKey: RandomKey?, noiseAlpha: Float
    ) throws(TensorError) -> Pass {
        let rows = places(of: batch.tokens)
        precondition(rows.upperBound <= capacity, "\(rows.upperBound) tokens in a pass for \(capacity)")
        model.activate(adapter)
        try model.coverRopes(batch.segments.longestKeyCount)
        let pass = Pass(
            backend: model.backend, segments: batch.segments, dropoutKey: dropoutKey,
            adapterRuns: [AdapterRun(rows: 0..<rows.count, adapter: adapter)],
            droppedInput: shared.dropped.map { workspace[$0, rows: rows] })
        let x = workspace[streams[0], rows: rows]
        model.embed(x, ids: batch.tokens)
        if noiseAlpha > 0, let dropoutKey { addNoise(x, alpha: noiseAlpha, dropoutKey, batch.segments) }
        for block in model.blocks {
            let out = workspace[streams[(block.index + 1) % streams.count], rows: rows]
            block.forward(out, tensors(block.index, rows: rows), rope: model.rope(of: block), cache: nil, pass)
        }
        return pass
    }

    /// NEFTune: uniform noise of magnitude α/√(L·D) on the embeddings, L the length of the row's text.
    private func addNoise(_ x: Tensor, alpha: Float, _ key: RandomKey, _ segments: SegmentTable) {
        let magnitude = segments.segments.flatMap { segment in
            Array(
                repeating: alpha / (Float(segment.keyCount) * Float(x.columns)).squareRoot(),
                count: segment.queries.count)
        }
        let key = RandomKey(seed: key.seed, step: key.step, stream: Pass.noiseStream)
        model.backend.addUniformNoise(x, magnitude: magnitude, key: key, segments)
    }

    /// Final norm, head and cross-entropy over the rows that have a target, a chunk of rows at a time.
    private func score(
        _ batch: TokenBatch, _ pass: Pass, _ options: CrossEntropyOptions, trains: Bool
    ) -> LossReport {
        let backend = model.backend
        let c = model.configuration
        var report = LossReport()
        report.rows = batch.targets.indices.filter { batch.targets[$0] != TokenBatch.ignored }.map(Int32.init)
        let total = report.rows.count
        let rows = places(of: batch.tokens)
        let last = workspace[streams[c.layerCount % streams.count], rows: rows]
        var options = options
        options.logitScale = c.logitScale
        options.softcap = c.logitSoftcap
        let targets = report.rows.map { batch.targets[Int($0)] }
        let gathered = workspace[head.gathered, rows: total]
        let normed = workspace[head.normed, rows: total]
        let rstd = workspace[head.rstd, rows: total]
        let dgathered = head.gradient.map { workspace[$0, rows: total] }
        if total > 0 {
            backend.gatherRows(gathered, last, rows: report.rows)
            model.finalNorm.forward(normed, rstd: rstd, gathered, backend)
        }
        // Equal chunks: a small last one would expand the whole head for a few rows.
        let chunks = (total + head.chunk - 1) / head.chunk
        let chunk = max(1, (total + chunks - 1) / max(1, chunks))
        for start in stride(from: 0, to: total, by: chunk) {
            let range = start..<min(start + chunk, total)
            let logits = workspace[head.logits, rows: range.count].columns(0..<c.vocabularySize)
            let losses = workspace[head.losses, rows: range.count].reshaped([range.count])
            let predictions = workspace[head.predictions, rows: range.count].reshaped([range.count])
            backend.linear(
                logits, normed.rows(range), model.head.weight, bias: nil, extra: nil, scale: 1, residual: nil)
            let dlogits = trains ? Self.beginnings(of: logits, model.computeType) : nil
            backend.crossEntropy(
                losses: losses, predictions: predictions, dlogits: dlogits, logits, targets: Array(targets[range]),
                options)
            report.losses += losses.floats()
            report.correctCount += zip(predictions.integers(), targets[range]).count { $0 == $1 }
            if let dlogits, let dgathered {
                if let gradient = model.head.master?.gradient {
                    backend.linearWeightGradient(gradient, dlogits, normed.rows(range), scale: 1)
                }
                backend.linearInputGradient(
                    dgathered.rows(range), dlogits, model.head.weight, extra: nil, scale: 1, residual: nil,
                    negligible: options.negligible * options.gradientScale)
            }
        }
        if trains, let dgathered, let b = shared.backward {
            let dx = workspace[b.residual, rows: rows]
            backend.zero(dx)
            if total > 0 {
                model.finalNorm.backward(dgathered, dgathered, gathered, rstd: rstd, residual: nil, backend)
                backend.scatterRows(dx, dgathered, rows: report.rows)
            }
        }
        return report
    }

    /// Elements of a narrower type at the beginning of each row.
    private static func beginnings(of x: Tensor, _ type: DType) -> Tensor {
        Tensor(
            storage: x.storage, byteOffset: x.byteOffset, rows: x.rows, columns: x.columns, dtype: type,
            rowStride: x.rowStride * x.dtype.byteWidth / type.byteWidth)
    }

    /// From the gradient of the last stream, in `shared.backward.residual`, down to the lowest parameter.
    private func backward(_ tokens: [Int32], _ pass: Pass, isTrunk: Bool = false) {
        guard let b = shared.backward else { return }
        let rows = isTrunk ? tokens.indices : places(of: tokens)
        let lowest = model.lowestTrainedBlock
        for block in model.blocks.reversed() where block.index >= lowest {
            let t = tensors(block.index, rows: rows)
            let rope = model.rope(of: block)
            if tier == .recomputeBlocks {
                // The block's output is not needed again, so it may land in a buffer nobody reads.
                block.forward(workspace[b.normInput, rows: rows], t, rope: rope, cache: nil, pass)
            }
            let needsInput = block.index > lowest || model.embeddingParameter != nil
            block.backward(t, rope: rope, needsInput: needsInput, pass)
        }
        if let gradient = model.embeddingParameter?.gradient {
            model.backend.embedBackward(
                gradient, workspace[b.residual, rows: rows], ids: tokens, scale: model.embeddingScale)
        }
    }
}

/// What decides the sizes of a pass's buffers.
struct PassShape {
    var configuration: DecoderConfiguration
    var computeType: DType
    /// The widest Σr of each kind of projection group.
    var ranks = [0, 0, 0, 0]
    /// Whether each kind has magnitudes.
    var doRA = [false, false, false, false]
    var hasDropout = false
    /// Whether the head has a gradient of its own.
    var trainsHead = false

    init(configuration: DecoderConfiguration, computeType: DType) {
        self.configuration = configuration
        self.computeType = computeType
    }

    init(_ model: Decoder) {
        self.init(configuration: model.configuration, computeType: model.computeType)
        ranks = model.widestLowRank()
        doRA = model.usesDoRA()
        trainsHead = model.head.master?.gradient != nil
        hasDropout = model.blocks.flatMap(\.groups).flatMap(\.adapters.values).contains { $0.dropout > 0 }
    }
}

/// Buffers of the final norm, the head and the loss.
struct HeadBuffers {
    /// [T, D] the rows that have a target; their norm; its statistics; their gradient.
    let gathered: BufferHandle
    let normed: BufferHandle
    let rstd: BufferHandle
    let gradient: BufferHandle?
    /// [chunk, V] in float32; each row's gradient, in the compute type, takes its place.
    let logits: BufferHandle
    let losses: BufferHandle
    let predictions: BufferHandle
    /// Rows the head works on at a time.
    let chunk: Int

    /// Logits of a chunk take no more than about this many bytes.
    private static let budget = 107 << 20
    /// Enough rows for products with the head to run at full rate. Its gradient would gain from more.
    private static let enough = 256

    init(
        _ plan: inout WorkspacePlan, _ c: DecoderConfiguration, capacity: Int, type: DType, trains: Bool,
        trainsHead: Bool
    ) {
        let most = max(32, Self.budget / (c.vocabularySize * 4))
        chunk = min(capacity, trainsHead ? most : min(most, Self.enough))
        gathered = plan.add("head.gathered", [capacity, c.hiddenSize], type)
        normed = plan.add("head.normed", [capacity, c.hiddenSize], type)
        rstd = plan.add("head.rstd", [capacity, 1], .float32)
        gradient = trains ? plan.add("head.gradient", [capacity, c.hiddenSize], type) : nil
        // Rows a multiple of 4 KiB apart, as vocabularies like to be, would share sets of the caches.
        logits = plan.add("head.logits", [chunk, c.vocabularySize + 16], .float32)
        losses = plan.add("head.losses", [chunk, 1], .float32)
        predictions = plan.add("head.predictions", [chunk, 1], .int32)
    }
}
