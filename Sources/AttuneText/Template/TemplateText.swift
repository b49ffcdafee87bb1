/// Which part of the conversation some bytes of a text stem from.
struct ProvenanceMark: Sendable {
    enum Kind: UInt8, Sendable {
        /// Bytes written during the loop iteration over a message.
        case turn
        /// Bytes copied from a value of a message.
        case content
        /// Bytes written inside a `{% generation %}` block.
        case generation
    }

    var begin: Int
    var end: Int
    var message: Int
    var kind: Kind
}

/// A Python `str`: valid UTF-8, indexed by code point where the language shows an index, with the provenance of its
/// bytes. `Swift.String` is not used because it compares and counts by canonical equivalence and grapheme.
struct TemplateText: Sendable {
    var bytes: [UInt8]
    var marks: [ProvenanceMark] = []
    /// Whether it is a `Markup`, which the filters `safe` and `escape` give: adding to one escapes the other side.
    var isMarkup = false

    init(_ bytes: [UInt8], isMarkup: Bool = false) {
        self.bytes = bytes
        self.isMarkup = isMarkup
    }

    init(_ string: String) { bytes = Array(string.utf8) }

    init(_ scalars: some Sequence<Unicode.Scalar>) {
        bytes = []
        for scalar in scalars { TemplateText.append(scalar, to: &bytes) }
    }

    var string: String { String(decoding: bytes, as: UTF8.self) }
    var scalars: [Unicode.Scalar] { Array(string.unicodeScalars) }
    var isEmpty: Bool { bytes.isEmpty }

    /// How many code points.
    var count: Int {
        var count = 0
        for byte in bytes where byte & 0xC0 != 0x80 { count += 1 }
        return count
    }

    static func append(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) {
        if scalar.value < 0x80 {
            bytes.append(UInt8(scalar.value))
        } else {
            bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }

    /// The byte offset of each code point, and the total at the end.
    func offsets() -> [Int] {
        var offsets: [Int] = []
        offsets.reserveCapacity(bytes.count + 1)
        for (place, byte) in bytes.enumerated() where byte & 0xC0 != 0x80 { offsets.append(place) }
        offsets.append(bytes.count)
        return offsets
    }

    /// How many code points the first `offset` bytes hold.
    func position(ofByte offset: Int) -> Int {
        var count = 0
        for byte in bytes[..<offset] where byte & 0xC0 != 0x80 { count += 1 }
        return count
    }

    /// A part, by bytes, with its provenance.
    func slice(_ range: Range<Int>) -> TemplateText {
        if range.lowerBound == 0, range.upperBound == bytes.count { return self }
        var part = TemplateText(Array(bytes[range]), isMarkup: isMarkup)
        for mark in marks {
            let begin = max(mark.begin, range.lowerBound)
            let end = min(mark.end, range.upperBound)
            guard begin < end else { continue }
            part.marks.append(
                ProvenanceMark(
                    begin: begin - range.lowerBound, end: end - range.lowerBound, message: mark.message,
                    kind: mark.kind))
        }
        return part
    }

    /// Adds a text with its provenance.
    mutating func append(_ other: TemplateText) {
        let base = bytes.count
        bytes.append(contentsOf: other.bytes)
        for var mark in other.marks where mark.end > mark.begin {
            mark.begin += base
            mark.end += base
            // Neighbours of one origin become one mark, so that building a text piece by piece stays linear.
            if let last = marks.last, last.end == mark.begin, last.message == mark.message, last.kind == .content,
                mark.kind == .content
            {
                marks[marks.count - 1].end = mark.end
            } else {
                marks.append(mark)
            }
        }
        // Only a template that means harm gets here; it loses its spans, not the rendering.
        if marks.count > Self.maximumMarks { marks = [] }
    }

    private static let maximumMarks = 200_000

    /// The message all content marks agree on.
    var origin: Int? {
        var origin: Int?
        for mark in marks where mark.kind == .content {
            if let origin, origin != mark.message { return nil }
            origin = mark.message
        }
        return origin
    }

    /// The same text, all of it from one message; for results whose bytes cannot be traced singly.
    func attributed(to message: Int?) -> TemplateText {
        var text = self
        text.marks = []
        if let message, !bytes.isEmpty {
            text.marks = [ProvenanceMark(begin: 0, end: bytes.count, message: message, kind: .content)]
        }
        return text
    }

    /// The byte offset of the first occurrence at or after `start`.
    func firstIndex(of needle: [UInt8], from start: Int = 0, to limit: Int? = nil) -> Int? {
        let end = limit ?? bytes.count
        guard start + needle.count <= end else { return nil }
        guard let first = needle.first else { return start }
        var place = start
        let last = end - needle.count
        while place <= last {
            if bytes[place] == first, matches(needle, at: place) { return place }
            place += 1
        }
        return nil
    }

    /// The byte offset of the last occurrence within `start..<end`.
    func lastIndex(of needle: [UInt8], from start: Int = 0, to limit: Int? = nil) -> Int? {
        let end = limit ?? bytes.count
        var place = end - needle.count
        while place >= start {
            if matches(needle, at: place) { return place }
            place -= 1
        }
        return nil
    }

    func matches(_ needle: [UInt8], at place: Int) -> Bool {
        guard place >= 0, place + needle.count <= bytes.count else { return false }
        for index in needle.indices where bytes[place + index] != needle[index] { return false }
        return true
    }

    /// The bytes left when characters of a set (white space when `nil`) are taken off the ends.
    func strippedRange(_ set: Set<Unicode.Scalar>?, leading: Bool = true, trailing: Bool = true) -> Range<Int> {
        func isDropped(_ scalar: Unicode.Scalar) -> Bool { set.map { $0.contains(scalar) } ?? scalar.isPythonSpace }
        var begin = 0
        var end = bytes.count
        if leading {
            while begin < end {
                let (scalar, length) = TemplateText.scalar(in: bytes, at: begin)
                guard isDropped(scalar) else { break }
                begin += length
            }
        }
        if trailing {
            while end > begin {
                var start = end - 1
                while start > begin, bytes[start] & 0xC0 == 0x80 { start -= 1 }
                guard isDropped(TemplateText.scalar(in: bytes, at: start).scalar) else { break }
                end = start
            }
        }
        return begin..<end
    }

    /// Decodes the code point at a byte offset of valid UTF-8.
    static func scalar(in bytes: [UInt8], at place: Int) -> (scalar: Unicode.Scalar, length: Int) {
        let lead = bytes[place]
        if lead < 0x80 { return (Unicode.Scalar(lead), 1) }
        let length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
        guard place + length <= bytes.count else { return ("\u{FFFD}", 1) }
        var value = UInt32(lead) & (0xFF >> UInt32(length + 1))
        for index in 1..<length { value = value << 6 | UInt32(bytes[place + index] & 0x3F) }
        return (Unicode.Scalar(value) ?? "\u{FFFD}", length)
    }
}

extension Unicode.Scalar {
    /// What Python's `str.isspace` and the regular expression `\s` accept.
    var isPythonSpace: Bool {
        switch value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000:
            true
        default: false
        }
    }

    /// What Python's `str.splitlines` breaks at.
    var isPythonLineBreak: Bool {
        switch value {
        case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}
