import AttuneFiles
import AttuneJSON
import AttuneTraining
import Foundation
import Testing

/// Checkpoints that are not what was saved, and saves that do not succeed.
@Suite struct CheckpointDamageTests {
    private let scratch: Scratch
    private let run: TinyRun
    private let straight: TinySession.Outcome
    private var out: String { scratch.path("out") }

    /// Eight steps with checkpoints 2, 4, 6 and 8, each with a file in a folder of its own.
    init() throws {
        scratch = try Scratch()
        run = TinyRun(.lora).changed {
            $0.options.saving = .steps(2)
            $0.dropout = 0.1
        }
        let session = try run.session(scratch.path("out"), extras: Self.extras)
        try session.run()
        straight = session.outcome
    }

    private static func extras(_ staged: AtomicFolder, _: TrainingProgress, _: Int, _: Double) throws {
        try AtomicFile.write(Array("{}".utf8), to: staged.path(of: "trainer_state.json"))
        try Folder.create(staged.path(of: "additional_chat_templates"))
        try AtomicFile.write(Array("x".utf8), to: staged.path(of: "additional_chat_templates/tool.jinja"))
    }

    private static let files = [
        "trainable.safetensors", "optimizer.safetensors", "training_state.json", "run.json", "trainer_state.json",
        "manifest.json", "additional_chat_templates/tool.jinja",
    ]

    /// The newest checkpoint is passed over with one line that says what is wrong, and the one before is used.
    private func expectTheOneBefore(_ file: String, _ damage: String) throws {
        let session = try run.session(out, resume: .newest)
        #expect(session.trainer.progress.step == 6, "\(file) \(damage)")
        try #require(session.notices.count == 1, "\(file) \(damage)")
        let line = session.notices[0]
        #expect(line.hasPrefix("checkpoint-8 is damaged (") && line.hasSuffix("; using checkpoint-6"))
        #expect(!line.contains("\n") && (line.contains(file) || file == "manifest.json" || damage == "gone"))
    }

