import AttuneTensor
import CAttuneKernels

extension CPUBackend {
    /// `out = residual + scale·(inp·Wᵀ + bias + extra.input·extra.weightᵀ)`.
    public func linear(
        _ out: Tensor, _ inp: Tensor, _ weight: any PackedWeight, bias: Tensor?, extra: LowRankTerm?, scale: Float,
        residual: Tensor?
    ) {
        check(out, inp, weight, extra, residual)
        product(out, inp, weight, bias: bias, extra: extra, scale: scale, residual: residual, transposed: false)
    }

    /// `linear` for each product; those of few rows run as one.
    public func linearGroup(_ products: [LinearProduct], _ inp: Tensor, scale: Float, residual: Tensor?) {
        if products.count < 2 {
            guard let only = products.first else { return }
            linear(only.out, inp, only.weight, bias: only.bias, extra: only.extra, scale: scale, residual: residual)
            return
        }
        withArguments(products, inp, scale: scale, residual: residual) {
            attune_linear_group(machine.pool, $0, Int64(products.count))
        }
    }

    /// `linearGroup` of two, and the activation of what they give while it is at hand.
    public func gatedLinear(
        _ out: Tensor, gate: LinearProduct, up: LinearProduct, _ inp: Tensor, _ function: ActivationFunction
    ) {
        for tensor in [gate.out, up.out] {
            checkSame(out, tensor)
            precondition(tensor.dtype == out.dtype, "gated products of several types")
        }
        withArguments([gate, up], inp, scale: 1, residual: nil) { arguments in
            var target = matrix(out)
            attune_gated_linear(machine.pool, &target, arguments, function.kernelNumber)
        }
    }

    /// Calls `body` with the C views of some products.
    private func withArguments(
        _ products: [LinearProduct], _ inp: Tensor, scale: Float, residual: Tensor?,
        _ body: ([attune_linear_arguments]) -> Void
    ) {
        // The C arguments point at one another, so all views are made before any pointer.
        var views = products.map { matrix($0.out) }
        views.append(matrix(inp))
        if let residual { views.append(matrix(residual)) }
        let firstExtra = views.count
        var weights: [attune_weight] = []
        for product in products {
            check(product.out, inp, product.weight, product.extra, residual)
            weights.append(cpuWeight(product.weight).view)
            if let extra = product.extra {
                views.append(matrix(extra.input))
                weights.append(cpuWeight(extra.weight).view)
            }
        }
        views.withUnsafeBufferPointer { views in
            weights.withUnsafeBufferPointer { weights in
                guard let view = views.baseAddress, var weight = weights.baseAddress else { return }
                var extra = view + firstExtra
                let arguments = products.enumerated().map { index, product in
                    var arguments = attune_linear_arguments()
                    arguments.out = view + index
                    arguments.inp = view + products.count
                    arguments.residual = residual == nil ? nil : view + products.count + 1
                    arguments.bias = UnsafePointer(optionalFloats(product.bias, product.weight.outFeatures))
                    arguments.scale = scale
                    arguments.weight = weight
                    weight += 1
                    if product.extra != nil {
                        arguments.extra_inp = extra
                        arguments.extra_weight = weight
                        extra += 1
                        weight += 1
                    }
                    return arguments
                }
                body(arguments)
            }
        }
    }

    private func check(
        _ out: Tensor, _ inp: Tensor, _ weight: any PackedWeight, _ extra: LowRankTerm?, _ residual: Tensor?
    ) {
        precondition(
            inp.columns == weight.inFeatures && out.columns == weight.outFeatures && out.rows == inp.rows,
            "linear [\(weight.outFeatures), \(weight.inFeatures)] from \(inp.shape) to \(out.shape)")
        if let residual { checkSame(residual, out) }
        guard let extra else { return }
        precondition(
            extra.weight.outFeatures == weight.outFeatures && extra.weight.inFeatures == extra.input.columns
                && extra.input.rows == inp.rows && extra.weight.computeType == weight.computeType,
            "low-rank term of another shape or type")
    }

    /// `dinp = residual + scale·(dout·W + extra.input·extra.weight)`.
    public func linearInputGradient(
        _ dinp: Tensor, _ dout: Tensor, _ weight: any PackedWeight, extra: LowRankTerm?, scale: Float,
        residual: Tensor?, negligible: Float
    ) {
        precondition(
            dout.columns == weight.outFeatures && dinp.columns == weight.inFeatures,
            "input gradient of [\(weight.outFeatures), \(weight.inFeatures)] from \(dout.shape) to \(dinp.shape)")
        if let extra {
            precondition(
                extra.weight.inFeatures == weight.inFeatures && extra.weight.outFeatures == extra.input.columns,
                "low-rank term of another shape")
        }
        product(
            dinp, dout, weight, bias: nil, extra: extra, scale: scale, residual: residual, transposed: true,
            negligible: negligible)
    }

    private func product(
        _ out: Tensor, _ inp: Tensor, _ weight: any PackedWeight, bias: Tensor?, extra: LowRankTerm?, scale: Float,
        residual: Tensor?, transposed: Bool, negligible: Float = 0
    ) {
        precondition(out.rows == inp.rows, "\(inp.rows) rows in, \(out.rows) rows out")
        if let residual { checkSame(residual, out) }
        if let extra {
            precondition(extra.input.rows == inp.rows, "low-rank term has \(extra.input.rows) rows")
            precondition(extra.weight.computeType == weight.computeType, "low-rank term of another type")
        }
        withUnsafePointer(to: matrix(out)) { out in
            withUnsafePointer(to: matrix(inp)) { inp in
                withUnsafePointer(to: cpuWeight(weight).view) { view in
                    withMatrix(residual) { residual in
                        var arguments = attune_linear_arguments()
                        arguments.out = out
                        arguments.inp = inp
                        arguments.weight = view
                        arguments.residual = residual
                        arguments.bias = UnsafePointer(optionalFloats(bias, weight.outFeatures))
                        arguments.scale = scale
                        arguments.transposed = transposed ? 1 : 0
                        arguments.negligible = negligible
                        guard let extra else {
                            attune_linear(machine.pool, &arguments)
                            return
                        }
                        withUnsafePointer(to: matrix(extra.input)) { input in
                            withUnsafePointer(to: cpuWeight(extra.weight).view) { view in
                                arguments.extra_inp = input
                                arguments.extra_weight = view
                                attune_linear(machine.pool, &arguments)
                            }
                        }
                    }
                }
            }
        }
    }

    /// `dweight += scale·doutᵀ·inp`.
    public func linearWeightGradient(_ dweight: Tensor, _ dout: Tensor, _ inp: Tensor, scale: Float) {
        precondition(
            dweight.dtype == .float32 && dweight.rows == dout.columns && dweight.columns == inp.columns
                && dout.rows == inp.rows,
            "weight gradient \(dweight.shape) from \(dout.shape) and \(inp.shape)")
        var target = matrix(dweight)
        var left = matrix(dout)
        var right = matrix(inp)
        attune_weight_gradient(machine.pool, &target, &left, &right, scale)
    }

    /// `dvector += scale·Σ_t dout[t]`.
    public func columnSum(_ dvector: Tensor, _ dout: Tensor, scale: Float) {
        var source = matrix(dout)
        attune_column_dot(machine.pool, floats(dvector, dout.columns), &source, nil, nil, scale)
    }
}
