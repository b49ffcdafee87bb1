import AttuneJSON
import Foundation
import Testing

/// `attune train` stopped, damaged and short of space, as a user meets it.
@Suite struct TrainInterruptionTests {
    private let model: TinyModel
    private let rows: String

    init() throws {
        model = try TinyModel()
        rows = try model.tickets(24)
    }

    private func arguments(_ out: String, steps: Int = 12, _ more: [String] = []) -> [String] {
        [
            "train", "--model", model.path, "--data", rows, "--output-dir", model.beside(out), "--max-steps",
            "\(steps)",
            "--per-device-train-batch-size", "2", "--r", "4", "--lora-dropout", "0.1", "--save-steps", "4",
            "--logging-steps", "1", "--threads", "1",
        ] + more
    }

    private func bytes(_ out: String, _ name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: model.beside(out) + "/" + name))
    }

    private func checkpoints(_ out: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: model.beside(out)).filter { $0.hasPrefix("checkpoint-") }
            .sorted()
    }

    /// A run without checkpoints of its own that has made three steps.
    private func started(_ name: String, steps: Int) throws -> (Process, Pipe) {
        let executable: URL = try #require(Program.executable)
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments(name, steps: steps, ["--json", "--save-strategy", "no"])
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        var seen = Data()
        while !seen.contains(#""event":"step","step":3,"#) {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            seen += more
        }
        return (process, output)
    }

    /// Stopped by a signal, the state is saved, the code is 75, and going on ends with the same bits.
    @Test(arguments: [SIGINT, SIGTERM]) func aSignalSaves(_ number: Int32) throws {
        let straight = try Program.run(arguments("straight", steps: 60))
        #expect(straight.code == 0, "\(straight.errors)")
        let (process, output) = try started("stopped", steps: 60)
        kill(process.processIdentifier, number)
        _ = try output.fileHandleForReading.readToEnd()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 75)
        // Also where the recipe wants no checkpoints: what was asked is to stop, not to lose the work.
        #expect(try checkpoints("stopped").count == 1)
        let again = try Program.run(arguments("stopped", steps: 60, ["--resume"]))
        #expect(again.code == 0, "\(again.errors)")
        for name in ["adapter_model.safetensors", "checkpoint-60/optimizer.safetensors", "training_loss.png"] {
            #expect(try bytes("stopped", name) == bytes("straight", name), "\(name)")
        }
    }

    /// Two signals while the program is held, so that both wait for it: it ends by the second, without saving.
    @Test func aSecondSignalEndsAtOnce() throws {
        let (process, output) = try started("twice", steps: 100_000)
        for number in [SIGSTOP, SIGINT, SIGTERM, SIGCONT] { kill(process.processIdentifier, number) }
        _ = try output.fileHandleForReading.readToEnd()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && [130, 143].contains(process.terminationStatus))
        #expect(try checkpoints("twice").isEmpty)
    }

    /// The word after `--resume` may be any folder, and is not taken for one when it is the recipe.
    @Test func resumingTellsFoldersFromRecipes() throws {
        let straight = try Program.run(arguments("straight"))
        #expect(straight.code == 0, "\(straight.errors)")
        try FileManager.default.moveItem(
            atPath: model.beside("straight") + "/checkpoint-8", toPath: model.beside("kept-state"))
        let from = try Program.run(arguments("out", ["--resume", model.beside("kept-state")]))
        #expect(from.code == 0 && from.errors.contains("from step 8"), "\(from.errors)")
        #expect(try bytes("out", "adapter_model.safetensors") == bytes("straight", "adapter_model.safetensors"))
        let recipe = try model.scratch.write("checkpoint-recipe.yaml", "seed: 42\n")
        let named = try Program.run(arguments("new", ["--resume", recipe]))
        #expect(named.code == 0 && named.errors.contains("from step 0"), "\(named.errors)")
        let nowhere = try Program.run(arguments("new", ["--resume", model.beside("checkpoint-99"), "--quiet"]))
        #expect(nowhere.code == 66 && nowhere.hasOneErrorLine, "\(nowhere.errors)")
    }

    /// No file may grow beyond a size, as on a full disk: every save fails, each is said, the last is the error.
    @Test func aFullDiskIsOneLineAndLosesNothing() throws {
        let straight = try Program.run(arguments("straight"))
        #expect(straight.code == 0, "\(straight.errors)")
        let executable: URL = try #require(Program.executable)
        let command = ([executable.path] + arguments("full")).map { "'\($0)'" }
        let result = try Program.run(
            ["-c", "ulimit -f 14; exec " + command.joined(separator: " ")], program: URL(filePath: "/bin/bash"))
        #expect(result.code == 74, "\(result.errors)")
        let errors = result.errors.split(separator: "\n").filter { $0.hasPrefix("attune: ") }
        #expect(errors.count == 1 && errors[0].contains("File too large"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count { $0.contains("training goes on") } >= 2)
        let left = try FileManager.default.contentsOfDirectory(atPath: model.beside("full"))
        #expect(!left.contains { $0.contains("tmp-") || $0.hasPrefix("checkpoint-") }, "\(left)")
        let again = try Program.run(arguments("full", ["--resume"]))
        #expect(again.code == 0, "\(again.errors)")
        #expect(try bytes("full", "adapter_model.safetensors") == bytes("straight", "adapter_model.safetensors"))
    }

    private func arguments(_ out: String, _ more: [String]) -> [String] { arguments(out, steps: 12, more) }

    @Test func anOutputFolderThatCannotBe() throws {
        let file = try model.scratch.write("file", "")
        for place in [file, file + "/results", "/proc/nowhere"] {
            var arguments = arguments("x")
            arguments[6] = place
            let result = try Program.run(arguments + ["--quiet"])
            #expect(
                [65, 74].contains(result.code) && result.hasOneErrorLine, "\(place): \(result.code) \(result.errors)")
            #expect(result.errors.contains(place), "\(result.errors)")
        }
    }

    @Test func checkpointsOfOthersAndDamagedOnes() throws {
        let made = try Program.run(arguments("out"))
        #expect(made.code == 0, "\(made.errors)")
        #expect(try checkpoints("out") == ["checkpoint-12", "checkpoint-4", "checkpoint-8"])

        let other = try Program.run(arguments("out", ["--resume", "--r", "8", "--quiet"]))
        #expect(other.code == 65 && other.hasOneErrorLine, "\(other.errors)")
        #expect(other.errors.contains("belongs to another run") && other.errors.contains("r is 4 there and 8 here"))

        let path = model.beside("out") + "/checkpoint-12/optimizer.safetensors"
        var bytes = try Data(contentsOf: URL(filePath: path))
        bytes[bytes.count / 2] ^= 4
        try bytes.write(to: URL(filePath: path))
        let named = try Program.run(arguments("out", ["--resume", model.beside("out") + "/checkpoint-12", "--quiet"]))
        #expect(named.code == 65 && named.hasOneErrorLine, "\(named.errors)")
        let adapter = try self.bytes("out", "adapter_model.safetensors")
        let faster = try Program.run(arguments("out", ["--resume", "--learning-rate", "1e-3"]))
        #expect(faster.code == 0, "\(faster.errors)")
        #expect(faster.errors.contains("checkpoint-12 is damaged") && faster.errors.contains("using checkpoint-8"))
        #expect(faster.errors.contains("learning_rate from 0.0002 to 0.001"))
        #expect(try self.bytes("out", "adapter_model.safetensors") != adapter)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: model.beside("out") + "/earlier") == ["checkpoint-12"])
    }
}

extension Data {
    fileprivate func contains(_ text: String) -> Bool { range(of: Data(text.utf8)) != nil }
}
