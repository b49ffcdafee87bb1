import AttuneCPU
import AttuneTensor
import CAttuneKernels
import Testing

/// The largest value of a product by bounds: what is left of the product must hold it, bit for bit.
@Suite struct MaximumTests {
    /// A head in the C layout with a screen of it.
    private final class Head {
        let machine: OpaquePointer
        let inp: Int
        let out: Int
        private let data: Storage
        private let arrays: Storage
        private let codes: Storage
        var isFinite: Bool

        init(_ weight: Tensor, isa: InstructionSet) throws {
            machine = try #require(attune_machine_create(2, isa.rawValue))
            (out, inp) = (weight.rows, weight.columns)
            let padded = (out + 63) / 64 * 64
            let type = weight.dtype == .float32 ? ATTUNE_F32 : weight.dtype == .bfloat16 ? ATTUNE_BF16 : ATTUNE_F16
            data = try Storage(byteCount: Int(attune_weight_data_bytes(0, Int32(type), Int64(out), Int64(inp))))
            arrays = try Storage(byteCount: padded * 12)
            codes = try Storage(byteCount: padded * (inp + 1) / 2 * 2)
            isFinite = true
            dtype = Int32(type)
            var source = view(weight)
            attune_pack_dense(machine, data.address, dtype, &source)
            var packed = packed
            isFinite =
                attune_make_screen(
                    machine, codes.address.assumingMemoryBound(to: Int8.self), array(0), array(1), array(2), &packed)
                == 1
        }

        deinit { attune_machine_destroy(machine) }

        let dtype: Int32

        var packed: attune_weight {
            var weight = attune_weight()
            weight.kind = Int32(ATTUNE_WEIGHT_DENSE)
            weight.dtype = dtype
            weight.out = Int64(out)
            weight.in = Int64(inp)
            weight.data = UnsafeRawPointer(data.address)
            return weight
        }

        func array(_ index: Int) -> UnsafeMutablePointer<Float> {
            arrays.address.assumingMemoryBound(to: Float.self) + index * ((out + 63) / 64 * 64)
        }

        func view(_ tensor: Tensor) -> attune_matrix {
            attune_matrix(
                data: tensor.address, rows: Int64(tensor.rows), columns: Int64(tensor.columns),
                stride: Int64(tensor.rowStride), dtype: tensor.dtype == .float32 ? Int32(ATTUNE_F32) : dtype)
        }

        /// The whole product and what the screen leaves of it.
        func products(_ x: Tensor) throws -> (whole: [[Float]], left: [[Float]]) {
            let results = try [false, true].map { screens in
                let y = try Tensor(zeros: [x.rows, out])
                var (target, source, weight) = (view(y), view(x), packed)
                if screens {
                    var screen = attune_screen(
                        codes: UnsafePointer(codes.address.assumingMemoryBound(to: Int8.self)), scales: array(0),
                        errors: array(1), norms: array(2))
                    attune_linear_maximum(machine, &target, &source, &weight, &screen)
                } else {
                    withUnsafePointer(to: target) { target in
                        withUnsafePointer(to: source) { source in
                            withUnsafePointer(to: weight) { weight in
                                var arguments = attune_linear_arguments()
                                arguments.out = target
                                arguments.inp = source
                                arguments.weight = weight
                                arguments.scale = 1
                                attune_linear(machine, &arguments)
                            }
                        }
                    }
                }
                return (0..<x.rows).map { row in (0..<self.out).map { y.rows(row..<row + 1).floats()[$0] } }
            }
            return (results[0], results[1])
        }
    }

    private func place(_ row: [Float]) -> Int { row.firstIndex(of: row.max() ?? 0) ?? -1 }

