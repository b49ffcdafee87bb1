/// Regular expressions in the dialect shared by ECMAScript and Python, without what is not regular.
///
/// Parsed by descent with a depth limit; matched by the grammar automaton, so in time linear in the text.
struct RegularExpression {
    /// How characters are written in the output.
    enum Style: Sendable {
        /// As they are; the expression matches the whole text.
        case plain
        /// As the inside of a JSON string; without anchors the expression matches anywhere (JSON Schema's `pattern`).
        case jsonString
    }

    private let scalars: [UInt32]
    private let path: String
    private let style: Style
    private var place = 0
    private static let maxDepth = 64
    private static let maxCount = 10_000

    /// The expression as a node.
    static func node(
        _ text: String, path: String, style: Style, rules: inout GrammarRules
    ) throws(GrammarError) -> GrammarNode {
        guard text.utf8.count <= rules.limits.maxSourceBytes else {
            throw .tooLarge("an expression of more than \(rules.limits.maxSourceBytes) bytes")
        }
        var parser = RegularExpression(scalars: text.unicodeScalars.map(\.value), path: path, style: style)
        let node = try parser.alternation(depth: 0, rules: &rules)
        guard parser.place == parser.scalars.count else { throw parser.malformed("has an unmatched ')'") }
        return node
    }

    private init(scalars: [UInt32], path: String, style: Style) {
        self.scalars = scalars
        self.path = path
        self.style = style
    }

    private func malformed(_ message: String) -> GrammarError {
        .malformed(path: path, message: "the expression \(message) at character \(place)")
    }

    private func unsupported(_ message: String) -> GrammarError {
        .unsupported(
            path: path, message: "the expression uses \(message) at character \(place), which is not supported")
    }

    private var next: UInt32? { place < scalars.count ? scalars[place] : nil }

