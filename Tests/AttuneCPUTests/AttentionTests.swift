import AttuneCPU
import AttuneTensor
import Foundation
import Testing

/// Attention by its definition, one query at a time, in float64.
struct AttentionReference {
    let shape: AttentionShape
    let table: SegmentTable
    let q: [[Double]], k: [[Double]], v: [[Double]]

    /// For every (row, head): the key rows it sees, their scores before the softmax, and the probabilities.
    private func visit(
        _ body: (_ row: Int, _ head: Int, _ keys: [Int], _ scores: [Double], _ weights: [Double]) -> Void
    ) {
        let d = shape.headDimension
        for segment in table.segments {
            let keys = segment.keys.flatMap { Array($0) }
            for (index, row) in segment.queries.enumerated() {
                let last = keys.count - segment.queries.count + index + 1
                let first = shape.window > 0 ? max(0, last - shape.window) : 0
                let seen = Array(keys[first..<last])
                for head in 0..<shape.headCount {
                    let kvHead = head / (shape.headCount / shape.kvHeadCount)
                    let scores = seen.map { key in
                        let dot = (0..<d).reduce(0.0) { $0 + q[row][head * d + $1] * k[key][kvHead * d + $1] }
                        let scaled = dot * Double(shape.scale)
                        let cap = Double(shape.softcap)
                        return cap > 0 ? cap * tanh(scaled / cap) : scaled
                    }
                    let top = scores.max() ?? 0
                    let exps = scores.map { exp($0 - top) }
                    let sum = exps.reduce(0, +)
                    body(row, head, seen, scores, exps.map { $0 / sum })
                }
            }
        }
    }

    func forward() -> [[Double]] {
        let d = shape.headDimension
        var out = q.map { $0.map { _ in 0.0 } }
        visit { row, head, keys, _, weights in
            let kvHead = head / (shape.headCount / shape.kvHeadCount)
            for (key, weight) in zip(keys, weights) {
                for j in 0..<d { out[row][head * d + j] += weight * v[key][kvHead * d + j] }
            }
        }
        return out
    }

    func backward(_ dout: [[Double]]) -> (dq: [[Double]], dk: [[Double]], dv: [[Double]]) {
        let d = shape.headDimension
        var dq = q.map { $0.map { _ in 0.0 } }
        var dk = k.map { $0.map { _ in 0.0 } }
        var dv = dk
        visit { row, head, keys, scores, weights in
            let kvHead = head / (shape.headCount / shape.kvHeadCount)
            let dp = keys.map { key in
                (0..<d).reduce(0.0) { $0 + dout[row][head * d + $1] * v[key][kvHead * d + $1] }
            }
            let delta = zip(dp, weights).reduce(0.0) { $0 + $1.0 * $1.1 }
            for (index, key) in keys.enumerated() {
                let cap = Double(shape.softcap)
                let slope = cap > 0 ? 1 - (scores[index] / cap) * (scores[index] / cap) : 1
                let ds = weights[index] * (dp[index] - delta) * slope * Double(shape.scale)
                for j in 0..<d {
                    dq[row][head * d + j] += ds * k[key][kvHead * d + j]
                    dk[key][kvHead * d + j] += ds * q[row][head * d + j]
                    dv[key][kvHead * d + j] += weights[index] * dout[row][head * d + j]
                }
            }
        }
        return (dq, dk, dv)
    }
}

@Suite struct AttentionTests {
    /// A packed batch: two texts, a prefix with two continuations, and a text of one token.
    static let packed = SegmentTable([
        Segment(rows: 0..<70), Segment(rows: 70..<91), Segment(rows: 91..<131),
        Segment(queries: 131..<160, keys: [91..<131, 131..<160]),
        Segment(queries: 160..<165, keys: [91..<131, 160..<165]), Segment(rows: 165..<166),
    ])

    static let shapes = [
        AttentionShape(headCount: 6, kvHeadCount: 2, headDimension: 64, scale: 0.125),
        AttentionShape(headCount: 2, kvHeadCount: 2, headDimension: 8, scale: 0.35, softcap: 3, window: 13),
        AttentionShape(headCount: 3, kvHeadCount: 1, headDimension: 80, scale: 0.11, window: 64),
        AttentionShape(headCount: 1, kvHeadCount: 1, headDimension: 5, scale: 0.4),
    ]

