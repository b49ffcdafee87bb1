import AttuneTensor

/// One block: attention, then a gated MLP, each adding to the residual stream.
///
///     a      = attend(rope(norm(q(n1))), rope(norm(k(n1))), v(n1))      n1 = norm(x)   (or x)
///     x'     = x  + c·norm(o(a))                                        norm where the family has one after
///     x''    = x' + c·norm(down(f(gate(n2)) ⊙ up(n2)))                  n2 = norm(x')  (or x')
final class DecoderBlock {
    let index: Int
    let configuration: DecoderConfiguration
    let attentionNorm: RMSNorm?
    let attentionOutNorm: RMSNorm?
    let mlpNorm: RMSNorm?
    let mlpOutNorm: RMSNorm?
    let queryNorm: RMSNorm?
    let keyNorm: RMSNorm?
    let qkv: ProjectionGroup
    let output: ProjectionGroup
    let gateUp: ProjectionGroup
    let down: ProjectionGroup

    init(
        index: Int, configuration: DecoderConfiguration, attentionNorm: RMSNorm?, attentionOutNorm: RMSNorm?,
        mlpNorm: RMSNorm?, mlpOutNorm: RMSNorm?, queryNorm: RMSNorm?, keyNorm: RMSNorm?, qkv: [Projection],
        output: Projection, gateUp: [Projection], down: Projection
    ) {
        self.index = index
        self.configuration = configuration
        self.attentionNorm = attentionNorm
        self.attentionOutNorm = attentionOutNorm
        self.mlpNorm = mlpNorm
        self.mlpOutNorm = mlpOutNorm
        self.queryNorm = queryNorm
        self.keyNorm = keyNorm
        let groups = [qkv, [output], gateUp, [down]].enumerated().map {
            ProjectionGroup($0.element, dropoutStream: Pass.dropoutStream(block: index, group: $0.offset))
        }
        self.qkv = groups[0]
        self.output = groups[1]
        self.gateUp = groups[2]
        self.down = groups[3]
    }

    /// In the order of `BlockBuffers.lowRank`.
    var groups: [ProjectionGroup] { [qkv, output, gateUp, down] }
    var norms: [RMSNorm] {
        [attentionNorm, attentionOutNorm, mlpNorm, mlpOutNorm, queryNorm, keyNorm].compactMap { $0 }
    }

    /// Whether any of its parameters has a gradient.
    var isTrained: Bool {
        norms.contains { $0.parameter?.gradient != nil }
            || groups.contains { group in
                group.adapters.values.contains { $0.panelGradient != nil }
                    || group.projections.contains { $0.master?.gradient != nil || $0.biasParameter?.gradient != nil }
            }
    }

    /// The tensors of one pass: a block's own and the shared ones, cut to the rows of the batch.
    struct Tensors {
        let workspace: Workspace
        let own: BlockBuffers
        let shared: SharedBuffers
        /// Those before them are the trunk's, whose keys and values the batch may see.
        var rows: Range<Int>
        let configuration: DecoderConfiguration
        /// While batches continue a trunk.
        var trunk: TrunkGradients?
        /// With the trunk before them.
        var fromTrunk: Tensors {
            var all = self
            all.rows = 0..<rows.upperBound
            return all
        }

        subscript(handle: BufferHandle) -> Tensor { workspace[handle, rows: rows] }
        func optional(_ handle: BufferHandle?) -> Tensor? { handle.map { self[$0] } }

        /// Query, key and value as projected: views of one buffer when fused.
        var projected: [Tensor] { parts(own.query, own.key, own.value) }
        /// What the projections write: one tensor when fused.
        var projectionOuts: [Tensor] { configuration.isFused ? [self[own.query]] : projected }
        var gate: Tensor { self[own.gateUp].columns(0..<configuration.intermediateSize) }
        var up: Tensor {
            self[own.gateUp].columns(configuration.intermediateSize..<2 * configuration.intermediateSize)
        }
        var gateUpOuts: [Tensor] { configuration.isFused ? [self[own.gateUp]] : [gate, up] }

