import AttuneGeneration
import AttuneJSON
import Testing

enum Walk {
    static let trie = TokenTrie(text: ToyText(), vocabularySize: ToyText.size, endTokens: [ToyText.end])

    /// Draws allowed tokens until the end; prefers to end once `length` tokens are written.
    static func text(_ grammar: CompiledGrammar, _ dice: inout Dice, length: Int) throws -> String? {
        var matcher = try grammar.makeConstraint()
        var bytes: [UInt8] = []
        for step in 0..<5000 {
            let mask = try matcher.allowedTokens()
            if mask.contains(ToyText.end),
                matcher.isComplete || step >= length || Int.random(in: 0..<6, using: &dice) == 0
            {
                return String(decoding: bytes, as: UTF8.self)
            }
            var choices = mask.allowed.filter { $0 != ToyText.end }
            if step >= length {  // closing characters, so that walks end
                let closing = choices.filter { "\"}]".utf8.map(Int32.init).contains($0) }
                if !closing.isEmpty { choices = closing }
            }
            guard let token = choices.randomElement(using: &dice) else {
                return String(decoding: bytes, as: UTF8.self)
            }
            bytes += ToyText().bytes(of: token)
            try matcher.advance(by: token)
        }
        return nil
    }

    /// Whether the grammar takes the text, fed in random tokens.
    static func accepts(_ grammar: CompiledGrammar, _ text: String) throws -> Bool {
        var matcher = try grammar.makeConstraint()
        for byte in text.utf8 {
            guard try matcher.allowedTokens().contains(Int32(byte)) else { return false }
            try matcher.advance(by: Int32(byte))
        }
        return matcher.mayEnd
    }
}

@Suite struct RegularExpressionTests {
    struct Example: Sendable {
        var expression: String
        var yes: [String]
        var no: [String]
    }

    @Test(arguments: [
        Example(expression: "abc", yes: ["abc"], no: ["ab", "abcd", ""]),
        Example(expression: "^(a|bc)*d?$", yes: ["", "d", "abcad", "bcbc"], no: ["b", "dd", "bd"]),
        Example(expression: "[0-9]{2,4}", yes: ["12", "1234"], no: ["1", "12345", "1a"]),
        Example(expression: "x{3}y{2,}", yes: ["xxxyy", "xxxyyyyy"], no: ["xxyy", "xxxy"]),
        Example(expression: "[^a-c]+", yes: ["xyz", "é日😀"], no: ["", "xa"]),
        Example(expression: "\\d+\\.\\w\\s", yes: ["1.a "], no: ["1xa ", "1.- "]),
        Example(expression: "(?:foo|ba[rz])+?", yes: ["foobaz"], no: ["ba", ""]),
        Example(expression: "(?<year>[12]\\d{3})-(?P<m>0[1-9])", yes: ["2024-05"], no: ["2024-00", "3024-01"]),
        Example(expression: ".\\u00e9\\x41[\\]\\-a]", yes: ["qéA]", "éA".isEmpty ? "" : "ééA-"], no: ["éA", "\néAa"]),
        Example(expression: "[Ѐ-ӿ]{1,3}", yes: ["Яж"], no: ["Z", "Яжжж"]),
        Example(expression: "a{,3}|{", yes: ["a{,3}", "{"], no: ["aaa"]),
        Example(expression: "(a*)*b", yes: ["b", "aaaab"], no: ["a"]),
    ])
    func matchesWholeTexts(example: Example) throws {
        let grammar = try Grammar.regex(example.expression).compiled(for: Walk.trie)
        for text in example.yes { #expect(try Walk.accepts(grammar, text), "\(example.expression) takes \(text)") }
        for text in example.no { #expect(try !Walk.accepts(grammar, text), "\(example.expression) refuses \(text)") }
    }

    @Test(arguments: ["(a", "a)", "[a", "*a", "a**", "[z-a]", "a{3,1}", "\\", "(?<n", "\\u{110000}"])
    func malformedExpressionsAreErrors(text: String) {
        #expect(throws: GrammarError.self) { try Grammar.regex(text).compiled(for: Walk.trie) }
    }

    @Test(arguments: ["(?=a)b", "(a)\\1", "\\bword", "\\p{L}", "a^b", "(?i)a"])
    func unsupportedExpressionsSaySo(text: String) {
        do throws(GrammarError) {
            _ = try Grammar.regex(text).compiled(for: Walk.trie)
            Issue.record("\(text) was taken")
        } catch {
            if case .unsupported = error {} else { Issue.record("\(text): \(error)") }
        }
    }

    @Test func hostileExpressionsEndInAnError() {
        let nested = String(repeating: "(", count: 60_000) + String(repeating: ")", count: 60_000)
        let powers = "((((a{100}){100}){100}){100}){100}"
        let huge = "a{99999999999999999999}"
        for text in [nested, powers, huge, String(repeating: "a", count: 300 << 10)] {
            do throws(GrammarError) {
                _ = try Grammar.regex(text).compiled(for: Walk.trie)
                Issue.record("\(text.prefix(30)) was taken")
            } catch {
                if case .tooLarge = error {} else { Issue.record("\(text.prefix(30)): \(error)") }
            }
        }
        #expect(throws: GrammarError.unsatisfiable(path: "grammar")) {
            try Grammar.regex("a[^\\s\\S]").compiled(for: Walk.trie)
        }
    }

    @Test func backtrackingBombsStayLinear() throws {
        let grammar = try Grammar.regex("(a|a)*(a?){200}(aa|a)*b").compiled(for: Walk.trie)
        #expect(try Walk.accepts(grammar, String(repeating: "a", count: 2000) + "b"))
    }
}

@Suite struct GrammarTests {
    @Test func choicesAreCompleteAtTheirEnds() throws {
        let grammar = try Grammar.choice(["yes", "no", "not now"].map { .literal($0) }).compiled(for: Walk.trie)
        var matcher = try grammar.makeConstraint()
        #expect(try matcher.allowedTokens().allowed == "ny".utf8.map(Int32.init))
        for byte in "no".utf8 { try matcher.advance(by: Int32(byte)) }
        #expect(try matcher.allowedTokens().allowed == [Int32(UInt8(ascii: "t")), ToyText.end])
        #expect(matcher.mayEnd && !matcher.isComplete)
        #expect(throws: GrammarError.rejected(token: 65)) { try matcher.advance(by: 65) }
        for byte in "t now".utf8 { try matcher.advance(by: Int32(byte)) }
        #expect(matcher.isComplete)
        #expect(try matcher.allowedTokens().allowed == [ToyText.end])
    }

