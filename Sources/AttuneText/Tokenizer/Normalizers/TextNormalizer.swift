/// A step that rewrites text before it is cut into words.
indirect enum TextNormalizer: Sendable {
    case sequence([TextNormalizer])
    case prepend([UInt8])
    case replace(TextPattern, with: [UInt8])
    case lowercase
    case form(NormalizationForm)
    case bert(cleanText: Bool, ideographs: Bool, stripAccents: Bool, lowercase: Bool)
    case precompiled(PrecompiledMap)
    case stripAccents
    case strip(left: Bool, right: Bool)
    case nmt
    case byteLevel

    func apply(to text: inout AlignedText) {
        switch self {
        case .sequence(let steps):
            for step in steps { step.apply(to: &text) }
        case .prepend(let prefix):
            if !text.isEmpty { text.prepend(prefix) }
        case .replace(.text(let pattern), let content) where pattern.count == 1 && !text.tracksOrigin:
            text.replaceByte(pattern[0], by: content)
        case .replace(let pattern, let content):
            let matches = text.bytes.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { pattern.matches($0, in: 0..<buffer.count) } ?? []
            }
            text.replace(matches, by: content)
        case .lowercase: Self.lowercase(&text)
        case .form(let form): form.apply(to: &text)
        case .bert(let cleanText, let ideographs, let stripAccents, let lowercase):
            if cleanText { Self.clean(&text) }
            if ideographs { Self.surroundIdeographs(&text) }
            if stripAccents {
                NormalizationForm.nfd.apply(to: &text)
                if !Self.isASCII(text) { text.filter { !Self.bertAccents.contains($0) } }
            }
            if lowercase { Self.lowercase(&text) }
        case .precompiled(let map): map.apply(to: &text)
        case .stripAccents:
            if !Self.isASCII(text) { text.filter { !ScalarClasses.accents.contains($0) } }
        case .strip(let left, let right): Self.strip(&text, left: left, right: right)
        case .nmt:
            text.filter { !Self.nmtRemoved.contains($0) }
            text.map { Self.nmtSpaces.contains($0) ? 0x20 : $0 }
        case .byteLevel:
            var whole = [TextPiece(start: 0, end: text.bytes.count)]
            text.substituteBytes(&whole, ByteAlphabet.textOfByte)
        }
    }

    private static let bertAccents = ScalarClasses.bertAccents
    private static let nmtRemoved = ScalarSet([
        0x01...0x08, 0x0B...0x0B, 0x0E...0x1F, 0x7F...0x7F, 0x8F...0x8F, 0x9F...0x9F,
    ])
    private static let nmtSpaces = ScalarSet([
        0x09...0x0A, 0x0C...0x0D, 0x1680...0x1680, 0x200B...0x200F, 0x2028...0x2029, 0x2581...0x2581, 0xFEFF...0xFEFF,
        0xFFFD...0xFFFD,
    ])

    private static func isASCII(_ text: AlignedText) -> Bool { text.bytes.allSatisfy { $0 < 0x80 } }

    private static func lowercase(_ text: inout AlignedText) {
        if isASCII(text) {
            text.mapASCII { (0x41...0x5A).contains($0) ? $0 + 0x20 : $0 }
            return
        }
        var steps: [AlignedText.Step] = []
        steps.reserveCapacity(text.bytes.count)
        var changed = false
        text.forEachScalar { value in
            if value < 0x80 {
                let isUpper = (0x41...0x5A).contains(value)
                changed = changed || isUpper
                steps.append(AlignedText.Step(scalar: isUpper ? value + 0x20 : value, change: 0))
                return
            }
            guard let scalar = Unicode.Scalar(value), scalar.properties.changesWhenLowercased else {
                steps.append(AlignedText.Step(scalar: value, change: 0))
                return
            }
            changed = true
            for (place, lower) in scalar.properties.lowercaseMapping.unicodeScalars.enumerated() {
                steps.append(AlignedText.Step(scalar: lower.value, change: place == 0 ? 0 : 1))
            }
        }
        if changed { text.transform(steps) }
    }

    private static func clean(_ text: inout AlignedText) {
        if text.bytes.allSatisfy({ $0 < 0x7F && ($0 >= 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D) }) {
            text.mapASCII { $0 < 0x20 ? 0x20 : $0 }
            return
        }
        text.filter { scalar in
            guard scalar >= 0x20 else { return scalar == 0x09 || scalar == 0x0A || scalar == 0x0D }
            return scalar < 0x7F || !ScalarClasses.bertControl.contains(scalar)
        }
        text.map { scalar in
            guard scalar >= 0x80 else { return (0x09...0x0D).contains(scalar) ? 0x20 : scalar }
            return ScalarClasses.whitespace.contains(scalar) ? 0x20 : scalar
        }
    }

    private static func surroundIdeographs(_ text: inout AlignedText) {
        guard !isASCII(text) else { return }
        var steps: [AlignedText.Step] = []
        var changed = false
        text.forEachScalar { scalar in
            guard scalar >= 0x3400, ScalarClasses.bertIdeographs.contains(scalar) else {
                steps.append(AlignedText.Step(scalar: scalar, change: 0))
                return
            }
            changed = true
            steps.append(AlignedText.Step(scalar: 0x20, change: 0))
            steps.append(AlignedText.Step(scalar: scalar, change: 1))
            steps.append(AlignedText.Step(scalar: 0x20, change: 1))
        }
        if changed { text.transform(steps) }
    }

    private static func strip(_ text: inout AlignedText, left: Bool, right: Bool) {
        let steps = text.steps
        let isSpace = { (step: AlignedText.Step) in ScalarClasses.whitespace.contains(step.scalar) }
        let leading = left ? steps.prefix(while: isSpace).count : 0
        let trailing = right ? steps[leading...].reversed().prefix(while: isSpace).count : 0
        guard leading > 0 || trailing > 0 else { return }
        var kept = Array(steps[leading..<(steps.count - trailing)])
        if !kept.isEmpty { kept[kept.count - 1].change = -trailing }
        text.transform(kept, skipping: leading)
    }
}

/// What `Replace` and `Split` look for: a fixed text or an expression.
enum TextPattern: Sendable {
    case text([UInt8])
    case regex(LinearRegex)
    /// Any one of the scalars.
    case scalars(ScalarSet)

    /// The matches in order, none overlapping another.
    func matches(_ bytes: UnsafePointer<UInt8>, in range: Range<Int>) -> [Range<Int>] {
        var found: [Range<Int>] = []
        switch self {
        case .text(let wanted):
            guard let first = wanted.first, wanted.count <= range.count else { return [] }
            var place = range.lowerBound
            let last = range.upperBound - wanted.count
            scan: while place <= last {
                if bytes[place] != first {
                    place += 1
                    continue
                }
                for offset in wanted.indices.dropFirst() where bytes[place + offset] != wanted[offset] {
                    place += 1
                    continue scan
                }
                found.append(place..<place + wanted.count)
                place += wanted.count
            }
        case .scalars(let set):
            var place = range.lowerBound
            while place < range.upperBound {
                let (scalar, length) = UTF8Scan.scalar(bytes, at: place, end: range.upperBound)
                if set.contains(scalar) { found.append(place..<place + length) }
                place += length
            }
        case .regex(let regex):
            var place = range.lowerBound
            while place <= range.upperBound, let match = regex.firstMatch(bytes, in: range, from: place) {
                found.append(match)
                place = match.upperBound
                guard match.isEmpty else { continue }
                guard place < range.upperBound else { break }
                place += UTF8Scan.scalar(bytes, at: place, end: range.upperBound).length
            }
        }
        return found
    }
}