    @Test(arguments: files) func everyFileCutFlippedOrGone(_ file: String) throws {
        let path = out + "/checkpoint-8/" + file
        let whole = try WholeFile.read(path, limit: 1 << 30)
        func put(_ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(filePath: path)) }
        for length in Set([0, 1, whole.count / 2, whole.count - 1]) where length < whole.count {
            try put(Array(whole[..<length]))
            try expectTheOneBefore(file, "cut to \(length)")
        }
        try put(whole + [0])
        try expectTheOneBefore(file, "longer")
        for place in Set([0, whole.count / 3, whole.count / 2, whole.count - 1]) {
            var bytes = whole
            bytes[place] ^= 1 << UInt8(place % 8)
            try put(bytes)
            try expectTheOneBefore(file, "flipped at \(place)")
        }
        try FileManager.default.removeItem(atPath: path)
        try expectTheOneBefore(file, "gone")
        try put(whole)
        #expect(try run.session(out, resume: .newest).trainer.progress.step == 8, "whole again")
    }

    /// Each bit of the manifest itself matters.
    @Test func everyBitOfTheManifest() throws {
        let path = out + "/checkpoint-8/manifest.json"
        let whole = try WholeFile.read(path, limit: 1 << 20)
        let session = try run.session(out)
        let store = try #require(session.store)
        for place in whole.indices {
            for bit in 0..<8 {
                var bytes = whole
                bytes[place] ^= 1 << UInt8(bit)
                try Data(bytes).write(to: URL(filePath: path))
                #expect(
                    throws: (any Error).self, "bit \(bit) of byte \(place)"
                ) { try store.resume(from: out + "/checkpoint-8", model: session.model, optimizer: session.optimizer) }
            }
        }
        try Data(whole).write(to: URL(filePath: path))
        _ = try store.resume(from: out + "/checkpoint-8", model: session.model, optimizer: session.optimizer)
    }

    @Test func aRunGoesOnFromTheOneBeforeToTheSameEnd() throws {
        try FileManager.default.removeItem(atPath: out + "/checkpoint-8/manifest.json")
        try Data().write(to: URL(filePath: out + "/checkpoint-6/optimizer.safetensors"))
        let session = try run.session(out, resume: .newest, extras: Self.extras)
        #expect(session.notices.count == 2 && session.trainer.progress.step == 4)
        try session.run()
        #expect(session.outcome == straight && session.saved == [6, 8])
        #expect(session.told.count == 1 && session.told[0].contains("this run goes on from step 4"))
        // The damaged ones are kept for whoever wants to look, and never found again.
        #expect(try scratch.names("out/earlier") == ["checkpoint-6", "checkpoint-8"])
        let again = try run.session(out, resume: .newest)
        #expect(again.trainer.progress.step == 8 && again.notices.isEmpty && again.outcome.weights == straight.weights)
    }

    @Test func withNoneLeftTheRunStartsOver() throws {
        for step in [2, 4, 6, 8] {
            try FileManager.default.removeItem(atPath: out + "/checkpoint-\(step)/trainable.safetensors")
        }
        let session = try run.session(out, resume: .newest)
        #expect(session.notices.count == 4 && session.trainer.progress.step == 0)
        #expect(session.notices.allSatisfy { $0.hasSuffix("starting from the beginning") })
        try session.run()
        #expect(session.outcome == straight)
    }

    @Test func aDamagedCheckpointAskedForIsRefused() throws {
        let path = out + "/checkpoint-8"
        try Data("{}".utf8).write(to: URL(filePath: path + "/optimizer.safetensors"))
        let error = #expect(throws: FilesError.self) { try run.session(out, resume: .path(path)) }
        #expect(error?.exitCode == 65 && error?.path == path + "/optimizer.safetensors")
        #expect(error?.description.contains("--resume without a path") == true)
        let missing = #expect(throws: FilesError.self) { try run.session(out, resume: .path(out + "/checkpoint-9")) }
        #expect(missing?.exitCode == 66)
    }

    // MARK: Saves that do not succeed

    private static func failing(at steps: Set<Int>) -> CheckpointStore.Extras {
        { staged, progress, _, _ in
            guard steps.contains(progress.step) else { return }
            // Something is there already when the disk is full.
            try AtomicFile.write([1, 2, 3], to: staged.path(of: "adapter_config.json"))
            throw FilesError.inputOutput(
                path: staged.path(of: "adapter_model.safetensors"), operation: "write", code: 28)
        }
    }

    @Test func aFullDiskInTheMiddleCostsOneCheckpoint() throws {
        let session = try run.session(scratch.path("full"), extras: Self.failing(at: [4, 6]))
        let report = try session.run()
        #expect(report.reason == .completed && session.outcome == straight && session.saved == [2, 8])
        #expect(session.told.count == 2)
        #expect(session.told.allSatisfy { $0.contains("No space left on device") && $0.contains("training goes on") })
        #expect(try scratch.names("full") == ["checkpoint-2", "checkpoint-8"])
    }

    @Test func aFullDiskAtTheEndIsAnErrorAndLosesNothing() throws {
        let session = try run.session(scratch.path("full"), extras: Self.failing(at: [8]))
        let error = #expect(throws: FilesError.self) { try session.run() }
        #expect(error?.exitCode == 74 && error?.description.contains("\n") == false)
        #expect(error?.path == scratch.path("full/checkpoint-8/adapter_model.safetensors"))
        #expect(try scratch.names("full") == ["checkpoint-2", "checkpoint-4", "checkpoint-6"])
        let again = try run.session(scratch.path("full"), resume: .newest)
        #expect(again.trainer.progress.step == 6)
        try again.run()
        #expect(again.outcome == straight)
    }

    @Test func aFullDiskWhenStoppedIsAnError() throws {
        let session = try run.session(scratch.path("full"), extras: Self.failing(at: [3]))
        #expect(throws: FilesError.self) { try session.run(stoppingAt: 4) }
        #expect(try scratch.names("full") == ["checkpoint-2"])
    }

    /// What a killed writer leaves is no checkpoint, and is swept away.
    @Test func anInterruptedWriteLeavesNoCheckpoint() throws {
        // No process has this number: Linux stops at 2^22.
        let half = out + "/tmp-checkpoint-10.2147483647-deadbeef"
        try FileManager.default.copyItem(atPath: out + "/checkpoint-8", toPath: half)
        try FileManager.default.removeItem(atPath: half + "/manifest.json")
        #expect(CheckpointStore.steps(in: out) == [2, 4, 6, 8])
        #expect(AtomicFolder.removeLeftovers(in: out) == ["tmp-checkpoint-10.2147483647-deadbeef"])
        #expect(try run.session(out, resume: .newest).trainer.progress.step == 8)
    }

    @Test func anOutputFolderThatCannotBeIsKnownBeforeTheFirstStep() throws {
        let session = try run.session("/dev/null/results")
        let error = #expect(throws: FilesError.self) { try session.run() }
        #expect(error?.exitCode == 74 && session.losses.isEmpty)
        #expect(error?.path.hasPrefix("/dev/null") == true)
    }

    // MARK: Runs that share a folder

    @Test func aNewRunMovesTheOldOnesAside() throws {
        let other = run.changed { $0.options.learningRate = 1e-3 }
        let session = try other.session(out)
        try session.run(stoppingAt: 4)
        #expect(session.told.count == 1)
        #expect(session.told[0].contains("4 checkpoints, up to checkpoint-8, of an earlier run moved to"))
        #expect(try scratch.names("out") == ["checkpoint-2", "checkpoint-3", "earlier"])
        #expect(try scratch.names("out/earlier") == ["checkpoint-2", "checkpoint-4", "checkpoint-6", "checkpoint-8"])
        let again = try other.session(out, resume: .newest)
        #expect(again.trainer.progress.step == 3, "not the other run's last")
        try again.run()
        let alone = try other.outcome()
        #expect(again.outcome == alone)
    }

    @Test func goingBackMovesLaterOnesAside() throws {
        let session = try run.session(out, resume: .path(out + "/checkpoint-4"))
        try session.run(stoppingAt: 2)
        #expect(try scratch.names("out") == ["checkpoint-2", "checkpoint-4", "checkpoint-5", "earlier"])
        #expect(try scratch.names("out/earlier") == ["checkpoint-6", "checkpoint-8"])
    }
}
