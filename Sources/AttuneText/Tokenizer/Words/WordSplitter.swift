/// A stretch of a normalized text: text still to be tokenized, or an added token already found.
struct TextPiece {
    var start: Int
    var end: Int
    /// The id of an added token, or -1.
    var token: Int32 = -1

    var range: Range<Int> { start..<end }
}

/// What happens to the matches of a split pattern.
enum SplitBehavior: String, Sendable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
}

/// A step that cuts text into the words the model sees; `ByteLevel` and `Metaspace` also rewrite it.
indirect enum WordSplitter: Sendable {
    case sequence([WordSplitter])
    case byteLevel(addPrefixSpace: Bool, regex: LinearRegex?)
    case split(TextPattern, SplitBehavior, invert: Bool)
    case characters(ScalarSplit)
    case metaspace(replacement: [UInt8], scheme: PrependScheme, split: Bool)
    case scripts
    case fixedLength(Int)

    enum PrependScheme: Sendable { case always, first, never }

    /// Cuts all text pieces.
    ///
    /// - Parameters:
    ///   - text: may be rewritten; the pieces are places in it.
    ///   - originalStart: where this text begins in the whole input.
    ///   - keepsBytes: whether a `ByteLevel` step leaves the bytes as they are, for a model that reads raw bytes.
    func apply(to text: inout AlignedText, _ pieces: inout [TextPiece], originalStart: Int, keepsBytes: Bool) {
        switch self {
        case .sequence(let steps):
            for step in steps {
                step.apply(to: &text, &pieces, originalStart: originalStart, keepsBytes: keepsBytes)
            }
        case .byteLevel(let addPrefixSpace, let regex):
            if addPrefixSpace {
                Self.prepend([0x20], to: &text, &pieces) { text, piece in text.bytes[piece.start] != 0x20 }
            }
            if let regex { Self.splitIsolated(text, &pieces, regex) }
            if !keepsBytes {
                text.substituteBytes(&pieces, ByteAlphabet.textOfByte)
            }
        case .split(.regex(let regex), .isolated, _):
            Self.splitIsolated(text, &pieces, regex)
        case .split(let pattern, let behavior, let invert):
            Self.cut(text, &pieces) { bytes, range, emit in
                Self.emit(pattern.matches(bytes, in: range), of: range, behavior, invert: invert, emit)
            }
        case .characters(let split): split.apply(to: text, &pieces)
        case .metaspace(let replacement, let scheme, let split):
            Self.metaspace(&text, &pieces, replacement, scheme, originalStart: originalStart)
            if split { Self.cutBefore(replacement, text, &pieces) }
        case .scripts: ScriptSplit.apply(to: text, &pieces)
        case .fixedLength(let length):
            Self.cut(text, &pieces) { bytes, range, emit in
                var start = range.lowerBound
                var place = start
                var count = 0
                while place < range.upperBound {
                    place += UTF8Scan.scalar(bytes, at: place, end: range.upperBound).length
                    count += 1
                    if count == length {
                        emit(start, place)
                        start = place
                        count = 0
                    }
                }
                emit(start, place)
            }
        }
    }

    /// The steps before the last cut by a pattern, and that pattern, when nothing is done behind it but reading bytes:
    /// words can then be tokenized as they are found, without a list of them.
    func streaming(keepsBytes: Bool) -> (before: WordSplitter?, pattern: LinearRegex)? {
        guard keepsBytes else { return nil }
        var steps: [WordSplitter] = if case .sequence(let steps) = self { steps } else { [self] }
        guard case .byteLevel(false, let own)? = steps.popLast() else { return nil }
        var pattern = own
        if pattern == nil, case .split(.regex(let regex), .isolated, _)? = steps.last {
            pattern = regex
            steps.removeLast()
        }
        guard let pattern else { return nil }
        return (steps.isEmpty ? nil : .sequence(steps), pattern)
    }

    /// Whether a step asks where in the original a piece begins.
    var asksOrigin: Bool {
        switch self {
        case .sequence(let steps): steps.contains { $0.asksOrigin }
        case .metaspace(_, .first, _): true
        default: false
        }
    }

    /// Runs a cutter over every text piece; empty results are dropped.
    static func cut(
        _ text: AlignedText, _ pieces: inout [TextPiece],
        _ body: (UnsafePointer<UInt8>, Range<Int>, (Int, Int) -> Void) -> Void
    ) {
        var output: [TextPiece] = []
        output.reserveCapacity(pieces.count)
        text.bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            for piece in pieces {
                if piece.token >= 0 {
                    output.append(piece)
                } else {
                    body(base, piece.range) { start, end in
                        if end > start { output.append(TextPiece(start: start, end: end)) }
                    }
                }
            }
        }
        pieces = output
    }

    /// The usual case: every match is a piece and so is everything between matches.
    private static func splitIsolated(_ text: AlignedText, _ pieces: inout [TextPiece], _ regex: LinearRegex) {
        var output: [TextPiece] = []
        output.reserveCapacity(pieces.count + text.bytes.count / 4)
        text.bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            for piece in pieces {
                if piece.token >= 0 {
                    output.append(piece)
                } else {
                    regex.forEachStretch(base, in: piece.range) { start, end in
                        output.append(TextPiece(start: start, end: end))
                    }
                }
            }
        }
        pieces = output
    }

    /// Turns matches into pieces. All stretches, matching or not, are listed in order, then joined or dropped.
    static func emit(
        _ matches: [Range<Int>], of range: Range<Int>, _ behavior: SplitBehavior, invert: Bool,
        _ emit: (Int, Int) -> Void
    ) {
        var stretches: [(start: Int, end: Int, isMatch: Bool)] = []
        var place = range.lowerBound
        for match in matches {
            if match.lowerBound > place { stretches.append((place, match.lowerBound, invert)) }
            stretches.append((match.lowerBound, match.upperBound, !invert))
            place = match.upperBound
        }
        if place < range.upperBound { stretches.append((place, range.upperBound, invert)) }
        switch behavior {
        case .isolated:
            for stretch in stretches { emit(stretch.start, stretch.end) }
        case .removed:
            for stretch in stretches where !stretch.isMatch { emit(stretch.start, stretch.end) }
        case .contiguous:
            var joined: [(start: Int, end: Int, isMatch: Bool)] = []
            for stretch in stretches {
                if let last = joined.last, last.isMatch == stretch.isMatch {
                    joined[joined.count - 1].end = stretch.end
                } else {
                    joined.append(stretch)
                }
            }
            for stretch in joined { emit(stretch.start, stretch.end) }
        case .mergedWithPrevious:
            var joined: [(start: Int, end: Int)] = []
            var previous = false
            for stretch in stretches {
                if stretch.isMatch, !previous, !joined.isEmpty {
                    joined[joined.count - 1].end = stretch.end
                } else {
                    joined.append((stretch.start, stretch.end))
                }
                previous = stretch.isMatch
            }
            for stretch in joined { emit(stretch.start, stretch.end) }
        case .mergedWithNext:
            var joined: [(start: Int, end: Int)] = []
            var previous = false
            for stretch in stretches.reversed() {
                if stretch.isMatch, !previous, !joined.isEmpty {
                    joined[joined.count - 1].start = stretch.start
                } else {
                    joined.append((stretch.start, stretch.end))
                }
                previous = stretch.isMatch
            }
            for stretch in joined.reversed() { emit(stretch.start, stretch.end) }
        }
    }

    /// Cuts before every occurrence of a text: `mergedWithNext` without the list of matches.
    private static func cutBefore(_ mark: [UInt8], _ text: AlignedText, _ pieces: inout [TextPiece]) {
        cut(text, &pieces) { bytes, range, emit in
            var start = range.lowerBound
            var place = start
            scan: while place + mark.count <= range.upperBound {
                for offset in mark.indices where bytes[place + offset] != mark[offset] {
                    place += 1
                    continue scan
                }
                emit(start, place)
                start = place
                place += mark.count
            }
            emit(start, range.upperBound)
        }
    }

    private static func metaspace(
        _ text: inout AlignedText, _ pieces: inout [TextPiece], _ replacement: [UInt8], _ scheme: PrependScheme,
        originalStart: Int
    ) {
        prepend(replacement, to: &text, &pieces) { text, piece in
            switch scheme {
            case .never: return false
            case .first: guard originalStart + text.origin(of: piece.range).lowerBound == 0 else { return false }
            case .always: break
            }
            // A leading space is about to become the replacement, so it counts as one.
            return text.bytes[piece.start] != 0x20 && !text.bytes[piece.range].starts(with: replacement)
        }
        if !text.tracksOrigin, pieces.count == 1, pieces[0].token < 0, pieces[0].range == 0..<text.bytes.count {
            text.replaceByte(0x20, by: replacement)
            pieces[0].end = text.bytes.count
            return
        }
        // Every space of a text piece becomes the replacement; other bytes stay.
        var spaces: [Range<Int>] = []
        var shifted: [TextPiece] = []
        shifted.reserveCapacity(pieces.count)
        let growth = replacement.count - 1
        for piece in pieces {
            let shift = spaces.count * growth
            if piece.token < 0 {
                for place in piece.range where text.bytes[place] == 0x20 { spaces.append(place..<place + 1) }
            }
            shifted.append(
                TextPiece(start: piece.start + shift, end: piece.end + spaces.count * growth, token: piece.token))
        }
        text.replace(spaces, by: replacement)
        pieces = shifted
    }

    /// Puts a prefix before the text pieces that satisfy a condition.
    private static func prepend(
        _ prefix: [UInt8], to text: inout AlignedText, _ pieces: inout [TextPiece],
        where condition: (AlignedText, TextPiece) -> Bool
    ) {
        let prefixes = pieces.map { piece -> [UInt8] in
            piece.token < 0 && piece.end > piece.start && condition(text, piece) ? prefix : []
        }
        guard prefixes.contains(where: { !$0.isEmpty }) else { return }
        let places = text.rebuild(pieces.map(\.range), prefixes: prefixes)
        move(&pieces, to: places)
    }

    private static func move(_ pieces: inout [TextPiece], to places: [Range<Int>]) {
        for (index, place) in places.enumerated() {
            pieces[index].start = place.lowerBound
            pieces[index].end = place.upperBound
        }
    }
}
