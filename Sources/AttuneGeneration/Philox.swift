/// Counter-based random numbers, Philox4x32-10 (Salmon et al. 2011).
///
/// A number is a pure function of (key, counter): no state is shared between sequences, so what else is in the batch
/// cannot change a draw.
public struct Philox: Sendable {
    private let key: (UInt32, UInt32)

    /// Random numbers named by a seed.
    public init(seed: UInt64) { key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)) }

    /// Ten rounds over a counter of four words.
    public func block(_ c0: UInt32, _ c1: UInt32, _ c2: UInt32, _ c3: UInt32) -> SIMD4<UInt32> {
        var x = SIMD4(c0, c1, c2, c3)
        var k0 = key.0
        var k1 = key.1
        for _ in 0..<10 {
            let p0 = UInt64(x[0]) &* 0xD251_1F53
            let p1 = UInt64(x[2]) &* 0xCD9E_8D57
            x = SIMD4(
                UInt32(truncatingIfNeeded: p1 >> 32) ^ x[1] ^ k0, UInt32(truncatingIfNeeded: p1),
                UInt32(truncatingIfNeeded: p0 >> 32) ^ x[3] ^ k1, UInt32(truncatingIfNeeded: p0))
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
        return x
    }

    /// A number in [0, 1) with 53 random bits, for one step of one stream.
    public func uniform(step: Int, stream: Int) -> Double {
        let step = UInt64(truncatingIfNeeded: step)
        let words = block(
            UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32),
            UInt32(truncatingIfNeeded: stream), 0)
        let bits = (UInt64(words[0]) << 32 | UInt64(words[1])) >> 11
        return Double(bits) * 0x1p-53
    }
}
