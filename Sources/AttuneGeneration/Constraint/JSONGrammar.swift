import AttuneJSON

/// JSON texts as grammar rules.
///
/// White space is bounded, so that no model can write blanks for ever: between members nothing, one blank, or a line end with
/// up to 16 blanks; after a colon at most one blank. Numbers have at most 16 digits a part.
enum JSONGrammar {
    /// Any value.
    static func value(_ rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        try rules.shared("json value") { rules throws(GrammarError) in
            .choice([
                try string(&rules), number, .text("true"), .text("false"), .text("null"), try object(&rules),
                try array(&rules),
            ])
        }
    }

    /// Any object.
    static func object(_ rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        let pair = try pair(key: try string(&rules), value: try value(&rules))
        return list("{", pair, "}", 0, nil, gap: try gap(&rules))
    }

    /// Any array.
    static func array(_ rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        list("[", try value(&rules), "]", 0, nil, gap: try gap(&rules))
    }

    /// `least` to `most` items between brackets, with commas.
    static func list(
        _ open: String, _ item: GrammarNode, _ close: String, _ least: Int, _ most: Int?, gap: GrammarNode
    ) -> GrammarNode {
        var forms: [GrammarNode] = []
        if least == 0 { forms.append(.text(open + close)) }
        if most ?? 1 > 0 {
            let rest = GrammarNode.repeated(
                .sequence([.text(","), gap, item]), max(0, least - 1), most.map { $0 - 1 })
            forms.append(.sequence([.text(open), gap, item, rest, gap, .text(close)]))
        }
        return .choice(forms)
    }

    /// A member.
    static func pair(key: GrammarNode, value: GrammarNode) throws(GrammarError) -> GrammarNode {
        .sequence([key, .text(":"), .optional(.text(" ")), value])
    }

    /// White space between members.
    static func gap(_ rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        try rules.shared("gap") { _ in
            .choice([.empty, .text(" "), .sequence([.text("\n"), .repeated(.text(" "), 0, 16)])])
        }
    }

    /// Any string.
    static func string(_ rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        try rules.shared("json string") { rules throws(GrammarError) in
            .sequence([.text("\""), .repeated(try character(&rules), 0, nil), .text("\"")])
        }
    }

    /// A string of so many characters (code points).
    static func string(
        _ rules: inout GrammarRules, least: Int, most: Int?
    ) throws(GrammarError) -> GrammarNode {
        .sequence([.text("\""), .repeated(try character(&rules), least, most), .text("\"")])
    }

    private static func character(_ rules: inout GrammarRules) throws(GrammarError) -> GrammarNode {
        try rules.shared("json character") { _ in .choice([CodePoints.all.subtracting(.jsonEscaped).utf8, anyEscape]) }
    }

    /// Every escape of RFC 8259; halves of surrogate pairs never stand alone.
    private static let anyEscape: GrammarNode = {
        let hex = ByteSet("0123456789abcdefABCDEF".utf8)
        let plain = GrammarNode.choice([
            .sequence([.set(ByteSet("0123456789abcefABCEF".utf8)), .set(hex)]),
            .sequence([.set(ByteSet("dD".utf8)), .set(ByteSet("01234567".utf8))]),
        ])
        let pair = GrammarNode.sequence([
            .set(ByteSet("dD".utf8)), .set(ByteSet("89abAB".utf8)), .set(hex), .set(hex), .text("\\u"),
            .set(ByteSet("dD".utf8)), .set(ByteSet("cdefCDEF".utf8)), .set(hex), .set(hex),
        ])
        return .choice([
            .sequence([.text("\\"), .set(ByteSet("\"\\/bfnrt".utf8))]),
            .sequence([.text("\\u"), .choice([.sequence([plain, .set(hex), .set(hex)]), pair])]),
        ])
    }()

    /// The characters of a set inside a string: as they are, or escaped where they must be.
    static func characters(_ set: CodePoints) -> GrammarNode {
        var parts: [GrammarNode] = []
        let plain = set.subtracting(.jsonEscaped)
        if !plain.isEmpty { parts.append(plain.utf8) }
        for range in set.intersection(.jsonEscaped).ranges {
            for scalar in range {
                guard let scalar = Unicode.Scalar(scalar) else { continue }
                var bytes: [UInt8] = []
                JSON.write(String(Character(scalar)), to: &bytes, escapesNonASCII: false)
                parts.append(.bytes(Array(bytes.dropFirst().dropLast())))
            }
        }
        return .choice(parts)
    }

    private static let digit = ByteSet("0123456789".utf8)
    private static let firstDigit = ByteSet("123456789".utf8)

