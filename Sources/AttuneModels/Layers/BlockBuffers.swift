import AttuneTensor

/// What one block keeps between its forward and its backward pass. T is the capacity of the workspace.
struct BlockBuffers {
    /// [T, D] the residual stream entering the block.
    var input: BufferHandle
    /// [T] of the norm before attention; absent where the family has none. The norm itself is made again for the backward pass.
    let attentionNormRstd: BufferHandle?
    /// [T, (H + 2·KV)·d] when fused, else [T, H·d]: projected, and rotated in place unless normalized first.
    let query: BufferHandle
    /// [T, KV·d]; absent when fused.
    let key: BufferHandle?
    let value: BufferHandle?
    /// Normalized and rotated queries and keys, with `queryKeyNorm`.
    let queryNorm: BufferHandle?
    let queryNormRstd: BufferHandle?
    let keyNorm: BufferHandle?
    let keyNormRstd: BufferHandle?
    /// [T, H·d], [T, H].
    let attended: BufferHandle
    let logSumExp: BufferHandle
    /// [T, D] the output projection, where a norm follows it.
    let attentionOut: BufferHandle?
    let attentionOutRstd: BufferHandle?
    /// [T, D] the residual stream between attention and MLP.
    let middle: BufferHandle
    /// [T] of the norm before the MLP.
    let mlpNormRstd: BufferHandle?
    /// [T, 2·F]: gate, then up.
    let gateUp: BufferHandle
    /// [T, D] the down projection, where a norm follows it.
    let mlpOut: BufferHandle?
    let mlpOutRstd: BufferHandle?
    /// U of the four projection groups: [T, Σr].
    let lowRank: [BufferHandle?]
    /// DoRA's products before the gain, one list a group.
    let plain: [[BufferHandle]]

    /// - Parameters:
    ///   - input: the residual stream, planned by the caller because block i + 1's input is block i's output.
    ///   - ranks: Σr of the four groups; 0 for none.
    ///   - doRA: whether each group has a magnitude.
    init(
        _ plan: inout WorkspacePlan, prefix: String, _ c: DecoderConfiguration, capacity: Int, type: DType,
        input: BufferHandle, ranks: [Int], doRA: [Bool]
    ) {
        func add(_ name: String, _ columns: Int) -> BufferHandle { plan.add(prefix + name, [capacity, columns], type) }
        func statistic(_ name: String, _ columns: Int = 1) -> BufferHandle {
            plan.add(prefix + name, [capacity, columns], .float32)
        }
        let (d, q, kv) = (c.hiddenSize, c.queryWidth, c.kvWidth)
        let normsBefore = c.normPlacement != .after
        let normsAfter = c.normPlacement != .before
        let normsQK = c.queryKeyNorm != .none
        let perHead = c.queryKeyNorm == .perHead

        self.input = input
        attentionNormRstd = normsBefore ? statistic("attention.norm.rstd") : nil
        query = add(c.isFused ? "attention.qkv" : "attention.query", c.isFused ? q + 2 * kv : q)
        key = c.isFused ? nil : add("attention.key", kv)
        value = c.isFused ? nil : add("attention.value", kv)
        queryNorm = normsQK ? add("attention.query.norm", q) : nil
        queryNormRstd = normsQK ? statistic("attention.query.rstd", perHead ? c.headCount : 1) : nil
        keyNorm = normsQK ? add("attention.key.norm", kv) : nil
        keyNormRstd = normsQK ? statistic("attention.key.rstd", perHead ? c.kvHeadCount : 1) : nil
        attended = add("attention.attended", q)
        logSumExp = statistic("attention.log_sum_exp", c.headCount)
        attentionOut = normsAfter ? add("attention.out", d) : nil
        attentionOutRstd = normsAfter ? statistic("attention.out.rstd") : nil
        middle = add("middle", d)
        mlpNormRstd = normsBefore ? statistic("mlp.norm.rstd") : nil
        gateUp = add("mlp.gate_up", 2 * c.intermediateSize)
        mlpOut = normsAfter ? add("mlp.out", d) : nil
        mlpOutRstd = normsAfter ? statistic("mlp.out.rstd") : nil
        lowRank = ranks.enumerated().map { $0.element > 0 ? add("low_rank.\($0.offset)", $0.element) : nil }
        let widths = Self.groupWidths(c)
        plain = doRA.enumerated().map { group, isDoRA in
            isDoRA ? widths[group].enumerated().map { add("plain.\(group).\($0.offset)", $0.element) } : []
        }
    }

    /// Output widths of the projections of each group: attention inputs, attention output, MLP inputs, MLP output.
    static func groupWidths(_ c: DecoderConfiguration) -> [[Int]] {
        [
            c.isFused ? [c.queryWidth + 2 * c.kvWidth] : [c.queryWidth, c.kvWidth, c.kvWidth],
            [c.hiddenSize],
            c.isFused ? [2 * c.intermediateSize] : [c.intermediateSize, c.intermediateSize],
            [c.hiddenSize],
        ]
    }
}

/// Buffers every block uses in turn.
struct SharedBuffers {
    /// [T, F] the activated gate times up.
    let hidden: BufferHandle
    /// [T, D] for a sub-layer's normalized input, until its first projections have read it, then for its output where a norm
    /// follows that, and in the backward pass for its gradient.
    let wide: BufferHandle
    /// [T, max(D, F, H·d)] for dropped-out inputs; present with dropout.
    let dropped: BufferHandle?
    /// Backward only: gradients of the residual stream, of the attention's parts, of gate/up/hidden, of U, and a masked product.
    let backward: Backward?

    struct Backward {
        let residual: BufferHandle
        let normInput: BufferHandle
        let query: BufferHandle
        let key: BufferHandle?
        let value: BufferHandle?
        let queryRaw: BufferHandle?
        let keyRaw: BufferHandle?
        let attended: BufferHandle
        let hidden: BufferHandle
        let lowRank: BufferHandle?
        let masked: BufferHandle?
    }

    init(
        _ plan: inout WorkspacePlan, _ c: DecoderConfiguration, capacity: Int, type: DType, trains: Bool, rank: Int,
        hasDropout: Bool
    ) {
        func add(_ name: String, _ columns: Int) -> BufferHandle {
            plan.add("shared." + name, [capacity, columns], type)
        }
        let widest = max(c.hiddenSize, c.intermediateSize, c.queryWidth)
        hidden = add("hidden", c.intermediateSize)
        wide = add("wide", c.hiddenSize)
        dropped = hasDropout ? add("dropped", widest) : nil
        guard trains else {
            backward = nil
            return
        }
        let normsQK = c.queryKeyNorm != .none
        backward = Backward(
            residual: add("d.residual", c.hiddenSize), normInput: add("d.norm", c.hiddenSize),
            query: add("d.query", c.isFused ? c.queryWidth + 2 * c.kvWidth : c.queryWidth),
            key: c.isFused ? nil : add("d.key", c.kvWidth), value: c.isFused ? nil : add("d.value", c.kvWidth),
            queryRaw: normsQK ? add("d.query.raw", c.queryWidth) : nil,
            keyRaw: normsQK ? add("d.key.raw", c.kvWidth) : nil, attended: add("d.attended", c.queryWidth),
            hidden: add("d.hidden", c.intermediateSize), lowRank: rank > 0 ? add("d.low_rank", rank) : nil,
            masked: hasDropout ? add("d.masked", widest) : nil)
    }
}
