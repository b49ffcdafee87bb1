import AttuneTensor

/// Keys and values of earlier tokens, one pool of rows for each block of the model.
public final class KVCache: @unchecked Sendable {
    /// How many token rows each pool has.
    public let rowCount: Int
    let keys: [Tensor]
    let values: [Tensor]
    private let backend: any Backend
    private let configuration: DecoderConfiguration

    /// Takes the memory.
    /// - Throws: `TensorError.outOfMemory`.
    public init(_ model: Decoder, rows: Int) throws(TensorError) {
        rowCount = rows
        backend = model.backend
        configuration = model.configuration
        var keys: [Tensor] = []
        var values: [Tensor] = []
        for _ in model.blocks {
            keys.append(try model.backend.makeTensor([rows, model.configuration.kvWidth], model.computeType))
            values.append(try model.backend.makeTensor([rows, model.configuration.kvWidth], model.computeType))
        }
        self.keys = keys
        self.values = values
    }

    /// Bytes a token takes over all blocks.
    public static func bytesPerToken(_ model: Decoder) -> Int {
        2 * model.blocks.count * model.configuration.kvWidth * model.computeType.byteWidth
    }

    /// Lets the backend fetch what a block's attention will read, while what comes before it is computed.
    func expect(block index: Int, _ segments: SegmentTable) {
        guard index < keys.count else { return }
        backend.expectAttention(k: keys[index], v: values[index], segments, configuration.attentionShape(index))
    }

    /// Copies rows within every pool.
    public func copyRows(_ rows: Range<Int>, to start: Int) {
        for pool in keys + values { backend.copy(pool.rows(start..<start + rows.count), pool.rows(rows)) }
    }
}

/// Forward passes that produce next-token logits, with or without a cache.
public final class InferencePass {
    /// The model it runs.
    public let model: Decoder
    /// The most rows a pass may have.
    public let capacity: Int
    /// The most rows whose logits may be asked for at once.
    public let logitCapacity: Int
    /// Every buffer by name.
    public let plan: WorkspacePlan
    private let workspace: Workspace
    private let streams: [BufferHandle]
    private let buffers: BlockBuffers
    private let shared: SharedBuffers
    private let gathered: BufferHandle
    private let normed: BufferHandle
    private let rstd: BufferHandle
    private let logits: BufferHandle
    private let ranks: [Int]
    /// The head of the base and its screen; versions of it that adapters bring have none.
    private var screened: (head: any PackedWeight, screen: any MaximumScreen)?
    /// Passes that a screen would have served, and would serve.
    private var maximaPasses = 0
    /// More rows are multiplied by the whole head.
    private static let screenedRows = 4
    /// Below this share of the weights the head is not worth a copy.
    private static let leastHeadShare = 1.0 / 16

    /// Plans and takes the memory. Adapters attached later must not have a larger rank than those attached now.
    /// - Throws: `TensorError.outOfMemory`.
    public init(_ model: Decoder, capacity: Int, logitCapacity: Int) throws(TensorError) {
        let c = model.configuration
        let type = model.computeType
        var plan = WorkspacePlan()
        streams = (0..<2).map { plan.add("stream.\($0)", [capacity, c.hiddenSize], type) }
        ranks = model.widestLowRank()
        buffers = BlockBuffers(
            &plan, prefix: "block.", c, capacity: capacity, type: type, input: streams[0], ranks: ranks,
            doRA: model.usesDoRA())
        shared = SharedBuffers(
            &plan, c, capacity: capacity, type: type, trains: false, rank: ranks.max() ?? 0, hasDropout: false)
        gathered = plan.add("head.gathered", [logitCapacity, c.hiddenSize], type)
        normed = plan.add("head.normed", [logitCapacity, c.hiddenSize], type)
        rstd = plan.add("head.rstd", [logitCapacity, 1], .float32)
        logits = plan.add("head.logits", [logitCapacity, c.vocabularySize], .float32)
        self.model = model
        self.capacity = capacity
        self.logitCapacity = logitCapacity
        self.plan = plan
        workspace = try Workspace(plan, on: model.backend)
    }

