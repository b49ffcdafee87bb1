import AttuneTensor

/// `y = x / √(mean(x²) + ε) · (offset + weight)` (Zhang & Sennrich 2019). The kernels are `Backend.rmsNorm` and `rmsNormBackward`.
final class RMSNorm {
    let name: String
    /// float32 [width].
    var weight: Tensor
    let offset: Float
    let epsilon: Float
    /// The weight as a parameter, when it is trained.
    var parameter: Parameter?

    init(name: String, weight: Tensor, offset: Float, epsilon: Float) {
        self.name = name
        self.weight = weight
        self.offset = offset
        self.epsilon = epsilon
    }

    func forward(_ out: Tensor, rstd: Tensor, _ inp: Tensor, _ backend: any Backend) {
        backend.rmsNorm(out, rstd: rstd, inp, weight: weight, weightOffset: offset, epsilon: epsilon)
    }

    func backward(
        _ dinp: Tensor, _ dout: Tensor, _ inp: Tensor, rstd: Tensor, residual: Tensor?, _ backend: any Backend
    ) {
        backend.rmsNormBackward(
            dinp, dweight: parameter?.gradient, dout, inp, rstd: rstd, weight: weight, weightOffset: offset,
            residual: residual)
    }
}