    @Test(arguments: LinearTests.cases) func matchesTheDefinition(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        let table = Self.packed
        for shape in Self.shapes {
            let rows = table.tokenCount
            let width = shape.headCount * shape.headDimension
            let kvWidth = shape.kvHeadCount * shape.headDimension
            let q = try randomTensor(rows, width, test.dtype, seed: 1, gap: 2)
            let k = try randomTensor(rows, kvWidth, test.dtype, seed: 2)
            let v = try randomTensor(rows, kvWidth, test.dtype, seed: 3, gap: 4)
            let dout = try randomTensor(rows, width, test.dtype, seed: 4)
            let out = try Tensor(zeros: [rows, width], test.dtype)
            let lse = try Tensor(zeros: [rows, shape.headCount])
            backend.attention(out, logSumExp: lse, q: q, k: k, v: v, table, shape)
            let reference = AttentionReference(
                shape: shape, table: table, q: doubles(q), k: doubles(k), v: doubles(v))
            let tolerance = 2 * Fixture.tolerance(test.dtype)
            #expect(error(out, reference.forward()) < tolerance, "\(shape)")
            let dq = try randomTensor(rows, width, test.dtype, seed: 5)
            let dk = try randomTensor(rows, kvWidth, test.dtype, seed: 6)
            let dv = try randomTensor(rows, kvWidth, test.dtype, seed: 7)
            backend.attentionBackward(
                dq: dq, dk: dk, dv: dv, dout, out: out, logSumExp: lse, q: q, k: k, v: v, table, shape)
            let truth = reference.backward(doubles(dout))
            #expect(error(dq, truth.dq) < 2 * tolerance, "dq \(shape)")
            #expect(error(dk, truth.dk) < 2 * tolerance, "dk \(shape)")
            #expect(error(dv, truth.dv) < 2 * tolerance, "dv \(shape)")
        }
    }

    /// A text's results are the same bits alone, packed after others, cut into cache blocks, and on any number of threads.
    @Test(arguments: LinearTests.cases) func packingChangesNoBit(_ test: LinearTests.Case) throws {
        let one = try CPUBackend(threads: 1, isa: test.set)
        let three = try CPUBackend(threads: 3, isa: test.set)
        let shape = Self.shapes[0]
        let count = 21
        let width = shape.headCount * shape.headDimension
        let kvWidth = shape.kvHeadCount * shape.headDimension
        let rows = Self.packed.tokenCount
        let q = try randomTensor(rows, width, test.dtype, seed: 1)
        let k = try randomTensor(rows, kvWidth, test.dtype, seed: 2)
        let v = try randomTensor(rows, kvWidth, test.dtype, seed: 3)
        let whole = try Tensor(zeros: [rows, width], test.dtype)
        three.attention(whole, logSumExp: nil, q: q, k: k, v: v, Self.packed, shape)
        let text = 70..<91
        let alone = try Tensor(zeros: [count, width], test.dtype)
        one.attention(
            alone, logSumExp: nil, q: q.rows(text), k: k.rows(text), v: v.rows(text),
            SegmentTable([Segment(rows: 0..<count)]), shape)
        #expect(bytes(alone) == bytes(whole.rows(text)))
        // One query of the text over the same keys as blocks of five rows in another order in memory.
        let pages = [10..<15, 0..<5, 20..<25, 5..<10, 15..<16]
        let kPaged = try Tensor(zeros: [30, kvWidth], test.dtype)
        let vPaged = try Tensor(zeros: [30, kvWidth], test.dtype)
        let places = pages.flatMap { Array($0) }.map { Int32($0) }
        #expect(places.count == count)
        one.scatterRows(kPaged, k.rows(text), rows: places)
        one.scatterRows(vPaged, v.rows(text), rows: places)
        let decoded = try Tensor(zeros: [1, width], test.dtype)
        three.attention(
            decoded, logSumExp: nil, q: q.rows(90..<91), k: kPaged, v: vPaged,
            SegmentTable([Segment(queries: 0..<1, keys: pages)]), shape)
        #expect(bytes(decoded) == bytes(whole.rows(90..<91)))
        #expect(bytes(decoded) != bytes(whole.rows(89..<90)), "rows differ, so the comparison can fail")
    }

    /// Many texts that go on by one token, each over scattered rows of a cache: the bits of each alone.
    @Test(arguments: LinearTests.cases) func manyTextsChangeNoBit(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for shape in Self.shapes {
            let width = shape.headCount * shape.headDimension
            let kvWidth = shape.kvHeadCount * shape.headDimension
            let count = 11
            let q = try randomTensor(count, width, test.dtype, seed: 1)
            let k = try randomTensor(count * 96, kvWidth, test.dtype, seed: 2)
            let v = try randomTensor(count * 96, kvWidth, test.dtype, seed: 3)
            let texts = (0..<count).map { text in
                (0..<1 + text % 6).map { block in
                    let start = (block * count + (text * 7) % count) * 16
                    return start..<start + (block == text % 6 ? 5 : 16)
                }
            }
            let together = try Tensor(zeros: [count, width], test.dtype)
            backend.attention(
                together, logSumExp: nil, q: q, k: k, v: v,
                SegmentTable(texts.enumerated().map { Segment(queries: $0..<$0 + 1, keys: $1) }), shape)
            for (text, keys) in texts.enumerated() {
                let alone = try Tensor(zeros: [1, width], test.dtype)
                backend.attention(
                    alone, logSumExp: nil, q: q.rows(text..<text + 1), k: k, v: v,
                    SegmentTable([Segment(queries: 0..<1, keys: keys)]), shape)
                #expect(bytes(alone) == bytes(together.rows(text..<text + 1)), "\(shape) text \(text)")
                #expect(bytes(alone).contains { $0 != 0 })
            }
        }
    }

