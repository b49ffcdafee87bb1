import AttuneData
import AttuneEvaluation
import AttuneJSON
import Testing

@Suite struct ReportTests {
    private let tuned = (1...15).map { prediction($0, "Billing", $0 == 7 ? "Technical" : "Billing") }
    private let base = (1...15).map { prediction($0, "Billing", "Hello!", stop: "length") }
    private let hostile = prediction(
        3, "a|b\nc", "<script>alert('x')</script>&\u{1B}[2J\u{202E}\n```\n# head", prompt: "<b>", stop: "length")

    @Test func textIsTheTutorials() {
        let text = EvaluationResult(tuned).text()
        #expect(text.hasPrefix("Exact match accuracy: 93.33%"))
        #expect(text.contains("\nMismatch 1:\n  Expected: Billing\n  Got:      Technical\n"))
        #expect(!text.contains("Mismatch 2:"))
        #expect(!EvaluationResult(tuned).text(limit: 0).contains("Mismatch 1:"))
        #expect(EvaluationResult(tuned).text(limit: 0).contains("1 more mismatch not shown."))
        #expect(EvaluationResult(tuned).text(limit: -5).contains("1 more mismatch not shown."))
    }

    @Test func jsonHasTheContractsKeys() throws {
        let json = EvaluationResult(tuned, base: base, perplexity: 1.5, basePerplexity: .infinity).json
        #expect(json["examples"]?.intValue == 15)
        #expect(abs(try #require(json["exact_match"]?.doubleValue) - 14.0 / 15) < 1e-12)
        #expect(json["fields"]?.objectValue?.isEmpty == true)
        let mismatch = try #require(json["mismatches"]?[0])
        #expect(mismatch["row"]?.intValue == 7)
        #expect(mismatch["expected"]?.stringValue == "Billing")
        #expect(mismatch["got"]?.stringValue == "Technical")
        #expect(mismatch["stop_reason"]?.stringValue == "stop")
        #expect(mismatch["first_difference"]?["index"]?.intValue == 0)
        #expect(json["mismatches"]?.arrayValue?.count == 1)
        #expect(json["base"]?["exact_match"]?.doubleValue == 0)
        #expect(json["base"]?["perplexity"]?.isNull == true)
        #expect(json["base"]?["comparison"]?["fixed"]?.arrayValue?.count == 14)
        #expect(json["base"]?["comparison"]?["both_wrong"]?.arrayValue == [7])
        #expect(try JSON(parsing: json.text()) == json)
        #expect(EvaluationResult(tuned).json["base"] == nil)
    }

    @Test func probabilitiesReadAsSentences() {
        #expect(EvaluationResult(tuned, base: base).markdown.contains("two-sided: p = 0.0001."))
        let more = (1...20).map { prediction($0, "a", "a") }
        let none = (1...20).map { prediction($0, "a", "b") }
        #expect(EvaluationResult(more, base: none).markdown.contains("two-sided: p < 0.0001."))
    }

    @Test func fieldsAreShares() {
        let json = EvaluationResult([
            prediction(1, "Category: A\nPriority: B", "Category: A\nPriority: C"),
            prediction(2, "Category: A\nPriority: B", "Category: A\nPriority: B"),
        ]).json
        #expect(json["fields"]?["Category"]?.doubleValue == 1)
        #expect(json["fields"]?["Priority"]?.doubleValue == 0.5)
    }

    @Test func answersCannotSteerTheTerminal() {
        let text = EvaluationResult([hostile]).text()
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control })
        #expect(!text.unicodeScalars.contains("\u{202E}"))
        #expect(text.contains("\\u{1b}[2J"))
        #expect(text.contains("  Expected: a|b\n            c\n"))
    }

    @Test func htmlIsEscapedAndLoadsNothing() {
        let page = EvaluationResult([hostile], base: [hostile]).html
        #expect(!page.contains("<script"))
        #expect(!page.contains("<b>"))
        #expect(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;"))
        #expect(!page.unicodeScalars.contains("\u{1B}"))
        for outside in ["http:", "https:", "src=", "href=", "@import", "url("] { #expect(!page.contains(outside)) }
        for tag in ["table", "details", "pre", "tr", "td", "th", "mark", "p"] {
            let opened = page.split(separator: "<\(tag)>", omittingEmptySubsequences: false).count
            let closed = page.split(separator: "</\(tag)>", omittingEmptySubsequences: false).count
            #expect(opened == closed, "\(tag)")
        }
    }

    @Test func markdownIsLiteral() {
        let pipe = (1...4).map { prediction($0, "a|b", "x") }
        let report = EvaluationResult(pipe + [hostile], base: pipe + [hostile]).markdown
        #expect(report.contains("\n````text\n<script>"))
        #expect(report.contains("\n```\n# head\n````\n"))
        let labels = EvaluationResult(pipe).markdown
        #expect(labels.contains("| a\\|b |"))
        #expect(!labels.contains("| a|b |"))
        #expect(labels.contains("Exact match accuracy: 0.00%"))
    }
}