    @Test func freeJSONAlwaysParses() throws {
        let value = try Grammar.jsonValue.compiled(for: Walk.trie)
        let object = try Grammar.jsonObject.compiled(for: Walk.trie)
        var dice = Dice(1)
        var longest = 0
        for round in 0..<300 {
            let text = try #require(try Walk.text(round % 2 == 0 ? value : object, &dice, length: round))
            let parsed = try JSON(parsing: text)
            if round % 2 == 1 { #expect(parsed.objectValue != nil) }
            longest = max(longest, text.utf8.count)
        }
        #expect(longest > 100)
    }

    @Test func deepNestingIsBoundedWithoutDeadEnds() throws {
        let grammar = try Grammar.jsonValue.compiled(for: Walk.trie)
        var matcher = try grammar.makeConstraint()
        var depth = 0
        while try matcher.allowedTokens().contains(Int32(UInt8(ascii: "["))), depth < 1000 {
            try matcher.advance(by: Int32(UInt8(ascii: "[")))
            depth += 1
        }
        #expect((20...64).contains(depth))
        var text = String(repeating: "[", count: depth)
        while !matcher.isComplete {
            let close = Int32(UInt8(ascii: "]"))
            let token = try matcher.allowedTokens().contains(close) ? close : Int32(UInt8(ascii: "0"))
            try matcher.advance(by: token)
            text += String(UnicodeScalar(UInt8(token)))
        }
        _ = try JSON(parsing: text)
    }

    @Test func toolCallsAreValidAndTextIsFree() throws {
        let tools = [
            ToolSignature(
                name: "get_weather",
                parameters: try JSON(
                    parsing:
                        #"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}"#
                )),
            ToolSignature(name: "stop \"now\"", parameters: .bool(true)),
        ]
        let free = try Grammar.textWithToolCalls(tools, form: .hermes).compiled(for: Walk.trie)
        let call = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>"
        #expect(try Walk.accepts(free, "I do not know <tool"))
        #expect(try Walk.accepts(free, "<<tool_call>" + call + "\nand " + call))
        #expect(try !Walk.accepts(free, "<tool_call>\n{\"name\": \"other\""))
        #expect(try !Walk.accepts(free, call.replacingLast("</tool_call>", with: "")))
        #expect(try !Walk.accepts(free, call + "<tool_call>\n"))

        let forced = try Grammar.toolCalls(tools, form: .hermes, isParallel: true).compiled(for: Walk.trie)
        #expect(try Walk.accepts(forced, call + "\n" + call))
        #expect(try !Walk.accepts(forced, "Well, " + call))
        var dice = Dice(4)
        for _ in 0..<60 {
            let text = try #require(try Walk.text(forced, &dice, length: 40))
            let first = text.utf8.dropFirst("<tool_call>\n".utf8.count)
            let body = String(decoding: first, as: UTF8.self).components(before: "\n</tool_call>")
            let parsed = try JSON(parsing: body)
            #expect(["get_weather", "stop \"now\""].contains(parsed["name"]?.stringValue ?? ""))
            #expect(parsed["arguments"] != nil)
        }
        let llama = try Grammar.toolCalls(tools, form: .llama3).compiled(for: Walk.trie)
        let bare = #"{"name": "get_weather", "parameters": {"city":"x","days":3}}"#
        #expect(try Walk.accepts(llama, bare))
        // Offered without a marker: text or whole calls, and nothing that only looks like one.
        let offered = try Grammar.textWithToolCalls(tools, form: .llama3).compiled(for: Walk.trie)
        for text in [
            bare, bare + "; " + bare, "<|python_tag|>" + bare, "", " \n", "Say {x}", "< 5", "  <b>", "<", "Köln",
        ] {
            #expect(try Walk.accepts(offered, text) == (text != "<"), "\(text)")
        }
        for text in [#"{"name": "other""#, #"{"city": "x"}"#, "[1]", "  {", "<|python_tag|>x", "\n[", bare + "x"] {
            #expect(try !Walk.accepts(offered, text), "\(text)")
        }
        let marks = try Grammar.toolCalls(tools, form: .mistralNamed(hasID: false), isParallel: true).compiled(
            for: Walk.trie)
        let one = #"[TOOL_CALLS]get_weather[ARGS]{"city":"x"}"#
        #expect(try Walk.accepts(marks, one) && Walk.accepts(marks, one + one))
        #expect(try !Walk.accepts(marks, #"[TOOL_CALLS]other[ARGS]{}"#))
        #expect(try !Walk.accepts(marks, #"[TOOL_CALLS]get_weather[ARGS]{}"#))
        let ids = try Grammar.textWithToolCalls(tools, form: .mistralNamed(hasID: true)).compiled(for: Walk.trie)
        #expect(try Walk.accepts(ids, #"Well [TOOL_CALLS]get_weather[CALL_ID]abcDEF123[ARGS]{"city":"x"}"#))
        #expect(try !Walk.accepts(ids, one))
    }

    @Test func aFullAutomatonIsReplacedUnderWay() throws {
        var limits = GrammarLimits()
        limits.maxConfigurations = 40
        let small = try Grammar.jsonValue.compiled(for: Walk.trie, limits: limits)
        let large = try Grammar.jsonValue.compiled(for: Walk.trie)
        let text = #"{"a": [1, {"b": [true, null, "x\n", -1.5e3]}], "c": "d", "e": [[[0]]]}"#
        var one = try small.makeConstraint()
        var other = try large.makeConstraint()
        for byte in text.utf8 {
            #expect(try one.allowedTokens() == other.allowedTokens())
            try one.advance(by: Int32(byte))
            try other.advance(by: Int32(byte))
        }
        #expect(one.isComplete && other.isComplete)
    }

    @Test func engineFollowsTheGrammar() throws {
        let loop = GenerationLoop(runner: ToyRunner(cacheRowCount: 65536), text: ToyText(), options: toyOptions())
        let schema = try JSON(
            parsing:
                #"{"type":"object","properties":{"n":{"type":"integer","minimum":5,"maximum":77},"k":{"enum":["x","yy"]}},"required":["n","k"]}"#
        )
        let grammar = try Grammar.json(schema: schema).compiled(for: Walk.trie)
        var options = SamplingOptions()
        options.maxNewTokens = 400
        options.seed = 2
        options.temperature = 2
        let prompts = (0..<40).map { [Int32($0)] }
        for result in try loop.generateAll(prompts, options: options, constraint: try grammar.makeConstraint()) {
            #expect(result.texts[0].finish?.reason == .stop)
            #expect(SchemaValidator(root: schema).accepts(try JSON(parsing: result.texts[0].text)))
        }
    }
}

extension String {
    fileprivate func replacingLast(_ ending: String, with other: String) -> String {
        hasSuffix(ending) ? dropLast(ending.count) + other : self
    }

    fileprivate func components(before mark: String) -> String {
        let bytes = Array(utf8)
        let end = bytes.indices.first { bytes[$0...].starts(with: mark.utf8) } ?? bytes.endIndex
        return String(decoding: bytes[..<end], as: UTF8.self)
    }
}
