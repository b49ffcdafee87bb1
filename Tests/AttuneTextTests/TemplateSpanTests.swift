import AttuneJSON
import AttuneText
import Foundation
import Testing

@Suite("Spans of a rendering")
struct TemplateSpanTests {
    private func trained(_ template: ChatTemplate, _ context: JSONObject) throws -> [String] {
        let spans = try template.assistantSpans(context)
        return spans.spans.map { String(decoding: spans.rendering.utf8[$0.range], as: UTF8.self) }
    }

    @Test func fixturesRenderAndTrainAsExpected() throws {
        let rows = try JinjaLanguageTests.rows("ChatTemplates")
        #expect(rows.count == 28)
        for row in rows {
            let name = row["name"]?.stringValue ?? ""
            let template = try ChatTemplate(source: row["source"]?.stringValue ?? "")
            let context = try #require(row["context"]?.objectValue)
            if let error = row["error"]?.stringValue {
                #expect(throws: TemplateError.self) { try template.render(context) }
                do { _ = try template.render(context) } catch { #expect(error.kind == .raised) }
                do { _ = try template.render(context) } catch let failure { #expect(failure.message == error) }
                continue
            }
            let text = try template.render(context).utf8
            #expect(text.elementsEqual((row["expected"]?.stringValue ?? "").utf8), "\(name)")
            let wanted = row["trained"]?.arrayValue?.compactMap(\.stringValue) ?? []
            let got = try trained(template, context)
            #expect(got.map { Array($0.utf8) } == wanted.map { Array($0.utf8) }, "\(name): \(got)")
        }
    }

    @Test func messageSpansAreDisjointAndInOrder() throws {
        for row in try JinjaLanguageTests.rows("ChatTemplates") where row["expected"] != nil {
            let template = try ChatTemplate(source: row["source"]?.stringValue ?? "")
            let rendering = try template.render(try #require(row["context"]?.objectValue))
            var place = 0
            for span in rendering.messageSpans {
                #expect(span.range.lowerBound >= place && !span.range.isEmpty)
                place = span.range.upperBound
            }
            #expect(place <= rendering.utf8.count)
            let seen = Set(rendering.messageSpans.map(\.message))
            #expect(seen.count >= 2, "\(row["name"]?.stringValue ?? "")")
        }
    }

    @Test func saysWhyThereAreNoSpans() throws {
        let context = ChatTemplate.context(messages: [
            ["role": "user", "content": "a"], ["role": "assistant", "content": "b"],
        ])
        let template = try ChatTemplate(source: "{{ messages[0].content }}{{ messages[1].content }}")
        #expect(try template.render(context).text == "ab")
        #expect { try template.assistantSpans(context) } throws: { ($0 as? TemplateError)?.kind == .spans }
    }

    @Test func contentOfOtherMessagesIsNotTrained() throws {
        let source = """
            {% for m in messages %}{% if m.role == 'assistant' %}A:{{ m.content }}\
            {% for k in range(loop.index, messages|length) %}{% if messages[k].role == 'tool' %}(r {{ messages[k].content }})\
            {% endif %}{% endfor %}<e>{% elif m.role == 'user' %}U:{{ m.content }}<e>{% endif %}{% endfor %}\
            {% if add_generation_prompt %}A:{% endif %}
            """
        let context = ChatTemplate.context(messages: [
            ["role": "user", "content": "q"], ["role": "assistant", "content": "call"],
            ["role": "tool", "content": "result"],
        ])
        #expect(try trained(try ChatTemplate(source: source), context) == ["call", "<e>"])
    }

    /// Every assistant's own words lie inside its spans, and nobody else's do.
    @Test(.enabled(if: TemplateReference.isPresent, "no ../shared/reference"))
    func publishedTemplatesTrainTheAssistantOnly() throws {
        var count = 0
        for name in try TemplateReference.names() {
            let template = try ChatTemplate(source: try TemplateReference.source(name))
            for row in try TemplateReference.cases(name) {
                var context = try #require(row["context"]?.objectValue)
                context["add_generation_prompt"] = false
                let options = TemplateReference.options(normalizes: true)
                guard (try? template.render(context, options: options)) != nil else { continue }
                let result = try template.assistantSpans(context, options: options)
                let label = "\(name) \(row["name"]?.stringValue ?? "")"
                for (place, message) in (context["messages"]?.arrayValue ?? []).enumerated() {
                    guard let content = message["content"]?.stringValue else { continue }
                    let words = content.trimmingCharacters(in: .whitespacesAndNewlines)
                    let said = result.spans.filter { $0.message == place }.map {
                        String(decoding: result.rendering.utf8[$0.range], as: UTF8.self)
                    }
                    if message["role"]?.stringValue == "assistant" {
                        guard result.rendering.text.contains(words), !words.isEmpty else { continue }
                        count += 1
                        #expect(said.contains { $0.contains(words) }, "\(label) message \(place): \(said)")
                    } else {
                        #expect(said.isEmpty, "\(label)")
                        // Short words occur anywhere; long ones only where they were meant.
                        guard words.count > 12 else { continue }
                        let all = result.spans.map { String(decoding: result.rendering.utf8[$0.range], as: UTF8.self) }
                        #expect(!all.contains { $0.contains(words) }, "\(label) trains on message \(place)")
                    }
                }
            }
        }
        #expect(count > 250)
    }
}
