import AttuneJSON
import Testing

@Suite struct JSONTests {
    @Test(arguments: [
        "{\"b\":1,\"a\":[1.5,-2,true,false,null,\"x\"]}", "[]", "{}", "\"\"", "-0.001", "1e+300", "[[[]]]",
        "\"\\u0000\\n\\\"\\\\\"",
    ])
    func writesWhatItRead(text: String) throws {
        #expect(try JSON(parsing: text).text() == text)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\":}", "01", "1.", "-", "nul", "\"\u{1}\"", "\"\\x\"", "\"\\ud8\"", "[1] 2", "1e999",
        "'a'",
        "{a:1}", "\"abc",
    ])
    func refuses(text: String) {
        #expect(throws: JSONError.self) { try JSON(parsing: text) }
    }

    @Test func keepsOrderAndSeparatesEquivalentKeys() throws {
        let value = try JSON(parsing: "{\"\u{e9}\":1,\"e\u{301}\":2,\"a\":3}")
        #expect(value.objectValue?.count == 3)
        #expect(value["e\u{301}"]?.intValue == 2)
        #expect(value.objectValue?.keys.last == "a")
    }

    @Test func laterOfTwoEqualKeysWinsOrIsRefused() throws {
        for filler in [0, 40] {
            let members = (0..<filler).map { "\"k\($0)\":0," }.joined()
            let text = "{\(members)\"a\":1,\"a\":2}"
            #expect(try JSON(parsing: text)["a"]?.intValue == 2)
            #expect(throws: JSONError.self) { try JSON(parsing: Array(text.utf8), rejectDuplicateKeys: true) }
        }
    }

    @Test func depthIsLimited() throws {
        let deep = { (depth: Int) in String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        _ = try JSON(parsing: deep(64))
        #expect(throws: JSONError.self) { try JSON(parsing: deep(65)) }
        #expect(throws: JSONError.self) { try JSON(parsing: String(repeating: "{\"a\":", count: 100_000)) }
    }

    @Test func surrogatesAndInvalidUTF8() throws {
        #expect(try JSON(parsing: "\"\\ud83d\\ude00\"").stringValue == "😀")
        #expect(try JSON(parsing: "\"\\ud83dx\"").stringValue == "\u{FFFD}x")
        #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0xFF, 0x22] as [UInt8]) }
    }

    @Test func stylesFollowPython() throws {
        let value: JSON = ["b": [1, 2.0], "a": "é\u{7f}", "c": [:]]
        #expect(value.text(.spaced) == "{\"b\": [1, 2.0], \"a\": \"é\u{7f}\", \"c\": {}}")
        #expect(
            value.text(.sortedPretty)
                == "{\n  \"a\": \"\\u00e9\\u007f\",\n  \"b\": [\n    1,\n    2.0\n  ],\n  \"c\": {}\n}")
    }

    @Test func numbersKeepTheirKind() throws {
        #expect(try JSON(parsing: "9223372036854775807") == .integer(.max))
        #expect(try JSON(parsing: "9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try JSON(parsing: "2.0").intValue == 2)
        #expect(try JSON(parsing: "2.5").intValue == nil)
    }
}
