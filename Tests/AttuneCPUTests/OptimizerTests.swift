import AttuneCPU
import AttuneTensor
import Foundation
import Testing

@Suite struct OptimizerTests {
    private let count = 1003

    @Test(arguments: Fixture.instructionSets) func adamWFollowsItsDefinition(_ set: InstructionSet) throws {
        let backend = try CPUBackend(threads: 2, isa: set)
        let parameter = try randomTensor(1, count, .float32, seed: 1)
        let first = try Tensor(zeros: [1, count])
        let second = try Tensor(zeros: [1, count])
        var p = doubles(parameter)[0]
        var m = p.map { _ in 0.0 }
        var v = m
        for step in 1...5 {
            let gradient = try randomTensor(1, count, .float32, seed: UInt64(step + 10))
            backend.adamW(
                parameter, gradient: gradient, first: first, second: second,
                AdamWStep(
                    learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, step: step,
                    gradientScale: 0.5))
            let g = doubles(gradient)[0]
            for i in p.indices {
                let x = g[i] * 0.5
                p[i] *= 1 - 1e-2 * 0.1
                m[i] = 0.9 * m[i] + 0.1 * x
                v[i] = 0.999 * v[i] + 0.001 * x * x
                let bias1 = 1 - pow(0.9, Double(step))
                let bias2 = 1 - pow(0.999, Double(step))
                p[i] -= 1e-2 / bias1 * m[i] / (v[i].squareRoot() / bias2.squareRoot() + 1e-8)
            }
        }
        #expect(error(parameter, [p]) < 1e-6)
        #expect(error(first, [m]) < 1e-6)
        #expect(error(second, [v]) < 1e-5)
    }

    @Test func momentumDescent() throws {
        let backend = try CPUBackend(threads: 2)
        let parameter = try randomTensor(1, count, .float32, seed: 1)
        let velocity = try Tensor(zeros: [1, count])
        var p = doubles(parameter)[0]
        var u = p.map { _ in 0.0 }
        for step in 1...3 {
            let gradient = try randomTensor(1, count, .float32, seed: UInt64(step + 10))
            backend.sgd(
                parameter, gradient: gradient, velocity: velocity, learningRate: 0.1, momentum: 0.9, weightDecay: 0.01,
                gradientScale: 2)
            let g = doubles(gradient)[0]
            for i in p.indices {
                u[i] = 0.9 * u[i] + 2 * g[i]
                p[i] = p[i] * (1 - 0.1 * 0.01) - 0.1 * u[i]
            }
        }
        #expect(error(parameter, [p]) < 1e-6)
        #expect(error(velocity, [u]) < 1e-6)
    }

    /// Eight-bit moments stay within a step of the map of the exact ones.
    @Test func eightBitMomentsFollowTheExactOnes() throws {
        let backend = try CPUBackend(threads: 2)
        let exact = try randomTensor(1, count, .float32, seed: 1)
        let rounded = try randomTensor(1, count, .float32, seed: 1)
        let first = try Tensor(zeros: [1, count])
        let second = try Tensor(zeros: [1, count])
        let moments = EightBitMoments(
            firstCodes: try Tensor(zeros: [count], .uint8), secondCodes: try Tensor(zeros: [count], .uint8),
            firstAbsmax: try Tensor(zeros: [4]), secondAbsmax: try Tensor(zeros: [4]))
        let start = doubles(exact)
        for step in 1...4 {
            let gradient = try randomTensor(1, count, .float32, seed: UInt64(step + 10))
            let constants = AdamWStep(
                learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, step: step,
                gradientScale: 1)
            backend.adamW(exact, gradient: gradient, first: first, second: second, constants)
            backend.adamW8Bit(rounded, gradient: gradient, moments: moments, constants)
        }
        #expect(error(rounded, doubles(exact)) < 5e-3)
        #expect(error(exact, start) > 5e-3, "the steps move the parameter, so the comparison can fail")
    }
}