    /// Runs the rows and returns the logits of some of them.
    ///
    /// - Parameters:
    ///   - segments: key ranges name rows of the cache's pools, or of the batch itself without a cache.
    ///   - cache: where keys and values go and are read from, and the pool row of every batch row.
    ///   - logitRows: batch rows whose next-token logits are wanted.
    ///   - adapterRuns: which rows use which adapter; together they cover the batch. Runs of adapters that train modules of the
    ///     base whole cannot share a pass with others; `Decoder.activation` tells them apart.
    ///   - onlyMaxima: nothing but each row's largest logit and its place matters; others may be less than they are.
    /// - Returns: float32 [logitRows.count, V], valid until the next run.
    /// - Throws: `TensorError.outOfMemory` when a rotation table must grow and cannot.
    public func run(
        _ tokens: [Int32], _ segments: SegmentTable, cache: (pools: KVCache, rows: [Int32])?, logitRows: [Int32],
        adapterRuns: [AdapterRun], onlyMaxima: Bool = false
    ) throws(TensorError) -> Tensor {
        let rows = tokens.count
        precondition(rows <= capacity && logitRows.count <= logitCapacity, "\(rows) rows in a pass for \(capacity)")
        precondition(rows == segments.tokenCount, "segments of another batch")
        try runBlocks(tokens, segments, cache: cache, adapterRuns: adapterRuns)
        let backend = model.backend
        let count = logitRows.count
        let out = workspace[logits, rows: count]
        guard count > 0 else { return out }
        let last = workspace[streams[model.blocks.count % 2], rows: rows]
        backend.gatherRows(workspace[gathered, rows: count], last, rows: logitRows)
        model.finalNorm.forward(
            workspace[normed, rows: count], rstd: workspace[rstd, rows: count], workspace[gathered, rows: count],
            backend)
        if onlyMaxima, let screen = screen(rows: count) {
            backend.linearMaximum(out, workspace[normed, rows: count], model.head.weight, screen)
        } else {
            backend.linear(
                out, workspace[normed, rows: count], model.head.weight, bias: nil, extra: nil, scale: 1, residual: nil)
        }
        let c = model.configuration
        if c.logitScale != 1 || c.logitSoftcap > 0 {
            backend.finishLogits(out, logitScale: c.logitScale, softcap: c.logitSoftcap)
        }
        return out
    }

    /// The coarse copy of the head for a pass of so many rows, made when such passes come again: one answer of one token
    /// would not earn it. Without memory for it, nothing is lost but time.
    private func screen(rows: Int) -> (any MaximumScreen)? {
        let head = model.head.weight
        // The order of logits must be that of the products.
        guard rows <= Self.screenedRows, model.configuration.logitScale > 0 else { return nil }
        maximaPasses += 1
        if maximaPasses == 2, Double(head.byteCount) > Self.leastHeadShare * Double(model.weightByteCount) {
            screened = (try? model.backend.makeScreen(of: head)).flatMap { $0 }.map { (head, $0) }
        }
        guard let screened, screened.head === head else { return nil }
        return screened.screen
    }

    /// Bytes that a pass with `onlyMaxima` and so many rows of logits now reads of the head.
    public func headByteCount(rows: Int) -> Int {
        guard let screened, rows <= Self.screenedRows else { return model.head.weight.byteCount }
        return screened.screen.byteCount
    }

    /// Runs the rows without a cache and returns their states behind the last norm.
    ///
    /// - Returns: [T, hiddenSize] in the compute type, valid until the next run; T is at most `logitCapacity`.
    /// - Throws: `TensorError.outOfMemory` when a rotation table must grow and cannot.
    public func hiddenStates(
        _ tokens: [Int32], _ segments: SegmentTable, adapterRuns: [AdapterRun]
    ) throws(TensorError) -> Tensor {
        let rows = tokens.count
        precondition(rows <= min(capacity, logitCapacity), "\(rows) rows in a pass for \(logitCapacity)")
        precondition(rows == segments.tokenCount, "segments of another batch")
        try runBlocks(tokens, segments, cache: nil, adapterRuns: adapterRuns)
        let out = workspace[normed, rows: rows]
        model.finalNorm.forward(
            out, rstd: workspace[rstd, rows: rows], workspace[streams[model.blocks.count % 2], rows: rows],
            model.backend)
        return out
    }

    /// Leaves the states behind the last block in its stream.
    private func runBlocks(
        _ tokens: [Int32], _ segments: SegmentTable, cache: (pools: KVCache, rows: [Int32])?, adapterRuns: [AdapterRun]
    ) throws(TensorError) {
        let rows = tokens.count
        let backend = model.backend
        let activations = Set(adapterRuns.map { model.activation($0.adapter) })
        precondition(activations.count <= 1, "one pass for several versions of the base")
        model.activate(activations.first ?? nil)
        try model.coverRopes(segments.longestKeyCount)
        let pass = Pass(
            backend: backend, segments: segments, dropoutKey: nil, adapterRuns: adapterRuns, droppedInput: nil)
        model.embed(workspace[streams[0], rows: rows], ids: tokens)
        cache?.pools.expect(block: 0, segments)
        for block in model.blocks {
            var own = buffers
            own.input = streams[block.index % 2]
            let t = DecoderBlock.Tensors(
                workspace: workspace, own: own, shared: shared, rows: 0..<rows, configuration: model.configuration)
            block.forward(
                workspace[streams[(block.index + 1) % 2], rows: rows], t, rope: model.rope(of: block),
                cache: cache.map { DecoderBlock.Cache(pools: $0.pools, rows: $0.rows) }, pass)
        }
    }
}
