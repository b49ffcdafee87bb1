import AttuneTensor
import CAttuneKernels

// MARK: Normalization and position

extension CPUBackend {
    /// `out = inp·rstd·(weightOffset + weight)`.
    public func rmsNorm(
        _ out: Tensor, rstd: Tensor, _ inp: Tensor, weight: Tensor?, weightOffset: Float, epsilon: Float
    ) {
        checkSame(out, inp)
        var target = matrix(out)
        var source = matrix(inp)
        attune_rms_norm(
            machine.pool, &target, floats(rstd, inp.rows), &source, optionalFloats(weight, inp.columns), weightOffset,
            epsilon)
    }

    /// `dinp = residual + d(inp)`; `dweight += d(weight)` when given.
    public func rmsNormBackward(
        _ dinp: Tensor, dweight: Tensor?, _ dout: Tensor, _ inp: Tensor, rstd: Tensor, weight: Tensor?,
        weightOffset: Float, residual: Tensor?
    ) {
        checkSame(dinp, inp)
        checkSame(dout, inp)
        if let residual { checkSame(residual, inp) }
        var target = matrix(dinp)
        var gradient = matrix(dout)
        var source = matrix(inp)
        withMatrix(residual) { residual in
            attune_rms_norm_backward(
                machine.pool, &target, optionalFloats(dweight, inp.columns), &gradient, &source, floats(rstd, inp.rows),
                optionalFloats(weight, inp.columns), weightOffset, residual)
        }
    }

    /// Rotates the first `2·pairs` elements of every head in place.
    public func rope(
        _ x: Tensor, headDimension: Int, cosine: Tensor, sine: Tensor, positions: [Int32], inverse: Bool
    ) {
        let pairs = cosine.columns
        precondition(
            x.columns % headDimension == 0 && 2 * pairs <= headDimension && positions.count == x.rows,
            "rope of \(x.shape) with heads of \(headDimension), \(pairs) pairs and \(positions.count) positions")
        precondition(
            cosine.dtype == .float32 && sine.dtype == .float32 && cosine.rowStride == sine.rowStride
                && cosine.rows == sine.rows && sine.columns == pairs, "rope tables differ")
        precondition(positions.allSatisfy { $0 >= 0 && $0 < cosine.rows }, "a position lies beyond the rope table")
        var view = matrix(x)
        attune_rope(
            machine.pool, &view, Int64(headDimension), cosine.address.assumingMemoryBound(to: Float.self),
            sine.address.assumingMemoryBound(to: Float.self), Int64(pairs), Int64(cosine.rowStride), positions,
            inverse ? 1 : 0)
    }
}

// MARK: Element-wise

extension ActivationFunction {
    /// The number C knows it by.
    var kernelNumber: Int32 {
        switch self {
        case .silu: Int32(ATTUNE_SILU)
        case .geluTanh: Int32(ATTUNE_GELU_TANH)
        case .gelu: Int32(ATTUNE_GELU)
        }
    }
}

extension CPUBackend {
    /// `out = f(gate)·up`.
    public func gatedActivation(_ out: Tensor, gate: Tensor, up: Tensor, _ function: ActivationFunction) {
        for tensor in [gate, up] {
            checkSame(out, tensor)
            precondition(tensor.dtype == out.dtype, "gated activation of several types")
        }
        var target = matrix(out)
        var left = matrix(gate)
        var right = matrix(up)
        attune_gated_activation(machine.pool, &target, &left, &right, function.kernelNumber)
    }

    /// `dgate`, `dup` from `dout`, and `out` recomputed when given.
    public func gatedActivationBackward(
        dgate: Tensor, dup: Tensor, out: Tensor?, _ dout: Tensor, gate: Tensor, up: Tensor,
        _ function: ActivationFunction
    ) {
        for tensor in [dup, dout, gate, up] + (out.map { [$0] } ?? []) {
            checkSame(dgate, tensor)
            precondition(tensor.dtype == dgate.dtype, "gated activation of several types")
        }
        var dgate = matrix(dgate)
        var dup = matrix(dup)
        var dout = matrix(dout)
        var gate = matrix(gate)
        var up = matrix(up)
        withMatrix(out) { out in
            attune_gated_activation_backward(
                machine.pool, &dgate, &dup, out, &dout, &gate, &up, function.kernelNumber)
        }
    }

    /// `out = a + scale·b`.
    public func add(_ out: Tensor, _ a: Tensor, _ b: Tensor, scale: Float) {
        checkSame(out, a)
        checkSame(out, b)
        var target = matrix(out)
        var left = matrix(a)
        var right = matrix(b)
        attune_add(machine.pool, &target, &left, &right, scale)
    }

    /// `out = inp·factor`.
    public func scale(_ out: Tensor, _ inp: Tensor, by factor: Float) {
        checkSame(out, inp)
        var target = matrix(out)
        var source = matrix(inp)
        attune_scale(machine.pool, &target, &source, factor)
    }

    /// `out[t, j] = inp[t, j]·vector[j]`.
    public func multiplyColumns(_ out: Tensor, _ inp: Tensor, _ vector: Tensor) {
        checkSame(out, inp)
        var target = matrix(out)
        var source = matrix(inp)
        attune_multiply_columns(machine.pool, &target, &source, floats(vector, inp.columns))
    }

    /// `x[t, j] += scale·vector[j]`.
    public func addRow(_ x: Tensor, _ vector: Tensor, scale: Float) {
        var target = matrix(x)
        attune_add_row(machine.pool, &target, floats(vector, x.columns), scale)
    }