        func parts(_ query: BufferHandle, _ key: BufferHandle?, _ value: BufferHandle?) -> [Tensor] {
            if let key, let value { return [self[query], self[key], self[value]] }
            let all = self[query]
            let (q, kv) = (configuration.queryWidth, configuration.kvWidth)
            return [all.columns(0..<q), all.columns(q..<q + kv), all.columns(q + kv..<q + 2 * kv)]
        }

        func plain(_ group: Int) -> [Tensor] { own.plain[group].map { self[$0] } }
    }

    /// The gradients of a trunk's keys and values, each float32 [trunk, KV·d], summed over the batches that continue it.
    struct TrunkGradients {
        let key: Tensor
        let value: Tensor
    }

    /// Keys and values of earlier tokens: whole pools, and the row of each new token.
    struct Cache {
        let pools: KVCache
        let rows: [Int32]
    }

    // MARK: Forward

    /// - Parameters:
    ///   - out: [T, D] the next block's input.
    ///   - cache: where keys and values go and are read from, when generating; `nil` when training.
    func forward(_ out: Tensor, _ t: Tensors, rope: RopeTable?, cache: Cache?, _ pass: Pass) {
        let backend = pass.backend
        let x = t[t.own.input]
        let middle = t[t.own.middle]

        let n1 = normalized(x, attentionNorm, rstd: t.own.attentionNormRstd, t, backend)
        qkv.forward(t.projectionOuts, n1, lowRank: t.optional(t.own.lowRank[0]), plain: t.plain(0), pass)
        let (query, key) = rotated(t, rope: rope, pass)
        let attended = t[t.own.attended]
        let shape = configuration.attentionShape(index)
        if let cache {
            let (keys, values) = (cache.pools.keys[index], cache.pools.values[index])
            backend.scatterRows(keys, key, rows: cache.rows)
            backend.scatterRows(values, t.projected[2], rows: cache.rows)
            backend.attention(attended, logSumExp: nil, q: query, k: keys, v: values, pass.segments, shape)
        } else {
            let (keys, values) = keysAndValues(t.fromTrunk)
            backend.attention(
                attended, logSumExp: t[t.own.logSumExp], q: query, k: keys, v: values, pass.segments, shape)
        }
        add(
            middle, attended, output, group: 1, norm: attentionOutNorm, normInput: t.own.attentionOut,
            rstd: t.own.attentionOutRstd, residual: x, t, pass)
        // Earlier, and much of it would have left the cache again before it is read.
        cache?.pools.expect(block: index + 1, pass.segments)

        let n2 = normalized(middle, mlpNorm, rstd: t.own.mlpNormRstd, t, backend)
        let hidden = t[t.shared.hidden]
        let lowRank = t.optional(t.own.lowRank[2])
        if configuration.isFused {
            gateUp.forward(t.gateUpOuts, n2, lowRank: lowRank, plain: t.plain(2), pass)
            backend.gatedActivation(hidden, gate: t.gate, up: t.up, configuration.activation)
        } else {
            gateUp.forward(
                hidden: hidden, configuration.activation, gate: t.gate, up: t.up, n2, lowRank: lowRank,
                plain: t.plain(2), pass)
        }
        add(
            out, hidden, down, group: 3, norm: mlpOutNorm, normInput: t.own.mlpOut, rstd: t.own.mlpOutRstd,
            residual: middle, t, pass)
    }

    /// The norm before a sub-layer, in the shared buffer; its input where the family has none.
    private func normalized(
        _ inp: Tensor, _ norm: RMSNorm?, rstd: BufferHandle?, _ t: Tensors, _ backend: any Backend
    ) -> Tensor {
        guard let norm, let rstd else { return inp }
        let out = t[t.shared.wide]
        norm.forward(out, rstd: t[rstd], inp, backend)
        return out
    }

    /// `out = residual + c·norm(group(inp))`.
    private func add(
        _ out: Tensor, _ inp: Tensor, _ group: ProjectionGroup, group place: Int, norm: RMSNorm?,
        normInput: BufferHandle?, rstd: BufferHandle?, residual: Tensor, _ t: Tensors, _ pass: Pass
    ) {
        let lowRank = t.optional(t.own.lowRank[place])
        let scale = configuration.residualScale
        guard let norm, let normInput, let rstd else {
            group.forward(
                [out], inp, lowRank: lowRank, plain: t.plain(place), scale: scale, residual: residual, pass)
            return
        }
        group.forward([t[normInput]], inp, lowRank: lowRank, plain: t.plain(place), pass)
        let normed = t[t.shared.wide]
        norm.forward(normed, rstd: t[rstd], t[normInput], pass.backend)
        pass.backend.add(out, residual, normed, scale: scale)
    }

