/// A weight matrix in the layout its backend's kernels want; made by `Backend.pack`.
///
/// `weight` maps `inFeatures` to `outFeatures`: forward `y = x·Wᵀ`, input gradient `dx = dy·W`. One packed form serves both.
public protocol PackedWeight: AnyObject, Sendable {
    /// Rows of the matrix.
    var outFeatures: Int { get }
    /// Columns of the matrix.
    var inFeatures: Int { get }
    /// The type products are computed in; inputs and outputs of the linear operations have it.
    var computeType: DType { get }
    /// The number format of quantized weights, or `nil` for dense ones.
    var quantization: QuantizationFormat? { get }
    /// Bytes the packed form takes.
    var byteCount: Int { get }
}

/// A coarse copy of a weight, by which `linearMaximum` leaves out columns that cannot hold a row's largest value.
public protocol MaximumScreen: AnyObject, Sendable {
    /// Bytes of the copy.
    var byteCount: Int { get }
}

/// What a packed weight is made from.
public enum WeightSource: Sendable {
    /// A dense matrix [out, in] of a compute type.
    case dense(Tensor)
    /// A matrix in few bits.
    case quantized(QuantizedTensor)
}

/// A product added inside the tiles of another: `input·weightᵀ` (or `input·weight` in the input gradient).
public struct LowRankTerm {
    /// [T, r], of the compute type.
    public var input: Tensor
    /// In `linear`: [out, r] (LoRA's B). In `linearInputGradient`: [r, in] (LoRA's A).
    public var weight: any PackedWeight

    /// Joins the two.
    public init(input: Tensor, weight: any PackedWeight) {
        self.input = input
        self.weight = weight
    }
}

/// One of several products of the same input; the arguments of `Backend.linear`.
public struct LinearProduct {
    /// [T, out].
    public var out: Tensor
    /// [out, in].
    public var weight: any PackedWeight
    /// Float32 [out].
    public var bias: Tensor?
    /// What is added inside the tiles.
    public var extra: LowRankTerm?

    /// Joins them.
    public init(out: Tensor, weight: any PackedWeight, bias: Tensor?, extra: LowRankTerm?) {
        self.out = out
        self.weight = weight
        self.bias = bias
        self.extra = extra
    }
}

/// The sizes and rules of an attention.
public struct AttentionShape: Sendable, Equatable {
    /// Query heads.
    public var headCount: Int
    /// Key/value heads; divides `headCount`.
    public var kvHeadCount: Int
    /// Elements a head.
    public var headDimension: Int
    /// Factor on the scores (usually 1/√headDimension).
    public var scale: Float
    /// `softcap·tanh(score/softcap)` before the softmax when positive (Gemma 2).
    public var softcap: Float
    /// How many positions back a query sees, itself included; 0 for all (Mistral, Gemma).
    public var window: Int

    /// Collects the parts.
    public init(
        headCount: Int, kvHeadCount: Int, headDimension: Int, scale: Float, softcap: Float = 0, window: Int = 0
    ) {
        self.headCount = headCount
        self.kvHeadCount = kvHeadCount
        self.headDimension = headDimension
        self.scale = scale
        self.softcap = softcap
        self.window = window
    }
}

/// The function on the gate of a gated activation.
public enum ActivationFunction: Sendable, Equatable {
    /// x·sigmoid(x).
    case silu
    /// The tanh approximation of GELU.
    case geluTanh
    /// GELU by the error function.
    case gelu
}

/// What one cross-entropy call computes beside the gradient.
public struct CrossEntropyOptions: Sendable {
    /// Logits are multiplied by this first (Granite divides by `logits_scaling`).
    public var logitScale: Float = 1
    /// `softcap·tanh(logit/softcap)` after the scale when positive (Gemma 2).
    public var softcap: Float = 0
    /// ε of label smoothing: the target distribution is (1−ε)·onehot + ε/V.
    public var labelSmoothing: Float = 0
    /// dlogits are multiplied by this (1 / trained tokens of the step, times the loss scale).
    public var gradientScale: Float = 1
    /// Blocks of dlogits that are no larger than this before that factor may be left out of what is computed from them; 0 for
    /// none.
    public var negligible: Float = 0

    /// Plain cross-entropy.
    public init() {}
}

/// Hyperparameters of one AdamW step (Loshchilov & Hutter 2019), already corrected for bias.
public struct AdamWStep: Sendable {
    /// Learning rate.
    public var learningRate: Float
    /// Decay of the first moment.
    public var beta1: Float
    /// Decay of the second moment.
    public var beta2: Float
    /// Added to the denominator.
    public var epsilon: Float
    /// Decoupled: the parameter is multiplied by 1 − learningRate·weightDecay.
    public var weightDecay: Float
    /// Number of this step, from 1.
    public var step: Int
    /// Gradients are multiplied by this first (clipping and loss scale).
    public var gradientScale: Float

