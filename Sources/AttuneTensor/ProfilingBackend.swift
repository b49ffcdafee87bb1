/// A backend that measures another: every operation runs on the inner one, and its time is added up by name.
///
/// `@unchecked Sendable`: a measured model is run by one owner, as any model is.
public final class ProfilingBackend: Backend, @unchecked Sendable {
    private let inner: any Backend
    private let clock = ContinuousClock()
    // By place of the operation: a name looked up in a dictionary hundreds of times a token would be part of what is measured.
    private var times = [Duration](repeating: .zero, count: Operation.allCases.count)

    /// Seconds by operation since the last `reset`.
    public var seconds: [String: Double] {
        var result: [String: Double] = [:]
        for (operation, time) in zip(Operation.allCases, times) where time > .zero {
            result[operation.name] = time / .seconds(1)
        }
        return result
    }

    /// Measures a backend.
    public init(_ inner: any Backend) { self.inner = inner }

    /// Forgets what was measured.
    public func reset() { for place in times.indices { times[place] = .zero } }

    /// The name of the measured backend.
    public var name: String { inner.name }
    /// Where the measured backend's storages lie.
    public var device: Device { inner.device }

    private enum Operation: Int, CaseIterable {
        case makeStorage, zero, copy, pack, repack, unpack, quantize, dequantize, linear, linearInputGradient,
            linearWeightGradient, columnSum, rmsNorm, rmsNormBackward, rope, attention, expectAttention,
            attentionBackward, gatedActivation, gatedActivationBackward, add, scale, multiplyColumns, columnDot,
            addRow, dropout, dropoutBackward, addUniformNoise, embed, embedBackward, gatherRows, scatterRows,
            crossEntropy, finishLogits, sumOfSquares, adamW, adamW8Bit, sgd

        var name: String { "\(self)" }
    }

    private func timed<Result, Failure: Error>(
        _ operation: Operation, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let start = clock.now
        defer { times[operation.rawValue] += clock.now - start }
        return try body()
    }

    /// Measured.
    public func makeStorage(byteCount: Int) throws(TensorError) -> Storage {
        try timed(.makeStorage) { () throws(TensorError) in try inner.makeStorage(byteCount: byteCount) }
    }

    /// Measured.
    public func zero(_ tensor: Tensor) {
        timed(.zero) { inner.zero(tensor) }
    }

    /// Measured.
    public func copy(_ out: Tensor, _ inp: Tensor) {
        timed(.copy) { inner.copy(out, inp) }
    }

    /// Measured.
    public func pack(_ source: WeightSource, computeType: DType) throws(TensorError) -> any PackedWeight {
        try timed(.pack) { () throws(TensorError) in try inner.pack(source, computeType: computeType) }
    }

    /// Measured.
    public func repack(_ weight: any PackedWeight, _ source: Tensor) {
        timed(.repack) { inner.repack(weight, source) }
    }

    /// Measured.
    public func unpack(_ out: Tensor, _ weight: any PackedWeight) {
        timed(.unpack) { inner.unpack(out, weight) }
    }

    /// Measured.
    public func quantize(_ source: Tensor, format: QuantizationFormat, blockSize: Int, doubleQuantization: Bool)
        throws(TensorError) -> QuantizedTensor
    {
        try timed(.quantize) { () throws(TensorError) in
            try inner.quantize(source, format: format, blockSize: blockSize, doubleQuantization: doubleQuantization)
        }
    }

    /// Measured.
    public func dequantize(_ out: Tensor, _ source: QuantizedTensor) {
        timed(.dequantize) { inner.dequantize(out, source) }
    }

    /// Measured.
    public func linear(
        _ out: Tensor, _ inp: Tensor, _ weight: any PackedWeight, bias: Tensor?, extra: LowRankTerm?, scale: Float,
        residual: Tensor?
    ) {
        timed(.linear) { inner.linear(out, inp, weight, bias: bias, extra: extra, scale: scale, residual: residual) }
    }

    /// Measured, as `linear`.
    public func linearGroup(_ products: [LinearProduct], _ inp: Tensor, scale: Float, residual: Tensor?) {
        timed(.linear) { inner.linearGroup(products, inp, scale: scale, residual: residual) }
    }

    /// The inner backend's.
    public func makeScreen(of weight: any PackedWeight) throws(TensorError) -> (any MaximumScreen)? {
        try inner.makeScreen(of: weight)
    }

    /// Measured, as `linear`.
    public func linearMaximum(_ out: Tensor, _ inp: Tensor, _ weight: any PackedWeight, _ screen: any MaximumScreen) {
        timed(.linear) { inner.linearMaximum(out, inp, weight, screen) }
    }

