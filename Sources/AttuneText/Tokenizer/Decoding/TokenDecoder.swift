/// A step from tokens back to text. Every step takes tokens one by one, so a stream and a whole list run the same code.
enum TokenDecoder: Sendable {
    /// Characters of the byte alphabet become bytes, the whole becomes one text.
    case byteLevel
    case replace(TextPattern, with: [UInt8])
    /// Runs of tokens such as `<0xE2>` become characters, or U+FFFD each when they form none.
    case byteFallback
    case fuse
    case strip(content: [UInt8], start: Int, stop: Int)
    case metaspace(replacement: [UInt8], dropsFirst: Bool)
    case wordPiece(prefix: [UInt8], cleanup: Bool)
    case bytePair(suffix: [UInt8])
    case ctc(pad: [UInt8], delimiter: [UInt8], cleanup: Bool)
    /// What happens without a decoder.
    case joinBySpaces
}

/// A decoder step at work.
struct DecodingStage: Sendable {
    let decoder: TokenDecoder
    /// Whether all tokens that arrive are fragments of one.
    let isFused: Bool
    private var count = 0
    private var held: [UInt8] = []
    private var last: [UInt8]?
    private var utf8 = UTF8Assembler()

    init(_ decoder: TokenDecoder, isFused: Bool) {
        self.decoder = decoder
        self.isFused = isFused
    }

    /// The steps with what each needs to know about those before it.
    static func chain(_ decoders: [TokenDecoder]) -> [DecodingStage] {
        var isFused = false
        return decoders.map { decoder in
            defer {
                switch decoder {
                case .byteLevel, .fuse: isFused = true
                default: break
                }
            }
            return DecodingStage(decoder, isFused: isFused)
        }
    }

    /// Takes a token (or a fragment) and passes on what is certain by now.
    mutating func push(_ token: [UInt8]) -> [[UInt8]] {
        guard isFused else { return pushToken(token) }
        switch decoder {
        case .fuse: return [token]
        case .replace(.text(let pattern), _) where UTF8Scan.scalarCount(pattern) == 1: return pushToken(token)
        case .strip(let content, let start, let stop): return stripFragment(token, content, start, stop)
        default:
            // The step needs the whole text; it comes when the text ends.
            held.append(contentsOf: token)
            return []
        }
    }

    /// Passes on what was held back.
    mutating func finish() -> [[UInt8]] {
        guard isFused else { return finishTokens() }
        switch decoder {
        case .fuse: return []
        case .replace(.text(let pattern), _) where UTF8Scan.scalarCount(pattern) == 1: return []
        case .strip(let content, _, let stop):
            var text = held
            var left = stop
            while left > 0, text.count >= content.count, text.suffix(content.count).elementsEqual(content) {
                text.removeLast(content.count)
                left -= 1
            }
            return [text]
        default:
            let output = pushToken(held)
            return output + finishTokens()
        }
    }

    private mutating func pushToken(_ token: [UInt8]) -> [[UInt8]] {
        defer { count += 1 }
        switch decoder {
        case .byteLevel:
            let bytes = ByteAlphabet.bytes(of: String(decoding: token, as: UTF8.self)) ?? token
            return [utf8.push(bytes)]
        case .replace(let pattern, let content): return [Self.replacing(token, pattern, content)]
        case .byteFallback:
            if let byte = ByteFallback.byte(of: token) {
                held.append(byte)
                return []
            }
            let output = releaseBytes() + [token]
            return output
        case .fuse: return [token]
        case .strip(let content, let start, let stop): return [Self.stripped(token, content, start, stop)]
        case .metaspace(let replacement, let dropsFirst):
            return [Self.replacing(token, .text(replacement), count == 0 && dropsFirst ? [] : [0x20])]
        case .wordPiece(let prefix, let cleanup):
            var text = token
            if count > 0 {
                text = token.starts(with: prefix) ? Array(token.dropFirst(prefix.count)) : [0x20] + token
            }
            return [cleanup ? Self.cleaned(text) : text]
        case .bytePair(let suffix):
            defer { last = token }
            return last.map { [Self.replacing($0, .text(suffix), [0x20])] } ?? []
        case .ctc(let pad, let delimiter, let cleanup):
            defer { last = token }
            if last == token { return [] }
            var text = Self.replacing(token, .text(pad), [])
            if cleanup { text = Self.replacing(Self.cleaned(text), .text(delimiter), [0x20]) }
            return text.isEmpty ? [] : [text]
        case .joinBySpaces: return [count > 0 ? [0x20] + token : token]
        }
    }

    private mutating func finishTokens() -> [[UInt8]] {
        switch decoder {
        case .byteLevel: return [utf8.finish()]
        case .byteFallback: return releaseBytes()
        case .bytePair(let suffix): return last.map { [Self.replacing($0, .text(suffix), [])] } ?? []
        default: return []
        }
    }

