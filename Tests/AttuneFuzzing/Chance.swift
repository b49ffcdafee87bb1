/// Repeatable chance (SplitMix64, Steele et al. 2014) for inputs that are made from their parts with some parts wrong.
package struct Chance {
    private var state: UInt64

    /// Starts a stream of choices.
    package init(seed: Int, stream: UInt64) { state = UInt64(truncatingIfNeeded: seed) << 8 | stream }

    /// Sixty-four bits.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A number from 0 to below `limit`, which is at least 1.
    package mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    /// True once in `rarity` times.
    package mutating func rarely(_ rarity: Int) -> Bool { below(rarity) == 0 }

    /// One of the choices, of which there is at least one.
    package mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }

    /// Numbers at which sizes and offsets go wrong.
    package static let edges: [Int64] = [
        -1, 0, 1, 2, 3, 4, 8, 255, 1 << 20, 1 << 31, 1 << 32, 1 << 40, 1 << 62, .max, .min,
    ]

    /// Damages bytes in one place: changed, cut, removed, doubled, or a word of the format put in.
    package mutating func damage(_ bytes: inout [UInt8], words: [String]) {
        guard !bytes.isEmpty else { return }
        let place = below(bytes.count)
        let length = min(1 + below(24), bytes.count - place)
        switch below(6) {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: next())
        case 1: bytes[place] ^= 1 << UInt8(below(8))
        case 2: bytes.removeSubrange(place..<(place + length))
        case 3: bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
        case 4: bytes.insert(contentsOf: pick(words).utf8, at: place)
        default: if rarely(4) { bytes.removeLast(bytes.count - place) }
        }
    }
}
