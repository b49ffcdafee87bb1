import AttuneTensor

/// Projections that read the same input (query, key and value; gate and up; or one alone), with the adapters attached to them.
///
/// Forward, for projection p with an adapter:
///
///     Xa  = dropout(X)                        one mask for the group
///     U   = Xa·Aᵀ                             [T, Σr], the A's of the group stacked
///     Y_p = residual + c·(X·W_pᵀ + b_p + U_p·(s·B_p)ᵀ)
///
/// Backward, given dY_p:
///
///     dU_p  = c·dY_p·(s·B_p)
///     dB_p += s·c·dY_pᵀ·U_p
///     dA   += dUᵀ·Xa
///     dX    = residual + Σ_p c·dY_p·W_p + mask ⊙ (dU·A)
///     dW_p += c·dY_pᵀ·X                       only when W is trained
///
/// B·A is never formed and a frozen W's gradient never computed.
final class ProjectionGroup {
    let projections: [Projection]
    /// Attached adapters by name.
    var adapters: [String: GroupAdapter] = [:]
    /// Names this group's dropout.
    let dropoutStream: UInt32

    init(_ projections: [Projection], dropoutStream: UInt32) {
        self.projections = projections
        self.dropoutStream = dropoutStream
    }

    var inFeatures: Int { projections[0].inFeatures }

    /// - Parameters:
    ///   - outs: [T, out_p] for each projection.
    ///   - inp: [T, in].
    ///   - lowRank: [T, ≥ Σr] for U, kept for the backward pass.
    ///   - plain: [T, out_p] buffers for DoRA's product before the gain, kept for the backward pass.
    ///   - scale: c above.
    func forward(
        _ outs: [Tensor], _ inp: Tensor, lowRank: Tensor?, plain: [Tensor], scale: Float = 1, residual: Tensor? = nil,
        _ pass: Pass
    ) {
        forward(outs, inp, lowRank: lowRank, plain: plain, scale: scale, residual: residual, pass) {
            rows, products, input in
            pass.backend.linearGroup(products, input, scale: scale, residual: residual.map(rows))
        }
    }

    /// Gate and up, and `hidden = f(gate)·up`.
    func forward(
        hidden: Tensor, _ function: ActivationFunction, gate: Tensor, up: Tensor, _ inp: Tensor, lowRank: Tensor?,
        plain: [Tensor], _ pass: Pass
    ) {
        forward([gate, up], inp, lowRank: lowRank, plain: plain, scale: 1, residual: nil, pass) {
            rows, products, input in
            if products.count == 2 {
                pass.backend.gatedLinear(rows(hidden), gate: products[0], up: products[1], input, function)
            } else {
                // Some were computed another way.
                pass.backend.linearGroup(products, input, scale: 1, residual: nil)
                pass.backend.gatedActivation(rows(hidden), gate: rows(gate), up: rows(up), function)
            }
        }
    }

    /// - Parameter multiply: computes plain products of the rows of one adapter run, cut from tensors by its first argument.
    private func forward(
        _ outs: [Tensor], _ inp: Tensor, lowRank: Tensor?, plain: [Tensor], scale: Float, residual: Tensor?,
        _ pass: Pass,
        multiply: (_ rows: (Tensor) -> Tensor, _ products: [LinearProduct], _ input: Tensor) -> Void
    ) {
        for run in pass.adapterRuns {
            let adapter = run.adapter.flatMap { adapters[$0] }
            let rows = run.rows
            let isWhole = rows == 0..<pass.tokenCount
            let view = { (tensor: Tensor) in isWhole ? tensor : tensor.rows(rows) }
            guard let adapter, let lowRank else {
                multiply(view, zip(projections, outs).map { product($0, view($1), nil) }, view(inp))
                continue
            }
            let u = view(lowRank).columns(0..<adapter.rankSum)
            let input = adapterInput(view(inp), adapter, pass)
            pass.backend.linear(u, input, adapter.packedPanel, bias: nil, extra: nil, scale: 1, residual: nil)
            var plainProducts: [LinearProduct] = []
            for (index, projection) in projections.enumerated() {
                let pair = adapter.pairs[index]
                let extra = pair.map { LowRankTerm(input: u.columns($0.columns), weight: $0.packedB) }
                if let gain = pair?.gain {
                    forwardDoRA(
                        view(outs[index]), view(inp), projection, extra, gain, plain: view(plain[index]), scale: scale,
                        residual: residual.map(view), pass)
                } else {
                    plainProducts.append(product(projection, view(outs[index]), extra))
                }
            }
            multiply(view, plainProducts, view(inp))
        }
    }

    private func product(_ projection: Projection, _ out: Tensor, _ extra: LowRankTerm?) -> LinearProduct {
        LinearProduct(out: out, weight: projection.weight, bias: projection.bias, extra: extra)
    }