    private mutating func releaseBytes() -> [[UInt8]] {
        guard !held.isEmpty else { return [] }
        defer { held.removeAll(keepingCapacity: true) }
        if String(validating: held, as: UTF8.self) != nil { return [held] }
        return held.map { _ in UTF8Assembler.replacement }
    }

    /// Strips a text that arrives in fragments: the start at once, the end by holding back what might be stripped.
    private mutating func stripFragment(_ token: [UInt8], _ content: [UInt8], _ start: Int, _ stop: Int) -> [[UInt8]] {
        var text = held + token
        held = []
        while count < start, !text.isEmpty {
            guard text.starts(with: content) else {
                count = start
                break
            }
            text.removeFirst(content.count)
            count += 1
        }
        guard stop > 0 else { return [text] }
        var kept = text.count
        var left = stop
        while left > 0, kept >= content.count, text[..<kept].suffix(content.count).elementsEqual(content) {
            kept -= content.count
            left -= 1
        }
        held = Array(text[kept...])
        return [Array(text[..<kept])]
    }

    private static func stripped(_ token: [UInt8], _ content: [UInt8], _ start: Int, _ stop: Int) -> [UInt8] {
        var text = token[...]
        for _ in 0..<start where text.starts(with: content) { text = text.dropFirst(content.count) }
        var left = stop
        while left > 0, !text.isEmpty, text.suffix(content.count).elementsEqual(content) {
            text = text.dropLast(content.count)
            left -= 1
        }
        return Array(text)
    }

    static func replacing(_ text: [UInt8], _ pattern: TextPattern, _ content: [UInt8]) -> [UInt8] {
        let matches = text.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { pattern.matches($0, in: 0..<buffer.count) } ?? []
        }
        guard !matches.isEmpty else { return text }
        var output: [UInt8] = []
        var place = 0
        for match in matches {
            output.append(contentsOf: text[place..<match.lowerBound])
            output.append(contentsOf: content)
            place = match.upperBound
        }
        output.append(contentsOf: text[place...])
        return output
    }

    /// English spacing, undone in this order.
    private static let cleanups: [(String, String)] = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
        (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ]

    private static func cleaned(_ text: [UInt8]) -> [UInt8] {
        cleanups.reduce(text) { replacing($0, .text(Array($1.0.utf8)), Array($1.1.utf8)) }
    }
}

/// Puts characters together from bytes that arrive in pieces. What forms no character becomes U+FFFD, one for each
/// maximal part (Unicode 3.9, "substitution of maximal subparts").
struct UTF8Assembler: Sendable {
    private var held: [UInt8] = []
    static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

    /// The complete characters; the beginning of one is held back.
    mutating func push(_ bytes: [UInt8]) -> [UInt8] {
        if held.isEmpty, bytes.allSatisfy({ $0 < 0x80 }) { return bytes }
        let input = held + bytes
        held = []
        var output: [UInt8] = []
        output.reserveCapacity(input.count)
        var place = 0
        while place < input.count {
            let (length, isValid) = Self.part(input, at: place)
            if isValid {
                output.append(contentsOf: input[place..<place + length])
            } else if place + length == input.count, Self.mayContinue(input[place...]) {
                held = Array(input[place...])
                return output
            } else {
                output.append(contentsOf: Self.replacement)
            }
            place += length
        }
        return output
    }

    /// What is left: an unfinished character counts as one part.
    mutating func finish() -> [UInt8] {
        defer { held = [] }
        return held.isEmpty ? [] : Self.replacement
    }

    /// How many bytes the character that begins with a byte has, and what its second byte may be.
    private static func shape(_ first: UInt8) -> (length: Int, second: ClosedRange<UInt8>)? {
        switch first {
        case 0x00...0x7F: (1, 0x80...0xBF)
        case 0xC2...0xDF: (2, 0x80...0xBF)
        case 0xE0: (3, 0xA0...0xBF)
        case 0xED: (3, 0x80...0x9F)
        case 0xE1...0xEF: (3, 0x80...0xBF)
        case 0xF0: (4, 0x90...0xBF)
        case 0xF1...0xF3: (4, 0x80...0xBF)
        case 0xF4: (4, 0x80...0x8F)
        default: nil
        }
    }

    /// The character at a place, or the longest beginning of one.
    private static func part(_ bytes: [UInt8], at place: Int) -> (length: Int, isValid: Bool) {
        guard let shape = shape(bytes[place]) else { return (1, false) }
        var length = 1
        while length < shape.length, place + length < bytes.count,
            (length == 1 ? shape.second : 0x80...0xBF).contains(bytes[place + length])
        {
            length += 1
        }
        return (length, length == shape.length)
    }

    /// Whether a beginning that ends with the input can still become a character.
    private static func mayContinue(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let first = bytes.first, let shape = shape(first) else { return false }
        return bytes.count < shape.length
    }
}
