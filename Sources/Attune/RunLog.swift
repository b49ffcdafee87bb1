import AttuneFiles
import AttuneJSON
import AttuneTracking
import AttuneTraining
import Foundation

/// What others follow a run by while it goes on: `trainer_log.jsonl`, and TensorBoard's events where `report_to` asks for them.
///
/// Lines are appended as entries come; a reader sees whole lines only.
final class RunLog {
    private let trainer: Trainer
    private let startStep: Int
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private let lines: FileHandle
    private let events: FileHandle?
    private var written: Int

    static let fileName = "trainer_log.jsonl"

    /// Opens the files; a run from step 0 begins them anew, a resumed one goes on.
    /// - Throws: `FilesError` for a folder that cannot be written.
    init(_ trainer: Trainer, reporters: [RecipeReporter], folder: String) throws {
        self.trainer = trainer
        start = clock.now
        startStep = trainer.progress.step
        written = trainer.progress.logHistory.count
        let path = Folder.path(folder, Self.fileName)
        lines = try Self.open(path, beginning: startStep > 0 ? Self.lines(of: path, upTo: startStep) : [])
        guard reporters.contains(.tensorboard) else {
            events = nil
            return
        }
        let moment = Date().timeIntervalSince1970
        let name = TensorBoardLog.fileName(
            wallTime: moment, host: ProcessInfo.processInfo.hostName,
            process: Int(ProcessInfo.processInfo.processIdentifier))
        let runs = Folder.path(folder, "runs")
        try Folder.create(runs)
        events = try Self.open(Folder.path(runs, name), beginning: TensorBoardLog.header(wallTime: moment))
    }

    deinit {
        try? lines.close()
        try? events?.close()
    }

    /// Writes the entries of the history that are new.
    /// - Throws: what the system says of a full disk.
    func follow() throws {
        let history = trainer.progress.logHistory
        guard history.count > written else { return }
        let moment = Date().timeIntervalSince1970
        for value in history[written...] {
            guard let object = value.objectValue else { continue }
            let entry = LogEntry(object)
            let line = TrainingLog.line(
                entry, totalSteps: trainer.totalSteps, elapsed: start.duration(to: clock.now) / .seconds(1),
                startStep: startStep)
            try lines.write(contentsOf: Data(line.utf8))
            try events?.write(contentsOf: Data(TensorBoardLog.record(entry, wallTime: moment)))
        }
        written = history.count
    }

    private static func open(_ path: String, beginning: [UInt8]) throws -> FileHandle {
        try AtomicFile.write(beginning, to: path)
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.seekToEnd()
        return file
    }

    /// The lines of earlier sittings up to the step from which the run goes on; those after it are about to come again.
    private static func lines(of path: String, upTo step: Int) -> [UInt8] {
        guard let bytes = try? WholeFile.read(path, limit: 1 << 30) else { return [] }
        let kept = bytes.split(separator: UInt8(ascii: "\n")).filter { line in
            guard let entry = try? JSON(parsing: line), let reached = entry["current_steps"]?.intValue else {
                return false
            }
            return reached <= step && entry["train_loss"]?.doubleValue == nil
        }
        return kept.flatMap { $0 + [UInt8(ascii: "\n")] }
    }
}
