import AttuneCPU
import AttuneTensor
import Testing

@Suite struct LinearTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let set: InstructionSet
        let dtype: DType
        var testDescription: String { "\(set) \(dtype)" }
    }

    static let cases = Fixture.instructionSets.flatMap { set in
        Fixture.computeTypes.map { Case(set: set, dtype: $0) }
    }
    /// (rows, inputs, outputs): tails of every kind of tile and panel.
    static let shapes = [
        (1, 1, 1), (5, 3, 63), (17, 63, 65), (6, 64, 64), (64, 80, 200), (130, 200, 80), (7, 65, 3), (2, 1003, 130),
        (13, 130, 1003), (200, 16, 96), (200, 96, 16),
    ]

    @Test(arguments: cases) func forward(_ test: Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (index, (rows, inp, out)) in Self.shapes.enumerated() {
            let x = try randomTensor(rows, inp, test.dtype, seed: 1, gap: index % 2 * 6)
            let w = try randomTensor(out, inp, test.dtype, seed: 2)
            let u = try randomTensor(rows, 4, test.dtype, seed: 3)
            let b = try randomTensor(out, 4, test.dtype, seed: 4)
            let bias = try randomTensor(1, out, .float32, seed: 5)
            let residual = try randomTensor(rows, out, test.dtype, seed: 6)
            let packed = try backend.pack(.dense(w), computeType: test.dtype)
            let low = LowRankTerm(input: u, weight: try backend.pack(.dense(b), computeType: test.dtype))
            let y = try randomTensor(rows, out, test.dtype, seed: 7, gap: index % 3 * 2)
            backend.linear(y, x, packed, bias: bias, extra: low, scale: 0.5, residual: residual)
            let main = product(doubles(x), transposed: doubles(w))
            let extra = product(doubles(u), transposed: doubles(b))
            let biases = doubles(bias)[0]
            let base = doubles(residual)
            let truth = main.indices.map { t in
                main[t].indices.map { base[t][$0] + 0.5 * (main[t][$0] + extra[t][$0] + biases[$0]) }
            }
            #expect(error(y, truth) < Fixture.tolerance(test.dtype), "\(rows) \(inp) \(out)")
            // Float32 logits from a half-precision product.
            let logits = try Tensor(zeros: [rows, out])
            backend.linear(logits, x, packed, bias: nil, extra: nil, scale: 1, residual: nil)
            #expect(error(logits, main) < 4e-6, "\(rows) \(inp) \(out) to float32")
        }
    }

    @Test(arguments: cases) func inputGradient(_ test: Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (rows, inp, out) in Self.shapes {
            let dy = try randomTensor(rows, out, test.dtype, seed: 1)
            let w = try randomTensor(out, inp, test.dtype, seed: 2)
            let u = try randomTensor(rows, 16, test.dtype, seed: 3)
            let a = try randomTensor(16, inp, test.dtype, seed: 4)
            let packed = try backend.pack(.dense(w), computeType: test.dtype)
            let low = LowRankTerm(input: u, weight: try backend.pack(.dense(a), computeType: test.dtype))
            let dx = try randomTensor(rows, inp, test.dtype, seed: 7)
            let before = doubles(dx)
            backend.linearInputGradient(dx, dy, packed, extra: low, scale: 2, residual: dx)
            let main = product(doubles(dy), transposed: transposed(doubles(w)))
            let extra = product(doubles(u), transposed: transposed(doubles(a)))
            let truth = main.indices.map { t in
                main[t].indices.map { before[t][$0] + 2 * (main[t][$0] + extra[t][$0]) }
            }
            #expect(error(dx, truth) < Fixture.tolerance(test.dtype), "\(rows) \(inp) \(out)")
        }
    }

    @Test(arguments: cases) func weightGradient(_ test: Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (rows, inp, out) in Self.shapes {
            let x = try randomTensor(rows, inp, test.dtype, seed: 1)
            let dy = try randomTensor(rows, out, test.dtype, seed: 2)
            let dw = try randomTensor(out, inp, .float32, seed: 3)
            let before = doubles(dw)
            backend.linearWeightGradient(dw, dy, x, scale: 0.25)
            let sum = product(transposed(doubles(dy)), transposed: transposed(doubles(x)))
            let truth = sum.indices.map { o in sum[o].indices.map { before[o][$0] + 0.25 * sum[o][$0] } }
            #expect(error(dw, truth) < 4e-6, "\(rows) \(inp) \(out)")
        }
    }

    /// A narrow side, as low-rank pairs have it: several blocks of rows, pieces of columns that end within a panel, rows with
    /// gaps; the last width is not one the tiles can read in place. Whatever the threads, the same bits.
    @Test(arguments: cases, [(16, 544), (544, 21), (336, 48), (16, 530)])
    func narrowWeightGradient(_ test: Case, _ sizes: (inp: Int, out: Int)) throws {
        let rows = test.set == .scalar ? 131 : 1101
        let x = try randomTensor(rows, sizes.inp, test.dtype, seed: 1, gap: 6)
        let dy = try randomTensor(rows, sizes.out, test.dtype, seed: 2, gap: 2)
        let dw = try randomTensor(sizes.out, sizes.inp, .float32, seed: 3)
        let before = doubles(dw)
        let again = try Tensor(zeros: [sizes.out, sizes.inp])
        let one = try CPUBackend(threads: 1, isa: test.set)
        one.copy(again, dw)
        one.linearWeightGradient(dw, dy, x, scale: 0.25)
        let sum = product(transposed(doubles(dy)), transposed: transposed(doubles(x)))
        let truth = sum.indices.map { o in sum[o].indices.map { before[o][$0] + 0.25 * sum[o][$0] } }
        #expect(error(dw, truth) < 4e-6)
        try CPUBackend(threads: 3, isa: test.set).linearWeightGradient(again, dy, x, scale: 0.25)
        #expect(bytes(again) == bytes(dw))
    }

    /// A row alone, in a batch, and with any number of threads: the same bits. Three whole panels on two threads are cut.
    @Test(arguments: cases, [(3, 130), (2, 192)])
    func rowsDoNotDependOnTheirBatch(_ test: Case, _ form: (threads: Int, out: Int)) throws {
        let one = try CPUBackend(threads: 1, isa: test.set)
        let several = try CPUBackend(threads: form.threads, isa: test.set)
        let x = try randomTensor(133, 200, test.dtype, seed: 1)
        let w = try randomTensor(form.out, 200, test.dtype, seed: 2)
        let packed = try one.pack(.dense(w), computeType: test.dtype)
        let whole = try Tensor(zeros: [133, form.out], test.dtype)
        several.linear(whole, x, packed, bias: nil, extra: nil, scale: 1, residual: nil)
        for row in [0, 1, 64, 132] {
            let single = try Tensor(zeros: [1, form.out], test.dtype)
            one.linear(single, x.rows(row..<row + 1), packed, bias: nil, extra: nil, scale: 1, residual: nil)
            #expect(bytes(single) == bytes(whole.rows(row..<row + 1)))
        }
        // Few rows take other tiles than many.
        for count in [5, 9, 31, 50] {
            let few = try Tensor(zeros: [count, form.out], test.dtype)
            several.linear(few, x.rows(0..<count), packed, bias: nil, extra: nil, scale: 1, residual: nil)
            #expect(bytes(few) == bytes(whole.rows(0..<count)), "\(count) rows")
        }
        #expect(bytes(whole.rows(0..<1)) != bytes(whole.rows(1..<2)), "rows differ, so the comparison can fail")
        let first = try Tensor(zeros: [form.out, 200])
        let second = try Tensor(zeros: [form.out, 200])
        one.linearWeightGradient(first, whole, x, scale: 1)
        several.linearWeightGradient(second, whole, x, scale: 1)
        #expect(bytes(first) == bytes(second))
    }

    /// Enough rows to be multiplied block by block, and sums long enough to be cut: still the bits of a row alone, with
    /// the low-rank term, the bias and the residual, forward and turned. Rows of 2,048 are a multiple of 4 KiB.
    @Test(arguments: cases) func blocksAndCutSumsDoNotShow(_ test: Case) throws {
        let one = try CPUBackend(threads: 1, isa: test.set)
        let three = try CPUBackend(threads: 3, isa: test.set)
        for (rows, inp, out) in [(210, 3203, 70), (197, 70, 3330), (421, 96, 130), (197, 2048, 70)] {
            guard test.set != .scalar || rows * inp * out < 12_000_000 else { continue }
            let x = try randomTensor(rows, inp, test.dtype, seed: 1)
            let packed = try one.pack(.dense(randomTensor(out, inp, test.dtype, seed: 2)), computeType: test.dtype)
            let u = try randomTensor(rows, 5, test.dtype, seed: 3)
            let b = try one.pack(.dense(randomTensor(out, 5, test.dtype, seed: 4)), computeType: test.dtype)
            let a = try one.pack(.dense(randomTensor(5, inp, test.dtype, seed: 5)), computeType: test.dtype)
            let bias = try randomTensor(1, out, .float32, seed: 6)
            let residual = try randomTensor(rows, out, test.dtype, seed: 7)
            let y = try Tensor(zeros: [rows, out], test.dtype)
            let dx = try Tensor(zeros: [rows, inp], test.dtype)
            three.linear(
                y, x, packed, bias: bias, extra: LowRankTerm(input: u, weight: b), scale: 0.5, residual: residual)
            three.linearInputGradient(
                dx, y, packed, extra: LowRankTerm(input: u, weight: a), scale: 1, residual: nil)
            for row in [0, 7, rows - 1] {
                let range = row..<row + 1
                let single = try Tensor(zeros: [1, out], test.dtype)
                one.linear(
                    single, x.rows(range), packed, bias: bias, extra: LowRankTerm(input: u.rows(range), weight: b),
                    scale: 0.5, residual: residual.rows(range))
                #expect(bytes(single) == bytes(y.rows(range)), "\(rows) \(inp) \(out) row \(row)")
                let gradient = try Tensor(zeros: [1, inp], test.dtype)
                one.linearInputGradient(
                    gradient, y.rows(range), packed, extra: LowRankTerm(input: u.rows(range), weight: a), scale: 1,
                    residual: nil)
                #expect(bytes(gradient) == bytes(dx.rows(range)), "\(rows) \(inp) \(out) gradient of row \(row)")
            }
            #expect(bytes(y.rows(0..<1)) != bytes(y.rows(7..<8)), "rows differ, so the comparison can fail")
        }
    }

    /// Blocks of 64 with nothing larger than what is negligible count as zeros, all others in full.
    @Test(arguments: cases) func negligibleBlocksAreLeftOut(_ test: Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (rows, inp, out) in [(7, 70, 1003), (200, 40, 1700)] {
            let packed = try backend.pack(.dense(randomTensor(out, inp, test.dtype, seed: 2)), computeType: test.dtype)
            let low = LowRankTerm(
                input: try randomTensor(rows, 5, test.dtype, seed: 3),
                weight: try backend.pack(.dense(randomTensor(5, inp, test.dtype, seed: 4)), computeType: test.dtype))
            let residual = try randomTensor(rows, inp, test.dtype, seed: 5)
            var numbers = Numbers(6)
            let values = (0..<rows).map { _ in (0..<out).map { _ in numbers.unit() } }
            let whole = try Tensor(zeros: [rows, out], test.dtype)
            let zeroed = try Tensor(zeros: [rows, out], test.dtype)
            // Two of three blocks are small everywhere; the last, cut short, is not.
            fill(whole) { values[$0][$1] * ($1 / 64 % 3 == 0 ? 1 : 0x1p-10) }
            fill(zeroed) { values[$0][$1] * ($1 / 64 % 3 == 0 ? 1 : 0) }
            let cases = [(whole, Float(0x1p-9)), (zeroed, 0), (whole, 0), (whole, 0x1p-22)]
            let results = try cases.map { dout, negligible in
                let dx = try Tensor(zeros: [rows, inp], test.dtype)
                backend.linearInputGradient(
                    dx, dout, packed, extra: low, scale: 1, residual: residual, negligible: negligible)
                return bytes(dx)
            }
            #expect(results[0] == results[1], "what is small is left out, and nothing else")
            #expect(results[0] != results[2], "it was not nothing")
            #expect(results[3] == results[2], "what is larger stays")
        }
    }

    /// Weight gradients over more rows than one run, of every orientation, against float64; and the same bits on any
    /// number of threads. Of fourteen panels on three threads the last two are cut.
    @Test(arguments: cases) func longWeightGradients(_ test: Case) throws {
        let one = try CPUBackend(threads: 1, isa: test.set)
        let three = try CPUBackend(threads: 3, isa: test.set)
        for (rows, inp, out) in [(1100, 70, 13), (1100, 13, 70), (1030, 100, 130), (1030, 130, 100), (70, 850, 130)] {
            let x = try randomTensor(rows, inp, test.dtype, seed: 1)
            let dy = try randomTensor(rows, out, test.dtype, seed: 2)
            let first = try Tensor(zeros: [out, inp])
            let second = try Tensor(zeros: [out, inp])
            one.linearWeightGradient(first, dy, x, scale: 0.5)
            three.linearWeightGradient(second, dy, x, scale: 0.5)
            #expect(bytes(first) == bytes(second))
            let sum = product(transposed(doubles(dy)), transposed: transposed(doubles(x)))
            #expect(error(first, sum.map { $0.map { $0 * 0.5 } }) < 4e-6, "\(rows) \(inp) \(out)")
        }
    }

    /// Products of one input together: the bits of each alone, for few rows and for many, with and without a low-rank term.
    @Test(arguments: cases) func aGroupGivesTheBitsOfEach(_ test: Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for rows in [1, 5, 33, 220] {
            let x = try randomTensor(rows, 70, test.dtype, seed: 1)
            let products = try [130, 64, 7].enumerated().map { index, out in
                let weight = try backend.pack(
                    .dense(randomTensor(out, 70, test.dtype, seed: UInt64(2 + index))), computeType: test.dtype)
                let low = LowRankTerm(
                    input: try randomTensor(rows, 5, test.dtype, seed: UInt64(6 + index)),
                    weight: try backend.pack(
                        .dense(randomTensor(out, 5, test.dtype, seed: UInt64(9 + index))), computeType: test.dtype))
                return LinearProduct(
                    out: try Tensor(zeros: [rows, out], test.dtype), weight: weight,
                    bias: index == 0 ? try randomTensor(1, out, .float32, seed: 5) : nil, extra: index == 1 ? low : nil)
            }
            backend.linearGroup(products, x, scale: 0.5, residual: nil)
            for (index, product) in products.enumerated() {
                let alone = try Tensor(zeros: product.out.shape, test.dtype)
                backend.linear(
                    alone, x, product.weight, bias: product.bias, extra: product.extra, scale: 0.5, residual: nil)
                #expect(bytes(product.out) == bytes(alone), "\(rows) rows, product \(index)")
                #expect(bytes(alone).contains { $0 != 0 }, "something was multiplied")
            }
        }
    }

    /// Gate, up and their activation in one: the bits of one after the other, dense and in four bits, for few rows and for many.
    @Test(arguments: cases) func gatedProductsGiveTheBitsOfTheirParts(_ test: Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (rows, width) in [(1, 192), (5, 130), (33, 192), (220, 130)] {
            let x = try randomTensor(rows, 128, test.dtype, seed: 1)
            for isQuantized in [false, true] {
                let products = try (0..<2).map { index in
                    let dense = try randomTensor(width, 128, test.dtype, seed: UInt64(2 + index))
                    let quantized = try backend.quantize(
                        dense, format: .nf4, blockSize: 64, doubleQuantization: false)
                    let low = LowRankTerm(
                        input: try randomTensor(rows, 5, test.dtype, seed: 6),
                        weight: try backend.pack(
                            .dense(randomTensor(width, 5, test.dtype, seed: 9)), computeType: test.dtype))
                    return LinearProduct(
                        out: try Tensor(zeros: [rows, width], test.dtype),
                        weight: try backend.pack(
                            isQuantized ? .quantized(quantized) : .dense(dense), computeType: test.dtype),
                        bias: index == 1 ? try randomTensor(1, width, .float32, seed: 5) : nil,
                        extra: index == 0 ? low : nil)
                }
                let out = try Tensor(zeros: [rows, width], test.dtype)
                backend.gatedLinear(out, gate: products[0], up: products[1], x, .silu)
                let parts = products.map { bytes($0.out) }
                backend.linearGroup(products, x, scale: 1, residual: nil)
                #expect(parts == products.map { bytes($0.out) }, "\(rows) rows")
                let apart = try Tensor(zeros: [rows, width], test.dtype)
                backend.gatedActivation(apart, gate: products[0].out, up: products[1].out, .silu)
                #expect(bytes(out) == bytes(apart), "\(rows) rows")
                #expect(bytes(out).contains { $0 != 0 })
            }
        }
    }

    @Test(arguments: cases) func unpackingGivesTheWeightBack(_ test: Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        for (_, inp, out) in Self.shapes {
            let w = try randomTensor(out, inp, test.dtype, seed: 2)
            let packed = try backend.pack(.dense(w), computeType: test.dtype)
            let back = try Tensor(zeros: [out, inp], test.dtype)
            backend.unpack(back, packed)
            #expect(bytes(back) == bytes(w), "\(inp) \(out)")
        }
    }
}