    private func looks(at text: String) -> Bool { scalars[place...].starts(with: text.unicodeScalars.map(\.value)) }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar.value else { return false }
        place += 1
        return true
    }

    private mutating func alternation(depth: Int, rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        guard depth <= Self.maxDepth else { throw .tooLarge("an expression nested more than \(Self.maxDepth) deep") }
        var branches: [GrammarNode] = []
        repeat {
            var parts: [GrammarNode] = []
            var isSearch = (start: style == .jsonString && depth == 0, end: style == .jsonString && depth == 0)
            if next == 0x5E {
                guard depth == 0 else { throw unsupported("'^' inside a group") }
                place += 1
                isSearch.start = false
            }
            while let scalar = next, scalar != 0x7C, scalar != 0x29 {
                if scalar == 0x24 {
                    place += 1
                    guard depth == 0, next == nil || next == 0x7C else { throw unsupported("'$' before the end") }
                    isSearch.end = false
                    continue
                }
                parts.append(try quantified(depth: depth, rules: &rules))
            }
            if isSearch.start || isSearch.end {
                let anything = GrammarNode.repeated(try emit(.all, &rules), 0, nil)
                if isSearch.start { parts.insert(anything, at: 0) }
                if isSearch.end { parts.append(anything) }
            }
            branches.append(.sequence(parts))
        } while take("|")
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func quantified(depth: Int, rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        let atom = try atom(depth: depth, rules: &rules)
        var bounds: (Int, Int?)?
        switch next {
        case 0x2A: bounds = (0, nil)
        case 0x2B: bounds = (1, nil)
        case 0x3F: bounds = (0, 1)
        case 0x7B:
            if let counts = try counts() { bounds = counts }
        default: break
        }
        guard let bounds else { return atom }
        place += 1
        if next == 0x3F {
            place += 1  // lazy: the same language
        } else if let scalar = next, scalar == 0x2A || scalar == 0x2B {
            throw malformed("repeats a repetition")
        }
        return .repeated(atom, bounds.0, bounds.1)
    }

    /// Reads `{m}`, `{m,}` or `{m,n}` up to, not over, the closing brace; `nil` where the brace is a character.
    private mutating func counts() throws(GrammarError) -> (Int, Int?)? {
        var at = place + 1
        func number() -> Int? {
            var value: Int?
            while at < scalars.count, (0x30...0x39).contains(scalars[at]) {
                value = min((value ?? 0) * 10 + Int(scalars[at] - 0x30), Self.maxCount + 1)
                at += 1
            }
            return value
        }
        guard let least = number() else { return nil }
        var most: Int? = least
        if at < scalars.count, scalars[at] == 0x2C {
            at += 1
            most = number()
        }
        guard at < scalars.count, scalars[at] == 0x7D else { return nil }
        guard least <= Self.maxCount, (most ?? 0) <= Self.maxCount else {
            throw .tooLarge("a repetition of more than \(Self.maxCount)")
        }
        guard (most ?? least) >= least else { throw malformed("has a repetition with its limits exchanged") }
        place = at
        return (least, most)
    }

    private mutating func atom(depth: Int, rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        guard let scalar = next else { throw malformed("ends early") }
        switch scalar {
        case 0x28:
            place += 1
            if take("?") {
                if looks(at: ":") {
                    place += 1
                } else if looks(at: "P<") || (looks(at: "<") && !looks(at: "<=") && !looks(at: "<!")) {
                    while let scalar = next, scalar != 0x3E { place += scalar == 0x29 ? scalars.count : 1 }
                    guard take(">") else { throw malformed("has an unfinished group name") }
                } else {
                    throw unsupported("look-around or flags")
                }
            }
            let inner = try alternation(depth: depth + 1, rules: &rules)
            guard take(")") else { throw malformed("has an unmatched '('") }
            return inner
        case 0x5B: return try emit(try bracket(), &rules)
        case 0x2E:
            place += 1
            return try emit(CodePoints.lineEnds.inverted, &rules)
        case 0x5C: return try emit(try escape(), &rules)
        case 0x2A, 0x2B, 0x3F: throw malformed("repeats nothing")
        case 0x5E: throw unsupported("'^' after the start")
        default:
            place += 1
            return try emit(CodePoints(scalar), &rules)
        }
    }

    /// Reads `[…]`.
    private mutating func bracket() throws(GrammarError) -> CodePoints {
        place += 1
        let isNegated = take("^")
        var set = CodePoints([])
        var isFirst = true
        while true {
            guard let scalar = next else { throw malformed("has an unfinished '['") }
            if scalar == 0x5D, !isFirst { break }
            isFirst = false
            let low = try member()
            if next == 0x2D, place + 1 < scalars.count, scalars[place + 1] != 0x5D, let first = low.single {
                place += 1
                guard let last = try member().single, last >= first else { throw malformed("has a range out of order") }
                set.insert(first...last)
            } else {
                set = set.union(low)
            }
        }
        place += 1
        return isNegated ? set.inverted : set
    }

    private mutating func member() throws(GrammarError) -> CodePoints {
        guard let scalar = next else { throw malformed("has an unfinished '['") }
        if scalar == 0x5C { return try escape(isInBracket: true) }
        place += 1
        return CodePoints(scalar)
    }

    /// Reads `\…`.
    private mutating func escape(isInBracket: Bool = false) throws(GrammarError) -> CodePoints {
        place += 1
        guard let scalar = next.flatMap(Unicode.Scalar.init) else { throw malformed("ends in a backslash") }
        place += 1
        switch scalar {
        case "d": return .digits
        case "D": return CodePoints.digits.inverted
        case "w": return .word
        case "W": return CodePoints.word.inverted
        case "s": return .space
        case "S": return CodePoints.space.inverted
        case "n": return CodePoints(0x0A)
        case "r": return CodePoints(0x0D)
        case "t": return CodePoints(0x09)
        case "f": return CodePoints(0x0C)
        case "v": return CodePoints(0x0B)
        case "0": return CodePoints(0)
        case "b" where isInBracket: return CodePoints(0x08)
        case "x": return CodePoints(try hexadecimal(2))
        case "u":
            if take("{") {
                var value: UInt32 = 0
                while let digit = hexDigit(next) {
                    value = min(value << 4 | digit, 0x110000)
                    place += 1
                }
                guard take("}"), value <= 0x10FFFF else { throw malformed("has a malformed \\u{…}") }
                return CodePoints(value)
            }
            let high = try hexadecimal(4)
            guard (0xD800...0xDBFF).contains(high), looks(at: "\\u") else { return CodePoints(high) }
            place += 2
            let low = try hexadecimal(4)
            guard (0xDC00...0xDFFF).contains(low) else { throw malformed("has half a surrogate pair") }
            return CodePoints(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
        default:
            let isLetter = scalar.properties.isAlphabetic || ("1"..."9").contains(scalar)
            if isLetter { throw unsupported("'\\\(scalar)'") }
            return CodePoints(scalar.value)
        }
    }

    private func hexDigit(_ scalar: UInt32?) -> UInt32? {
        switch scalar {
        case .some(let s) where (0x30...0x39).contains(s): s - 0x30
        case .some(let s) where (0x41...0x46).contains(s): s - 0x41 + 10
        case .some(let s) where (0x61...0x66).contains(s): s - 0x61 + 10
        default: nil
        }
    }

    private mutating func hexadecimal(_ count: Int) throws(GrammarError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = hexDigit(next) else { throw malformed("has a malformed escape") }
            value = value << 4 | digit
            place += 1
        }
        return value
    }

    /// One character of the set, written in the style. Large sets are shared rules.
    private func emit(_ set: CodePoints, _ rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        guard !set.intersection(.all).isEmpty else { return .choice([]) }
        if style == .plain {
            guard set.ranges.contains(where: { $0.upperBound > 0x7F }) else { return set.utf8 }
            return try rules.shared("characters \(set.ranges)") { _ in set.utf8 }
        }
        if set.intersection(.jsonEscaped).isEmpty, !set.ranges.contains(where: { $0.upperBound > 0x7F }) {
            return set.utf8
        }
        return try rules.shared("string characters \(set.ranges)") { _ in JSONGrammar.characters(set) }
    }
}

extension CodePoints {
    /// The only member of a set of one.
    fileprivate var single: UInt32? { ranges.count == 1 && ranges[0].count == 1 ? ranges[0].lowerBound : nil }
}