    private static var natural: GrammarNode {
        .choice([.text("0"), .sequence([.set(firstDigit), .repeated(.set(digit), 0, 15)])])
    }

    private static var fraction: GrammarNode { .sequence([.text("."), .repeated(.set(digit), 1, 16)]) }

    /// Any number.
    static var number: GrammarNode {
        let exponent = GrammarNode.sequence([
            .set(ByteSet("eE".utf8)), .optional(.set(ByteSet("+-".utf8))), .repeated(.set(digit), 1, 2),
        ])
        return .sequence([.optional(.text("-")), natural, .optional(fraction), .optional(exponent)])
    }

    /// Any whole number.
    static var integer: GrammarNode { .sequence([.optional(.text("-")), natural]) }

    /// The largest whole number the grammar writes.
    static let largest: Int64 = 9_999_999_999_999_999

    /// The decimal numerals from `low` to `high`.
    static func integers(_ low: Int64, _ high: Int64) -> GrammarNode {
        var parts: [GrammarNode] = []
        if low < 0 {
            let most = UInt64(low.magnitude)
            let least = high < 0 ? UInt64(high.magnitude) : 1
            if least <= most { parts.append(.sequence([.text("-"), naturals(least, most)])) }
        }
        if high >= 0 { parts.append(naturals(UInt64(max(0, low)), UInt64(high))) }
        return .choice(parts)
    }

    /// Numbers from `low` to `high`: whole ones, and fractions between whole neighbours that lie inside.
    static func numbers(_ low: Double, _ high: Double) -> GrammarNode {
        let limit = Double(largest)
        let first = max(low, -limit).rounded(.up)
        let last = min(high, limit).rounded(.down)
        guard first <= last else { return hundredths(low, high) }
        var parts = [integers(Int64(first), Int64(last))]
        // a.f with a ≥ 0 lies in [a, a + 1); −a.f in (−a − 1, −a].
        if last >= 1 {
            parts.append(.sequence([integers(Int64(max(0, first)), Int64(last) - 1), fraction]))
        }
        if first <= -1 {
            let most = Int64(-first) - 1
            let least = Int64(max(0, -last))
            if least <= most { parts.append(.sequence([.text("-"), integers(least, most), fraction])) }
        }
        return .choice(parts)
    }

    /// A range without a whole number in it, in steps fine enough to have some.
    private static func hundredths(_ low: Double, _ high: Double) -> GrammarNode {
        var scale = 100.0
        for places in 2...9 {
            let first = (low * scale).rounded(.up)
            let last = (high * scale).rounded(.down)
            if first <= last, abs(first) < 1e15, abs(last) < 1e15 {
                let end = min(last, first + 1000)
                return .choice(
                    stride(from: first, through: end, by: 1).map { value in
                        let digits = String(Int64(abs(value)))
                        let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
                        return .text((value < 0 ? "-" : "") + padded.dropLast(places) + "." + padded.suffix(places))
                    })
            }
            scale *= 10
        }
        return .choice([])
    }

    private static func naturals(_ low: UInt64, _ high: UInt64) -> GrammarNode {
        var parts: [GrammarNode] = []
        var start = low
        while start <= high {
            let digits = String(start)
            let end = min(high, UInt64(String(repeating: "9", count: digits.count)) ?? high)
            parts.append(sameLength(Array(digits.utf8)[...], Array(String(end).utf8)[...]))
            guard end < high else { break }
            start = end + 1
        }
        return .choice(parts)
    }

    /// Numerals of one length, digit by digit.
    private static func sameLength(_ low: ArraySlice<UInt8>, _ high: ArraySlice<UInt8>) -> GrammarNode {
        guard let first = low.first, let last = high.first else { return .empty }
        let lowRest = low.dropFirst()
        let highRest = high.dropFirst()
        let count = lowRest.count
        if lowRest.allSatisfy({ $0 == 0x30 }), highRest.allSatisfy({ $0 == 0x39 }) {
            return .sequence([.set(ByteSet(first...last)), .repeated(.set(digit), count, count)])
        }
        if first == last { return .sequence([.bytes([first]), sameLength(lowRest, highRest)]) }
        let nines = [UInt8](repeating: 0x39, count: count)[...]
        let zeros = [UInt8](repeating: 0x30, count: count)[...]
        var parts: [GrammarNode] = [
            .sequence([.bytes([first]), sameLength(lowRest, nines)]),
            .sequence([.bytes([last]), sameLength(zeros, highRest)]),
        ]
        if first + 1 <= last - 1 {
            parts.append(.sequence([.set(ByteSet(first + 1...last - 1)), .repeated(.set(digit), count, count)]))
        }
        return .choice(parts)
    }
}
