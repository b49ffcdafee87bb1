import AttuneData
import AttuneEvaluation
import AttuneJSON
import Testing

@Suite struct ExactMatchTests {
    @Test(arguments: [("Billing", " Billing\n"), ("\u{1C}a\u{3000}", "a"), ("", " \n"), ("a\r\nb", "a\r\nb\r\n")])
    func whiteSpaceAtTheEndsIsNothing(expected: String, got: String) {
        #expect(prediction(1, expected, got).isExactMatch)
        #expect(prediction(1, expected, got).firstDifference == nil)
    }

    @Test(arguments: [
        ("Billing", "billing"), ("a b", "a  b"), ("a\nb", "a\r\nb"), ("\u{E9}", "e\u{301}"), ("a", "\u{200B}a"),
        ("a", ""),
    ])
    func everythingElseCounts(expected: String, got: String) {
        #expect(!prediction(1, expected, got).isExactMatch)
        #expect(prediction(1, expected, got).firstDifference != nil)
    }

    @Test func firstDifferenceCountsCodePointsOfStrippedAnswers() throws {
        let difference = try #require(prediction(1, "  Priority: High", "Priority: Höchst").firstDifference)
        #expect(difference.index == 11)
        #expect(difference.expected == "Priority: High")
        let longer = try #require(prediction(1, "ab", "abc").firstDifference)
        #expect(longer.index == 2)
        let far = String(repeating: "x", count: 50)
        let cut = try #require(prediction(1, far + "a" + far, far + "b").firstDifference)
        #expect(cut.expected == "…xxxxxxxxxxxxa" + String(repeating: "x", count: 19) + "…")
        #expect(cut.got == "…xxxxxxxxxxxxb")
    }

    @Test func sharesOfNothingAreNothing() {
        let result = EvaluationResult([])
        #expect(result.exactMatch.fraction == nil)
        #expect(result.exactMatch.interval == nil)
        #expect(result.labels == nil)
        #expect(result.text().hasPrefix("Exact match accuracy: –"))
        #expect(result.json["exact_match"]?.isNull == true)
    }

    @Test func slicesKeepEqualLengthsTogether() {
        let prompts = ["a", "aa", "aa", "aa", "aaa", "aaaa", "aaaaa", "aaaaaa"]
        let result = EvaluationResult(
            prompts.enumerated().map { prediction($0 + 1, "y", $1.count > 3 ? "n" : "y", prompt: $1) })
        #expect(result.slices.map(\.lengths) == [1...2, 3...4, 5...6])
        #expect(result.slices.map(\.correct) == [Proportion(4, of: 4), Proportion(1, of: 2), Proportion(0, of: 2)])
    }
}