    /// `dvector[j] += Σ_t a[t, j]·b[t, j]`.
    public func columnDot(_ dvector: Tensor, _ a: Tensor, _ b: Tensor) {
        checkSame(a, b)
        var left = matrix(a)
        var right = matrix(b)
        attune_column_dot(machine.pool, floats(dvector, a.columns), &left, &right, nil, 1)
    }

    /// `out = inp·mask/(1−rate)`.
    public func dropout(_ out: Tensor, _ inp: Tensor, rate: Float, key: RandomKey, _ segments: SegmentTable) {
        dropoutBackward(out, inp, rate: rate, key: key, segments, residual: nil)
    }

    /// `out = residual + inp·mask/(1−rate)`.
    public func dropoutBackward(
        _ out: Tensor, _ inp: Tensor, rate: Float, key: RandomKey, _ segments: SegmentTable, residual: Tensor?
    ) {
        checkSame(out, inp)
        precondition(segments.tokenCount == inp.rows && rate >= 0 && rate < 1, "dropout of \(inp.rows) rows at \(rate)")
        if let residual { checkSame(residual, out) }
        var target = matrix(out)
        var source = matrix(inp)
        let identities = rowIdentities(segments)
        withMatrix(residual) { residual in
            attune_dropout(
                machine.pool, &target, &source, residual, rate, key.kernelKey, segments.positions, identities)
        }
    }

    /// Adds uniform noise in ±`magnitude[t]` to row t.
    public func addUniformNoise(_ x: Tensor, magnitude: [Float], key: RandomKey, _ segments: SegmentTable) {
        precondition(segments.tokenCount == x.rows && magnitude.count == x.rows, "noise for \(x.rows) rows")
        var view = matrix(x)
        attune_add_uniform_noise(
            machine.pool, &view, magnitude, key.kernelKey, segments.positions, rowIdentities(segments))
    }

    /// The identity of every row's text.
    private func rowIdentities(_ segments: SegmentTable) -> [UInt64] {
        var identities: [UInt64] = []
        identities.reserveCapacity(segments.tokenCount)
        for segment in segments.segments {
            identities.append(contentsOf: repeatElement(segment.identity, count: segment.queries.count))
        }
        return identities
    }
}

extension RandomKey {
    /// The 64-bit key of the counter-based generator.
    var kernelKey: UInt64 { attune_random_key(seed, step, stream) }
}

// MARK: Embedding and head

extension CPUBackend {
    /// `out[t] = table[ids[t]]·scale`.
    public func embed(_ out: Tensor, table: Tensor, ids: [Int32], scale: Float) {
        check(ids, below: table.rows)
        precondition(out.rows == ids.count && out.columns == table.columns, "embedding of \(ids.count) ids")
        var target = matrix(out)
        var source = matrix(table)
        attune_gather_rows(machine.pool, &target, &source, ids, scale)
    }

    /// `out[t] = weight[ids[t]]·scale` of a dense packed weight.
    public func embed(_ out: Tensor, weight: any PackedWeight, ids: [Int32], scale: Float) {
        check(ids, below: weight.outFeatures)
        precondition(
            out.rows == ids.count && out.columns == weight.inFeatures && weight.quantization == nil,
            "embedding of \(ids.count) ids")
        var target = matrix(out)
        var view = cpuWeight(weight).view
        attune_gather_packed(machine.pool, &target, &view, ids, scale)
    }

    /// `dtable[ids[t]] += scale·dout[t]`, in row order.
    public func embedBackward(_ dtable: Tensor, _ dout: Tensor, ids: [Int32], scale: Float) {
        check(ids, below: dtable.rows)
        precondition(
            dtable.dtype == .float32 && dout.rows == ids.count && dout.columns == dtable.columns,
            "embedding gradient of \(ids.count) ids")
        var target = matrix(dtable)
        var source = matrix(dout)
        attune_embed_backward(machine.pool, &target, &source, ids, scale)
    }

    /// `out[i] = inp[rows[i]]`.
    public func gatherRows(_ out: Tensor, _ inp: Tensor, rows: [Int32]) {
        embed(out, table: inp, ids: rows, scale: 1)
    }

    /// `out[rows[i]] = inp[i]`.
    public func scatterRows(_ out: Tensor, _ inp: Tensor, rows: [Int32]) {
        check(rows, below: out.rows)
        precondition(inp.rows == rows.count && out.columns == inp.columns, "scatter of \(inp.rows) rows")
        var target = matrix(out)
        var source = matrix(inp)
        attune_scatter_rows(machine.pool, &target, &source, rows)
    }

    /// Losses, arg-max ids and gradient of rows of logits.
    public func crossEntropy(
        losses: Tensor, predictions: Tensor, dlogits: Tensor?, _ logits: Tensor, targets: [Int32],
        _ options: CrossEntropyOptions
    ) {
        precondition(
            targets.count == logits.rows && predictions.dtype == .int32 && predictions.count == logits.rows
                && predictions.isContiguous, "cross-entropy of \(logits.rows) rows with \(targets.count) targets")
        if let dlogits { checkSame(dlogits, logits) }
        var source = matrix(logits)
        withMatrix(dlogits) { dlogits in
            attune_cross_entropy(
                machine.pool, floats(losses, logits.rows), predictions.address.assumingMemoryBound(to: Int32.self),
                dlogits, &source, targets, options.logitScale, options.softcap, options.labelSmoothing,
                options.gradientScale)
        }
    }

    /// Applies the scale and softcap to logits in place.
    public func finishLogits(_ logits: Tensor, logitScale: Float, softcap: Float) {
        var view = matrix(logits)
        attune_finish_logits(machine.pool, &view, logitScale, softcap)
    }

    private func check(_ ids: [Int32], below count: Int) {
        precondition(ids.allSatisfy { $0 >= 0 && $0 < count }, "a row index lies outside 0..<\(count)")
    }
}
