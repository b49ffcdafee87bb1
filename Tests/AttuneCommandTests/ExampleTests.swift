import AttuneJSON
import Foundation
import Testing

/// The quickstart and the tutorial's two forms, run on a small model.
@Suite struct ExampleTests {
    @Test func theQuickstartWalksTheWholeRoad() throws {
        let model = try TinyModel()
        let out = model.beside("quickstart")
        let arguments = [
            "quickstart", "--model", model.path, "--data", try model.tickets(30), "--recipe",
            Program.root.appending(path: "Recipes/quickstart.yaml").path, "--output-dir", out, "--set", "max_steps=3",
            "--set", "test_size=5", "--max-new-tokens", "8", "--threads", "1",
        ]
        let result = try Program.run(arguments)
        #expect(result.code == 0, "\(result.errors)")
        for words in [
            "25 tickets to learn from, 5 held out", "exact match 0 of 5", "Exact match on the 5 held-out tickets",
            "before 0 of 5",
            "after  ", "The checkout page shows an error 500", "base", "tuned", "training_loss.png",
            "greedy agreement", "attune serve \(out)/merged",
        ] {
            #expect(result.output.contains(words), "\(words): \(result.output)")
        }
        #expect(result.errors.contains("Training loss") && result.errors.contains("step "))
        let card = try String(contentsOfFile: out + "/README.md", encoding: .utf8)
        #expect(card.contains("Exact match on held-out rows: 0 of 5") && card.contains("the base alone"))
        let told = try Program.run(arguments + ["--json", "--quiet"])
        let report = try #require(try told.lines().first, "\(told.errors)")
        #expect(told.errors.isEmpty && report["train"] == 25 && report["held_out"] == 5)
        #expect(report["exact_match_before"]?.doubleValue == 0 && report["exact_match_after"]?.doubleValue != nil)
        #expect(report["evaluation"]?["base"] != nil && report["serve"] == .string(out + "/merged"))
        #expect((report["greedy_agreement"]?.doubleValue ?? 0) > 0.9)
        let merged = try Program.run("generate", "--model", out + "/merged", "--prompt", "a", "--max-new-tokens", "2")
        #expect(merged.code == 0, "\(merged.errors)")
    }

    @Test func theQuickstartSaysWhatIsMissing() throws {
        let model = try TinyModel()
        try FileManager.default.removeItem(atPath: model.path + "/model.safetensors")
        let weightless = try Program.run("quickstart", "--model", model.path)
        #expect(weightless.code == 66 && weightless.hasOneErrorLine && weightless.errors.contains("no weights"))
        let nowhere = try Program.run("quickstart", "--model", "/nowhere/model")
        #expect(nowhere.code == 66 && nowhere.hasOneErrorLine, "\(nowhere.errors)")
        let tiny = try TinyModel()
        let unsplit = try Program.run(
            "quickstart", "--model", tiny.path, "--data", try tiny.tickets(), "--output-dir", tiny.beside("out"),
            "--set",
            "test_size=0", "--set", "eval_strategy=no")
        #expect(unsplit.code == 78 && unsplit.errors.contains("test_size"), "\(unsplit.errors)")
    }

    @Test func theTutorialInShellRuns() throws {
        let model = try TinyModel()
        let out = model.beside("shell")
        let program = try #require(Program.executable)
        let result = try Program.run(
            ["Examples/tutorial.sh", "--max-steps", "3", "--threads", "1"], program: URL(filePath: "/bin/sh"),
            environment: ["ATTUNE": program.path, "MODEL": model.path, "DATA": try model.tickets(30), "OUT": out])
        #expect(result.code == 0, "\(result.errors)")
        for words in ["Input: The checkout page shows an error 500", "Exact match accuracy", "greedy agreement"] {
            #expect(result.output.contains(words), "\(words)")
        }
        #expect(result.output.components(separatedBy: "---\n").count >= 6)
        #expect(FileManager.default.fileExists(atPath: out + "/evaluation.html"))
        let failing = try Program.run(
            ["Examples/tutorial.sh"], program: URL(filePath: "/bin/sh"),
            environment: ["ATTUNE": program.path, "MODEL": "/nowhere/model", "DATA": try model.tickets(30), "OUT": out])
        #expect(failing.code != 0, "a block that fails does not stop the script")
    }

    @Test func theTutorialInSwiftRuns() throws {
        let program = try #require(Program.executable).deletingLastPathComponent().appending(path: "Tutorial")
        let model = try TinyModel()
        let out = model.beside("swift")
        let result = try Program.run([model.path, try model.tickets(30), out], program: program)
        #expect(result.code == 0, "\(result.errors)")
        for words in ["Train: ", "Trainable: ", "evaluation: loss", "Exact match accuracy", "greedy agreement", "---"] {
            #expect(result.output.contains(words), "\(words): \(result.output)")
        }
        #expect(FileManager.default.fileExists(atPath: out + "/merged/model.safetensors"))
    }
}
