import AttuneText
import Testing

@Suite("Tool calls in generated text")
struct TemplateToolCallTests {
    private struct Answer: Equatable {
        var content = ""
        var calls: [[String]] = []
    }

    /// Feeds a text in pieces of some size.
    private func parse(_ text: String, _ format: ToolCallFormat, pieces: Int) -> Answer {
        var parser = ToolCallParser(format: format, makeID: { "new" })
        var answer = Answer()
        var events: [ToolCallEvent] = []
        let scalars = Array(text.unicodeScalars)
        var place = 0
        while place < scalars.count {
            var piece = String.UnicodeScalarView()
            piece.append(contentsOf: scalars[place..<min(place + pieces, scalars.count)])
            events += parser.consume(String(piece))
            place += pieces
        }
        events += parser.finish()
        for event in events {
            switch event {
            case .content(let text): answer.content += text
            case .call(let index, let id, let name):
                #expect(index == answer.calls.count)
                answer.calls.append([id, name, ""])
            case .arguments(let index, let text): answer.calls[index][2] += text
            }
        }
        return answer
    }

    @Test func formats() {
        let cases: [(ToolCallFormat, String, String, [[String]])] = [
            (.hermes, "plain <tool text> \n", "plain <tool text> \n", []),
            (
                .hermes,
                "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"é}\\\"\", \"b\": [1]}}\n</tool_call>",
                "I look.", [["new", "f", "{\"a\": \"é}\\\"\", \"b\": [1]}"]]
            ),
            (
                .hermes,
                "<tool_call>{\"arguments\": {}, \"name\": \"f\"}</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call>",
                "", [["new", "f", "{}"], ["new", "g", "{}"]]
            ),
            (.hermes, "<tool_call>not json</tool_call> x", "<tool_call>not json</tool_call> x", []),
            (.hermes, "<tool_call>{\"x\": 1}</tool_call>", "<tool_call>{\"x\": 1}</tool_call>", []),
            (.hermes, "half <tool_ca", "half <tool_ca", []),
            (.hermes, "<tool_call>{\"name\": \"f\", \"argu", "<tool_call>{\"name\": \"f\", \"argu", []),
            (.hermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1", "", [["new", "f", "{\"a\": 1"]]),
            (
                .hermes, "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>", "",
                [["new", "f", "{\"a\": 1}"]]
            ),
            (.llama3, "{\"name\": \"f\", \"parameters\": {\"q\": 1}}", "", [["new", "f", "{\"q\": 1}"]]),
            (
                .llama3,
                "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {\"x\": null}}",
                "", [["new", "f", "{}"], ["new", "g", "{\"x\": null}"]]
            ),
            (.llama3, "{a set} of {\"name\"}", "{a set} of {\"name\"}", []),
            (.llama3, "Hello {\"name\": \"f\", \"parameters\": {}}", "Hello {\"name\": \"f\", \"parameters\": {}}", []),
            (.llama3, "{\"answer\": 42}", "{\"answer\": 42}", []),
            (
                .mistral,
                "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": [1]}, \"id\": \"abcdefghi\"}, "
                    + "{\"name\": \"g\", \"arguments\": {}}]",
                "", [["new", "f", "{\"a\": [1]}"], ["new", "g", "{}"]]
            ),
            (
                .mistral, "Sure.[TOOL_CALLS]get_w[ARGS]{\"c\": \"x\"}[TOOL_CALLS]g[CALL_ID]123456789[ARGS]{}", "Sure.",
                [["new", "get_w", "{\"c\": \"x\"}"], ["123456789", "g", "{}"]]
            ),
            (
                .json, "[{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"arguments\": {\"k\": 2}}]", "",
                [["new", "f", "{}"], ["new", "g", "{\"k\": 2}"]]
            ),
            (.json, "  text", "  text", []),
        ]
        for (format, text, content, calls) in cases {
            for pieces in [1, 2, 3, 7, 1000] {
                let answer = parse(text, format, pieces: pieces)
                #expect(answer == Answer(content: content, calls: calls), "\(format) \(text) in pieces of \(pieces)")
            }
        }
    }

    @Test func argumentsStream() {
        var parser = ToolCallParser(format: .hermes, makeID: { "i" })
        #expect(parser.consume("Hi <tool") == [.content("Hi")])
        #expect(
            parser.consume("_call>{\"name\": \"f\", \"arguments\": {\"a") == [
                .call(index: 0, id: "i", name: "f"), .arguments(index: 0, text: "{\"a"),
            ])
        #expect(parser.consume("\": 1}}") == [.arguments(index: 0, text: "\": 1}")])
        #expect(parser.hasCalls)
        #expect(parser.finish().isEmpty)
    }

    @Test func formatOfATemplate() throws {
        #expect(ToolCallFormat(templateSource: "{{ '<tool_call>' }}") == .hermes)
        #expect(ToolCallFormat(templateSource: "{{ '[TOOL_CALLS]' }}") == .mistral)
        #expect(ToolCallFormat(templateSource: "{{ '<|python_tag|>' }}") == .llama3)
        #expect(ToolCallFormat(templateSource: "{{ messages }}") == .json)
    }
}