    private func forwardDoRA(
        _ out: Tensor, _ inp: Tensor, _ projection: Projection, _ extra: LowRankTerm?, _ gain: Tensor, plain: Tensor,
        scale: Float, residual: Tensor?, _ pass: Pass
    ) {
        let backend = pass.backend
        backend.linear(plain, inp, projection.weight, bias: nil, extra: extra, scale: scale, residual: nil)
        precondition(residual?.address != out.address, "DoRA cannot add into its own output")
        backend.multiplyColumns(out, plain, gain)
        if let residual { backend.add(out, residual, out, scale: 1) }
        if let bias = projection.bias {
            backend.addRow(out, bias, scale: scale)
        }
    }

    private func adapterInput(_ inp: Tensor, _ adapter: GroupAdapter, _ pass: Pass) -> Tensor {
        guard adapter.dropout > 0, let key = dropoutKey(pass), let scratch = pass.droppedInput else { return inp }
        let dropped = scratch.rows(0..<inp.rows).columns(0..<inp.columns)
        pass.backend.dropout(dropped, inp, rate: adapter.dropout, key: key, pass.segments)
        return dropped
    }

    private func dropoutKey(_ pass: Pass) -> RandomKey? {
        pass.dropoutKey.map { RandomKey(seed: $0.seed, step: $0.step, stream: dropoutStream) }
    }

    /// Whether `backward` reads its input: for the gradient of a weight or an adapter's A.
    func needsInput(_ pass: Pass) -> Bool {
        pass.adapterRuns.first?.adapter.flatMap { adapters[$0] }?.panelGradient != nil
            || projections.contains { $0.master?.gradient != nil }
    }

    /// - Parameters:
    ///   - dinp: [T, in], or `nil` when nothing below is trained.
    ///   - douts: [T, out_p] for each projection.
    ///   - lowRank: U of the forward pass; overwritten with dU.
    ///   - lowRankGradient: [T, ≥ Σr] scratch.
    ///   - scratch: [T, in] scratch for the masked part of dX.
    func backward(
        _ dinp: Tensor?, _ douts: [Tensor], _ inp: Tensor, lowRank: Tensor?, lowRankGradient: Tensor?, plain: [Tensor],
        scratch: Tensor?, scale: Float = 1, residual: Tensor? = nil, _ pass: Pass
    ) {
        let backend = pass.backend
        var douts = douts
        var term: LowRankTerm?
        var masked: (product: Tensor, rate: Float, key: RandomKey)?
        for (projection, dout) in zip(projections, douts) {
            if let gradient = projection.biasParameter?.gradient { backend.columnSum(gradient, dout, scale: scale) }
        }
        if let adapter = pass.adapterRuns.first?.adapter.flatMap({ adapters[$0] }), let lowRank, let lowRankGradient,
            let panelGradient = adapter.panelGradient
        {
            let u = lowRank.columns(0..<adapter.rankSum)
            let du = lowRankGradient.columns(0..<adapter.rankSum)
            for (index, pair) in adapter.pairs.enumerated() {
                guard let pair, let db = pair.b.gradient else { continue }
                if let gain = pair.gain, let inverseNorm = pair.inverseNorm, let dm = pair.magnitude?.gradient {
                    // plain holds c·z; dm = Σ dY ⊙ c·z / norm, then dz = g ⊙ dY in the place of c·z.
                    backend.multiplyColumns(plain[index], plain[index], inverseNorm)
                    backend.columnDot(dm, douts[index], plain[index])
                    backend.multiplyColumns(plain[index], douts[index], gain)
                    douts[index] = plain[index]
                }
                backend.linearInputGradient(
                    du.columns(pair.columns), douts[index], pair.packedB, extra: nil, scale: scale, residual: nil)
                backend.linearWeightGradient(db, douts[index], u.columns(pair.columns), scale: pair.scale * scale)
            }
            backend.linearWeightGradient(panelGradient, du, adapterInput(inp, adapter, pass), scale: 1)
            if adapter.dropout > 0, let key = dropoutKey(pass), let scratch {
                let product = scratch.rows(0..<inp.rows).columns(0..<inp.columns)
                backend.linearInputGradient(product, du, adapter.packedPanel, extra: nil, scale: 1, residual: nil)
                masked = (product, adapter.dropout, key)
            } else {
                term = LowRankTerm(input: du, weight: adapter.packedPanel)
            }
        }
        for (projection, dout) in zip(projections, douts) {
            if let gradient = projection.master?.gradient {
                backend.linearWeightGradient(gradient, dout, inp, scale: scale)
            }
        }
        guard let dinp else { return }
        var accumulated = residual
        if let masked {
            backend.dropoutBackward(
                dinp, masked.product, rate: masked.rate, key: masked.key, pass.segments, residual: accumulated)
            accumulated = dinp
        } else if let term {
            // dU·A carries no factor c (dU has it already), so it is a product of its own unless c is 1.
            if scale != 1 {
                backend.linearInputGradient(
                    dinp, term.input, term.weight, extra: nil, scale: 1, residual: accumulated)
                accumulated = dinp
            }
        }
        for (index, (projection, dout)) in zip(projections, douts).enumerated() {
            backend.linearInputGradient(
                dinp, dout, projection.weight, extra: index == 0 && masked == nil && scale == 1 ? term : nil,
                scale: scale, residual: accumulated)
            accumulated = dinp
        }
    }
}
