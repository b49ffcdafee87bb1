import AttuneGeneration
import AttuneJSON
import Testing

@Suite struct SchemaGrammarTests {
    private static let schemas: [String] = [
        #"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"},"c":{"type":"boolean"}},"required":["a","b","c"],"additionalProperties":false}"#,
        #"{"type":"object","properties":{"a":{"type":"null"},"b":{"type":"integer"},"c":{"type":["string","null"]}},"required":["b"]}"#,
        #"{"type":"object","properties":{"a":{"const":1},"é\"x":{"enum":["p",2,null,{"q":[]}]}},"additionalProperties":{"type":"boolean"}}"#,
        #"{"type":"array","items":{"type":"number","minimum":-2.5,"maximum":3},"minItems":1,"maxItems":4}"#,
        #"{"type":"array","prefixItems":[{"type":"boolean"},{"type":"string","maxLength":3}],"items":{"type":"null"},"minItems":3,"maxItems":5}"#,
        #"{"type":"integer","minimum":-37,"exclusiveMaximum":1205}"#,
        #"{"type":"integer","minimum":99}"#,
        #"{"type":"number","exclusiveMinimum":0,"maximum":1}"#,
        #"{"type":"number","minimum":0.25,"maximum":0.75}"#,
        #"{"type":"string","minLength":2,"maxLength":5}"#,
        ##"{"anyOf":[{"type":"string","minLength":1},{"type":"object","properties":{"k":{"$ref":"#"}},"required":["k"]}]}"##,
        ##"{"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}},"$ref":"#/$defs/node"}"##,
        ##"{"definitions":{"p":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}},"allOf":[{"$ref":"#/definitions/p"},{"properties":{"y":{"type":"string"}},"required":["y"]}]}"##,
        #"{"type":"object","properties":{"t":{"type":"string"}},"anyOf":[{"properties":{"u":{"type":"integer"}},"required":["u"]},{"required":["t"]}]}"#,
        #"{"type":"object","additionalProperties":{"type":"integer","minimum":0,"maximum":9},"minProperties":1}"#,
        #"{"type":"string","nullable":true,"maxLength":2}"#,
        #"{"oneOf":[{"const":"a"},{"type":"array","items":{"enum":[true,"b"]}}]}"#,
        #"{"type":"object"}"#, #"{}"#, #"true"#,
        #"{"type":"object","properties":{"e":{"type":"array","items":{"type":"object","properties":{"f":{"type":"number"}},"required":["f"]}}},"required":["e","g"],"additionalProperties":true}"#,
    ]