    /// Queries and keys, normalized where the family does and turned to their positions.
    private func rotated(_ t: Tensors, rope: RopeTable?, _ pass: Pass) -> (query: Tensor, key: Tensor) {
        let (query, key) = rotatedViews(t)
        if let queryNorm, let keyNorm, let queryRstd = t.own.queryNormRstd, let keyRstd = t.own.keyNormRstd {
            queryNorm.forward(heads(query), rstd: t[queryRstd], heads(t.projected[0]), pass.backend)
            keyNorm.forward(heads(key), rstd: t[keyRstd], heads(t.projected[1]), pass.backend)
        }
        if let rope {
            for x in [query, key] { rope.turn(x, positions: pass.segments.positions, inverse: false, pass.backend) }
        }
        return (query, key)
    }

    private func rotatedViews(_ t: Tensors) -> (query: Tensor, key: Tensor) {
        if let query = t.optional(t.own.queryNorm), let key = t.optional(t.own.keyNorm) { return (query, key) }
        return (t.projected[0], t.projected[1])
    }

    private func keysAndValues(_ t: Tensors) -> (keys: Tensor, values: Tensor) { (rotatedViews(t).key, t.projected[2]) }

    /// One row a head when heads are normalized by themselves.
    private func heads(_ x: Tensor) -> Tensor {
        guard configuration.queryKeyNorm == .perHead else { return x }
        return x.reshaped([x.count / configuration.headDimension, configuration.headDimension])
    }

    // MARK: Backward