    /// Measured, with the activation in it.
    public func gatedLinear(
        _ out: Tensor, gate: LinearProduct, up: LinearProduct, _ inp: Tensor, _ function: ActivationFunction
    ) {
        timed(.linear) { inner.gatedLinear(out, gate: gate, up: up, inp, function) }
    }

    /// Measured.
    public func linearInputGradient(
        _ dinp: Tensor, _ dout: Tensor, _ weight: any PackedWeight, extra: LowRankTerm?, scale: Float,
        residual: Tensor?, negligible: Float
    ) {
        timed(.linearInputGradient) {
            inner.linearInputGradient(
                dinp, dout, weight, extra: extra, scale: scale, residual: residual, negligible: negligible)
        }
    }

    /// Measured.
    public func linearWeightGradient(_ dweight: Tensor, _ dout: Tensor, _ inp: Tensor, scale: Float) {
        timed(.linearWeightGradient) { inner.linearWeightGradient(dweight, dout, inp, scale: scale) }
    }

    /// Measured.
    public func columnSum(_ dvector: Tensor, _ dout: Tensor, scale: Float) {
        timed(.columnSum) { inner.columnSum(dvector, dout, scale: scale) }
    }

    /// Measured.
    public func rmsNorm(
        _ out: Tensor, rstd: Tensor, _ inp: Tensor, weight: Tensor?, weightOffset: Float, epsilon: Float
    ) {
        timed(.rmsNorm) {
            inner.rmsNorm(out, rstd: rstd, inp, weight: weight, weightOffset: weightOffset, epsilon: epsilon)
        }
    }

    /// Measured.
    public func rmsNormBackward(
        _ dinp: Tensor, dweight: Tensor?, _ dout: Tensor, _ inp: Tensor, rstd: Tensor, weight: Tensor?,
        weightOffset: Float, residual: Tensor?
    ) {
        timed(.rmsNormBackward) {
            inner.rmsNormBackward(
                dinp, dweight: dweight, dout, inp, rstd: rstd, weight: weight, weightOffset: weightOffset,
                residual: residual)
        }
    }

    /// Measured.
    public func rope(_ x: Tensor, headDimension: Int, cosine: Tensor, sine: Tensor, positions: [Int32], inverse: Bool) {
        timed(.rope) {
            inner.rope(
                x, headDimension: headDimension, cosine: cosine, sine: sine, positions: positions, inverse: inverse)
        }
    }

    /// Measured.
    public func attention(
        _ out: Tensor, logSumExp: Tensor?, q: Tensor, k: Tensor, v: Tensor, _ segments: SegmentTable,
        _ shape: AttentionShape
    ) {
        timed(.attention) { inner.attention(out, logSumExp: logSumExp, q: q, k: k, v: v, segments, shape) }
    }

    /// Measured.
    public func expectAttention(k: Tensor, v: Tensor, _ segments: SegmentTable, _ shape: AttentionShape) {
        timed(.expectAttention) { inner.expectAttention(k: k, v: v, segments, shape) }
    }

    /// Measured.
    public func attentionBackward(
        dq: Tensor, dk: Tensor, dv: Tensor, _ dout: Tensor, out: Tensor, logSumExp: Tensor, q: Tensor, k: Tensor,
        v: Tensor, _ segments: SegmentTable, _ shape: AttentionShape
    ) {
        timed(.attentionBackward) {
            inner.attentionBackward(
                dq: dq, dk: dk, dv: dv, dout, out: out, logSumExp: logSumExp, q: q, k: k, v: v, segments, shape)
        }
    }

    /// Measured.
    public func gatedActivation(_ out: Tensor, gate: Tensor, up: Tensor, _ function: ActivationFunction) {
        timed(.gatedActivation) { inner.gatedActivation(out, gate: gate, up: up, function) }
    }

    /// Measured.
    public func gatedActivationBackward(
        dgate: Tensor, dup: Tensor, out: Tensor?, _ dout: Tensor, gate: Tensor, up: Tensor,
        _ function: ActivationFunction
    ) {
        timed(.gatedActivationBackward) {
            inner.gatedActivationBackward(dgate: dgate, dup: dup, out: out, dout, gate: gate, up: up, function)
        }
    }

    /// Measured.
    public func add(_ out: Tensor, _ a: Tensor, _ b: Tensor, scale: Float) {
        timed(.add) { inner.add(out, a, b, scale: scale) }
    }

