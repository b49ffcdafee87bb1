/// Philox4x32-10 (Salmon, Moraes, Dror and Shaw: Parallel random numbers, as easy as 1, 2, 3; 2011): random numbers as
/// a function of key and counter, so that nothing has to be remembered between them.
struct Philox {
    /// The 64-bit key.
    let key: (UInt32, UInt32)

    init(key: (UInt32, UInt32)) { self.key = key }

    init(seed: UInt64) {
        self.init(key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    }

    /// Four numbers for a counter.
    func block(_ counter: (UInt32, UInt32, UInt32, UInt32)) -> (UInt32, UInt32, UInt32, UInt32) {
        var c = counter
        var k = key
        for _ in 0..<10 {
            let a = UInt32(0xD251_1F53).multipliedFullWidth(by: c.0)
            let b = UInt32(0xCD9E_8D57).multipliedFullWidth(by: c.2)
            c = (b.high ^ c.1 ^ k.0, b.low, a.high ^ c.3 ^ k.1, a.low)
            k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
        }
        return c
    }
}
