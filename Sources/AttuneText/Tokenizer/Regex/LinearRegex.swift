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
    public func firstMatch(in text: String) -> Range<Int>? { firstMatch(in: text, from: 0) }

    /// The first match that begins at or behind a byte, which must be on a character.
    func firstMatch(in text: String, from: Int) -> Range<Int>? {
        var text = text
        return text.withUTF8 { buffer in
            withBase(buffer) { firstMatch($0, in: 0..<buffer.count, from: from) }
        }
    }

    private func withBase<R>(_ buffer: UnsafeBufferPointer<UInt8>, _ body: (UnsafePointer<UInt8>) -> R) -> R {
        if let base = buffer.baseAddress { return body(base) }
        return withUnsafePointer(to: UInt8(0)) { body($0) }
    }

    /// The leftmost match at or behind `from`; `range` is what counts as the whole text.
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
        }
    }
}
