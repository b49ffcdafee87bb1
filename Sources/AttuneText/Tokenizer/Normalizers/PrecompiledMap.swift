/// The character map of a SentencePiece model: a double-array trie from texts to their replacements.
struct PrecompiledMap: Sendable {
    private let units: [UInt32]
    private let replacements: [UInt8]

    /// - Parameter blob: the size of the trie in bytes (little endian, 32 bits), the trie, replacements ended by NUL.
    init(_ blob: [UInt8]) throws(TokenizerError) {
        func word(_ place: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(blob[place + $1]) << (8 * UInt32($1)) }
        }
        guard blob.count >= 4, case let size = Int(word(0)), size % 4 == 0, size <= blob.count - 4 else {
            throw TokenizerError(
                "normalizer Precompiled: precompiled_charsmap is cut short; download tokenizer.json again")
        }
        units = stride(from: 4, to: 4 + size, by: 4).map(word)
        replacements = Array(blob[(4 + size)...])
    }

    /// The replacement for the shortest prefix of a text that the map knows.
    ///
    /// SentencePiece looks for the longest; `tokenizers` takes the first, and its results are the measure here.
    private func replacement(for text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard var unit = units.first else { return nil }
        var node = Int(offset(unit))
        for byte in text {
            if byte == 0 { break }
            node ^= Int(byte)
            guard node < units.count else { return nil }
            unit = units[node]
            // A leaf mark or another label: the path ends.
            guard unit & (1 << 31 | 0xFF) == UInt32(byte) else { return nil }
            node ^= Int(offset(unit))
            guard node < units.count else { return nil }
            if unit >> 8 & 1 == 1 {
                let start = Int(units[node] & 0x7FFF_FFFF)
                guard start <= replacements.count else { return nil }
                let end = replacements[start...].firstIndex(of: 0) ?? replacements.count
                return replacements[start..<end]
            }
        }
        return nil
    }

    private func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & (1 << 9)) >> 6) }

    func apply(to text: inout AlignedText) {
        var steps: [AlignedText.Step] = []
        steps.reserveCapacity(text.bytes.count)
        var changed = false
        func replace(_ count: Int, by new: ArraySlice<UInt8>) {
            let start = steps.count
            for scalar in String(decoding: new, as: UTF8.self).unicodeScalars {
                steps.append(AlignedText.Step(scalar: scalar.value, change: 0))
            }
            let added = steps.count - start - count
            changed = true
            if added > 0 {
                for place in (steps.count - added)..<steps.count { steps[place].change = 1 }
            } else if added < 0, !steps.isEmpty {
                steps[steps.count - 1].change += added
            }
        }
        for character in String(decoding: text.bytes, as: UTF8.self) {
            let bytes = Array(character.utf8)
            if bytes.count < 6, let new = replacement(for: bytes[...]) {
                replace(character.unicodeScalars.count, by: new)
                continue
            }
            for scalar in character.unicodeScalars {
                if let new = replacement(for: Array(String(scalar).utf8)[...]) {
                    replace(1, by: new)
                } else {
                    steps.append(AlignedText.Step(scalar: scalar.value, change: 0))
                }
            }
        }
        if changed { text.transform(steps) }
    }
}
