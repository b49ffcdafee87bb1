import AttuneTensor

/// The low-rank matrices of one projection (LoRA, Hu et al. 2021).
///
/// `y = W·x + scale·B·(A·x)`; with a magnitude m (DoRA, Liu et al. 2024)
/// `y = g ⊙ (W·x + scale·B·(A·x))`, `g = m / ‖W + scale·B·A‖` by rows, the norm held constant in the gradient.
final class LowRankPair {
    let rank: Int
    let scale: Float
    /// [rank, in]; rows of the group's panel.
    let a: Parameter
    /// [out, rank].
    let b: Parameter
    /// [out]; only with DoRA.
    let magnitude: Parameter?
    /// scale·B in the compute type.
    let packedB: any PackedWeight
    /// Columns of the group's U that belong to this pair.
    let columns: Range<Int>
    /// ‖W‖² by rows, for DoRA's norm.
    let squaredWeightNorms: [Float]
    /// g = m/‖W + scale·B·A‖ and 1/‖·‖, float32 [out]; only with DoRA.
    let gain: Tensor?
    let inverseNorm: Tensor?

    init(
        rank: Int, scale: Float, a: Parameter, b: Parameter, magnitude: Parameter?, packedB: any PackedWeight,
        columns: Range<Int>, squaredWeightNorms: [Float], gain: Tensor?, inverseNorm: Tensor?
    ) {
        self.rank = rank
        self.scale = scale
        self.a = a
        self.b = b
        self.magnitude = magnitude
        self.packedB = packedB
        self.columns = columns
        self.squaredWeightNorms = squaredWeightNorms
        self.gain = gain
        self.inverseNorm = inverseNorm
    }
}

/// One adapter's matrices for the projections that share an input: their A's stacked into one panel, so that
/// `U = X·Aᵀ` and `dA = dUᵀ·X` are one product for the group.
final class GroupAdapter {
    /// One entry a projection of the group; `nil` where the adapter does not reach.
    let pairs: [LowRankPair?]
    /// [Σ rank, in], float32.
    let panel: Tensor
    /// Its gradient; allocated when training starts.
    var panelGradient: Tensor?
    /// The panel in the compute type.
    let packedPanel: any PackedWeight
    let dropout: Float

    var rankSum: Int { panel.rows }
    var usesDoRA: Bool { pairs.contains { $0?.magnitude != nil } }

    init(pairs: [LowRankPair?], panel: Tensor, packedPanel: any PackedWeight, dropout: Float) {
        self.pairs = pairs
        self.panel = panel
        self.packedPanel = packedPanel
        self.dropout = dropout
    }

    var parameters: [Parameter] { pairs.compactMap { $0 }.flatMap { [$0.a, $0.b] + [$0.magnitude].compactMap { $0 } } }

    func prepareGradients(on backend: any Backend) throws(TensorError) {
        if panelGradient == nil { panelGradient = try backend.makeTensor(panel.shape, .float32) }
        for pair in pairs.compactMap({ $0 }) {
            pair.a.gradient = panelGradient?.rows(pair.columns)
            try pair.b.prepareGradient(on: backend)
            try pair.magnitude?.prepareGradient(on: backend)
        }
    }

    /// Brings the packed copies up to date with the masters, after loading or an optimizer step.
    func refresh(_ projections: [Projection], on backend: any Backend) throws(TensorError) {
        backend.repack(packedPanel, panel)
        for (pair, projection) in zip(pairs, projections) {
            guard let pair else { continue }
            let scaled = try backend.makeTensor(pair.b.value.shape, .float32)
            backend.scale(scaled, pair.b.value, by: pair.scale)
            backend.repack(pair.packedB, scaled)
            if let magnitude = pair.magnitude { try refreshGain(pair, magnitude, projection, on: backend) }
        }
    }

    /// ‖w_i + s·B_i·A‖² = ‖w_i‖² + 2s·(w_i·Aᵀ)·B_i + s²·B_i·(A·Aᵀ)·B_i, row by row.
    private func refreshGain(
        _ pair: LowRankPair, _ magnitude: Parameter, _ projection: Projection, on backend: any Backend
    ) throws(TensorError) {
        guard let gain = pair.gain, let inverseNorm = pair.inverseNorm else { return }
        let (rank, out) = (pair.rank, projection.outFeatures)
        let typed = try backend.makeTensor(pair.a.value.shape, projection.weight.computeType)
        backend.copy(typed, pair.a.value)
        let product = try backend.makeTensor([rank, out], .float32)
        backend.linear(product, typed, projection.weight, bias: nil, extra: nil, scale: 1, residual: nil)
        let cross = product.floats()
        let a = pair.a.value.floats()
        let b = pair.b.value.floats()
        let columns = projection.inFeatures
        var gram = [Float](repeating: 0, count: rank * rank)
        for i in 0..<rank {
            for j in 0...i {
                var sum: Float = 0
                for k in 0..<columns { sum += a[i * columns + k] * a[j * columns + k] }
                gram[i * rank + j] = sum
                gram[j * rank + i] = sum
            }
        }
        let m = magnitude.value.floats()
        var inverse = [Float](repeating: 0, count: out)
        for row in 0..<out {
            var linear: Float = 0
            var quadratic: Float = 0
            for i in 0..<rank {
                let bi = b[row * rank + i]
                linear += cross[i * out + row] * bi
                for j in 0..<rank { quadratic += bi * gram[i * rank + j] * b[row * rank + j] }
            }
            let squared =
                pair.squaredWeightNorms[row] + 2 * pair.scale * linear + pair.scale * pair.scale * quadratic
            inverse[row] = 1 / max(squared, 1e-20).squareRoot()
        }
        backend.copy(inverseNorm, try Tensor(inverse, shape: [out]))
        backend.copy(gain, try Tensor(zip(m, inverse).map { $0 * $1 }, shape: [out]))
    }
}
