import AttuneCPU
import AttuneTensor
import Foundation
import Testing

/// The polynomials behind exp, tanh and erf against the C library in float64, over their whole range.
@Suite struct FunctionTests {
    /// The largest error of `measured` in units of the last place of the truth.
    private func ulps(_ measured: [Float], _ truth: [Double]) -> Double {
        zip(measured, truth).reduce(0) { worst, pair in
            let unit = Double(max(abs(Float(pair.1)), 0x1p-120).ulp)
            let distance = abs(Double(pair.0) - pair.1) / unit
            return distance > worst || distance.isNaN ? (distance.isNaN ? .infinity : distance) : worst
        }
    }

    @Test(arguments: Fixture.instructionSets) func exponentialAndItsKin(_ set: InstructionSet) throws {
        let backend = try CPUBackend(threads: 1, isa: set)
        let count = 40_001
        let x = try Tensor(zeros: [1, count])
        fill(x) { Float($1 - 20_000) * 0.004 }
        let ones = try Tensor(zeros: [1, count])
        fill(ones) { _, _ in 1 }
        let out = try Tensor(zeros: [1, count])
        let values = doubles(x)[0]
        backend.gatedActivation(out, gate: x, up: ones, .silu)
        #expect(ulps(out.floats(), values.map { $0 / (1 + exp(-$0)) }) < 5)
        backend.copy(out, x)
        backend.finishLogits(out, logitScale: 0.125, softcap: 1)
        #expect(ulps(out.floats(), values.map { tanh($0 / 8) }) < 4)
        backend.gatedActivation(out, gate: x, up: ones, .gelu)
        let gelu = values.map { 0.5 * $0 * (1 + erf($0 / 2.squareRoot())) }
        // Far on the negative side 1 + erf cancels; the error is one of the sum, as in every float32 library.
        #expect(zip(out.floats(), gelu).allSatisfy { abs(Double($0) - $1) < 4e-7 * max(1, abs($1)) })
    }

    @Test(arguments: Fixture.instructionSets) func edges(_ set: InstructionSet) throws {
        let backend = try CPUBackend(threads: 1, isa: set)
        let x = try Tensor([.infinity, -.infinity, 200, -200, 0, .nan, 88.7, -88.7], shape: [1, 8])
        let ones = try Tensor([Float](repeating: 1, count: 8), shape: [1, 8])
        let out = try Tensor(zeros: [1, 8])
        backend.gatedActivation(out, gate: x, up: ones, .silu)
        let silu = out.floats()
        #expect(silu[0] == .infinity && silu[2] == 200 && abs(silu[3]) < 1e-30 && silu[4] == 0 && silu[5].isNaN)
        #expect(silu[6] == 88.7 && abs(silu[7]) < 1e-30)
        backend.copy(out, x)
        backend.finishLogits(out, logitScale: 1, softcap: 1)
        let tanh = out.floats()
        #expect(tanh[0] == 1 && tanh[1] == -1 && tanh[2] == 1 && tanh[3] == -1 && tanh[4] == 0 && tanh[5].isNaN)
    }
}
