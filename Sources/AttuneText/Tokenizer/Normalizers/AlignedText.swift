/// A text under change that knows where each of its bytes comes from.
///
/// Alignment is kept per byte: the byte range of the original that the byte stands for, always whole characters.
/// While the text is unchanged there is nothing to keep, and when nobody asks for offsets nothing is kept at all.
struct AlignedText: Sendable {
    private(set) var bytes: [UInt8]
    /// Original start and end of every byte; `nil` while the text is the original or when not tracking.
    private var spans: [Span]?
    /// Whether the origin of the bytes must be known.
    let tracksOrigin: Bool

    struct Span: Sendable {
        var start: Int
        var end: Int
    }

    /// A character of a changed text. `change` counts as in the alignment rules of `tokenizers`: 0 replaces the next
    /// old character, 1 inserts before it, -n replaces it and removes n more behind it.
    struct Step {
        var scalar: UInt32
        var change: Int
    }

    init(_ bytes: [UInt8], tracksOrigin: Bool) {
        self.bytes = bytes
        self.tracksOrigin = tracksOrigin
    }

    var isEmpty: Bool { bytes.isEmpty }

    /// The original bytes that a stretch of the current text stands for.
    func origin(of range: Range<Int>) -> Range<Int> {
        guard !range.isEmpty else { return range }
        guard let spans else {
            // Unchanged: widen to whole characters.
            var start = range.lowerBound
            while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
            var end = range.upperBound
            while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
            return start..<end
        }
        let start = spans[range.lowerBound].start
        return start..<max(start, spans[range.upperBound - 1].end)
    }

    private func currentSpans() -> [Span] {
        if let spans { return spans }
        var spans: [Span] = []
        spans.reserveCapacity(bytes.count)
        var place = 0
        while place < bytes.count {
            var end = place + 1
            while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
            for _ in place..<end { spans.append(Span(start: place, end: end)) }
            place = end
        }
        return spans
    }

