import Attune
import AttuneJSON
import Foundation
import Testing

/// The road from rows to a merged model that answers, each verb as a user runs it.
@Suite struct RoadTests {
    /// A model that has learned four tickets by heart, its adapter, and the tickets.
    private static func learned() throws -> (model: TinyModel, adapter: String, data: String) {
        let model = try TinyModel(hidden: 64)
        let data = try model.tickets(4)
        let adapter = model.beside("adapter")
        let result = try Program.run(
            "train", "--model", model.path, "--data", data, "--output-dir", adapter, "--num-train-epochs", "60",
            "--per-device-train-batch-size", "4", "--learning-rate", "1e-2", "--r", "16", "--lora-alpha", "32",
            "--modules-to-save", "lm_head", "--save-strategy", "no", "--threads", "1", "--json")
        #expect(result.code == 0, "\(result.errors)")
        let losses = try result.lines().filter { $0["event"] == "step" }.compactMap { $0["loss"]?.doubleValue }
        #expect((losses.first ?? 0) > 6 && (losses.last ?? 9) < 0.1, "\(losses.last ?? 9)")
        return (model, adapter, data)
    }

    @Test func evaluateGenerateMergeAndChat() throws {
        let (model, adapter, data) = try Self.learned()
        let tuned = ["--model", model.path, "--adapter", adapter]
        try evaluates(model, tuned, data)
        try generates(model, tuned, data)
        try merges(model, adapter, data)
        try chats(model, tuned)
    }

    private func evaluates(_ model: TinyModel, _ tuned: [String], _ data: String) throws {
        let html = model.beside("report.html")
        let result = try Program.run(
            ["evaluate"] + tuned + [
                "--data", data, "--compare-base", "--report", html, "--max-new-tokens", "24", "--json",
            ])
        #expect(result.code == 0, "\(result.errors)")
        let report = try #require(try result.lines().first)
        #expect(report["examples"] == 4 && report["exact_match"]?.doubleValue == 1, "\(result.output)")
        #expect(report["fields"]?["Category"]?.doubleValue == 1 && report["fields"]?["Priority"]?.doubleValue == 1)
        #expect(report["mismatches"]?.arrayValue?.isEmpty == true)
        #expect(report["base"]?["exact_match"]?.doubleValue == 0)
        let perplexity = try #require(report["perplexity"]?.doubleValue)
        let base = try #require(report["base"]?["perplexity"]?.doubleValue)
        #expect(perplexity >= 1 && perplexity < 1.2 && base > 100)
        // The adapter holds a head of its own; the base is compared without it.
        let alone = try Program.run(
            "evaluate", "--model", model.path, "--data", data, "--prompt-template", "tutorial", "--max-new-tokens",
            "24",
            "--json")
        #expect(try alone.lines().first?["perplexity"]?.doubleValue == base)
        #expect(try String(contentsOfFile: html, encoding: .utf8).hasPrefix("<!DOCTYPE html>"))
        let markdown = model.beside("report.md")
        let limited = try Program.run(
            [
                "evaluate", "--model", model.path, "--data", data, "--limit", "2", "--report", markdown,
                "--max-new-tokens", "8",
            ])
        #expect(limited.code == 0 && limited.output.contains("(0 of 2,"), "\(limited.output)\(limited.errors)")
        #expect(limited.output.contains("Expected: ") && limited.output.contains("Got: "))
        #expect(try String(contentsOfFile: markdown, encoding: .utf8).hasPrefix("# Evaluation"))
        let empty = try model.scratch.write("empty.jsonl", "\n")
        let answerless = try model.scratch.write("answerless.jsonl", "{\"text\":\"hello\"}\n")
        for (code, arguments) in [
            (65, ["--data", empty]), (65, ["--data", answerless]), (64, ["--data", data, "--limit", "0"]),
            (64, ["--data", data, "--max-new-tokens", "0"]), (66, ["--data", "nowhere.jsonl"]),
            (64, ["--data", data, "--compare-base"]), (69, ["--data", data, "--device", "cuda"]),
            (66, ["--data", data, "--prompt-template", "nowhere.txt"]),
        ] as [(Int32, [String])] {
            let refused = try Program.run(["evaluate", "--model", model.path] + arguments)
            #expect(refused.code == code && refused.hasOneErrorLine, "\(arguments): \(refused.code) \(refused.errors)")
        }
    }

