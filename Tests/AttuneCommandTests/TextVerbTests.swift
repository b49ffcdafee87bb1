import AttuneJSON
import Foundation
import Testing

/// `tokenize`, `render`, `data`, `recipe` and `doctor`.
@Suite struct TextVerbTests {
    @Test func tokensGoThereAndBack() throws {
        let text = "-ein Wörtchen 🙂 to go"
        let result = try Program.run("tokenize", Program.pocket, "--text", text, "--json")
        #expect(result.code == 0, "\(result.errors)")
        let line = try #require(try result.lines().first)
        let ids = try #require(line["ids"]?.arrayValue)
        let offsets = try #require(line["offsets"]?.arrayValue)
        #expect(ids.count == offsets.count && ids.count == line["tokens"]?.arrayValue?.count && ids.count > 3)
        #expect(offsets.last?[1]?.intValue == text.utf8.count)
        let list = ids.compactMap(\.intValue).map(String.init).joined(separator: ",")
        let back = try Program.run("tokenize", Program.pocket, "--decode", list, "--json")
        #expect(try back.lines().first?["text"] == .string(text), "\(back.errors)")
        let scratch = try Scratch()
        let rows = try scratch.write("ids.jsonl", "{\"ids\":[\(list)]}\n")
        let decoded = try Program.run("tokenize", Program.pocket, "--file", rows, "--decode", "--json")
        #expect(decoded.output == back.output, "\(decoded.errors)")
    }

    @Test func renderAddsNothing() throws {
        let scratch = try Scratch()
        let messages = try scratch.write("m.json", #"[{"role":"user","content":"hi"}]"#)
        let template = try scratch.write(
            "t.jinja",
            "{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}{{ strftime_now('%d %b %Y') }}")
        let result = try Program.run(
            "render", template, "--messages", messages, "--set", #"bos_token="<s>""#, "--now", "2026-01-31T12:00:00")
        #expect(result.output == "<s>[hi]31 Jan 2026" && result.code == 0, "\(result.errors)")
        let json = try Program.run("render", template, "--messages", messages, "--set", "bos_token=<s>", "--json")
        #expect(try json.lines().first?["spans"] == [["message": 0, "begin": 3, "end": 7]])
        let refusing = try scratch.write("r.jinja", "{{ raise_exception('no system text') }}")
        let refused = try Program.run("render", refusing, "--messages", messages)
        #expect(refused.code == 65 && refused.hasOneErrorLine && refused.output.isEmpty)
        #expect(refused.errors.contains("no system text"))
        let missing = try Program.run("render", template, "--messages", scratch.path("none.json"))
        #expect(missing.code == 66 && missing.hasOneErrorLine)
    }

    @Test func dataIsCheckedSplitAndCleaned() throws {
        let scratch = try Scratch()
        let rows = (0..<20).map { "{\"instruction\":\"Question \($0 * 7919) of \($0)\",\"output\":\"\($0)\"}" }
        let good = try scratch.write("good.jsonl", (rows + [rows[0]]).joined(separator: "\n"))
        let report = try Program.run("data", "check", good, "--model", Program.pocket, "--json")
        let found = try #require(try report.lines().first)
        #expect(report.code == 0 && found["rows"] == 21, "\(report.errors)")
        #expect(found["exact_duplicates"]?.arrayValue?.count == 1)
        #expect(found["ledger"]?["rows"] == 21)
        let bad = try scratch.write("bad.jsonl", rows[0] + "\n{broken\n")
        let failed = try Program.run("data", "check", bad, "--json")
        #expect(failed.code == 65 && failed.hasOneErrorLine && failed.errors.contains("bad.jsonl:2"))
        #expect(try Program.run("data", "check", scratch.path("none.jsonl")).code == 66)
        let cleaned = try Program.run("data", "clean", good, "--output", scratch.path("clean.jsonl"), "--json")
        #expect(try cleaned.lines().first?["kept"] == 20, "\(cleaned.errors)")
        let split = try Program.run(
            "data", "split", scratch.path("clean.jsonl"), "--test-size", "4", "--output-dir", scratch.url.path, "--json"
        )
        let sizes = try #require(try split.lines().first)
        #expect((sizes["train"]?.intValue ?? 0) + (sizes["test"]?.intValue ?? 0) == 20)
    }

    @Test func recipesAreShownAndRefused() throws {
        let shown = try Program.run("recipe", "show", "--set", "seed=7", "--learning-rate", "1e-4", "--json")
        let recipe = try #require(try shown.lines().first)
        #expect(recipe["seed"]?["value"] == 7 && recipe["learning_rate"]?["origin"] == "flag")
        let refused = try Program.run("recipe", "show", "--set", "lerning_rate=1")
        #expect(refused.code == 78 && refused.errors.hasPrefix("attune: "), "\(refused.errors)")
        let schema = try Program.run("recipe", "schema", "--json")
        #expect((try schema.lines().first?.arrayValue?.count ?? 0) > 50)
    }

    @Test func doctorFindsTheKernelsSound() throws {
        let result = try Program.run("doctor", "--json")
        #expect(result.code == 0, "\(result.errors)")
        let checks = try #require(try result.lines().first?["checks"]?.arrayValue)
        #expect(checks.allSatisfy { $0["ok"] == true } && !checks.isEmpty)
        let report = try #require(try result.lines().first)
        #expect(report["accelerator"]?.isNull == true && (report["disk_free_bytes"]?.intValue ?? 0) > 0)
        let large = try #require(report["allows"]?.arrayValue?.first { $0["model"] == "llama-2-7b" })
        let needs = ["full", "lora", "qlora"].compactMap { large[$0]?["bytes"]?.intValue }
        #expect(large["parameters"] == 6_738_415_616 && needs.count == 3 && needs == needs.sorted(by: >))
        // Full training holds weights in 16 bits, and master, gradient and two moments in 32.
        #expect(needs[0] > 18 * 6_738_415_616)
        let total = report["memory_bytes"]?.intValue ?? 0
        #expect(large["full"]?["fits"]?.boolValue == (needs[0] <= total))
    }

    @Test func unknownFlagsAreUsageErrors() throws {
        #expect(try Program.run("tokenize", Program.pocket, "--no-such-flag").code == 64)
        #expect(try Program.run("no-such-verb").code == 64)
    }
}
