/// A 64-bit hash that is the same on every machine and in every run: FNV-1a over bytes, then the finalizer of
/// SplitMix64.
package struct StableHash {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    /// Starts from a seed.
    package init(seed: UInt64 = 0) { combine(seed) }

    package mutating func combine(_ value: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { combine(byte: UInt8(truncatingIfNeeded: value >> shift)) }
    }

    package mutating func combine(byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }

    package mutating func combine(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { combine(byte: byte) }
    }

    /// The hash of everything combined so far.
    package var value: UInt64 { Self.mix(state) }

    /// A bijection that spreads every bit over all others (Steele, Lea and Flood: Fast splittable pseudorandom number
    /// generators, 2014).
    static func mix(_ value: UInt64) -> UInt64 {
        var value = value &+ 0x9E37_79B9_7F4A_7C15
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
