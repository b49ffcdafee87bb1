import AttuneJSON
import AttuneText
import Foundation
import Testing

@Suite("Hostile templates")
struct TemplateHostileTests {
    private func failure(_ source: String, _ context: JSONObject = JSONObject()) -> TemplateError? {
        do {
            _ = try ChatTemplate(source: source).render(context)
            return nil
        } catch { return error }
    }

    @Test(arguments: [
        "{{ 'a' * 10**9 }}", "{{ [1] * 10**9 }}", "{{ 10**18 * 10**18 }}", "{{ 2 ** 99999 }}",
        "{{ 9223372036854775807 + 1 }}", "{{ 99999999999999999999 }}", "{{ range(10**6) }}",
        "{{ range(-9223372036854775807, 9223372036854775807) }}", "{{ range(0, 9223372036854775807, 1)|list }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(1) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x.replace('a', 'aaaaaaaa') %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace() %}{% set ns.a = ns %}", "{% set ns = namespace() %}{% set ns.a = [[ns]] %}",
        "{{ '%999999999d' % 1 }}", "{{ '%*d' % (9223372036854775807, 1) }}",
        "{{ '%*d' % (-9223372036854775807 - 1, 1) }}",
        "{{ '{:>999999999}'.format('x') }}", "{{ '{:99999999999999999999}'.format('x') }}", "{{ '%.999f' % 1.0 }}",
        "{{ 'a'.center(10**9) }}", "{{ 'a'.zfill(10**12) }}", "{{ 'a\\tb'.expandtabs(10**9) }}",
        "{{ 'a'|indent(10**9) }}",
        "{{ [1]|batch(10**9, 0)|list }}", "{{ [1]|slice(10**9)|list }}", "{{ {}|tojson(indent=10**9) }}",
        "{{ 1e300|int }}", "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}",
        "{{ (-9223372036854775807 - 1)|abs }}", "{{ -1e300|filesizeformat }}", "{{ 1|round(10**9) }}",
        "{{ ''.__class__.__mro__ }}", "{{ [].append(1) }}", "{{ {}.update({}) }}", "{{ namespace(__class__=1) }}",
        "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{{ self.x.y }}",
        "{{ '{0[x]]}'.format({'x': 5}) }}", "{{ '{0[x]y}'.format({'x': 5}) }}", "{{ '{0[]}'.format({'x': 5}) }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}", "{{ '{' }}{{ '{'.format(1) }}", "{{ '%' % 1 }}", "{{ '%(a' % {} }}",
    ])
    func endsInAnError(_ source: String) {
        #expect(failure(source) != nil)
    }

    @Test func nestingIsBounded() {
        let brackets: [(String, String, String)] = [
            ("(", "1", ")"), ("[", "", "]"), ("{1:", "1", "}"), ("-", "1", ""), ("a[", "1", "]"), ("f(", "1", ")"),
            ("1 if ", "1", " else 2"), ("1 if 1 else ", "2", ""), ("x is a ", "1", ""), ("a|f(", "1", ")"),
        ]
        for (open, middle, close) in brackets {
            let source =
                "{{ " + String(repeating: open, count: 20000) + middle + String(repeating: close, count: 20000) + " }}"
            #expect(failure(source) != nil, "\(open)")
        }
        #expect(failure(String(repeating: "{% if 1 %}", count: 20000)) != nil)
        #expect(failure(String(repeating: "{% for a in b %}", count: 500)) != nil)
        #expect(failure("{% set " + String(repeating: "(", count: 9999) + "a") != nil)
    }