    private func generates(_ model: TinyModel, _ tuned: [String], _ data: String) throws {
        let examples = try Example.examples(of: [data])
        let answer = try #require(examples[0].answer)
        let result = try Program.run(["generate"] + tuned + ["--prompts", data, "--max-new-tokens", "24", "--json"])
        let lines = try result.lines()
        #expect(result.code == 0 && lines.count == 4, "\(result.errors)")
        #expect(lines[0]["text"] == .string(answer) && lines[0]["finish_reason"] == "stop", "\(lines[0].text())")
        #expect(lines[0].objectValue?.keys == ["prompt", "text", "tokens", "finish_reason"])
        let single = try Program.run(
            ["generate"] + tuned + [
                "--instruction", "Classify this support ticket", "--input", examples[0].question.own,
            ])
        #expect(single.output == answer + "\n", "\(single.output)")
        let base = try Program.run([
            "generate", "--model", model.path, "--prompts", data, "--max-new-tokens", "4", "--json",
        ])
        #expect(try base.lines()[0]["finish_reason"] == "length")
        // The first token of the answer again, from ids alone.
        let ids = try Program.run(
            [
                "tokenize", model.path, "--text",
                "### Instruction:\nClassify this support ticket\n\n### Input:\n"
                    + "\(examples[0].question.own)\n\n### Response:\n", "--json",
            ])
        let tokens = try #require(try ids.lines().first?["ids"])
        let rows = try model.scratch.write("ids.jsonl", (["tokens": tokens] as JSON).text() + "\n")
        let same = try Program.run(["generate"] + tuned + ["--prompts", rows, "--max-new-tokens", "24", "--json"])
        #expect(try same.lines().first?["tokens"] == lines[0]["tokens"], "\(same.errors)")
        let drawn = try [1, 2].map { seed in
            try Program.run(
                [
                    "generate", "--model", model.path, "--prompt", "a", "--temperature", "1.5", "--seed", "\(seed)",
                    "--max-new-tokens", "12",
                ]).output
        }
        #expect(drawn[0] != drawn[1])
        let beyond = try model.scratch.write("beyond.jsonl", "{\"tokens\":[5,9999]}\n")
        let odd = try model.scratch.write("odd.jsonl", "{\"tokens\":[5,\"x\"]}\n")
        let wrong = try model.scratch.write("wrong.jsonl", "{\"question\":\"a\"}\n")
        for (code, arguments) in [
            (65, ["--prompts", beyond]), (65, ["--prompts", odd]), (65, ["--prompts", wrong]), (64, []),
            (64, ["--prompt", "a", "--temperature", "9"]), (64, ["--prompt", "a", "--top-p", "2"]),
            (66, ["--prompts", "nowhere.jsonl"]), (66, ["--prompt", "a", "--adapter", "nowhere"]),
        ] as [(Int32, [String])] {
            let refused = try Program.run(["generate", "--model", model.path] + arguments)
            #expect(refused.code == code && refused.hasOneErrorLine, "\(arguments): \(refused.code) \(refused.errors)")
        }
    }

    private func merges(_ model: TinyModel, _ adapter: String, _ data: String) throws {
        let folder = model.beside("merged")
        let result = try Program.run(
            "merge", "--model", model.path, "--adapter", adapter, "--output", folder, "--json", "--threads", "1")
        let report = try #require(try result.lines().first, "\(result.errors)")
        #expect(result.code == 0 && report["greedy_agreement"]?.doubleValue == 1)
        #expect((report["max_logit_difference"]?.doubleValue ?? 1) < 1e-2)
        let left = try Program.run("generate", "--model", folder, "--prompts", data, "--max-new-tokens", "24", "--json")
        let right = try Program.run(
            "generate", "--model", model.path, "--adapter", adapter, "--prompts", data, "--max-new-tokens", "24",
            "--json")
        #expect(left.code == 0 && left.output == right.output, "\(left.errors)")
        let sharded = try Program.run(
            "merge", "--model", model.path, "--adapter", adapter, "--output", model.beside("sharded"),
            "--max-shard-size",
            "500KB", "--dtype", "bfloat16")
        #expect(sharded.code == 0, "\(sharded.errors)")
        let config = try JSON(
            parsing: try String(contentsOfFile: model.beside("sharded") + "/config.json", encoding: .utf8))
        #expect(config["dtype"] == "bfloat16")
        #expect(FileManager.default.fileExists(atPath: model.beside("sharded") + "/model.safetensors.index.json"))
        for (code, arguments) in [
            (64, ["--dtype", "int3"]), (64, ["--max-shard-size", "many"]), (66, ["--adapter", "nowhere"]),
        ] as [(Int32, [String])] {
            let refused = try Program.run(
                ["merge", "--model", model.path, "--output", model.beside("no")]
                    + (arguments[0] == "--adapter" ? [] : ["--adapter", adapter]) + arguments)
            #expect(refused.code == code && refused.hasOneErrorLine, "\(arguments): \(refused.code) \(refused.errors)")
        }
    }

    private func chats(_ model: TinyModel, _ tuned: [String]) throws {
        // The adapter was trained on single questions, so each line stands alone.
        let alone = try Program.run(
            ["chat"] + tuned + ["--temperature", "0", "--max-new-tokens", "8"], input: "hello\nhello\n/exit\nhello\n")
        let answers = alone.output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(alone.code == 0 && alone.errors.contains("single questions"), "\(alone.errors)")
        #expect(alone.output.hasSuffix("\n") && answers.count % 2 == 1)
        let half = alone.output.utf8.count / 2
        #expect(alone.output.utf8.prefix(half).elementsEqual(alone.output.utf8.suffix(half)), "\(alone.output)")
        // Under the chat template the second turn sees the first, until /reset.
        func talk(_ lines: String) throws -> String {
            let result = try Program.run(
                [
                    "chat", "--model", model.path, "--temperature", "2", "--seed", "3", "--top-p", "1",
                    "--max-new-tokens", "6", "--quiet",
                ], input: lines)
            #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
            return result.output
        }
        let one = try talk("hello\n")
        let twice = try talk("hello\nhello\n")
        let reset = try talk("hello\n/reset\nhello\n")
        #expect(twice.hasPrefix(one) && reset == one + one)
        #expect(twice != reset, "the second answer does not depend on the first turn")
        #expect(try Program.run(["chat", "--model", model.path, "--temperature", "9"], input: "").code == 64)
    }
}