    /// Collects the parts.
    public init(
        learningRate: Float, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float, step: Int,
        gradientScale: Float
    ) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.step = step
        self.gradientScale = gradientScale
    }
}

/// Eight-bit block-wise moments as bitsandbytes keeps them: blocks of 256, m in the signed dynamic map, v in the unsigned.
public struct EightBitMoments: Sendable {
    /// First moment codes, uint8 [n].
    public var firstCodes: Tensor
    /// Second moment codes, uint8 [n].
    public var secondCodes: Tensor
    /// float32 [⌈n/256⌉].
    public var firstAbsmax: Tensor
    /// float32 [⌈n/256⌉].
    public var secondAbsmax: Tensor

    /// Collects the parts.
    public init(firstCodes: Tensor, secondCodes: Tensor, firstAbsmax: Tensor, secondAbsmax: Tensor) {
        self.firstCodes = firstCodes
        self.secondCodes = secondCodes
        self.firstAbsmax = firstAbsmax
        self.secondAbsmax = secondAbsmax
    }
}

/// Names a stream of random numbers: equal keys give equal numbers on any backend, thread count and packing.
public struct RandomKey: Sendable, Equatable {
    /// The seed of the run.
    public var seed: UInt64
    /// The optimizer step (or any counter).
    public var step: UInt64
    /// Which use of randomness, for example a layer's dropout.
    public var stream: UInt32

    /// Collects the parts.
    public init(seed: UInt64, step: UInt64, stream: UInt32) {
        self.seed = seed
        self.step = step
        self.stream = stream
    }
}

/// The operations a decoder is made of, forward and backward, on one device.
///
/// Conventions. `T` is the rows of a flat batch; matrices are row-major. Activations have the compute type (float32, bfloat16
/// or float16), statistics (`rstd`, `logSumExp`), losses, parameters' masters, gradients of parameters and moments are float32.
/// Every operation rounds once, when it stores; sums inside are float32. Outputs come first, then inputs. An output may be
/// the same tensor as an input where the documentation says *in place*. Shapes are the caller's duty and checked by
/// `precondition`. Results do not depend on the number of threads.
public protocol Backend: AnyObject, Sendable {
    /// For reports: `"cpu (avx512bf16, 2 threads)"`.
    var name: String { get }
    /// Where its storages lie.
    var device: Device { get }

    // MARK: Memory

    /// Zeroed memory on the device.
    func makeStorage(byteCount: Int) throws(TensorError) -> Storage
    /// Sets every byte to zero.
    func zero(_ tensor: Tensor)
    /// Copies elements, converting between compute types; both may have gaps between rows.
    func copy(_ out: Tensor, _ inp: Tensor)

    // MARK: Weights

    /// Lays a matrix out for the kernels. A dense source is rounded to `computeType`; quantized sources keep their bits.
    func pack(_ source: WeightSource, computeType: DType) throws(TensorError) -> any PackedWeight
    /// Writes new dense values into a packed weight of the same shape (after an optimizer step).
    func repack(_ weight: any PackedWeight, _ source: Tensor)
    /// The dense values of a packed weight, as float32 [out, in] or rounded to the type of `out`.
    func unpack(_ out: Tensor, _ weight: any PackedWeight)
    /// Quantizes a dense matrix bit for bit as bitsandbytes does; `blockSize` concerns the four-bit formats.
    func quantize(
        _ source: Tensor, format: QuantizationFormat, blockSize: Int, doubleQuantization: Bool
    ) throws(TensorError) -> QuantizedTensor
    /// The dense values of a quantized matrix, in float32 and then rounded to the type of `out`.
    func dequantize(_ out: Tensor, _ source: QuantizedTensor)

    // MARK: Linear