    /// What attention is said to read is a hint: products that fetch it on the way have the bits they have without, however much
    /// or little of it there is.
    @Test(arguments: LinearTests.cases) func expectingChangesNoBit(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        let shape = AttentionShape(headCount: 4, kvHeadCount: 2, headDimension: 64, scale: 0.125)
        let keys = try randomTensor(3000, 128, test.dtype, seed: 1)
        let values = try randomTensor(3000, 128, test.dtype, seed: 2)
        let dense = try randomTensor(320, 128, test.dtype, seed: 3)
        let quantized = try backend.quantize(dense, format: .nf4, blockSize: 64, doubleQuantization: false)
        let weights = [
            try backend.pack(.dense(dense), computeType: test.dtype),
            try backend.pack(.quantized(quantized), computeType: test.dtype),
        ]
        for rows in [1, 3, 14, 40] {
            let inp = try randomTensor(rows, 128, test.dtype, seed: 4)
            for weight in weights {
                var plain: [UInt8]?
                for count in [0, 1, 40, 3000] {
                    if count > 0 {
                        let table = SegmentTable([Segment(queries: 0..<1, keys: [0..<count])])
                        backend.expectAttention(k: keys, v: values, table, shape)
                    }
                    let out = try Tensor(zeros: [rows, 320], test.dtype)
                    backend.linear(out, inp, weight, bias: nil, extra: nil, scale: 1, residual: nil)
                    let bits = bytes(out)
                    #expect(bits.contains { $0 != 0 })
                    #expect(bits == plain ?? bits, "\(rows) rows, \(count) keys expected")
                    plain = bits
                }
            }
        }
    }

    /// The same for the gradients, those of a prefix shared by two continuations among them.
    @Test(arguments: LinearTests.cases) func gradientsDependOnNothingElse(_ test: LinearTests.Case) throws {
        let one = try CPUBackend(threads: 1, isa: test.set)
        let three = try CPUBackend(threads: 3, isa: test.set)
        let shape = Self.shapes[0]
        let rows = Self.packed.tokenCount
        let widths = [shape.headCount * shape.headDimension, shape.kvHeadCount * shape.headDimension]
        let q = try randomTensor(rows, widths[0], test.dtype, seed: 1)
        let k = try randomTensor(rows, widths[1], test.dtype, seed: 2)
        let v = try randomTensor(rows, widths[1], test.dtype, seed: 3)
        let dout = try randomTensor(rows, widths[0], test.dtype, seed: 4)
        func gradients(_ backend: CPUBackend, _ range: Range<Int>, _ table: SegmentTable) throws -> [[UInt8]] {
            let count = range.count
            let out = try Tensor(zeros: [count, widths[0]], test.dtype)
            let lse = try Tensor(zeros: [count, shape.headCount])
            let (q, k, v) = (q.rows(range), k.rows(range), v.rows(range))
            backend.attention(out, logSumExp: lse, q: q, k: k, v: v, table, shape)
            let results = try [widths[0], widths[1], widths[1]].map { try Tensor(zeros: [count, $0], test.dtype) }
            backend.attentionBackward(
                dq: results[0], dk: results[1], dv: results[2], dout.rows(range), out: out, logSumExp: lse, q: q, k: k,
                v: v, table, shape)
            return results.map { bytes($0) }
        }
        let whole = try gradients(three, 0..<rows, Self.packed)
        #expect(try gradients(one, 0..<rows, Self.packed) == whole)
        let tree = SegmentTable([
            Segment(rows: 0..<40), Segment(queries: 40..<69, keys: [0..<40, 40..<69]),
            Segment(queries: 69..<74, keys: [0..<40, 69..<74]),
        ])
        let alone = try gradients(one, 91..<165, tree)
        for (index, width) in [widths[0], widths[1], widths[1]].enumerated() {
            let rowBytes = width * test.dtype.byteWidth
            #expect(alone[index] == Array(whole[index][91 * rowBytes..<165 * rowBytes]))
            #expect(alone[index] != Array(whole[index][90 * rowBytes..<164 * rowBytes]), "the comparison can fail")
        }
    }

