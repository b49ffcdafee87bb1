import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor

/// The checkpoints of one run: `OUTPUT/checkpoint-STEP/`, each written aside, flushed, described by a manifest, and renamed.
public final class CheckpointStore {
    /// The folder they lie in.
    public let folder: String
    private let limit: Int?
    private let writeExtras: (AtomicFolder, TrainingProgress, _ totalSteps: Int, _ epoch: Double) throws -> Void
    /// The newest whole one.
    public private(set) var newest: String?
    /// Its step.
    public private(set) var newestStep: Int?

    static let manifestName = "manifest.json"
    static let weightsName = "trainable.safetensors"
    static let optimizerName = "optimizer.safetensors"
    static let progressName = "training_state.json"

    /// - Parameters:
    ///   - limit: the most that are kept; the best is never deleted.
    ///   - writeExtras: adds what makes the folder usable by itself: adapter or model files, tokenizer, trainer_state.json.
    public init(
        folder: String, limit: Int?,
        writeExtras: @escaping (AtomicFolder, TrainingProgress, _ totalSteps: Int, _ epoch: Double) throws -> Void
    ) {
        self.folder = folder
        self.limit = limit
        self.writeExtras = writeExtras
    }

    /// Saves a state and deletes the oldest beyond the limit.
    /// - Returns: the path.
    /// - Throws: `FilesError`; then nothing half-written is left and older checkpoints are untouched.
    func save(
        _ progress: TrainingProgress, model: Decoder, optimizer: Optimizer, totalSteps: Int, epoch: Double,
        options: TrainingOptions
    ) throws -> String {
        let path = Folder.path(folder, "checkpoint-\(progress.step)")
        let staged = try AtomicFolder(path)
        let weights = model.trainableParameters.map { (name: $0.name, tensor: $0.value) }
        try SafetensorsWriter.write(tensors: weights, metadata: [:], to: staged.path(of: Self.weightsName))
        try SafetensorsWriter.write(
            tensors: optimizer.stateTensors, metadata: [:], to: staged.path(of: Self.optimizerName))
        try AtomicFile.write(progress.json.utf8(.pretty), to: staged.path(of: Self.progressName))
        try writeExtras(staged, progress, totalSteps, epoch)
        try Manifest.write(to: staged)
        try staged.commit(replacingExisting: true)
        newest = path
        newestStep = progress.step
        removeOld(best: progress.bestStep, isBestKept: options.loadsBest)
        return path
    }

    private func removeOld(best: Int?, isBestKept: Bool) {
        guard let limit else { return }
        let steps = Self.steps(in: folder)
        let deletable = steps.filter { !(isBestKept && $0 == best) }
        for step in deletable.dropLast(max(limit, 1)) { Folder.remove(Folder.path(folder, "checkpoint-\(step)")) }
    }

    /// Steps of the checkpoints in a folder, ascending.
    public static func steps(in folder: String) -> [Int] {
        let names = (try? Folder.names(in: folder)) ?? []
        return names.compactMap { $0.hasPrefix("checkpoint-") ? Int($0.dropFirst(11)) : nil }.sorted()
    }

    /// The newest checkpoint whose manifest verifies, and what was wrong with newer ones.
    public static func newestComplete(in folder: String) -> (path: String?, problems: [String]) {
        var problems: [String] = []
        for step in steps(in: folder).reversed() {
            let path = Folder.path(folder, "checkpoint-\(step)")
            do {
                try Manifest.verify(path)
                return (path, problems)
            } catch {
                problems.append("\(error)")
            }
        }
        return (nil, problems)
    }

    /// Puts weights and moments of a checkpoint into a prepared model and a fresh optimizer.
    ///
    /// - Returns: where the run stood.
    /// - Throws: `FilesError` when the folder is not what was saved, `TrainingError` when it belongs to another run.
    public static func restore(_ path: String, model: Decoder, optimizer: Optimizer) throws -> TrainingProgress {
        try Manifest.verify(path)
        let weights = try SafetensorsFile(Folder.path(path, weightsName))
        let pairs = model.trainableParameters.map { (name: $0.name, tensor: $0.value) }
        try fill(pairs, from: weights, backend: model.backend)
        let moments = try SafetensorsFile(Folder.path(path, optimizerName))
        try fill(optimizer.stateTensors, from: moments, backend: model.backend)
        try model.refreshAfterStep()
        let json = try WholeFile.readJSON(Folder.path(path, progressName))
        guard let progress = TrainingProgress(json: json) else {
            throw TrainingError("\(path): \(progressName) is not a training state; use another checkpoint")
        }
        optimizer.restore(step: progress.optimizerStep)
        return progress
    }

    private static func fill(
        _ targets: [(name: String, tensor: Tensor)], from file: SafetensorsFile, backend: any Backend
    ) throws {
        guard Set(targets.map(\.name)) == Set(file.tensorNames) else {
            throw TrainingError(
                "\(file.path) holds other tensors than this run trains; resume with the recipe the checkpoint was made with"
            )
        }
        for (name, tensor) in targets {
            let saved = try file.tensor(named: name)
            guard saved.shape == tensor.shape, saved.dtype == tensor.dtype else {
                throw TrainingError("\(file.path): '\(name)' is \(saved.shape), this run has \(tensor.shape)")
            }
            tensor.address.copyMemory(from: saved.address, byteCount: saved.byteCount)
        }
    }
}
