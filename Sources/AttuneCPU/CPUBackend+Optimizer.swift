import AttuneTensor
import CAttuneKernels

extension CPUBackend {
    /// Σ x² in float64.
    public func sumOfSquares(_ x: Tensor) -> Double {
        let dense = x.isContiguous ? x.reshaped([x.count]) : x
        var view = matrix(dense)
        return attune_sum_of_squares(machine.pool, &view)
    }

    /// One AdamW step.
    public func adamW(_ parameter: Tensor, gradient: Tensor, first: Tensor, second: Tensor, _ step: AdamWStep) {
        let count = parameter.count
        var constants = step.kernelStep
        attune_adamw(
            machine.pool, floats(parameter, count), floats(gradient, count), floats(first, count),
            floats(second, count), Int64(count), &constants)
    }

    /// One AdamW step with eight-bit moments.
    public func adamW8Bit(_ parameter: Tensor, gradient: Tensor, moments: EightBitMoments, _ step: AdamWStep) {
        let count = parameter.count
        let blocks = (count + 255) / 256
        precondition(
            moments.firstCodes.count == count && moments.secondCodes.count == count
                && moments.firstCodes.isContiguous && moments.secondCodes.isContiguous
                && moments.firstCodes.dtype == .uint8 && moments.secondCodes.dtype == .uint8,
            "eight-bit moments of another size")
        var constants = step.kernelStep
        attune_adamw_8bit(
            machine.pool, floats(parameter, count), floats(gradient, count),
            moments.firstCodes.address.assumingMemoryBound(to: UInt8.self),
            moments.secondCodes.address.assumingMemoryBound(to: UInt8.self), floats(moments.firstAbsmax, blocks),
            floats(moments.secondAbsmax, blocks), Int64(count), &constants)
    }

    /// One SGD step.
    public func sgd(
        _ parameter: Tensor, gradient: Tensor, velocity: Tensor?, learningRate: Float, momentum: Float,
        weightDecay: Float, gradientScale: Float
    ) {
        let count = parameter.count
        attune_sgd(
            machine.pool, floats(parameter, count), floats(gradient, count), optionalFloats(velocity, count),
            Int64(count),
            learningRate, momentum, weightDecay, gradientScale)
    }
}

extension AdamWStep {
    /// The step as C takes it.
    var kernelStep: attune_adamw_step {
        precondition(step >= 1, "optimizer steps count from 1")
        return attune_adamw_step(
            learning_rate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weight_decay: weightDecay,
            gradient_scale: gradientScale, step: Int64(step))
    }
}