    @Test func longChainsAreNoNesting() throws {
        let sum = "{{ 1" + String(repeating: " + 1", count: 5000) + " }}"
        #expect(try ChatTemplate(source: sum).render(JSONObject()).text == "5001")
        let not = "{{ " + String(repeating: "not ", count: 5000) + "true }}"
        #expect(try ChatTemplate(source: not).render(JSONObject()).text == "True")
        let filters = "{{ 'a'" + String(repeating: "|upper|lower", count: 2000) + " }}"
        #expect(try ChatTemplate(source: filters).render(JSONObject()).text == "a")
        let branches = "{% if 0 %}" + String(repeating: "{% elif 0 %}", count: 5000) + "{% else %}x{% endif %}"
        #expect(try ChatTemplate(source: branches).render(JSONObject()).text == "x")
        #expect(failure("{{ x" + String(repeating: ".a", count: 5000) + " }}") != nil)
    }

    /// The deepest evaluation the limits allow must fit a small thread's stack.
    @Test func deepestEvaluationFitsASmallStack() async throws {
        let open = String(repeating: "{% if 1 %}", count: 20) + "{{ " + String(repeating: "[", count: 30)
        let close = String(repeating: "]|first", count: 30) + " }}" + String(repeating: "{% endif %}", count: 20)
        let source = "{% macro m(n) %}" + open + "m(n + 1)" + close + "{% endmacro %}{{ m(0) }}"
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            let error = failure(source)
            #expect(error?.kind == .limit)
            done.signal()
        }
        thread.stackSize = 1 << 20
        thread.start()
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                done.wait()
                continuation.resume()
            }
        }
    }

    /// What a template raises is one line of a report, however it was written.
    @Test func raisedMessagesAreOneLine() throws {
        let source = #"{{ raise_exception("no\n\r\nway\u001b[31m \u2028" ~ "x" * 9999) }}"#
        let error = try #require(failure(source, JSONObject()))
        #expect(error.kind == .raised && error.message.contains("\n"))
        #expect(error.description.hasPrefix("the chat template refused the conversation: no way [31m  x"))
        #expect(error.description.utf8.count < 600)
    }

    @Test func budgetsCanBeChanged() throws {
        var options = TemplateOptions()
        options.limits.steps = 50
        let template = try ChatTemplate(source: "{% for i in range(100) %}x{% endfor %}")
        #expect(try template.render(JSONObject()).text.utf8.count == 100)
        #expect { try template.render(JSONObject(), options: options) } throws: {
            ($0 as? TemplateError)?.kind == .limit
        }
        options.limits.steps = 1000
        options.limits.outputBytes = 99
        #expect(throws: TemplateError.self) { try template.render(JSONObject(), options: options) }
        var limits = TemplateLimits()
        limits.sourceBytes = 10
        #expect(throws: TemplateError.self) { try ChatTemplate(source: "a template too long", limits: limits) }
    }

    /// The record of where bytes stem from must not outgrow the text it describes.
    @Test func provenanceIsBounded() {
        let context = ChatTemplate.context(messages: [["role": "user", "content": "a"]])
        let empty = "{% set ns = namespace() %}{% set ns.x %}{% generation %}{% endgeneration %}{% endset %}"
        let doubling = "{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"
        #expect(failure(empty + doubling, context) == nil)
        let wrapped =
            "{% set ns = namespace(x='y') %}{% for i in range(3000) %}{% set ns.x %}{% for m in messages %}{{ ns.x }}"
            + "{% endfor %}{% endset %}{% endfor %}"
        #expect(failure(wrapped + doubling, context)?.kind == .limit)
    }

    @Test func randomBytesNeverTrap() {
        var state: UInt64 = 42
        let pieces = [
            "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "if", "for", "x", "in", "endif", "endfor", "set", "=",
            "macro",
            "(", ")", "[", "]", "'", "\"", "\\", "|", "is", "not", ".", ",", ":", "1", "2.5", "é", "\n", " ", "raw",
            "endraw", "upper", "tojson", "~", "*", "//", "%", "loop", "messages", "caller", "call", "filter",
        ]
        for _ in 0..<4000 {
            var source = ""
            for _ in 0..<30 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                source += pieces[Int(state >> 33) % pieces.count]
                if state >> 20 & 1 == 0 { source += " " }
            }
            _ = failure(source, ChatTemplate.context(messages: [["role": "user", "content": "a"]]))
        }
    }
}
