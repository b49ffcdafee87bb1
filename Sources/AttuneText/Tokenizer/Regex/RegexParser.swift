/// A parsed pattern.
indirect enum RegexNode: Sendable {
    case empty
    case set(ScalarSet)
    case sequence([RegexNode])
    case alternation([RegexNode])
    case repeated(RegexNode, minimum: Int, maximum: Int?, lazy: Bool)
    case assertion(RegexAssertion)
}

/// A condition on the scalar before or after a position; `orBoundary` tells whether the end of the text satisfies it.
struct RegexAssertion: Sendable {
    var ahead: Bool
    var set: ScalarSet
    var orBoundary: Bool

    /// The condition that holds exactly where this one does not.
    var negated: RegexAssertion { RegexAssertion(ahead: ahead, set: set.inverted, orBoundary: !orBoundary) }
}

/// Why a pattern cannot be used.
public struct RegexError: Error, Sendable, CustomStringConvertible {
    /// One line: what is wrong with which pattern, and where.
    public let description: String
}

/// Reads the syntax of Oniguruma (Ruby) and Python as far as a linear-time matcher can follow it.
struct RegexParser {
    private let pattern: String
    private let scalars: [UInt32]
    private var place = 0
    private var ignoreCase = false
    private var depth = 0

    private static let maximumDepth = 64
    private static let maximumRepeat = 256

    init(_ pattern: String) {
        self.pattern = pattern
        scalars = pattern.unicodeScalars.map(\.value)
    }

    static func parse(_ pattern: String) throws(RegexError) -> RegexNode {
        var parser = RegexParser(pattern)
        let node = try parser.parseAlternation()
        guard parser.place == parser.scalars.count else { throw parser.error("unbalanced ')'") }
        return node
    }

    private func error(_ message: String) -> RegexError {
        RegexError(description: "pattern '\(pattern)': \(message) at scalar \(place)")
    }