    /// Replaces the whole text by the characters of `steps`, after dropping the first `skipped` old characters.
    mutating func transform(_ steps: [Step], skipping skipped: Int = 0) {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 16)
        guard tracksOrigin else {
            for step in steps { output.append(scalar: step.scalar) }
            bytes = output
            return
        }
        let old = currentSpans()
        var new: [Span] = []
        new.reserveCapacity(bytes.count + 16)
        var place = 0
        for _ in 0..<skipped { place = after(place) }
        for step in steps {
            let span: Span
            if step.change > 0 {
                span = place < 1 ? Span(start: 0, end: 0) : old[place - 1]
            } else {
                span = place < old.count ? old[place] : Span(start: old.last?.end ?? 0, end: old.last?.end ?? 0)
                for _ in 0...(-step.change) { place = after(place) }
            }
            let count = output.count
            output.append(scalar: step.scalar)
            for _ in count..<output.count { new.append(span) }
        }
        bytes = output
        spans = new
    }

    private func after(_ place: Int) -> Int {
        guard place < bytes.count else { return place }
        var next = place + 1
        while next < bytes.count, bytes[next] & 0xC0 == 0x80 { next += 1 }
        return next
    }

    /// Every character, unchanged, as steps.
    var steps: [Step] {
        var steps: [Step] = []
        steps.reserveCapacity(bytes.count)
        forEachScalar { steps.append(Step(scalar: $0, change: 0)) }
        return steps
    }

    func forEachScalar(_ body: (UInt32) -> Void) {
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            var place = 0
            while place < buffer.count {
                let (scalar, length) = UTF8Scan.scalar(base, at: place, end: buffer.count)
                body(scalar)
                place += length
            }
        }
    }

    /// Writes the text anew, character by character; only for a text whose origin is not kept.
    private mutating func rewrite(_ body: (UInt32, inout [UInt8]) -> Void) {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 16)
        forEachScalar { body($0, &output) }
        bytes = output
    }

    /// Keeps the characters that satisfy a condition.
    mutating func filter(_ keep: (UInt32) -> Bool) {
        guard tracksOrigin else {
            rewrite { scalar, output in if keep(scalar) { output.append(scalar: scalar) } }
            return
        }
        var steps: [Step] = []
        var removed = 0
        var leading = 0
        var last: UInt32?
        forEachScalar { scalar in
            guard keep(scalar) else {
                removed += 1
                return
            }
            if let last { steps.append(Step(scalar: last, change: -removed)) } else { leading = removed }
            last = scalar
            removed = 0
        }
        if let last { steps.append(Step(scalar: last, change: -removed)) }
        guard leading > 0 || steps.contains(where: { $0.change != 0 }) || last == nil else { return }
        transform(steps, skipping: leading)
    }

    /// Replaces characters one by one.
    mutating func map(_ change: (UInt32) -> UInt32) {
        guard tracksOrigin else {
            rewrite { scalar, output in output.append(scalar: change(scalar)) }
            return
        }
        transform(steps.map { Step(scalar: change($0.scalar), change: 0) })
    }

    /// Replaces ASCII bytes by ASCII bytes one for one, so that nothing moves.
    mutating func mapASCII(_ change: (UInt8) -> UInt8) {
        for place in bytes.indices where bytes[place] < 0x80 { bytes[place] = change(bytes[place]) }
    }

    /// Puts a text before the first character; it takes that character's place in the original.
    mutating func prepend(_ text: [UInt8]) { rebuild([0..<bytes.count], prefixes: [text]) }

    /// Replaces each of the given ranges by the same text, which takes the place of the last character replaced.
    mutating func replace(_ ranges: [Range<Int>], by content: [UInt8]) {
        guard !ranges.isEmpty else { return }
        let old = tracksOrigin ? currentSpans() : []
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + ranges.count * content.count)
        var new: [Span] = []
        var place = 0
        for range in ranges {
            output.append(contentsOf: bytes[place..<range.lowerBound])
            output.append(contentsOf: content)
            if tracksOrigin {
                new.append(contentsOf: old[place..<range.lowerBound])
                let span = range.upperBound < 1 ? Span(start: 0, end: 0) : old[range.upperBound - 1]
                new.append(contentsOf: repeatElement(span, count: content.count))
            }
            place = range.upperBound
        }
        output.append(contentsOf: bytes[place...])
        if tracksOrigin {
            new.append(contentsOf: old[place...])
            spans = new
        }
        bytes = output
    }

    /// Replaces every occurrence of a byte in the whole text, as `replace` does, without a list of places. Only for a
    /// text whose origin is not kept.
    mutating func replaceByte(_ byte: UInt8, by content: [UInt8]) {
        let count = bytes.reduce(0) { $0 + ($1 == byte ? 1 : 0) }
        guard count > 0 else { return }
        let size = bytes.count + count * (content.count - 1)
        bytes = [UInt8](unsafeUninitializedCapacity: size) { output, written in
            var place = 0
            for old in bytes {
                if old != byte {
                    output.initializeElement(at: place, to: old)
                    place += 1
                } else {
                    for new in content {
                        output.initializeElement(at: place, to: new)
                        place += 1
                    }
                }
            }
            written = place
        }
    }

    /// Joins the given stretches, each behind its prefix; returns where they then lie. A prefix takes the place in the
    /// original of the first character behind it.
    @discardableResult
    mutating func rebuild(_ pieces: [Range<Int>], prefixes: [[UInt8]]) -> [Range<Int>] {
        let old = tracksOrigin ? currentSpans() : []
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + pieces.count * 3)
        var new: [Span] = []
        var places: [Range<Int>] = []
        places.reserveCapacity(pieces.count)
        for (piece, prefix) in zip(pieces, prefixes) {
            let start = output.count
            // Nothing can be put before nothing.
            let prefix = piece.isEmpty ? [] : prefix
            output.append(contentsOf: prefix)
            output.append(contentsOf: bytes[piece])
            if tracksOrigin {
                if !prefix.isEmpty { new.append(contentsOf: repeatElement(old[piece.lowerBound], count: prefix.count)) }
                new.append(contentsOf: old[piece])
            }
            places.append(start..<output.count)
        }
        bytes = output
        if tracksOrigin { spans = new }
        return places
    }

    /// Replaces every byte of the text pieces by a text of its own; added tokens stay as they are.
    mutating func substituteBytes(_ pieces: inout [TextPiece], _ table: [[UInt8]]) {
        let old = tracksOrigin ? currentSpans() : []
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count * 2)
        var new: [Span] = []
        for index in pieces.indices {
            let start = output.count
            if pieces[index].token >= 0 {
                output.append(contentsOf: bytes[pieces[index].range])
                if tracksOrigin { new.append(contentsOf: old[pieces[index].range]) }
            } else {
                for place in pieces[index].range {
                    let text = table[Int(bytes[place])]
                    output.append(contentsOf: text)
                    if tracksOrigin { new.append(contentsOf: repeatElement(old[place], count: text.count)) }
                }
            }
            pieces[index].start = start
            pieces[index].end = output.count
        }
        bytes = output
        if tracksOrigin { spans = new }
    }
}

extension [UInt8] {
    /// Appends a scalar as UTF-8; what is no scalar becomes U+FFFD.
    @inline(__always)
    mutating func append(scalar value: UInt32) {
        if value < 0x80 {
            append(UInt8(value))
        } else if value < 0x800 {
            append(UInt8(0xC0 | value >> 6))
            append(UInt8(0x80 | value & 0x3F))
        } else if value < 0x10000 {
            let value = (0xD800...0xDFFF).contains(value) ? 0xFFFD : value
            append(UInt8(0xE0 | value >> 12))
            append(UInt8(0x80 | value >> 6 & 0x3F))
            append(UInt8(0x80 | value & 0x3F))
        } else {
            let value = Swift.min(value, ScalarSet.lastScalar)
            append(UInt8(0xF0 | value >> 18))
            append(UInt8(0x80 | value >> 12 & 0x3F))
            append(UInt8(0x80 | value >> 6 & 0x3F))
            append(UInt8(0x80 | value & 0x3F))
        }
    }
}
