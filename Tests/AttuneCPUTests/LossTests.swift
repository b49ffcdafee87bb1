import AttuneCPU
import AttuneTensor
import Foundation
import Testing

@Suite struct LossTests {
    private struct Truth {
        var loss: [Double] = []
        var gradient: [[Double]] = []
    }

    /// Cross-entropy of capped logits by its definition.
    private static func truth(_ logits: [[Double]], _ targets: [Int32], _ options: CrossEntropyOptions) -> Truth {
        var result = Truth()
        let (scale, cap, smooth) = (
            Double(options.logitScale), Double(options.softcap), Double(options.labelSmoothing)
        )
        for (row, target) in zip(logits, targets) {
            let z = row.map { cap > 0 ? cap * tanh($0 * scale / cap) : $0 * scale }
            let top = z.max() ?? 0
            let lse = top + log(z.reduce(0) { $0 + exp($1 - top) })
            let count = Double(row.count)
            let goal = row.indices.map { (1 - smooth) * ($0 == Int(target) ? 1 : 0) + smooth / count }
            result.loss.append(zip(goal, z).reduce(0) { $0 + $1.0 * (lse - $1.1) })
            result.gradient.append(
                row.indices.map { j in
                    let slope = cap > 0 ? 1 - (z[j] / cap) * (z[j] / cap) : 1
                    return (exp(z[j] - lse) - goal[j]) * slope * scale * Double(options.gradientScale)
                })
        }
        return result
    }

    @Test(arguments: LinearTests.cases) func crossEntropy(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for columns in [2, 7, 64, 1003, 2500] {
            for variant in 0..<3 {
                var options = CrossEntropyOptions()
                options.gradientScale = 0.5
                if variant > 0 { options.labelSmoothing = 0.1 }
                if variant > 1 { (options.logitScale, options.softcap) = (0.7, 4) }
                let logits = try randomTensor(6, columns, test.dtype, seed: 1, scale: 4)
                let targets: [Int32] = [0, Int32(columns - 1), Int32(columns / 2), 0, Int32(columns / 3), 0]
                let truth = Self.truth(doubles(logits), targets, options)
                let losses = try Tensor(zeros: [6])
                let predictions = try Tensor(zeros: [6], .int32)
                let values = doubles(logits)
                let finished = try Tensor(zeros: [6, columns], test.dtype)
                backend.copy(finished, logits)
                backend.finishLogits(finished, logitScale: options.logitScale, softcap: options.softcap)
                // In place.
                backend.crossEntropy(
                    losses: losses, predictions: predictions, dlogits: logits, logits, targets: targets, options)
                #expect(error(losses, [truth.loss]) < 1e-5, "\(columns) \(variant)")
                #expect(error(logits, truth.gradient) < 2 * Fixture.tolerance(test.dtype), "\(columns) \(variant)")
                let ids = UnsafeBufferPointer(
                    start: predictions.address.assumingMemoryBound(to: Int32.self), count: 6)
                for row in 0..<6 {
                    let best = values[row].max() ?? 0
                    if options.softcap == 0 { #expect(Int(ids[row]) == values[row].firstIndex(of: best)) }
                    #expect(values[row][Int(ids[row])] >= best - 0.05)
                }
                let capped = values.map { row in
                    row.map {
                        options.softcap > 0
                            ? Double(options.softcap) * tanh($0 * Double(options.logitScale) / Double(options.softcap))
                            : $0 * Double(options.logitScale)
                    }
                }
                #expect(error(finished, capped) < Fixture.tolerance(test.dtype))
            }
        }
    }

    /// The gradient in a narrower type takes the place of float32 logits: the bits it has elsewhere.
    @Test(arguments: LinearTests.cases) func gradientTakesThePlaceOfLogits(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for columns in [7, 2500] {
            let logits = try randomTensor(6, columns, .float32, seed: 1, scale: 4, gap: 16)
            let targets: [Int32] = [0, Int32(columns - 1), -100, 3, Int32(columns / 3), 0]
            let losses = try Tensor(zeros: [6])
            let predictions = try Tensor(zeros: [6], .int32)
            let apart = try Tensor(zeros: [6, columns], test.dtype)
            let place = Tensor(
                storage: logits.storage, byteOffset: logits.byteOffset, rows: 6, columns: columns, dtype: test.dtype,
                rowStride: logits.rowStride * 4 / test.dtype.byteWidth)
            for dlogits in [apart, place] {
                backend.crossEntropy(
                    losses: losses, predictions: predictions, dlogits: dlogits, logits, targets: targets,
                    CrossEntropyOptions())
            }
            #expect(place.floats() == apart.floats())
            #expect(place.floats().contains { $0 != 0 })
        }
    }

    @Test func extremeLogitsStayFinite() throws {
        let backend = try CPUBackend(threads: 1)
        let logits = try Tensor([-1e30, 1e30, 0, 3e38, -3e38, 3e38], shape: [2, 3])
        let losses = try Tensor(zeros: [2])
        let predictions = try Tensor(zeros: [2], .int32)
        backend.crossEntropy(
            losses: losses, predictions: predictions, dlogits: nil, logits, targets: [1, 2], CrossEntropyOptions())
        #expect(losses.floats()[0] == 0)
        #expect(abs(losses.floats()[1] - 0.6931472) < 1e30)
        let ids = UnsafeBufferPointer(start: predictions.address.assumingMemoryBound(to: Int32.self), count: 2)
        #expect(Array(ids) == [1, 0], "the first of equals")
    }
}