    private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
        place + ahead < scalars.count ? Unicode.Scalar(scalars[place + ahead]) : nil
    }

    private mutating func take() throws(RegexError) -> Unicode.Scalar {
        guard let scalar = peek() else { throw error("unexpected end") }
        place += 1
        return scalar
    }

    private mutating func take(_ text: String) -> Bool {
        let wanted = text.unicodeScalars.map(\.value)
        guard scalars[place...].starts(with: wanted) else { return false }
        place += wanted.count
        return true
    }

    private mutating func parseAlternation() throws(RegexError) -> RegexNode {
        depth += 1
        guard depth <= Self.maximumDepth else { throw error("groups nested deeper than \(Self.maximumDepth)") }
        defer { depth -= 1 }
        let outerCase = ignoreCase
        defer { ignoreCase = outerCase }
        var branches = [try parseSequence()]
        while take("|") { branches.append(try parseSequence()) }
        return branches.count == 1 ? branches[0] : .alternation(branches)
    }

    private mutating func parseSequence() throws(RegexError) -> RegexNode {
        var items: [RegexNode] = []
        while let scalar = peek(), scalar != "|", scalar != ")" {
            let atom = try parseAtom()
            items.append(try parseQuantifiers(of: atom))
        }
        return items.isEmpty ? .empty : items.count == 1 ? items[0] : .sequence(items)
    }

    private mutating func parseQuantifiers(of atom: RegexNode) throws(RegexError) -> RegexNode {
        var node = atom
        while let scalar = peek() {
            let bounds: (Int, Int?)
            var braces = false
            switch scalar {
            case "*": bounds = (0, nil)
            case "+": bounds = (1, nil)
            case "?": bounds = (0, 1)
            case "{":
                guard let parsed = try parseBraces() else { return node }
                bounds = parsed
                braces = true
            default: return node
            }
            if !braces { place += 1 }
            if case .assertion = node { throw error("repeated assertion") }
            let lazy = take("?")
            if !lazy, !braces, take("+") {
                node = try possessive(node, minimum: bounds.0, maximum: bounds.1)
            } else {
                node = .repeated(node, minimum: bounds.0, maximum: bounds.1, lazy: lazy)
            }
        }
        return node
    }

    /// A possessive repeat of one set is the greedy repeat followed by "no further member".
    private func possessive(_ node: RegexNode, minimum: Int, maximum: Int?) throws(RegexError) -> RegexNode {
        guard case .set(let set) = node else {
            throw error("a possessive quantifier is supported behind a single character or class only")
        }
        let noMore = RegexNode.assertion(RegexAssertion(ahead: true, set: set.inverted, orBoundary: true))
        if maximum == 1 { return .alternation([node, noMore]) }
        return .sequence([.repeated(node, minimum: minimum, maximum: maximum, lazy: false), noMore])
    }

    /// `{n}`, `{n,}`, `{n,m}`, `{,m}`; `nil` when the brace is a literal.
    private mutating func parseBraces() throws(RegexError) -> (Int, Int?)? {
        let start = place
        place += 1
        let low = parseInteger()
        var high = low
        let hasComma = take(",")
        if hasComma { high = parseInteger() }
        guard take("}"), low != nil || high != nil else {
            place = start
            return nil
        }
        let minimum = low ?? 0
        guard minimum <= Self.maximumRepeat, (high ?? 0) <= Self.maximumRepeat, high.map({ $0 >= minimum }) ?? true
        else {
            throw error("repeat count beyond \(Self.maximumRepeat) or out of order")
        }
        return (minimum, high)
    }

    private mutating func parseInteger() -> Int? {
        var value: Int?
        while let scalar = peek(), ("0"..."9").contains(scalar) {
            value = min((value ?? 0) * 10 + Int(scalar.value - 0x30), 1 << 20)
            place += 1
        }
        return value
    }

    private mutating func parseAtom() throws(RegexError) -> RegexNode {
        let scalar = try take()
        switch scalar {
        case "(": return try parseGroup()
        case "[": return .set(folded(try parseClass()))
        case ".": return .set(ScalarSet([0x0A...0x0A]).inverted)
        case "^": return Self.lineStart
        case "$": return Self.lineEnd
        case "*", "+", "?": throw error("nothing to repeat")
        case "\\": return try parseEscape()
        case "{":
            // Oniguruma reads a brace that begins no quantifier as itself.
            return literal(scalar.value)
        default: return literal(scalar.value)
        }
    }

    private func literal(_ scalar: UInt32) -> RegexNode { .set(folded(ScalarSet([scalar...scalar]))) }

    private func folded(_ set: ScalarSet) -> ScalarSet {
        guard ignoreCase else { return set }
        var members: [UInt32] = []
        for range in set.ranges {
            // Beyond the last cased letter nothing has variants.
            for scalar in range.lowerBound...max(range.lowerBound, min(range.upperBound, 0x1E943)) {
                members.append(contentsOf: CaseVariants.of(scalar))
            }
        }
        return set.union(ScalarSet(members))
    }

    private mutating func parseGroup() throws(RegexError) -> RegexNode {
        guard take("?") else { return try closeGroup() }
        if take(":") { return try closeGroup() }
        for (mark, ahead, negative) in [
            ("=", true, false), ("!", true, true), ("<=", false, false), ("<!", false, true),
        ]
        where take(mark) {
            let inner = try closeGroup()
            guard let set = Self.singleSet(inner) else {
                throw error("look-around over more than one character is not supported")
            }
            let assertion = RegexAssertion(ahead: ahead, set: set, orBoundary: false)
            return .assertion(negative ? assertion.negated : assertion)
        }
        if take("P<") || take("<") {
            while try take() != ">" {}
            return try closeGroup()
        }
        if take(">") { throw error("an atomic group is not supported") }
        return try parseFlags()
    }

    /// `(?i)`, `(?i:…)`, `(?-i:…)`; `m`, `s`, `u` and `x` off change nothing here.
    private mutating func parseFlags() throws(RegexError) -> RegexNode {
        var on = true
        var newCase = ignoreCase
        while true {
            switch try take() {
            case "i": newCase = on
            case "-": on = false
            case "u": break
            case ":":
                let outer = ignoreCase
                ignoreCase = newCase
                let node = try closeGroup()
                ignoreCase = outer
                return node
            case ")":
                ignoreCase = newCase
                return .empty
            default: throw error("unknown group '(?'")
            }
        }
    }

    private mutating func closeGroup() throws(RegexError) -> RegexNode {
        let node = try parseAlternation()
        guard take(")") else { throw error("missing ')'") }
        return node
    }

    private static func singleSet(_ node: RegexNode) -> ScalarSet? {
        switch node {
        case .set(let set): return set
        case .alternation(let branches):
            var union = ScalarSet()
            for branch in branches {
                guard let set = singleSet(branch) else { return nil }
                union = union.union(set)
            }
            return union
        default: return nil
        }
    }

    private mutating func parseEscape() throws(RegexError) -> RegexNode {
        switch try take() {
        case "b": return Self.wordBoundary
        case "B": return Self.notWordBoundary
        case "A": return Self.boundary(ahead: false)
        case "z": return Self.boundary(ahead: true)
        case "Z": return Self.boundary(ahead: true)
        case "1"..."9": throw error("a back-reference is not supported")
        default:
            place -= 1
            return .set(folded(try parseClassEscape()))
        }
    }

    /// What stands behind a backslash, as a set.
    private mutating func parseClassEscape() throws(RegexError) -> ScalarSet {
        let scalar = try take()
        switch scalar {
        case "s": return ScalarClasses.whitespace
        case "S": return ScalarClasses.whitespace.inverted
        case "d": return ScalarClasses.decimalDigits
        case "D": return ScalarClasses.decimalDigits.inverted
        case "w": return ScalarClasses.word
        case "W": return ScalarClasses.word.inverted
        case "h": return ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
        case "H": return ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66]).inverted
        case "p", "P": return try parseProperty(negated: scalar == "P")
        case "n": return ScalarSet([0x0A])
        case "r": return ScalarSet([0x0D])
        case "t": return ScalarSet([0x09])
        case "f": return ScalarSet([0x0C])
        case "v": return ScalarSet([0x0B])
        case "a": return ScalarSet([0x07])
        case "e": return ScalarSet([0x1B])
        case "0": return ScalarSet([0x00])
        case "x": return ScalarSet([try parseHexadecimal(digits: 2)])
        case "u": return ScalarSet([try parseHexadecimal(digits: 4)])
        case "U": return ScalarSet([try parseHexadecimal(digits: 8)])
        default:
            guard !(("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)) else {
                throw error("unknown escape '\\\(scalar)'")
            }
            return ScalarSet([scalar.value])
        }
    }

    private mutating func parseHexadecimal(digits: Int) throws(RegexError) -> UInt32 {
        let braces = take("{")
        var value: UInt32 = 0
        var count = 0
        while let scalar = peek(), count < (braces ? 8 : digits),
            let digit = Character(scalar).hexDigitValue, scalar.isASCII
        {
            value = value << 4 | UInt32(digit)
            count += 1
            place += 1
        }
        guard count > 0, !braces || take("}"), value <= ScalarSet.lastScalar else {
            throw error("malformed hexadecimal escape")
        }
        return value
    }

    private mutating func parseProperty(negated: Bool) throws(RegexError) -> ScalarSet {
        var name = ""
        var negated = negated
        if take("{") {
            if take("^") { negated.toggle() }
            while true {
                let scalar = try take()
                if scalar == "}" { break }
                name.unicodeScalars.append(scalar)
            }
        } else {
            name.unicodeScalars.append(try take())
        }
        guard let set = ScalarClasses.property(name) else { throw error("unknown property '\(name)'") }
        return negated ? set.inverted : set
    }

    /// Behind `[`: members, ranges, nested classes, `&&`, POSIX names.
    private mutating func parseClass() throws(RegexError) -> ScalarSet {
        depth += 1
        guard depth <= Self.maximumDepth else { throw error("classes nested deeper than \(Self.maximumDepth)") }
        defer { depth -= 1 }
        let negated = take("^")
        var left: ScalarSet?
        var ranges: [ClosedRange<UInt32>] = []
        var isFirst = true
        while true {
            if isFirst, take("]") {
                ranges.append(0x5D...0x5D)
                isFirst = false
                continue
            }
            isFirst = false
            if take("]") { break }
            if take("&&") {
                let operand = ScalarSet(ranges)
                left = left.map { $0.intersection(operand) } ?? operand
                ranges = []
                continue
            }
            if take("[:") {
                ranges.append(contentsOf: try parsePosixName().ranges)
                continue
            }
            if take("[") {
                ranges.append(contentsOf: try parseClass().ranges)
                continue
            }
            let member = try parseClassMember()
            if let low = member.single, peek() == "-", let next = peek(1), next != "]" {
                place += 1
                guard !take("[") else { throw error("a class cannot end a range") }
                guard let high = try parseClassMember().single, high >= low else { throw error("range out of order") }
                ranges.append(low...high)
            } else {
                ranges.append(contentsOf: member.ranges)
            }
        }
        var set = ScalarSet(ranges)
        if let left { set = left.intersection(set) }
        return negated ? folded(set).inverted : set
    }

    private mutating func parseClassMember() throws(RegexError) -> ScalarSet {
        let scalar = try take()
        guard scalar == "\\" else { return ScalarSet([scalar.value]) }
        if take("b") { return ScalarSet([0x08]) }
        return try parseClassEscape()
    }

    private mutating func parsePosixName() throws(RegexError) -> ScalarSet {
        let negated = take("^")
        var name = ""
        while !take(":]") { name.unicodeScalars.append(try take()) }
        guard let set = ScalarClasses.property(name) else { throw error("unknown class '[:\(name):]'") }
        return negated ? set.inverted : set
    }

    // `^` and `$` stand at lines, as in Ruby: behind a line feed that is not the last scalar, before any line feed.
    private static let lineFeed = ScalarSet([0x0A...0x0A])
    private static let lineStart = RegexNode.alternation([
        boundary(ahead: false),
        .sequence([
            .assertion(RegexAssertion(ahead: false, set: lineFeed, orBoundary: false)),
            .assertion(RegexAssertion(ahead: true, set: .all, orBoundary: false)),
        ]),
    ])
    private static let lineEnd = RegexNode.assertion(
        RegexAssertion(ahead: true, set: lineFeed, orBoundary: true))
    private static func boundary(ahead: Bool) -> RegexNode {
        .assertion(RegexAssertion(ahead: ahead, set: ScalarSet(), orBoundary: true))
    }
    private static let isWordBehind = RegexAssertion(ahead: false, set: ScalarClasses.word, orBoundary: false)
    private static let isWordAhead = RegexAssertion(ahead: true, set: ScalarClasses.word, orBoundary: false)
    private static let wordBoundary = RegexNode.alternation([
        .sequence([.assertion(isWordBehind), .assertion(isWordAhead.negated)]),
        .sequence([.assertion(isWordBehind.negated), .assertion(isWordAhead)]),
    ])
    private static let notWordBoundary = RegexNode.alternation([
        .sequence([.assertion(isWordBehind), .assertion(isWordAhead)]),
        .sequence([.assertion(isWordBehind.negated), .assertion(isWordAhead.negated)]),
    ])
}

extension ScalarSet {
    /// The only member of a set of one.
    fileprivate var single: UInt32? {
        guard ranges.count == 1, ranges[0].lowerBound == ranges[0].upperBound else { return nil }
        return ranges[0].lowerBound
    }
}