    /// `out = residual + scale·(inp·Wᵀ + bias + Σ extra.input·extra.weightᵀ)`, [T, out] from [T, in].
    ///
    /// `residual` may be `out` itself (accumulation). `out` may be float32 while the compute type is a half type (logits).
    /// `bias` is float32 [out].
    func linear(
        _ out: Tensor, _ inp: Tensor, _ weight: any PackedWeight, bias: Tensor?, extra: LowRankTerm?, scale: Float,
        residual: Tensor?)
    /// `linear` for each product, with the same input, scale and residual: what threads do for one they may do for all.
    func linearGroup(_ products: [LinearProduct], _ inp: Tensor, scale: Float, residual: Tensor?)
    /// Both products, of one input and equally wide, and `out = f(gate.out)·up.out`: `linearGroup` and `gatedActivation` in one.
    func gatedLinear(
        _ out: Tensor, gate: LinearProduct, up: LinearProduct, _ inp: Tensor, _ function: ActivationFunction)
    /// The screen of a weight, or `nil` where `linearMaximum` would gain nothing by one.
    func makeScreen(of weight: any PackedWeight) throws(TensorError) -> (any MaximumScreen)?
    /// `out = inp·Wᵀ`, float32 [T, out], where a row's largest value may lie, and −∞ in columns that cannot hold it.
    ///
    /// The largest value of every row and its place are those of `linear`, bit for bit. Pays for few rows.
    func linearMaximum(_ out: Tensor, _ inp: Tensor, _ weight: any PackedWeight, _ screen: any MaximumScreen)
    /// `dinp = residual + scale·(dout·W + Σ extra.input·extra.weight)`, [T, in] from [T, out].
    ///
    /// Where `negligible` is positive, parts of `dout` in which no element is larger may be left out.
    func linearInputGradient(
        _ dinp: Tensor, _ dout: Tensor, _ weight: any PackedWeight, extra: LowRankTerm?, scale: Float,
        residual: Tensor?, negligible: Float)
    /// `dweight += scale·doutᵀ·inp`, float32 [out, in] from [T, out] and [T, in].
    func linearWeightGradient(_ dweight: Tensor, _ dout: Tensor, _ inp: Tensor, scale: Float)
    /// `dvector += scale·Σ_t dout[t]`, float32 [out].
    func columnSum(_ dvector: Tensor, _ dout: Tensor, scale: Float)

    // MARK: Normalization

    /// `out = inp·rstd·(weightOffset + weight)` over the last dimension, `rstd = 1/√(mean(inp²) + epsilon)`.
    ///
    /// `weight` float32 [columns] or `nil` for none; `rstd` float32 [rows]. `inp` may be a column range.
    func rmsNorm(
        _ out: Tensor, rstd: Tensor, _ inp: Tensor, weight: Tensor?, weightOffset: Float, epsilon: Float)
    /// `dinp = residual + d(inp)`; `dweight += d(weight)` when given. `residual` may be `dinp` itself. In place: `dinp` may be `dout`.
    func rmsNormBackward(
        _ dinp: Tensor, dweight: Tensor?, _ dout: Tensor, _ inp: Tensor, rstd: Tensor, weight: Tensor?,
        weightOffset: Float, residual: Tensor?)

    // MARK: Position

    /// Rotates, in place, the first `2·pairs` elements of every head of `x` [T, heads·headDimension] (halves convention: element j with
    /// j + pairs). `cosine` and `sine` are float32 [positions, pairs], factors of long-context scalings included; row t uses
    /// line `positions[t]`. `inverse` rotates back (the backward pass).
    func rope(
        _ x: Tensor, headDimension: Int, cosine: Tensor, sine: Tensor, positions: [Int32], inverse: Bool)

    // MARK: Attention

    /// Causal attention of segments. `q`, `out` [T, heads·d]; `k`, `v` [rows, kvHeads·d] hold every row the segments' key ranges name.
    /// `logSumExp` float32 [T, heads] is kept for the backward pass (`nil` when there is none).
    func attention(
        _ out: Tensor, logSumExp: Tensor?, q: Tensor, k: Tensor, v: Tensor, _ segments: SegmentTable,
        _ shape: AttentionShape)
    /// Says that `attention` will soon read these keys and values, so that products before it may fetch them. Changes no result.
    func expectAttention(k: Tensor, v: Tensor, _ segments: SegmentTable, _ shape: AttentionShape)
    /// Gradients; `dk` and `dv` are overwritten with the sums over all queries that saw the row.
    func attentionBackward(
        dq: Tensor, dk: Tensor, dv: Tensor, _ dout: Tensor, out: Tensor, logSumExp: Tensor, q: Tensor, k: Tensor,
        v: Tensor, _ segments: SegmentTable, _ shape: AttentionShape)

    // MARK: Element-wise

