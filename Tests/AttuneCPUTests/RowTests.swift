import AttuneCPU
import AttuneTensor
import Foundation
import Testing

@Suite struct RowTests {
    static let shapes = [(1, 1), (5, 17), (3, 64), (17, 576), (2, 1003), (3, 2050), (70, 80)]

    private static func normed(_ x: [[Double]], _ w: [Double]?, _ offset: Double, _ epsilon: Double) -> [[Double]] {
        x.map { row -> [Double] in
            let squares = row.reduce(0) { $0 + $1 * $1 }
            let rstd = 1 / (squares / Double(row.count) + epsilon).squareRoot()
            return row.enumerated().map { (j, value) -> Double in
                guard let w else { return value * rstd }
                return value * rstd * (offset + w[j])
            }
        }
    }

    @Test(arguments: LinearTests.cases) func rmsNorm(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (rows, columns) in Self.shapes {
            let x = try randomTensor(rows, columns, test.dtype, seed: 1, gap: 2)
            let w = try randomTensor(1, columns, .float32, seed: 2)
            let out = try Tensor(zeros: [rows, columns], test.dtype)
            let rstd = try Tensor(zeros: [rows])
            backend.rmsNorm(out, rstd: rstd, x, weight: w, weightOffset: 1, epsilon: 1e-5)
            let truth = Self.normed(doubles(x), doubles(w)[0], 1, 1e-5)
            #expect(error(out, truth) < Fixture.tolerance(test.dtype), "\(rows) \(columns)")
            backend.rmsNorm(out, rstd: rstd, x, weight: nil, weightOffset: 0, epsilon: 1e-5)
            #expect(error(out, Self.normed(doubles(x), nil, 0, 1e-5)) < Fixture.tolerance(test.dtype))

            // Backward, in place over dout, by the quotient rule in float64.
            backend.rmsNorm(out, rstd: rstd, x, weight: w, weightOffset: 1, epsilon: 1e-5)
            let dout = try randomTensor(rows, columns, test.dtype, seed: 4)
            let residual = try randomTensor(rows, columns, test.dtype, seed: 5)
            let dweight = try randomTensor(1, columns, .float32, seed: 6)
            let before = doubles(dweight)[0]
            let (g, xs, ws, base) = (doubles(dout), doubles(x), doubles(w)[0], doubles(residual))
            backend.rmsNormBackward(
                dout, dweight: dweight, dout, x, rstd: rstd, weight: w, weightOffset: 1, residual: residual)
            var dw = before
            let dx = xs.indices.map { t -> [Double] in
                let r = 1 / (xs[t].reduce(0) { $0 + $1 * $1 } / Double(columns) + 1e-5).squareRoot()
                let dot = xs[t].indices.reduce(0.0) { $0 + g[t][$1] * (1 + ws[$1]) * xs[t][$1] }
                for j in xs[t].indices { dw[j] += g[t][j] * xs[t][j] * r }
                return xs[t].indices.map { j in
                    base[t][j] + r * (g[t][j] * (1 + ws[j]) - xs[t][j] * dot * r * r / Double(columns))
                }
            }
            #expect(error(dout, dx) < 2 * Fixture.tolerance(test.dtype), "\(rows) \(columns)")
            #expect(error(dweight, [dw]) < 1e-5, "\(rows) \(columns)")
        }
    }

    @Test(arguments: LinearTests.cases) func rope(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (heads, dimension, pairs) in [(3, 64, 32), (2, 80, 16), (1, 8, 3)] {
            let x = try randomTensor(9, heads * dimension, test.dtype, seed: 1, gap: 2)
            let before = doubles(x)
            let positions: [Int32] = [0, 1, 2, 3, 0, 5, 19, 7, 1]
            let cosine = try Tensor(zeros: [20, pairs])
            let sine = try Tensor(zeros: [20, pairs])
            fill(cosine) { cos(Float($0) * pow(0.1, Float($1))) }
            fill(sine) { sin(Float($0) * pow(0.1, Float($1))) }
            backend.rope(x, headDimension: dimension, cosine: cosine, sine: sine, positions: positions, inverse: false)
            var truth = before
            for row in 0..<9 {
                for head in 0..<heads {
                    for j in 0..<pairs {
                        let angle = Double(positions[row]) * pow(0.1, Double(j))
                        let (a, b) = (before[row][head * dimension + j], before[row][head * dimension + j + pairs])
                        truth[row][head * dimension + j] = a * cos(angle) - b * sin(angle)
                        truth[row][head * dimension + j + pairs] = b * cos(angle) + a * sin(angle)
                    }
                }
            }
            #expect(error(x, truth) < Fixture.tolerance(test.dtype))
            backend.rope(x, headDimension: dimension, cosine: cosine, sine: sine, positions: positions, inverse: true)
            #expect(error(x, before) < 2 * Fixture.tolerance(test.dtype))
        }
    }

    static let functions: [ActivationFunction] = [.silu, .geluTanh, .gelu]

    private static func value(_ x: Double, _ function: ActivationFunction) -> Double {
        switch function {
        case .silu: x / (1 + exp(-x))
        case .geluTanh: 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
        case .gelu: 0.5 * x * (1 + erf(x / 2.squareRoot()))
        }
    }

