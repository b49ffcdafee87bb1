/// The four normalization forms of Unicode (UAX #15), with the change of every character recorded as steps.
enum NormalizationForm: Sendable {
    case nfc, nfd, nfkc, nfkd

    private var isCompatible: Bool { self == .nfkc || self == .nfkd }
    private var composes: Bool { self == .nfc || self == .nfkc }

    /// Normalizes a text. ASCII is left alone, as are texts in which nothing can change.
    func apply(to text: inout AlignedText) {
        guard !isNormal(text.bytes) else { return }
        var steps: [AlignedText.Step] = []
        steps.reserveCapacity(text.bytes.count)
        text.forEachScalar { decompose($0, into: &steps) }
        Self.order(&steps)
        if composes { Self.compose(&steps) }
        text.transform(steps)
    }

    /// A quick check that may say no for a normal text, never yes for another.
    private func isNormal(_ bytes: [UInt8]) -> Bool {
        // No character below U+0300 takes part in a composition as a second or has a class; below U+00A0 none decomposes.
        let limit: UInt32 = self == .nfc ? 0x300 : 0xA0
        return bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return true }
            var place = 0
            while place < buffer.count {
                if base[place] < 0x80 {
                    place += 1
                    continue
                }
                let (scalar, length) = UTF8Scan.scalar(base, at: place, end: buffer.count)
                if scalar >= limit, !isInert(scalar) { return false }
                place += length
            }
            return true
        }
    }

    /// Whether a scalar stands for itself whatever is around it.
    private func isInert(_ scalar: UInt32) -> Bool {
        let flags = Self.flags[scalar]
        return switch self {
        case .nfc: flags & (Self.hasClass | Self.joins | Self.changesInNFC) == 0
        case .nfd: flags & (Self.hasClass | Self.decomposes) == 0
        case .nfkc: flags & (Self.hasClass | Self.joins | Self.changesInNFC | Self.hasCompatible) == 0
        case .nfkd: flags & (Self.hasClass | Self.decomposes | Self.hasCompatible) == 0
        }
    }

    private func decompose(_ scalar: UInt32, into steps: inout [AlignedText.Step]) {
        if scalar < 0xA0 {
            steps.append(AlignedText.Step(scalar: scalar, change: 0))
            return
        }
        let flags = Self.flags[scalar]
        if flags & (Self.decomposes | Self.hasCompatible) == 0 {
            steps.append(AlignedText.Step(scalar: scalar, change: 0))
            return
        }
        if (0xAC00..<0xD7A4).contains(scalar) {
            let index = scalar - 0xAC00
            steps.append(AlignedText.Step(scalar: 0x1100 + index / 588, change: 0))
            steps.append(AlignedText.Step(scalar: 0x1161 + index % 588 / 28, change: 1))
            if index % 28 != 0 { steps.append(AlignedText.Step(scalar: 0x11A7 + index % 28, change: 1)) }
            return
        }
        let parts = (isCompatible ? Self.compatible[scalar] : nil) ?? Self.canonical[scalar] ?? [scalar]
        for (place, part) in parts.enumerated() {
            steps.append(AlignedText.Step(scalar: part, change: place == 0 ? 0 : 1))
        }
    }

    /// Sorts every run of characters with a combining class by that class, equal ones in place.
    private static func order(_ steps: inout [AlignedText.Step]) {
        var place = 0
        while place < steps.count {
            guard combiningClass(steps[place].scalar) != 0 else {
                place += 1
                continue
            }
            var end = place + 1
            while end < steps.count, combiningClass(steps[end].scalar) != 0 { end += 1 }
            if end - place > 1 {
                let sorted = steps[place..<end].enumerated().sorted {
                    let (a, b) = (combiningClass($0.element.scalar), combiningClass($1.element.scalar))
                    return a == b ? $0.offset < $1.offset : a < b
                }
                steps.replaceSubrange(place..<end, with: sorted.map(\.element))
            }
            place = end
        }
    }

    private static func compose(_ steps: inout [AlignedText.Step]) {
        var output: [AlignedText.Step] = []
        output.reserveCapacity(steps.count)
        var starter = -1
        var lastClass: UInt8 = 0
        for step in steps {
            let order = combiningClass(step.scalar)
            // A character joins the starter unless one of the same or a higher class (or a starter) stands between.
            let blocked = output.count - 1 > starter && (lastClass >= order || lastClass == 0)
            if starter >= 0, !blocked, let joined = composed(output[starter].scalar, step.scalar) {
                output[starter].scalar = joined
                output[starter].change += step.change - 1
                continue
            }
            output.append(step)
            if order == 0 { starter = output.count - 1 }
            lastClass = order
        }
        steps = output
    }

    private static func composed(_ first: UInt32, _ second: UInt32) -> UInt32? {
        // U+0300 is the first scalar that joins another.
        guard second >= 0x300, flags[second] & joins != 0 else { return nil }
        if (0x1100..<0x1113).contains(first), (0x1161..<0x1176).contains(second) {
            return 0xAC00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28
        }
        if (0xAC00..<0xD7A4).contains(first), (first - 0xAC00) % 28 == 0, (0x11A8..<0x11C3).contains(second) {
            return first + second - 0x11A7
        }
        return pairs[UInt64(first) << 32 | UInt64(second)]
    }

    private static func combiningClass(_ scalar: UInt32) -> UInt8 { scalar < 0x300 ? 0 : classes[scalar] }

    // MARK: Tables

    private static let hasClass: UInt8 = 1
    private static let joins: UInt8 = 2
    private static let changesInNFC: UInt8 = 4
    private static let decomposes: UInt8 = 8
    private static let hasCompatible: UInt8 = 16

    private static let canonical = mappings(DecompositionData.canonical)
    private static let compatible = mappings(CompatibilityData.compatible)

    private static let pairs: [UInt64: UInt32] = {
        var pairs: [UInt64: UInt32] = [:]
        for entry in ScalarClasses.bytes(DecompositionData.pairs).split(separator: UInt8(ascii: " ")) {
            let numbers = Array(HexadecimalWords(entry))
            if numbers.count == 3 { pairs[UInt64(numbers[0]) << 32 | UInt64(numbers[1])] = numbers[2] }
        }
        return pairs
    }()

    private static let classes: ScalarTable = {
        var assignments: [(ScalarSet, UInt8)] = []
        for entry in ScalarClasses.bytes(DecompositionData.classes).split(separator: UInt8(ascii: ";")) {
            let words = entry.split(separator: UInt8(ascii: " "), maxSplits: 1)
            guard words.count == 2, let order = UInt8(String(decoding: words[0], as: UTF8.self)) else { continue }
            assignments.append((ScalarSet(gapsAndLengths: words[1]), order))
        }
        return ScalarTable(assignments)
    }()

    private static let flags: ScalarTable = {
        var flat = [UInt8](repeating: 0, count: 0x110000)
        for scalar in 0x300..<0x110000 where classes[UInt32(scalar)] != 0 { flat[scalar] |= hasClass }
        let composites = Set(pairs.values)
        for (scalar, _) in canonical {
            flat[Int(scalar)] |= decomposes
            if !composites.contains(scalar) { flat[Int(scalar)] |= changesInNFC }
        }
        for pair in pairs.keys { flat[Int(pair & 0xFFFF_FFFF)] |= joins }
        for (scalar, _) in compatible { flat[Int(scalar)] |= hasCompatible }
        for scalar in 0xAC00..<0xD7A4 { flat[scalar] |= decomposes }
        // Vowels and final consonants of Korean join what stands before them.
        for scalar in 0x1161..<0x1176 { flat[scalar] |= joins }
        for scalar in 0x11A8..<0x11C3 { flat[scalar] |= joins }
        return ScalarTable(flat: flat)
    }()

    private static func mappings(_ text: StaticString) -> [UInt32: [UInt32]] {
        var mappings: [UInt32: [UInt32]] = [:]
        for entry in ScalarClasses.bytes(text).split(separator: UInt8(ascii: " ")) {
            let numbers = Array(HexadecimalWords(entry))
            if let first = numbers.first { mappings[first] = Array(numbers.dropFirst()) }
        }
        return mappings
    }
}