    /// `out = f(gate)·up`. In place: `out` may be `gate` or `up`.
    func gatedActivation(_ out: Tensor, gate: Tensor, up: Tensor, _ function: ActivationFunction)
    /// `dgate`, `dup` from `dout`, and `out` recomputed when given. In place: `dgate` may be `gate`, `dup` may be `up`.
    func gatedActivationBackward(
        dgate: Tensor, dup: Tensor, out: Tensor?, _ dout: Tensor, gate: Tensor, up: Tensor,
        _ function: ActivationFunction)
    /// `out = a + scale·b`. In place: `out` may be either.
    func add(_ out: Tensor, _ a: Tensor, _ b: Tensor, scale: Float)
    /// `out = inp·factor`. In place: `out` may be `inp`.
    func scale(_ out: Tensor, _ inp: Tensor, by factor: Float)
    /// `out[t, j] = inp[t, j]·vector[j]`, vector float32 (DoRA). In place: `out` may be `inp`.
    func multiplyColumns(_ out: Tensor, _ inp: Tensor, _ vector: Tensor)
    /// `dvector[j] += Σ_t a[t, j]·b[t, j]`, float32 (DoRA's magnitude).
    func columnDot(_ dvector: Tensor, _ a: Tensor, _ b: Tensor)
    /// `x[t, j] += scale·vector[j]`, in place, vector float32.
    func addRow(_ x: Tensor, _ vector: Tensor, scale: Float)
    /// `out = inp·mask/(1−rate)`, the mask from (key, segment identity, position, column). In place: `out` may be `inp`.
    func dropout(_ out: Tensor, _ inp: Tensor, rate: Float, key: RandomKey, _ segments: SegmentTable)
    /// `out = residual + inp·mask/(1−rate)` with the mask of `dropout`; `residual` may be `out` (dropout's backward, added up).
    func dropoutBackward(
        _ out: Tensor, _ inp: Tensor, rate: Float, key: RandomKey, _ segments: SegmentTable, residual: Tensor?)
    /// Adds uniform noise in ±`magnitude[t]` to row t (NEFTune, Jain et al. 2023), from (key, segment identity, position, column).
    func addUniformNoise(_ x: Tensor, magnitude: [Float], key: RandomKey, _ segments: SegmentTable)

    // MARK: Embedding and head

    /// `out[t] = table[ids[t]]·scale`; `table` is a dense matrix of any compute type.
    func embed(_ out: Tensor, table: Tensor, ids: [Int32], scale: Float)
    /// The same with rows of a dense packed weight.
    func embed(_ out: Tensor, weight: any PackedWeight, ids: [Int32], scale: Float)
    /// `dtable[ids[t]] += scale·dout[t]`, float32, in row order.
    func embedBackward(_ dtable: Tensor, _ dout: Tensor, ids: [Int32], scale: Float)
    /// `out[i] = inp[rows[i]]`.
    func gatherRows(_ out: Tensor, _ inp: Tensor, rows: [Int32])
    /// `out[rows[i]] = inp[i]`; other rows of `out` stay.
    func scatterRows(_ out: Tensor, _ inp: Tensor, rows: [Int32])
    /// Losses of rows of logits [n, V], and their gradient when `dlogits` is given.
    ///
    /// In place where wanted: each row of `dlogits` may begin where that of `logits` does, in a type no wider.
    ///
    /// `losses` float32 [n] is −log p(target), smoothed where asked; `predictions` int32 [n] is the arg-max id (the first of equals).
    func crossEntropy(
        losses: Tensor, predictions: Tensor, dlogits: Tensor?, _ logits: Tensor, targets: [Int32],
        _ options: CrossEntropyOptions)
    /// Applies the scale and softcap to logits in place, as `crossEntropy` does before its softmax.
    func finishLogits(_ logits: Tensor, logitScale: Float, softcap: Float)

    // MARK: Optimizer

    /// Σ x², summed in float64 in a fixed order.
    func sumOfSquares(_ x: Tensor) -> Double
    /// One AdamW step on a float32 parameter; `gradient`, `first`, `second` have its shape.
    func adamW(_ parameter: Tensor, gradient: Tensor, first: Tensor, second: Tensor, _ step: AdamWStep)
    /// One AdamW step with eight-bit moments.
    func adamW8Bit(_ parameter: Tensor, gradient: Tensor, moments: EightBitMoments, _ step: AdamWStep)
    /// `parameter ← parameter·(1 − rate·decay) − rate·velocity`, `velocity = momentum·velocity + gradient·gradientScale` (SGD).
    func sgd(
        _ parameter: Tensor, gradient: Tensor, velocity: Tensor?, learningRate: Float, momentum: Float,
        weightDecay: Float, gradientScale: Float)
}

extension Backend {
    /// `linearInputGradient` of all of `dout`.
    public func linearInputGradient(
        _ dinp: Tensor, _ dout: Tensor, _ weight: any PackedWeight, extra: LowRankTerm?, scale: Float,
        residual: Tensor?
    ) {
        linearInputGradient(dinp, dout, weight, extra: extra, scale: scale, residual: residual, negligible: 0)
    }
}
