import Attune
import AttuneJSON
import Foundation
import Testing

/// `attune train` as a user runs it, on a small random model.
@Suite struct TrainVerbTests {
    @Test func aRunTellsItsPlanItsStepsAndItsEnd() throws {
        let model = try TinyModel()
        let out = model.beside("out")
        let result = try Program.run(
            "train", "--model", model.path, "--data", try model.tickets(16), "--test-size", "4", "--output-dir", out,
            "--max-steps", "6", "--per-device-train-batch-size", "2", "--r", "4", "--eval-strategy", "steps",
            "--eval-steps", "3", "--save-steps", "3", "--logging-steps", "1", "--report-to", "tensorboard", "--threads",
            "1", "--json")
        #expect(result.code == 0, "\(result.errors)")
        let events = try result.lines()
        let kinds = events.compactMap { $0["event"]?.stringValue }
        #expect(kinds.first == "plan" && kinds.last == "finished")
        #expect(kinds.count { $0 == "step" } == 6 && kinds.count { $0 == "evaluation" } == 2)
        #expect(kinds.contains("estimate") && kinds.contains("checkpoint"))

        let plan = try #require(events.first)
        let bins = try #require(plan["data"]?["bins"]?.objectValue)
        #expect(bins.members.reduce(0) { $0 + ($1.value.intValue ?? 0) } == plan["data"]?["rows"]?.intValue)
        #expect(plan["held_out"] == 4 && plan["total_steps"] == 6)
        // r·(in + out) of q, k, v, o, gate, up and down, in two layers 32 wide.
        let perLayer = 4 * ((32 + 32) + (32 + 16) + (32 + 16) + (32 + 32) + 3 * (32 + 64))
        #expect(plan["trainable_parameters"]?.intValue == 2 * perLayer)
        let memory = try #require(plan["memory_bytes"]?.objectValue)
        let parts = ["weights", "masters", "gradients", "moments", "activations"].map { memory[$0]?.intValue ?? -1 }
        #expect(parts.allSatisfy { $0 > 0 } && parts.reduce(0, +) == memory["total"]?.intValue)
        #expect((plan["machine_bytes"]?.intValue ?? 0) > 1 << 28)

        let step = try #require(events.first { $0["event"] == "step" })
        for key in [
            "step", "epoch", "loss", "learning_rate", "grad_norm", "tokens_per_second", "num_input_tokens_seen",
        ] {
            #expect(step[key]?.doubleValue != nil, "\(key)")
        }
        let finished = try #require(events.last)
        for key in ["train_runtime", "train_loss", "peak_memory_bytes"] {
            #expect((finished[key]?.doubleValue ?? 0) > 0, "\(key)")
        }
        let estimate = try #require(events.first { $0["event"] == "estimate" })
        #expect((estimate["remaining_seconds"]?.doubleValue ?? 0) > 0)

        for name in [
            "adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "trainer_state.json",
            "training_loss.png", "training_loss.svg", "recipe.resolved.yaml", "data_ledger.json", "trainer_log.jsonl",
            "attune_contract.json", "README.md", "checkpoint-6/manifest.json",
        ] {
            #expect(FileManager.default.fileExists(atPath: out + "/" + name), "\(name)")
        }
        let runs = try FileManager.default.contentsOfDirectory(atPath: out + "/runs")
        #expect(runs.count == 1 && runs[0].hasPrefix("events.out.tfevents."))
        let log = try String(contentsOfFile: out + "/trainer_log.jsonl", encoding: .utf8)
        #expect(log.split(separator: "\n").count >= 8)
        let png = try Data(contentsOf: URL(filePath: out + "/training_loss.png"))
        #expect(png.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    }

    @Test func theCardNamesRecipeDataLossesVersionAndLicence() throws {
        let model = try TinyModel()
        let out = model.beside("card")
        let result = try Program.run(
            "train", "--model", model.path, "--data", try model.tickets(), "--test-size", "2", "--output-dir", out,
            "--max-steps", "2", "--eval-strategy", "epoch", "--learning-rate", "3e-3", "--threads", "1")
        #expect(result.code == 0, "\(result.errors)")
        #expect(result.output.isEmpty)
        for words in ["Data: 10 rows", "Trainable: ", "Memory: ", "Machine: ", "2 steps, from step 0"] {
            #expect(result.errors.contains(words), "\(words): \(result.errors)")
        }
        let card = try String(contentsOfFile: out + "/README.md", encoding: .utf8)
        #expect(card.hasPrefix("---\nbase_model: "))
        for words in [
            "library_name: peft", "license: cc-by-sa-4.0", "learning_rate: 0.003", "10 rows", "Evaluation loss",
            "Attune \(AttuneVersion.current)", "is under `cc-by-sa-4.0`", "form `tutorial`",
        ] {
            #expect(card.contains(words), "\(words): \(card)")
        }
        #expect(!card.contains("adam_beta1"), "what nobody said is not the card's")
        try FileManager.default.removeItem(atPath: model.path + "/README.md")
        let unnamed = try Program.run(
            "train", "--model", model.path, "--data", try model.tickets(), "--output-dir", out, "--max-steps", "1",
            "--threads", "1", "--quiet")
        #expect(unnamed.code == 0 && unnamed.errors.isEmpty && unnamed.output.isEmpty, "\(unnamed.errors)")
        let second = try String(contentsOfFile: out + "/README.md", encoding: .utf8)
        #expect(second.contains("names no licence") && !second.contains("license:"))
    }

    @Test func logLevelsSayMoreOrLess() throws {
        let model = try TinyModel()
        let data = try model.tickets()
        func lines(_ level: String) throws -> [Substring] {
            let result = try Program.run(
                "train", "--model", model.path, "--data", data, "--output-dir", model.beside("at-" + level),
                "--max-steps",
                "3",
                "--logging-steps", "3", "--threads", "1", "--log-level", level)
            #expect(result.code == 0, "\(result.errors)")
            return result.errors.split(separator: "\n")
        }
        let steps = { (lines: [Substring]) in lines.count { $0.hasPrefix("step ") } }
        #expect(steps(try lines("debug")) == 3)
        #expect(steps(try lines("info")) == 1)
        #expect(try lines("warning").isEmpty)
        let loaded = try Program.run(
            "generate", "--model", model.path, "--prompt", "a", "--max-new-tokens", "1", "--log-level", "debug")
        #expect(loaded.errors.contains("loaded "))
        let silent = try Program.run("generate", "--model", model.path, "--prompt", "a", "--max-new-tokens", "1")
        #expect(silent.errors.isEmpty && silent.code == 0)
    }

    /// A file of rows, flags, and how the run must be refused.
    struct Refused: Sendable, CustomTestStringConvertible {
        var code: Int32
        var words: String
        var rows: String?
        var flags: [String]
        var testDescription: String { words }

        init(_ code: Int32, _ words: String, rows: String? = nil, _ flags: String...) {
            (self.code, self.words, self.rows, self.flags) = (code, words, rows, flags)
        }
    }

    static let good = #"{"instruction":"Sort this","input":"a parcel","output":"Category: Shipping"}"#

    static let refused: [Refused] = [
        Refused(78, "learning_rate", "--set", "lerning_rate=1"),
        Refused(64, "no-such-flag", "--no-such-flag"),
        Refused(78, "--learning-rate: expected", "--learning-rate", "-1"),
        Refused(78, "--lr-scheduler-type: expected", "--lr-scheduler-type", "wavy"),
        Refused(78, "--lora-dropout: expected", "--lora-dropout", "1.5"),
        Refused(78, "nothing to evaluate", "--eval-strategy", "epoch"),
        Refused(78, "needs load_best_model_at_end", "--early-stopping-patience", "2"),
        Refused(65, "rows.jsonl:1", rows: #"{"question":"a","reply":"b"}"#),
        Refused(65, "rows.jsonl:2", rows: good + "\n{broken"),
        Refused(65, "rows.jsonl", rows: ""),
        Refused(65, "max_length", "--max-length", "8"),
        Refused(65, "target_modules", "--target-modules", "nothing_proj"),
        Refused(66, "nowhere.jsonl", "--data", "nowhere.jsonl"),
        Refused(66, "nowhere", "--model", "/nowhere/model"),
        Refused(69, "cuda", "--device", "cuda"),
        Refused(78, "device", "--device", "abacus"),
        Refused(64, "log-level", "--log-level", "loud"),
    ]

    @Test(arguments: refused)
    func badInputIsOneLineWithItsCode(_ refused: Refused) throws {
        let model = try TinyModel()
        let rows = try model.scratch.write("rows.jsonl", refused.rows ?? Self.good + "\n")
        let result = try Program.run(
            ["train", "--model", model.path, "--data", rows, "--output-dir", model.beside("bad"), "--max-steps", "1"]
                + refused.flags)
        #expect(result.code == refused.code, "\(result.errors)")
        #expect(result.errors.contains(refused.words), "\(result.errors)")
        #expect(result.hasOneErrorLine, "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: model.beside("bad") + "/adapter_config.json"))
    }

    @Test func tokensBeyondTheVocabularyAreFoundInTrainingAndEvaluationRows() throws {
        let model = try TinyModel(vocabulary: 300)
        let small = try model.scratch.write("small.jsonl", "{\"text\":\"qzq\"}\n{\"text\":\"zqz\"}\n")
        let large = try model.scratch.write("large.jsonl", "{\"text\":\"qzq\"}\n{\"text\":\"### Instruction\"}\n")
        func train(_ train: String, _ test: String) throws -> Program.Result {
            try Program.run(
                "train", "--model", model.path, "--data", train, "--eval-file", test, "--prompt-template", "text",
                "--train-on", "all", "--output-dir", model.beside("vocabulary"), "--max-steps", "1", "--threads", "1")
        }
        #expect(try train(small, small).code == 0)
        for (first, second) in [(small, large), (large, small)] {
            let result = try train(first, second)
            #expect(result.code == 65 && result.hasOneErrorLine, "\(result.errors)")
            #expect(result.errors.contains("large.jsonl:2") && result.errors.contains("vocabulary of 300"))
        }
    }

    @Test func anAdapterOfAnotherBaseIsRefused() throws {
        let model = try TinyModel()
        let other = try TinyModel(hidden: 64)
        let data = try model.tickets()
        let made = try Program.run(
            "train", "--model", other.path, "--data", data, "--output-dir", model.beside("other"), "--max-steps", "1",
            "--threads", "1")
        #expect(made.code == 0, "\(made.errors)")
        let again = ["--data", data, "--output-dir", model.beside("again"), "--max-steps", "1", "--threads", "1"]
        let fits = try Program.run(
            ["train", "--model", other.path, "--init-adapter", model.beside("other")] + again)
        #expect(fits.code == 0, "\(fits.errors)")
        for arguments in [
            ["train", "--model", model.path, "--init-adapter", model.beside("other")] + again,
            ["generate", "--model", model.path, "--adapter", model.beside("other"), "--prompt", "a"],
            ["evaluate", "--model", model.path, "--adapter", model.beside("other"), "--data", data],
            [
                "merge", "--model", model.path, "--adapter", model.beside("other"), "--output", model.beside("merged"),
            ],
        ] {
            let result = try Program.run(arguments)
            #expect(result.code == 65 && result.hasOneErrorLine, "\(arguments[0]): \(result.code) \(result.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: model.beside("merged")))
    }
}