    /// Turns the gradient of the block's output, in `shared.backward.residual`, into that of its input.
    ///
    /// - Parameter needsInput: whether anything below is trained; if not, the gradient of the input is not computed.
    func backward(_ t: Tensors, rope: RopeTable?, needsInput: Bool, _ pass: Pass) {
        guard let b = t.shared.backward else { preconditionFailure("backward without its buffers") }
        let backend = pass.backend
        let dx = t[b.residual]
        let dn = t[b.normInput]
        let x = t[t.own.input]
        let middle = t[t.own.middle]
        let low = t.optional(b.lowRank)
        let masked = t.optional(b.masked)

        // MLP: d(hidden), then d(gate) and d(up) over gate and up themselves, then d(n2).
        let dhidden = t[b.hidden]
        let hidden = t[t.shared.hidden]
        let dmlp = gradientBeforeNorm(
            dx, norm: mlpOutNorm, normInput: t.own.mlpOut, rstd: t.own.mlpOutRstd, t, pass)
        // The forward pass kept gate and up only; the product is made again for the adapter's and weight's gradients.
        backend.gatedActivation(hidden, gate: t.gate, up: t.up, configuration.activation)
        down.backward(
            dhidden, [dmlp], hidden, lowRank: t.optional(t.own.lowRank[3]), lowRankGradient: low, plain: t.plain(3),
            scratch: masked, scale: mlpOutNorm == nil ? configuration.residualScale : 1, pass)
        backend.gatedActivationBackward(
            dgate: t.gate, dup: t.up, out: nil, dhidden, gate: t.gate, up: t.up, configuration.activation)
        // Read for gradients of weights and adapters alone.
        let n2 =
            gateUp.needsInput(pass) ? normalized(middle, mlpNorm, rstd: t.own.mlpNormRstd, t, backend) : middle
        let lowRank2 = t.optional(t.own.lowRank[2])
        if let mlpNorm, let rstd = t.own.mlpNormRstd {
            gateUp.backward(
                dn, t.gateUpOuts, n2, lowRank: lowRank2, lowRankGradient: low, plain: t.plain(2), scratch: masked, pass)
            mlpNorm.backward(dx, dn, middle, rstd: t[rstd], residual: dx, backend)
        } else {
            gateUp.backward(
                dx, t.gateUpOuts, n2, lowRank: lowRank2, lowRankGradient: low, plain: t.plain(2), scratch: masked,
                residual: dx, pass)
        }

        // Attention: d(attended), then d(q), d(k), d(v), then d(n1).
        let dout = gradientBeforeNorm(
            dx, norm: attentionOutNorm, normInput: t.own.attentionOut, rstd: t.own.attentionOutRstd, t, pass)
        let attended = t[t.own.attended]
        let dattended = t[b.attended]
        output.backward(
            dattended, [dout], attended, lowRank: t.optional(t.own.lowRank[1]), lowRankGradient: low,
            plain: t.plain(1), scratch: masked, scale: attentionOutNorm == nil ? configuration.residualScale : 1, pass)
        let projectedGradients = t.parts(b.query, b.key, b.value)
        let dquery = projectedGradients[0]
        let dkey = projectedGradients[1]
        let all = t.fromTrunk
        let gradients = all.parts(b.query, b.key, b.value)
        let (keys, values) = keysAndValues(all)
        backend.attentionBackward(
            dq: dquery, dk: gradients[1], dv: gradients[2], dattended, out: attended, logSumExp: t[t.own.logSumExp],
            q: rotatedViews(t).query, k: keys, v: values, pass.segments, configuration.attentionShape(index))
        if let trunk = t.trunk {
            exchange(trunk.key, gradients[1], t.rows, backend)
            exchange(trunk.value, gradients[2], t.rows, backend)
        }
        if let rope {
            for d in [dquery, dkey] { rope.turn(d, positions: pass.segments.positions, inverse: true, backend) }
        }
        if let queryNorm, let keyNorm, let queryRstd = t.own.queryNormRstd, let keyRstd = t.own.keyNormRstd {
            queryNorm.backward(
                heads(dquery), heads(dquery), heads(t.projected[0]), rstd: t[queryRstd], residual: nil, backend)
            keyNorm.backward(heads(dkey), heads(dkey), heads(t.projected[1]), rstd: t[keyRstd], residual: nil, backend)
        }
        let douts = configuration.isFused ? [t[b.query]] : projectedGradients
        let n1 = qkv.needsInput(pass) ? normalized(x, attentionNorm, rstd: t.own.attentionNormRstd, t, backend) : x
        let lowRank0 = t.optional(t.own.lowRank[0])
        if let attentionNorm, let rstd = t.own.attentionNormRstd {
            let needsNorm = needsInput || attentionNorm.parameter != nil
            qkv.backward(
                needsNorm ? dn : nil, douts, n1, lowRank: lowRank0, lowRankGradient: low, plain: t.plain(0),
                scratch: masked, pass)
            if needsNorm { attentionNorm.backward(dx, dn, x, rstd: t[rstd], residual: dx, backend) }
        } else {
            qkv.backward(
                needsInput ? dx : nil, douts, n1, lowRank: lowRank0, lowRankGradient: low, plain: t.plain(0),
                scratch: masked, residual: dx, pass)
        }
    }

    /// A batch adds its gradient of the trunk's keys (or values) to `sums`; the trunk, which comes last, takes them all.
    ///
    /// - Parameters:
    ///   - sums: float32 [trunk, KV·d].
    ///   - gradient: [rows and those before them, KV·d].
    private func exchange(_ sums: Tensor, _ gradient: Tensor, _ rows: Range<Int>, _ backend: any Backend) {
        if rows.lowerBound > 0 {
            backend.add(sums, sums, gradient.rows(0..<sums.rows), scale: 1)
        } else {
            backend.add(gradient, gradient, sums, scale: 1)
        }
    }

    /// The gradient of what a norm after a sub-layer read; the stream's gradient itself where there is no norm.
    private func gradientBeforeNorm(
        _ dx: Tensor, norm: RMSNorm?, normInput: BufferHandle?, rstd: BufferHandle?, _ t: Tensors, _ pass: Pass
    ) -> Tensor {
        guard let norm, let normInput, let rstd else { return dx }
        let wide = t[t.shared.wide]
        var dout = dx
        if configuration.residualScale != 1 {
            pass.backend.scale(wide, dx, by: configuration.residualScale)
            dout = wide
        }
        norm.backward(wide, dout, t[normInput], rstd: t[rstd], residual: nil, pass.backend)
        return wide
    }
}
