/// Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011). Number i of a key is the same whoever asks, in any order.
public struct Philox: Sendable {
    private let key: SIMD2<UInt32>
    private let high: SIMD2<UInt32>

    /// The stream of a key; `stream` and `step` are the upper half of the counter.
    public init(_ key: RandomKey) {
        self.key = SIMD2(UInt32(truncatingIfNeeded: key.seed), UInt32(truncatingIfNeeded: key.seed >> 32))
        high = SIMD2(UInt32(truncatingIfNeeded: key.step), key.stream)
    }

    /// The four 32-bit numbers of counter `index`.
    public func block(_ index: UInt64) -> SIMD4<UInt32> {
        var counter = SIMD4(
            UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32), high[0], high[1])
        var key = key
        for _ in 0..<10 {
            let a = UInt64(counter[0]) * 0xD251_1F53
            let b = UInt64(counter[2]) * 0xCD9E_8D57
            counter = SIMD4(
                UInt32(b >> 32) ^ counter[1] ^ key[0], UInt32(truncatingIfNeeded: b),
                UInt32(a >> 32) ^ counter[3] ^ key[1], UInt32(truncatingIfNeeded: a))
            key &+= SIMD2(0x9E37_79B9, 0xBB67_AE85)
        }
        return counter
    }

    /// `count` numbers uniform in [0, 1), with 24 bits each.
    public func uniforms(_ count: Int) -> [Float] {
        var result: [Float] = []
        result.reserveCapacity(count + 3)
        var index: UInt64 = 0
        while result.count < count {
            let block = block(index)
            for lane in 0..<4 { result.append(Float(block[lane] >> 8) * 0x1p-24) }
            index += 1
        }
        result.removeLast(result.count - count)
        return result
    }

    /// `count` numbers of the standard normal distribution (Box–Muller).
    public func normals(_ count: Int) -> [Float] {
        let uniforms = uniforms(count + count % 2)
        var result: [Float] = []
        result.reserveCapacity(count + 1)
        for pair in stride(from: 0, to: uniforms.count, by: 2) {
            let radius = (-2 * ScalarMath.log(1 - Double(uniforms[pair]))).squareRoot()
            let angle = 2 * Double.pi * Double(uniforms[pair + 1])
            result.append(Float(radius * ScalarMath.cos(angle)))
            result.append(Float(radius * ScalarMath.sin(angle)))
        }
        result.removeLast(result.count - count)
        return result
    }
}
