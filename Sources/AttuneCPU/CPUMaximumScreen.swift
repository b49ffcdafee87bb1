import AttuneTensor
import CAttuneKernels
import Synchronization

/// A weight in eight bits with bounds of what that leaves out; see `attune_screen` for the bytes.
final class CPUMaximumScreen: MaximumScreen {
    private let codes: Storage
    /// Three arrays of a float a padded row: scales, errors, norms.
    private let rows: Storage
    private let rowCount: Int
    private let revision: Int

    /// - Returns: `nil` for a weight with values that are not finite.
    init?(_ weight: CPUPackedWeight, _ backend: CPUBackend) throws(TensorError) {
        rowCount = (weight.outFeatures + 63) / 64 * 64
        revision = weight.revision.load(ordering: .relaxed)
        codes = try backend.makeStorage(byteCount: rowCount * (weight.inFeatures + 1) / 2 * 2)
        rows = try backend.makeStorage(byteCount: 3 * rowCount * 4)
        var view = weight.view
        guard
            attune_make_screen(
                backend.machine.pool, codes.address.assumingMemoryBound(to: Int8.self), array(0), array(1), array(2),
                &view) == 1
        else { return nil }
    }

    var byteCount: Int { codes.byteCount + rows.byteCount }

    /// Whether the weight is still the one this was made of.
    func holds(for weight: CPUPackedWeight) -> Bool { weight.revision.load(ordering: .relaxed) == revision }

    private func array(_ index: Int) -> UnsafeMutablePointer<Float> {
        rows.address.assumingMemoryBound(to: Float.self) + index * rowCount
    }

    /// What the kernels read.
    var view: attune_screen {
        attune_screen(
            codes: UnsafePointer(codes.address.assumingMemoryBound(to: Int8.self)), scales: array(0), errors: array(1),
            norms: array(2))
    }
}

extension CPUBackend {
    /// Below this the whole product takes no longer.
    private static let leastScreenedRows = 2048

    /// A screen of a dense weight of many rows, on machines with the instructions that make it pay.
    public func makeScreen(of weight: any PackedWeight) throws(TensorError) -> (any MaximumScreen)? {
        let weight = cpuWeight(weight)
        guard weight.quantization == nil, weight.outFeatures >= Self.leastScreenedRows,
            attune_machine_isa(machine.pool) >= InstructionSet.avx2.rawValue
        else { return nil }
        return try CPUMaximumScreen(weight, self)
    }

    /// `out = inp·Wᵀ` where a row's largest value may lie.
    public func linearMaximum(_ out: Tensor, _ inp: Tensor, _ weight: any PackedWeight, _ screen: any MaximumScreen) {
        guard let screen = screen as? CPUMaximumScreen else {
            preconditionFailure("the screen was made by another backend")
        }
        precondition(
            inp.columns == weight.inFeatures && out.columns == weight.outFeatures && out.rows == inp.rows
                && out.dtype == .float32,
            "linearMaximum [\(weight.outFeatures), \(weight.inFeatures)] from \(inp.shape) to \(out.shape)")
        guard screen.holds(for: cpuWeight(weight)) else {
            return linear(out, inp, weight, bias: nil, extra: nil, scale: 1, residual: nil)
        }
        var target = matrix(out)
        var source = matrix(inp)
        var view = cpuWeight(weight).view
        var screenView = screen.view
        attune_linear_maximum(machine.pool, &target, &source, &view, &screenView)
    }
}
