/// What is put around the tokens of a text, and how their offsets are trimmed.
struct PostProcessor: Sendable {
    enum Step: Sendable {
        /// Offsets leave out the spaces at either end of a token.
        case trimOffsets(addPrefixSpace: Bool)
        /// Tokens before and behind the text, only when special tokens are asked for.
        case template(before: [SpecialToken], after: [SpecialToken])
    }

    /// A token that the template adds.
    struct SpecialToken: Sendable {
        var id: Int32
        var text: String
    }

    var steps: [Step] = []

    func apply(to ids: inout [Int32]) {
        for case .template(let before, let after) in steps {
            if !before.isEmpty { ids.insert(contentsOf: before.map(\.id), at: 0) }
            ids.append(contentsOf: after.map(\.id))
        }
    }

    func apply(to encoding: inout Encoding, text: UnsafeBufferPointer<UInt8>, addSpecialTokens: Bool) {
        for step in steps {
            switch step {
            case .trimOffsets(let addPrefixSpace): Self.trim(&encoding, text, addPrefixSpace)
            case .template(let before, let after):
                guard addSpecialTokens else { continue }
                encoding.ids = before.map(\.id) + encoding.ids + after.map(\.id)
                encoding.tokens = before.map(\.text) + encoding.tokens + after.map(\.text)
                encoding.offsets =
                    before.map { _ in 0..<0 } + encoding.offsets + after.map { _ in 0..<0 }
            }
        }
    }

    private static func trim(
        _ encoding: inout Encoding, _ text: UnsafeBufferPointer<UInt8>, _ addPrefixSpace: Bool
    ) {
        for place in encoding.ids.indices {
            let scalars = encoding.tokens[place].unicodeScalars
            let isSpace = { (scalar: Unicode.Scalar) in
                scalar.value == 0x120 || ScalarClasses.whitespace.contains(scalar.value)
            }
            var leading = scalars.prefix(while: isSpace).count
            let trailing = scalars.reversed().prefix(while: isSpace).count
            guard leading > 0 || trailing > 0 else { continue }
            var start = encoding.offsets[place].lowerBound
            var end = encoding.offsets[place].upperBound
            // A space that was only put before the text has no place in it.
            if leading > 0, addPrefixSpace, place == 0 || start == 0 { leading -= 1 }
            for _ in 0..<leading where start < end { start = after(start, text) }
            start = min(start, end)
            // A character has at most four bytes, so far from the start nothing need be counted.
            if end >= trailing * 4 || UTF8Scan.scalarCount(text[..<end]) >= trailing {
                for _ in 0..<trailing where end > start { end = before(end, text) }
            }
            encoding.offsets[place] = start..<max(start, end)
        }
    }

    private static func after(_ place: Int, _ text: UnsafeBufferPointer<UInt8>) -> Int {
        var next = place + 1
        while next < text.count, text[next] & 0xC0 == 0x80 { next += 1 }
        return next
    }

    private static func before(_ place: Int, _ text: UnsafeBufferPointer<UInt8>) -> Int {
        var previous = place - 1
        while previous > 0, text[previous] & 0xC0 == 0x80 { previous -= 1 }
        return previous
    }
}