    @Test(arguments: LinearTests.cases) func gatedActivations(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for function in Self.functions {
            for (rows, columns) in Self.shapes {
                let gate = try randomTensor(rows, columns, test.dtype, seed: 1, scale: 3)
                let up = try randomTensor(rows, columns, test.dtype, seed: 2, gap: 2)
                let dout = try randomTensor(rows, columns, test.dtype, seed: 3)
                let out = try Tensor(zeros: [rows, columns], test.dtype)
                backend.gatedActivation(out, gate: gate, up: up, function)
                let (g, u, d) = (doubles(gate), doubles(up), doubles(dout))
                func map(_ body: (Double, Double, Double) -> Double) -> [[Double]] {
                    g.indices.map { t in g[t].indices.map { body(g[t][$0], u[t][$0], d[t][$0]) } }
                }
                let truth = map { g, u, _ in Self.value(g, function) * u }
                #expect(error(out, truth) < Fixture.tolerance(test.dtype), "\(function)")
                let again = try Tensor(zeros: [rows, columns], test.dtype)
                let h = 1e-5
                let dgate = map { g, u, d in
                    d * u * (Self.value(g + h, function) - Self.value(g - h, function)) / (2 * h)
                }
                let dup = map { g, _, d in d * Self.value(g, function) }
                // In place over gate and up.
                backend.gatedActivationBackward(
                    dgate: gate, dup: up, out: again, dout, gate: gate, up: up, function)
                #expect(error(again, truth) < Fixture.tolerance(test.dtype), "\(function)")
                #expect(error(gate, dgate) < 2 * Fixture.tolerance(test.dtype), "\(function)")
                #expect(error(up, dup) < 2 * Fixture.tolerance(test.dtype), "\(function)")
            }
        }
    }

    @Test(arguments: LinearTests.cases) func elementsAndColumns(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (rows, columns) in Self.shapes {
            let a = try randomTensor(rows, columns, test.dtype, seed: 1, gap: 4)
            let b = try randomTensor(rows, columns, test.dtype, seed: 2)
            let w = try randomTensor(1, columns, .float32, seed: 3)
            let out = try Tensor(zeros: [rows, columns], test.dtype)
            let (x, y, v) = (doubles(a), doubles(b), doubles(w)[0])
            let tolerance = Fixture.tolerance(test.dtype)
            backend.add(out, a, b, scale: -2)
            #expect(error(out, x.indices.map { t in v.indices.map { x[t][$0] - 2 * y[t][$0] } }) < tolerance)
            backend.scale(out, a, by: 3)
            #expect(error(out, x.indices.map { t in v.indices.map { 3 * x[t][$0] } }) < tolerance)
            backend.multiplyColumns(out, a, w)
            #expect(error(out, x.indices.map { t in v.indices.map { x[t][$0] * v[$0] } }) < tolerance)
            backend.copy(out, a)
            #expect(bytes(out) == bytes(a))
            let wide = try Tensor(zeros: [rows, columns])
            backend.copy(wide, a)
            #expect(doubles(wide) == x)
            backend.zero(a)
            #expect(doubles(a).allSatisfy { $0.allSatisfy { $0 == 0 } })
            let sums = try randomTensor(1, columns, .float32, seed: 4)
            let before = doubles(sums)[0]
            backend.columnSum(sums, b, scale: 2)
            #expect(error(sums, [v.indices.map { j in before[j] + 2 * y.reduce(0) { $0 + $1[j] } }]) < 1e-5)
            let dots = try randomTensor(1, columns, .float32, seed: 4)
            backend.columnDot(dots, wide, b)
            let expected = v.indices.map { j in
                before[j] + x.indices.reduce(0.0) { $0 + x[$1][j] * y[$1][j] }
            }
            #expect(error(dots, [expected]) < 1e-5)
            let squares = x.reduce(0.0) { $0 + $1.reduce(0) { $0 + $1 * $1 } }
            #expect(abs(backend.sumOfSquares(wide) - squares) <= 1e-12 * squares)
        }
    }

    @Test(arguments: LinearTests.cases) func embeddingAndRows(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        let table = try randomTensor(11, 130, test.dtype, seed: 1)
        let ids: [Int32] = [3, 0, 10, 3, 3]
        let out = try Tensor(zeros: [5, 130], test.dtype)
        backend.embed(out, table: table, ids: ids, scale: 2)
        let rows = doubles(table)
        #expect(error(out, ids.map { rows[Int($0)].map { 2 * $0 } }) < Fixture.tolerance(test.dtype))
        // A packed table gives the same bits, of odd widths and behind its first panel too.
        for (count, columns) in [(11, 130), (150, 1029)] {
            let table = try randomTensor(count, columns, test.dtype, seed: 1)
            let packed = try backend.pack(.dense(table), computeType: test.dtype)
            let ids: [Int32] = [3, 0, Int32(count - 1), 3, 7]
            for (scale, type) in [(1, test.dtype), (2, test.dtype), (1, .float32)] as [(Float, DType)] {
                let dense = try Tensor(zeros: [5, columns], type)
                let unpacked = try Tensor(zeros: [5, columns], type)
                backend.embed(dense, table: table, ids: ids, scale: scale)
                backend.embed(unpacked, weight: packed, ids: ids, scale: scale)
                #expect(bytes(unpacked) == bytes(dense), "\(count) \(columns) \(scale)")
            }
        }
        let dtable = try Tensor(zeros: [11, 130])
        backend.embedBackward(dtable, out, ids: ids, scale: 0.5)
        var truth = [[Double]](repeating: [Double](repeating: 0, count: 130), count: 11)
        for (id, row) in zip(ids, doubles(out)) { for j in 0..<130 { truth[Int(id)][j] += 0.5 * row[j] } }
        #expect(error(dtable, truth) < 1e-6)
        let picked = try Tensor(zeros: [2, 130], test.dtype)
        backend.gatherRows(picked, table, rows: [7, 2])
        #expect(bytes(picked.rows(0..<1)) == bytes(table.rows(7..<8)))
        backend.scatterRows(table, picked, rows: [2, 7])
        #expect(doubles(table)[2] == rows[7] && doubles(table)[7] == rows[2] && doubles(table)[5] == rows[5])
    }
}
