import AttuneCPU
import AttuneTensor
import Testing

@Suite struct RandomTests {
    private let key = RandomKey(seed: 42, step: 7, stream: 3)

    /// Philox4x32-10 by its definition, and the mapping the header documents.
    private func uniform(_ identity: UInt64, _ position: Int, _ column: Int) -> Float {
        func mix(_ value: UInt64) -> UInt64 {
            var x = value &+ 0x9E37_79B9_7F4A_7C15
            x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
            x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
            return x ^ (x >> 31)
        }
        let seed = mix(mix(mix(key.seed) ^ key.step) ^ UInt64(key.stream))
        var c = [
            UInt32(column / 4), UInt32(position), UInt32(truncatingIfNeeded: identity), UInt32(identity >> 32),
        ]
        var (k0, k1) = (UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32))
        for _ in 0..<10 {
            let p0 = UInt64(c[0]) * 0xD251_1F53
            let p1 = UInt64(c[2]) * 0xCD9E_8D57
            c = [
                UInt32(p1 >> 32) ^ c[1] ^ k0, UInt32(truncatingIfNeeded: p1), UInt32(p0 >> 32) ^ c[3] ^ k1,
                UInt32(truncatingIfNeeded: p0),
            ]
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
        return Float(c[column % 4] >> 8) * 0x1p-24
    }

    @Test(arguments: LinearTests.cases) func masksBelongToTheText(_ test: LinearTests.Case) throws {
        let backend = try CPUBackend(threads: 2, isa: test.set)
        let columns = 1037
        let packed = SegmentTable([
            Segment(rows: 0..<3, identity: 5), Segment(rows: 3..<9, identity: 0xABCD_0000_1234),
        ])
        let x = try randomTensor(9, columns, test.dtype, seed: 1)
        let out = try Tensor(zeros: [9, columns], test.dtype)
        backend.dropout(out, x, rate: 0.3, key: key, packed)
        let values = doubles(x)
        let truth = values.indices.map { row -> [Double] in
            let identity: UInt64 = row < 3 ? 5 : 0xABCD_0000_1234
            return values[row].indices.map { column in
                uniform(identity, row < 3 ? row : row - 3, column) >= 0.3 ? values[row][column] / 0.7 : 0
            }
        }
        #expect(error(out, truth) < Fixture.tolerance(test.dtype))
        let zeros = out.floats().filter { $0 == 0 }.count
        #expect(abs(Double(zeros) / Double(9 * columns) - 0.3) < 0.03)
        // The second text alone.
        let alone = try Tensor(zeros: [6, columns], test.dtype)
        let table = SegmentTable([Segment(rows: 0..<6, identity: 0xABCD_0000_1234)])
        backend.dropout(alone, x.rows(3..<9), rate: 0.3, key: key, table)
        #expect(bytes(alone) == bytes(out.rows(3..<9)))
        var other = key
        other.step = 8
        backend.dropout(alone, x.rows(3..<9), rate: 0.3, key: other, table)
        #expect(bytes(alone) != bytes(out.rows(3..<9)), "another step has another mask")
        // Backward adds up.
        let total = try Tensor(zeros: [9, columns], test.dtype)
        backend.copy(total, x)
        backend.dropoutBackward(total, x, rate: 0.3, key: key, packed, residual: total)
        let sums = values.indices.map { row in values[row].indices.map { values[row][$0] + truth[row][$0] } }
        #expect(error(total, sums) < Fixture.tolerance(test.dtype))
        // Noise.
        let magnitude: [Float] = [0, 1, 2, 0, 0, 0.5, 0, 0, 0]
        let noisy = try Tensor(zeros: [9, columns], test.dtype)
        backend.addUniformNoise(noisy, magnitude: magnitude, key: key, packed)
        let noise = values.indices.map { row -> [Double] in
            let identity: UInt64 = row < 3 ? 5 : 0xABCD_0000_1234
            return values[row].indices.map { column in
                Double(magnitude[row]) * (2 * Double(uniform(identity, row < 3 ? row : row - 3, column)) - 1)
            }
        }
        #expect(error(noisy, noise) < Fixture.tolerance(test.dtype))
    }
}