    /// A long text, and many rows that continue a beginning and some of them another behind it.
    static let large = {
        var segments = [
            Segment(rows: 0..<420), Segment(rows: 420..<433),
            Segment(queries: 433..<452, keys: [420..<433, 433..<452]),
        ]
        for place in 0..<26 {
            let start = segments[segments.count - 1].queries.upperBound
            let own = start..<start + 9 + place % 5
            segments.append(
                Segment(queries: own, keys: place % 3 == 0 ? [420..<433, own] : [420..<433, 433..<452, own]))
        }
        return SegmentTable(segments)
    }()

    /// Trees that are cut into parts, whose sums are joined.
    @Test(arguments: LinearTests.cases) func partsAddUp(_ test: LinearTests.Case) throws {
        let one = try CPUBackend(threads: 1, isa: test.set)
        let three = try CPUBackend(threads: 3, isa: test.set)
        let rows = Self.large.tokenCount
        for window in [0, 100] {
            let shape = AttentionShape(headCount: 6, kvHeadCount: 1, headDimension: 16, scale: 0.3, window: window)
            let tensors = try (1...4).map { seed in
                try randomTensor(rows, seed == 2 || seed == 3 ? 16 : 96, test.dtype, seed: UInt64(seed))
            }
            let (q, k, v, dout) = (tensors[0], tensors[1], tensors[2], tensors[3])
            func gradients(_ backend: CPUBackend, _ count: Int, _ table: SegmentTable) throws -> [Tensor] {
                let out = try Tensor(zeros: [count, 96], test.dtype)
                let lse = try Tensor(zeros: [count, 6])
                let own = tensors.map { $0.rows(0..<count) }
                backend.attention(out, logSumExp: lse, q: own[0], k: own[1], v: own[2], table, shape)
                let results = try [96, 16, 16].map { try Tensor(zeros: [count, $0], test.dtype) }
                backend.attentionBackward(
                    dq: results[0], dk: results[1], dv: results[2], own[3], out: out, logSumExp: lse, q: own[0],
                    k: own[1], v: own[2], table, shape)
                return results
            }
            let results = try gradients(three, rows, Self.large)
            let truth = AttentionReference(
                shape: shape, table: Self.large, q: doubles(q), k: doubles(k), v: doubles(v)
            ).backward(doubles(dout))
            let tolerance = 4 * Fixture.tolerance(test.dtype)
            #expect(error(results[0], truth.dq) < tolerance, "dq, window \(window)")
            #expect(error(results[1], truth.dk) < tolerance, "dk, window \(window)")
            #expect(error(results[2], truth.dv) < tolerance, "dv, window \(window)")
            #expect(try gradients(one, rows, Self.large).map { bytes($0) } == results.map { bytes($0) })
            let alone = try gradients(three, 420, SegmentTable([Segment(rows: 0..<420)]))
            #expect(alone.map { bytes($0) } == results.map { bytes($0.rows(0..<420)) })
        }
    }

    /// The derivation the kernels are held against agrees with differences of the definition.
    @Test func theReferenceGradientIsTheSlope() {
        let table = SegmentTable([Segment(rows: 0..<4), Segment(queries: 4..<7, keys: [0..<4, 4..<7])])
        let shape = AttentionShape(headCount: 2, kvHeadCount: 1, headDimension: 3, scale: 0.6, softcap: 2, window: 5)
        var numbers = Numbers(9)
        func random(_ columns: Int) -> [[Double]] {
            (0..<7).map { _ in (0..<columns).map { _ in Double(numbers.normal()) } }
        }
        let (q, k, v, dout) = (random(6), random(3), random(3), random(6))
        func loss(_ q: [[Double]], _ k: [[Double]], _ v: [[Double]]) -> Double {
            let out = AttentionReference(shape: shape, table: table, q: q, k: k, v: v).forward()
            return zip(out, dout).reduce(0) { $0 + zip($1.0, $1.1).reduce(0) { $0 + $1.0 * $1.1 } }
        }
        let gradient = AttentionReference(shape: shape, table: table, q: q, k: k, v: v).backward(dout)
        func slope(_ matrix: [[Double]], _ row: Int, _ column: Int, _ loss: ([[Double]]) -> Double) -> Double {
            var (up, down) = (matrix, matrix)
            up[row][column] += 1e-5
            down[row][column] -= 1e-5
            return (loss(up) - loss(down)) / 2e-5
        }
        for (row, column) in [(0, 0), (2, 1), (5, 2), (6, 0)] {
            #expect(abs(slope(q, row, column) { loss($0, k, v) } - gradient.dq[row][column]) < 1e-8)
            #expect(abs(slope(k, row, column) { loss(q, $0, v) } - gradient.dk[row][column]) < 1e-8)
            #expect(abs(slope(v, row, column) { loss(q, k, $0) } - gradient.dv[row][column]) < 1e-8)
        }
    }
}