    /// Measured.
    public func scale(_ out: Tensor, _ inp: Tensor, by factor: Float) {
        timed(.scale) { inner.scale(out, inp, by: factor) }
    }

    /// Measured.
    public func multiplyColumns(_ out: Tensor, _ inp: Tensor, _ vector: Tensor) {
        timed(.multiplyColumns) { inner.multiplyColumns(out, inp, vector) }
    }

    /// Measured.
    public func columnDot(_ dvector: Tensor, _ a: Tensor, _ b: Tensor) {
        timed(.columnDot) { inner.columnDot(dvector, a, b) }
    }

    /// Measured.
    public func addRow(_ x: Tensor, _ vector: Tensor, scale: Float) {
        timed(.addRow) { inner.addRow(x, vector, scale: scale) }
    }

    /// Measured.
    public func dropout(_ out: Tensor, _ inp: Tensor, rate: Float, key: RandomKey, _ segments: SegmentTable) {
        timed(.dropout) { inner.dropout(out, inp, rate: rate, key: key, segments) }
    }

    /// Measured.
    public func dropoutBackward(
        _ out: Tensor, _ inp: Tensor, rate: Float, key: RandomKey, _ segments: SegmentTable, residual: Tensor?
    ) {
        timed(.dropoutBackward) { inner.dropoutBackward(out, inp, rate: rate, key: key, segments, residual: residual) }
    }

    /// Measured.
    public func addUniformNoise(_ x: Tensor, magnitude: [Float], key: RandomKey, _ segments: SegmentTable) {
        timed(.addUniformNoise) { inner.addUniformNoise(x, magnitude: magnitude, key: key, segments) }
    }

    /// Measured.
    public func embed(_ out: Tensor, table: Tensor, ids: [Int32], scale: Float) {
        timed(.embed) { inner.embed(out, table: table, ids: ids, scale: scale) }
    }

    /// Measured.
    public func embed(_ out: Tensor, weight: any PackedWeight, ids: [Int32], scale: Float) {
        timed(.embed) { inner.embed(out, weight: weight, ids: ids, scale: scale) }
    }

    /// Measured.
    public func embedBackward(_ dtable: Tensor, _ dout: Tensor, ids: [Int32], scale: Float) {
        timed(.embedBackward) { inner.embedBackward(dtable, dout, ids: ids, scale: scale) }
    }

    /// Measured.
    public func gatherRows(_ out: Tensor, _ inp: Tensor, rows: [Int32]) {
        timed(.gatherRows) { inner.gatherRows(out, inp, rows: rows) }
    }

    /// Measured.
    public func scatterRows(_ out: Tensor, _ inp: Tensor, rows: [Int32]) {
        timed(.scatterRows) { inner.scatterRows(out, inp, rows: rows) }
    }

    /// Measured.
    public func crossEntropy(
        losses: Tensor, predictions: Tensor, dlogits: Tensor?, _ logits: Tensor, targets: [Int32],
        _ options: CrossEntropyOptions
    ) {
        timed(.crossEntropy) {
            inner.crossEntropy(
                losses: losses, predictions: predictions, dlogits: dlogits, logits, targets: targets, options)
        }
    }

    /// Measured.
    public func finishLogits(_ logits: Tensor, logitScale: Float, softcap: Float) {
        timed(.finishLogits) { inner.finishLogits(logits, logitScale: logitScale, softcap: softcap) }
    }

    /// Measured.
    public func sumOfSquares(_ x: Tensor) -> Double {
        timed(.sumOfSquares) { inner.sumOfSquares(x) }
    }

    /// Measured.
    public func adamW(_ parameter: Tensor, gradient: Tensor, first: Tensor, second: Tensor, _ step: AdamWStep) {
        timed(.adamW) { inner.adamW(parameter, gradient: gradient, first: first, second: second, step) }
    }

    /// Measured.
    public func adamW8Bit(_ parameter: Tensor, gradient: Tensor, moments: EightBitMoments, _ step: AdamWStep) {
        timed(.adamW8Bit) { inner.adamW8Bit(parameter, gradient: gradient, moments: moments, step) }
    }

    /// Measured.
    public func sgd(
        _ parameter: Tensor, gradient: Tensor, velocity: Tensor?, learningRate: Float, momentum: Float,
        weightDecay: Float, gradientScale: Float
    ) {
        timed(.sgd) {
            inner.sgd(
                parameter, gradient: gradient, velocity: velocity, learningRate: learningRate, momentum: momentum,
                weightDecay: weightDecay, gradientScale: gradientScale)
        }
    }
}
