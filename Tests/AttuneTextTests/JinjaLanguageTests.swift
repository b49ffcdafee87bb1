import AttuneJSON
import AttuneText
import Foundation
import Testing

/// The language against what jinja2 makes of the same small templates; see dev/golden/jinja_language.py.
@Suite("Jinja language")
struct JinjaLanguageTests {
    static func rows(_ name: String) throws -> [JSON] {
        let file = try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: "jsonl"))
        return try TemplateReference.lines(file)
    }

    static var options: TemplateOptions {
        var options = TemplateOptions()
        options.clock = TemplateClock(year: 2025, month: 3, day: 4, hour: 9, minute: 6, second: 53)
        return options
    }

    /// How a result differs from the expected one, or `nil`.
    private func difference(_ row: JSON, _ context: JSONObject) -> String? {
        let source = row["source"]?.stringValue ?? ""
        do {
            let text = try ChatTemplate(source: source).render(context, options: Self.options).text
            guard let expected = row["expected"]?.stringValue else {
                return "gave \(JSON(text).text()) instead of \(row["error"]?.text() ?? "")"
            }
            return text.utf8.elementsEqual(expected.utf8)
                ? nil : "gave \(JSON(text).text()) instead of \(JSON(expected).text())"
        } catch {
            guard let expected = row["error"]?["type"]?.stringValue else { return "failed: \(error)" }
            switch (expected, error.kind) {
            // jinja2 knows at compile time which filters and tests exist; here they fail when they are reached.
            case ("syntax", .runtime) where error.message.hasPrefix("No "): return nil
            case ("syntax", .syntax), ("SyntaxError", .syntax), ("SecurityError", .security),
                ("UndefinedError", .undefined):
                return nil
            case ("TemplateError", .raised):
                return error.message == row["error"]?["message"]?.stringValue ? nil : "other words: \(error.message)"
            case ("syntax", _), ("SecurityError", _), ("UndefinedError", _), (_, .syntax), (_, .raised):
                return "failed otherwise: \(error), expected \(expected)"
            default: return nil
            }
        }
    }

    @Test func agreesWithJinja2() throws {
        var rows = try Self.rows("JinjaLanguage")
        let context = try #require(rows.removeFirst()["context"]?.objectValue)
        #expect(rows.count > 400)
        for row in rows {
            let difference = difference(row, context)
            #expect(difference == nil, "\(row["source"]?.stringValue ?? "")")
        }
        // The comparison itself can fail.
        #expect(self.difference(["source": "{{ 1 + 1 }}", "expected": "3"], context) != nil)
        #expect(self.difference(["source": "{{ 1 + 1 }}", "error": ["type": "TypeError"]], context) != nil)
    }
}