    @Test(arguments: LinearTests.cases) func holdsTheLargestValue(_ test: LinearTests.Case) throws {
        for (out, inp, rows) in [(3000, 64, 1), (2500, 81, 4), (1003, 577, 2), (65, 3, 3), (2049, 1100, 1)] {
            let weight = try randomTensor(out, inp, test.dtype, seed: 3, scale: 0.1)
            let head = try Head(weight, isa: test.set)
            #expect(head.isFinite)
            for seed in 1...6 as ClosedRange<UInt64> {
                let x = try randomTensor(rows, inp, test.dtype, seed: seed + 10, scale: seed == 6 ? 1e-3 : 2)
                // Of two equal largest values the first counts; a row of the weight twice makes such a pair.
                let (whole, left) = try head.products(x)
                for (one, other) in zip(whole, left) {
                    #expect(place(one) == place(other))
                    for (value, kept) in zip(one, other) where kept != -.infinity { #expect(value == kept) }
                    if out > 2000 {
                        #expect(other.count { $0 == -.infinity } > out / 2, "most columns are left out")
                    }
                }
            }
        }
    }

    /// Equal rows of the weight: the first of the largest values is kept, and all of them.
    @Test func keepsEqualValues() throws {
        let weight = try randomTensor(4096, 64, .bfloat16, seed: 3)
        let x = try randomTensor(1, 64, .bfloat16, seed: 4)
        let best = place(try Head(weight, isa: .best).products(x).whole[0])
        for other in [5, 4000] {
            weight.rows(other..<other + 1).address.copyMemory(
                from: weight.rows(best..<best + 1).address, byteCount: 128)
        }
        let (whole, left) = try Head(weight, isa: .best).products(x)
        #expect(place(whole[0]) == min(5, best))
        #expect(place(left[0]) == min(5, best))
        for other in [5, best, 4000] { #expect(left[0][other] == whole[0][best]) }
    }

    /// Without the bounds of what eight bits leave out, the largest value is lost sooner or later.
    @Test func boundsMatter() throws {
        let weight = try randomTensor(4096, 64, .bfloat16, seed: 3)
        let head = try Head(weight, isa: .best)
        for index in 0..<4096 {
            head.array(1)[index] = 0
            head.array(2)[index] = 0
        }
        var lost = 0
        for seed in 1...200 as ClosedRange<UInt64> {
            let (whole, left) = try head.products(try randomTensor(1, 64, .bfloat16, seed: seed))
            if place(whole[0]) != place(left[0]) { lost += 1 }
        }
        #expect(lost > 0)
    }

    /// Extremes: zeros, one large element, values that are not finite.
    @Test func oddRows() throws {
        let weight = try randomTensor(2200, 66, .bfloat16, seed: 3)
        let head = try Head(weight, isa: .best)
        let values: [(Int, Float)] = [(0, 0), (7, 1e30), (7, 0x1p-130), (7, .infinity), (9, .nan)]
        for (column, value) in values {
            let x = try randomTensor(2, 66, .bfloat16, seed: 5, scale: value == 0 ? 0 : 1)
            if value != 0 {
                x.address.storeBytes(of: BFloat16(value).bits, toByteOffset: column * 2, as: UInt16.self)
            }
            let (whole, left) = try head.products(x)
            for (one, other) in zip(whole, left) {
                for (a, b) in zip(one, other) where b != -.infinity { #expect(a == b || (a.isNaN && b.isNaN)) }
                if one.allSatisfy({ $0 < .infinity }) { #expect(place(one) == place(other)) }
            }
            if !value.isFinite {
                #expect(left[1].allSatisfy { $0 != -.infinity }, "rows that are not finite are whole")
            }
        }
        weight.address.storeBytes(of: BFloat16(.infinity).bits, as: UInt16.self)
        #expect(!(try Head(weight, isa: .best).isFinite))
    }

    /// New values in the weight: a screen of the old ones is not used.
    @Test func trainedWeightsAreNotScreenedByOldCopies() throws {
        let backend = try CPUBackend(threads: 2)
        let weight = try backend.pack(.dense(randomTensor(4096, 64, .bfloat16, seed: 3)), computeType: .bfloat16)
        guard let screen = try backend.makeScreen(of: weight) else { return }
        let x = try randomTensor(1, 64, .bfloat16, seed: 4)
        let outs = try (0..<3).map { _ in try Tensor(zeros: [1, 4096]) }
        backend.linearMaximum(outs[0], x, weight, screen)
        #expect(outs[0].floats().contains(-.infinity))
        backend.repack(weight, try randomTensor(4096, 64, .bfloat16, seed: 5))
        backend.linearMaximum(outs[1], x, weight, screen)
        backend.linear(outs[2], x, weight, bias: nil, extra: nil, scale: 1, residual: nil)
        #expect(bytes(outs[1]) == bytes(outs[2]))
    }
}
