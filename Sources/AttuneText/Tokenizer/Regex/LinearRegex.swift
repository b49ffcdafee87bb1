/// A regular expression that always runs in time linear in the text.
///
/// The syntax is that of Oniguruma and Python without what needs backtracking: back-references, atomic groups and
/// look-around over more than one character are refused when the pattern is read. Of several matches that begin at the
/// same place the one a backtracking engine would find is returned. `^` and `$` stand at lines.
public struct LinearRegex: Sendable {
    /// The text the expression was made from.
    public let pattern: String
    let program: RegexProgram
    let simulation: RegexSimulation
    let automaton: RegexAutomaton?

    // Behind so many bytes without a match a single anchored attempt gives way to the one-pass search.
    private static let attemptLimit = 64

    /// - Throws: `RegexError` for a malformed pattern or one that needs backtracking.
    public init(_ pattern: String) throws(RegexError) {
        self.pattern = pattern
        program = try RegexProgram(try RegexParser.parse(pattern), pattern: pattern)
        simulation = RegexSimulation(program: program)
        automaton = RegexAutomaton(program)
    }

    /// Whether the whole text matches.
    public func fullMatch(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { buffer in
            withBase(buffer) { simulation.matchesAll($0, in: 0..<buffer.count) }
        }
    }

    /// The first match as a range of UTF-8 bytes.
    public func firstMatch(in text: String) -> Range<Int>? {
        var text = text
        return text.withUTF8 { buffer in
            withBase(buffer) { firstMatch($0, in: 0..<buffer.count, from: 0) }
        }
    }

    /// Whether the expression runs on the compiled matcher; very large ones run on the plain one.
    package var isCompiled: Bool { automaton != nil }

    /// All matches that do not overlap, found by the compiled or the plain matcher.
    package func matches(in text: String, compiled: Bool) -> [Range<Int>] {
        var text = text
        return text.withUTF8 { buffer in
            withBase(buffer) { bytes in
                var found: [Range<Int>] = []
                var place = 0
                while place <= buffer.count {
                    let match =
                        compiled
                        ? firstMatch(bytes, in: 0..<buffer.count, from: place)
                        : simulation.search(bytes, in: 0..<buffer.count, from: place, anchored: false)
                    guard let match else { break }
                    found.append(match)
                    place = match.upperBound
                    guard match.isEmpty else { continue }
                    guard place < buffer.count else { break }
                    place += UTF8Scan.scalar(bytes, at: place, end: buffer.count).length
                }
                return found
            }
        }
    }

    private func withBase<R>(_ buffer: UnsafeBufferPointer<UInt8>, _ body: (UnsafePointer<UInt8>) -> R) -> R {
        if let base = buffer.baseAddress { return body(base) }
        return withUnsafePointer(to: UInt8(0)) { body($0) }
    }

    /// The leftmost match at or behind `from`; `range` is what counts as the whole text.
    @inline(__always)
    func firstMatch(_ bytes: UnsafePointer<UInt8>, in range: Range<Int>, from: Int) -> Range<Int>? {
        guard let automaton else { return simulation.search(bytes, in: range, from: from, anchored: false) }
        var position = from
        while true {
            let behind = program.looksBehind ? program.classBehind(position, in: range, bytes) : 0
            let (end, reached) = automaton.matchEnd(bytes, in: range, from: position, classBehind: behind)
            if end >= 0 { return position..<end }
            if position >= range.upperBound { return nil }
            if reached - position > Self.attemptLimit {
                return simulation.search(bytes, in: range, from: position, anchored: false)
            }
            position += program.classAhead(position, in: range, bytes).length
            if !program.looksBehind { position = automaton.skip(bytes, in: range, from: position) }
        }
    }

    /// Cuts a stretch into matches and what lies between them; nothing empty is passed on.
    @inline(__always)
    func forEachStretch(_ bytes: UnsafePointer<UInt8>, in range: Range<Int>, _ body: (Int, Int) -> Void) {
        var done = range.lowerBound
        var place = done
        while place < range.upperBound, let match = firstMatch(bytes, in: range, from: place) {
            if match.lowerBound > done { body(done, match.lowerBound) }
            done = match.lowerBound
            if match.isEmpty {
                guard done < range.upperBound else { break }
                place = done + UTF8Scan.scalar(bytes, at: done, end: range.upperBound).length
            } else {
                body(done, match.upperBound)
                done = match.upperBound
                place = done
            }
        }
        if done < range.upperBound { body(done, range.upperBound) }
    }
}
