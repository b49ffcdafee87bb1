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

    /// Rows are read for evaluation as they were for training.
    @Test func evaluateKnowsTheColumnsOfTheTraining() throws {
        let model = try TinyModel()
        let rows = (0..<4).map { "{\"question\":\"Question \($0 * 7919)\",\"reply\":\"Answer \($0)\"}" }
        let data = try model.scratch.write("named.jsonl", rows.joined(separator: "\n"))
        let columns = "{instruction: question, output: reply}"
        let trained = try Program.run(
            "train", "--model", model.path, "--data", data, "--columns", columns, "--output-dir",
            model.beside("named"), "--max-steps", "1", "--threads", "1", "--quiet")
        #expect(trained.code == 0, "\(trained.errors)")
        func evaluate(_ file: String, _ more: String...) throws -> Program.Result {
            try Program.run(
                ["evaluate", "--model", model.path, "--data", file, "--max-new-tokens", "2", "--json"] + more)
        }
        let adapter = ["--adapter", model.beside("named")]
        #expect(try evaluate(data, adapter[0], adapter[1]).lines().first?["examples"] == 4)
        #expect(try evaluate(model.tickets(), adapter[0], adapter[1]).lines().first?["examples"] == 12)
        #expect(try evaluate(data, "--columns", columns).lines().first?["examples"] == 4)
        #expect(try evaluate(data).code == 65)
        #expect(try evaluate(data, "--columns", "{question: reply}").code == 78)
    }

    /// A template from a file goes along with what was trained; the file may then be gone.
    @Test func theContractHoldsTheTemplate() throws {
        let model = try TinyModel()
        let form = try model.scratch.write("form.txt", "Q: {instruction}{#input} ({input}){/input}\nA: {output}\n")
        let adapter = model.beside("formed")
        let data = try model.tickets()
        let trained = try Program.run(
            "train", "--model", model.path, "--data", data, "--prompt-template", form, "--output-dir", adapter,
            "--max-steps", "2", "--learning-rate", "1e-2", "--threads", "1", "--quiet")
        #expect(trained.code == 0, "\(trained.errors)")
        let question = ["--instruction", "Classify", "--input", "a parcel", "--max-new-tokens", "6", "--json"]
        func ask(_ arguments: String...) throws -> Program.Result {
            try Program.run(["generate", "--model"] + arguments + question)
        }
        let byForm = try ask(model.path, "--adapter", adapter, "--prompt-template", form)
        try FileManager.default.removeItem(atPath: form)
        let byContract = try ask(model.path, "--adapter", adapter)
        #expect(byContract.code == 0 && byContract.output == byForm.output, "\(byContract.errors)")
        let contract = try JSON(
            parsing: try String(contentsOfFile: adapter + "/attune_contract.json", encoding: .utf8))
        #expect(contract["prompt_template_text"]?.stringValue?.hasPrefix("Q: {instruction}") == true)
        #expect(contract["special_token_ids"]?["eos"]?.intValue != nil)
        let merged = try Program.run(
            "merge", "--model", model.path, "--adapter", adapter, "--output", model.beside("formed-merged"))
        #expect(merged.code == 0, "\(merged.errors)")
        #expect(try ask(model.beside("formed-merged")).code == 0)
        let gone = try ask(model.path, "--prompt-template", form)
        #expect(gone.code == 66 && gone.hasOneErrorLine, "\(gone.errors)")
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
        // Again into the same place; but never over what is merged, or over a folder of other things.
        let again = try Program.run(
            "merge", "--model", model.path, "--adapter", adapter, "--output", folder, "--threads", "1")
        #expect(again.code == 0, "\(again.errors)")
        let others = model.beside("others")
        try FileManager.default.createDirectory(atPath: others, withIntermediateDirectories: true)
        try "mine".write(toFile: others + "/notes.txt", atomically: true, encoding: .utf8)
        for place in [adapter, model.path, model.scratch.url.path, others] {
            let refused = try Program.run(
                "merge", "--model", model.path, "--adapter", adapter, "--output", place, "--threads", "1")
            #expect(refused.code == 65 && refused.hasOneErrorLine, "\(place): \(refused.code) \(refused.errors)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: others) == ["notes.txt"])
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
