import AttuneJSON
import Foundation
import Testing

/// `attune generate` over a file of prompts.
@Suite struct GenerateVerbTests {
    @Test func answersGoToAFile() throws {
        let folder = try Scratch()
        let rows = (0..<12).map { #"{"prompt": "My order number \#($0)"}"# }.joined(separator: "\n")
        let prompts = try folder.write("prompts.jsonl", rows + "\n")
        let arguments = ["generate", "--model", Program.pocket, "--prompts", prompts, "--max-new-tokens", "3"]
        let shown = try Program.run(arguments + ["--json", "--quiet"])
        let lines = try shown.lines()
        #expect(shown.code == 0 && lines.count == 12 && shown.errors.isEmpty, "\(shown.errors)")
        #expect(lines.enumerated().allSatisfy { $1["prompt"]?.stringValue == "My order number \($0)" })
        let output = folder.path("answers.jsonl")
        let written = try Program.run(arguments + ["--output", output, "--max-num-seqs", "4"])
        #expect(written.code == 0 && written.output.isEmpty)
        #expect(try String(contentsOfFile: output, encoding: .utf8) == shown.output)
        #expect(written.errors.contains("12 of 12 answers") && written.errors.contains("tokens/s"), "\(written.errors)")
        // The negative: where the file cannot be, nothing is half there.
        let nowhere = try Program.run(arguments + ["--output", folder.path("no/where.jsonl"), "--quiet"])
        #expect(nowhere.code != 0 && nowhere.hasOneErrorLine, "\(nowhere.errors)")
    }
}
