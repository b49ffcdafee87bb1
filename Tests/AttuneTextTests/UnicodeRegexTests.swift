import AttuneText
import Testing

@Suite struct UnicodeRegexTests {
    private func texts() -> [String] {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("ab AB's12\n\r\t.,!é\u{301}ſKß漢かカ五 \u{A0}\u{2003}🙂Ⅷ½\u{200D}_-tlvem".unicodeScalars)
        return (0..<300).map { _ in
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0..<24, using: &generator) {
                if let scalar = alphabet.randomElement(using: &generator) { text.append(scalar) }
            }
            return String(text)
        }
    }

    /// The compiled matcher and the plain one find the same matches.
    @Test(arguments: [
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?|\p{N}{1,3}|\s+$|\s+"#,
        #"\bt\w*|^.|(?<=a)b|(?<!\d)[12]{2,3}?|\Ba"#, #"(a|ab)(c|bcd)?|A*?B"#,
    ]) func compiledEqualsPlain(pattern: String) throws {
        let regex = try LinearRegex(pattern)
        #expect(regex.isCompiled)
        var found = 0
        for text in texts() {
            let compiled = regex.matches(in: text, compiled: true)
            #expect(compiled == regex.matches(in: text, compiled: false), "\(text.debugDescription)")
            found += compiled.count
        }
        #expect(found > 100)
    }

    @Test func fullMatch() throws {
        let pattern = try LinearRegex(#"model\.layers\.(\d+)\.(self_attn|mlp)\.(q|v|gate)_proj"#)
        #expect(pattern.fullMatch("model.layers.12.self_attn.q_proj"))
        #expect(!pattern.fullMatch("model.layers.12.self_attn.k_proj"))
        #expect(!pattern.fullMatch("xmodel.layers.12.self_attn.q_proj"))
        #expect(!pattern.fullMatch("model.layers.12.self_attn.q_proj.x"))
        // Leftmost-first would stop at "a"; the whole text still matches.
        #expect(try LinearRegex("a|ab").fullMatch("ab"))
        #expect(try LinearRegex("").fullMatch(""))
        #expect(try LinearRegex(".*\\.(up|down)_proj$").fullMatch("x.down_proj"))
        #expect(try LinearRegex("a|ab").firstMatch(in: "xab") == 1..<2)
        #expect(try LinearRegex("b+").firstMatch(in: "éb") == 2..<3)
        #expect(try LinearRegex("c").firstMatch(in: "ab") == nil)
    }

    @Test(arguments: [
        "(", ")", "[a", "a**b)", "*a", "\\", "(?<=ab)c", "(a)\\1", "(?>ab)", "(?Q)", "\\p{Klingon}", "[b-a]", "a{2,1}",
        "a{999}", "((((a{200}){200}){200}){200})", String(repeating: "(", count: 500), "[[:nope:]]", "\\y", "(ab)++",
    ]) func malformedPatternsAreRefused(pattern: String) {
        #expect(throws: RegexError.self) { try LinearRegex(pattern) }
    }

    /// Time stays in proportion to the text, also where a backtracking engine would explode.
    @Test func hostileTextStaysLinear() throws {
        let text = String(repeating: "a", count: 50_000)
        #expect(try LinearRegex("(a*)*b").firstMatch(in: text) == nil)
        #expect(try LinearRegex("(a|aa)+$").firstMatch(in: text) == 0..<50_000)
        #expect(try LinearRegex("\\s+$").firstMatch(in: String(repeating: " ", count: 50_000) + "x") == nil)
    }
}