    /// Random texts under the mask always satisfy the schema.
    @Test(arguments: schemas) func randomTextsSatisfyTheSchema(text: String) throws {
        let schema = try JSON(parsing: text)
        let grammar = try Grammar.json(schema: schema).compiled(for: Walk.trie)
        let validator = SchemaValidator(root: schema)
        var dice = Dice(UInt64(text.utf8.count))
        for round in 0..<120 {
            let written = try #require(
                try Walk.text(grammar, &dice, length: round / 2), "a walk under \(text) did not end")
            let value = try JSON(parsing: written)
            #expect(validator.accepts(value), "\(written) under \(text)")
        }
    }

    @Test func theValidatorCanRefuse() throws {
        let validator = SchemaValidator(root: try JSON(parsing: Self.schemas[0]))
        #expect(try validator.accepts(JSON(parsing: #"{"a":"","b":1,"c":true}"#)))
        #expect(try !validator.accepts(JSON(parsing: #"{"a":"","b":1}"#)))
        #expect(try !validator.accepts(JSON(parsing: #"{"a":"","b":1,"c":true,"d":0}"#)))
        #expect(try !validator.accepts(JSON(parsing: #"{"a":"","b":1.5,"c":true}"#)))
    }

    @Test func membersComeInTheSchemasOrder() throws {
        let grammar = try Grammar.json(schema: try JSON(parsing: Self.schemas[0])).compiled(for: Walk.trie)
        #expect(try Walk.accepts(grammar, #"{"a": "x", "b": 1, "c": true}"#))
        #expect(try Walk.accepts(grammar, "{\n  \"a\":\"x\",\n  \"b\":1,\n  \"c\":true\n}"))
        #expect(try !Walk.accepts(grammar, #"{"b": 1, "a": "x", "c": true}"#))
        #expect(try !Walk.accepts(grammar, #"{"a":  "x""#))
        #expect(try !Walk.accepts(grammar, "{" + String(repeating: " ", count: 2)))
    }

    @Test func integerRangesAreExact() throws {
        for (low, high) in [(-37, 1204), (0, 0), (7, 9), (10, 99), (-5, -2), (95, 1100), (-1000, 1000)] {
            let schema = JSON.object(
                JSONObject([("type", "integer"), ("minimum", JSON(low)), ("maximum", JSON(high))]))
            let grammar = try Grammar.json(schema: schema).compiled(for: Walk.trie)
            for value in (low - 12)...(high + 12) {
                #expect(
                    try Walk.accepts(grammar, String(value)) == (low...high).contains(value),
                    "\(value) in \(low)...\(high)")
            }
            #expect(try !Walk.accepts(grammar, "007"))
        }
    }

    @Test func patternsHoldInsideStrings() throws {
        func accepts(_ pattern: String, _ value: String) throws -> Bool {
            let schema = JSON.object(JSONObject([("type", "string"), ("pattern", JSON(pattern))]))
            return try Walk.accepts(try Grammar.json(schema: schema).compiled(for: Walk.trie), JSON(value).text())
        }
        #expect(try accepts("^[a-z]+$", "abc"))
        #expect(try !accepts("^[a-z]+$", "abC"))
        #expect(try accepts("b", "abc"))
        #expect(try accepts("^a", "a\"\\"))
        #expect(try accepts("^\"\\\\\\n$", "\"\\\n"))
        #expect(try !accepts("^a|b$", "ba"))
        #expect(try accepts("^[^x]*$", "é\u{1}\""))
    }

    @Test(arguments: [
        ("date", "2024-02-28", "2024-13-01"), ("date-time", "2024-02-28T23:59:00Z", "2024-02-28"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"), ("email", "a.b@example.org", "a@b"),
        ("ipv4", "255.0.10.199", "256.0.0.1"), ("uri", "https://example.org/a/b?c=d", "example"),
    ])
    func formatsHold(format: String, good: String, bad: String) throws {
        let schema = JSON.object(JSONObject([("type", "string"), ("format", JSON(format))]))
        let grammar = try Grammar.json(schema: schema).compiled(for: Walk.trie)
        #expect(try Walk.accepts(grammar, JSON(good).text()))
        #expect(try !Walk.accepts(grammar, JSON(bad).text()))
    }

    @Test(arguments: [
        #"{"type":"elephant"}"#, #"{"not":{}}"#, #"{"$ref":"https://example.org/x"}"#, ##"{"$ref":"#/$defs/none"}"##,
        ##"{"$ref":"#"}"##,
        #"{"type":"integer","multipleOf":7}"#, #"{"type":"array","uniqueItems":true}"#, "7",
        #"{"type":"string","pattern":"("}"#, #"{"type":"string","pattern":"a","maxLength":3}"#, #"{"anyOf":[]}"#,
        ##"{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}"##, "false", #"{"enum":[]}"#,
        #"{"type":"integer","minimum":3,"maximum":2}"#, #"{"type":"string","minLength":1000000000}"#,
        ##"{"anyOf":[{"$ref":"#"},{"type":"string"}]}"##,
        #"{"type":"object","properties":{"a":false},"required":["a"]}"#,
        #"{"allOf":[{"type":"string"},{"type":"integer"}]}"#, #"{"type":"string","minLength":-1}"#,
        ##"{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"},{"type":"string"}]}},"$ref":"#/$defs/a"}"##,
    ])
    func impossibleSchemasAreErrors(text: String) throws {
        let schema = try JSON(parsing: text)
        #expect(throws: GrammarError.self) { try Grammar.json(schema: schema).compiled(for: Walk.trie) }
    }

    @Test func hostileSchemasEndInAnError() throws {
        var deep = JSON.object(JSONObject([("type", "string")]))
        for _ in 0..<500 { deep = .object(JSONObject([("type", "array"), ("items", deep)])) }
        var wide = JSONObject()
        for place in 0..<30_000 { wide["p\(place)"] = .bool(true) }
        var doubling = JSONObject([("d0", JSON.object(JSONObject([("type", "string")])))])
        for place in 1..<40 {
            let half = JSON.object(JSONObject([("$ref", JSON("#/$defs/d\(place - 1)"))]))
            doubling["d\(place)"] = .object(JSONObject([("allOf", .array([half, half]))]))
        }
        let bomb = JSON.object(
            JSONObject([
                ("$defs", .object(doubling)), ("allOf", .array([.object(JSONObject([("$ref", "#/$defs/d39")]))])),
            ]))
        let repeated = try JSON(
            parsing:
                #"{"type":"array","minItems":1000,"items":{"type":"array","minItems":1000,"items":{"type":"string"}}}"#)
        for schema in [deep, .object(JSONObject([("properties", .object(wide))])), bomb, repeated] {
            let start = ContinuousClock.now
            #expect(throws: GrammarError.self) { try Grammar.json(schema: schema).compiled(for: Walk.trie) }
            #expect(ContinuousClock.now - start < .seconds(5))
        }
    }

    /// Every reading of a recursive choice is doubled at every level; the budget ends it instead of the memory.
    @Test func ambiguousTextsEndInAnError() throws {
        let schema = try JSON(
            parsing:
                ##"{"anyOf":[{"type":"array","items":{"$ref":"#"},"minItems":0},{"type":"array","items":{"$ref":"#"},"minItems":1},{"type":"null"}]}"##
        )
        let grammar = try Grammar.json(schema: schema).compiled(for: Walk.trie)
        var matcher = try grammar.makeConstraint()
        var failure: GrammarError?
        for _ in 0..<40 {
            do throws(GrammarError) {
                guard try matcher.allowedTokens().contains(Int32(UInt8(ascii: "["))) else { break }
                try matcher.advance(by: Int32(UInt8(ascii: "[")))
            } catch {
                failure = error
                break
            }
        }
        guard case .tooLarge = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }
}
