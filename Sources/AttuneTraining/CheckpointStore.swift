import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor

/// A saved state of a run: the folder `checkpoint-STEP`.
public struct Checkpoint: Sendable, Equatable {
    /// The folder.
    public let path: String
    /// The optimizer step after which it was saved.
    public let step: Int
    /// `checkpoint-STEP`.
    public var name: String { Self.name(step) }

    static func name(_ step: Int) -> String { "checkpoint-\(step)" }
}

/// The checkpoints of one run: `OUTPUT/checkpoint-STEP/`, each written aside, flushed, described by a manifest, and renamed.
///
/// Whatever happens to the machine in between, the newest folder whose manifest verifies is the state after a whole step.
public final class CheckpointStore {
    /// Adds what makes a checkpoint usable by itself: adapter or model files, tokenizer, `trainer_state.json`.
    public typealias Extras = (
        _ staged: AtomicFolder, _ progress: TrainingProgress, _ totalSteps: Int, _ epoch: Double
    ) throws -> Void

    /// The folder they lie in.
    public let folder: String
    /// The newest whole one of this run: saved by it, or the one it went on from.
    public private(set) var newest: Checkpoint?
    private let limit: Int?
    private let identity: RunIdentity
    private let writeExtras: Extras

    static let weightsName = "trainable.safetensors"
    static let optimizerName = "optimizer.safetensors"
    static let progressName = "training_state.json"
    static let identityName = "run.json"
    /// Where checkpoints go that a new run in the same folder would otherwise mistake for its own.
    static let earlierName = "earlier"
    private static let required = [weightsName, optimizerName, progressName, identityName]

    /// - Parameters:
    ///   - limit: the most that are kept, as `save_total_limit` counts them.
    ///   - identity: what the run does; a checkpoint of another is refused.
    public init(folder: String, limit: Int?, identity: RunIdentity, writeExtras: @escaping Extras) {
        self.folder = folder
        self.limit = limit
        self.identity = identity
        self.writeExtras = writeExtras
    }

    /// Steps of the checkpoints in a folder, whole or not, ascending.
    public static func steps(in folder: String) -> [Int] {
        let names = (try? Folder.names(in: folder)) ?? []
        return names.compactMap(step).sorted()
    }

    private static func step(_ name: String) -> Int? {
        guard name.hasPrefix("checkpoint-"), let step = Int(name.dropFirst(11)), step >= 0 else { return nil }
        return name == Checkpoint.name(step) ? step : nil
    }

    // MARK: Saving

    /// Makes room for a run that begins, or goes on from `newest`. Checkpoints of later steps are damaged or belong to an
    /// earlier run: going on again must not find them, and deleting them could lose work, so they are moved to `earlier/`.
    ///
    /// - Parameter best: the step that the limit spares.
    /// - Returns: a line for the reader when something was moved.
    /// - Throws: `FilesError` when the folder cannot be written.
    func begin(best: Int?) throws(FilesError) -> String? {
        try Folder.create(folder)
        // A run that was killed between a save and what follows it.
        if let newest { removeOld(newest: newest.step, best: best) }
        let steps = Self.steps(in: folder).filter { $0 > newest?.step ?? -1 }
        guard let last = steps.last else { return nil }
        // Newest first: should this stop half way, what is left is still in order.
        for step in steps.reversed() { try setAside(step) }
        let what = steps.count == 1 ? "checkpoint-\(last)" : "\(steps.count) checkpoints, up to checkpoint-\(last),"
        let place = Folder.path(folder, Self.earlierName)
        return newest == nil
            ? "\(what) of an earlier run moved to \(place); this run starts from the beginning (--resume goes on)"
            : "\(what) moved to \(place); this run goes on from step \(newest?.step ?? 0)"
    }

    private func setAside(_ step: Int) throws(FilesError) {
        let place = Folder.path(folder, Self.earlierName)
        try Folder.create(place)
        let target = Folder.path(place, Checkpoint.name(step))
        Folder.removeWhole(target)
        try Folder.move(Folder.path(folder, Checkpoint.name(step)), to: target)
    }

    /// Whether the state after this step lies in the folder already.
    func holds(_ step: Int) -> Bool {
        newest == Checkpoint(path: Folder.path(folder, Checkpoint.name(step)), step: step)
    }

    /// Saves a state and deletes the oldest beyond the limit.
    /// - Throws: `FilesError`; then nothing half-written is left and older checkpoints are untouched.
    func save(
        _ progress: TrainingProgress, model: Decoder, optimizer: Optimizer, totalSteps: Int, epoch: Double, best: Int?
    ) throws -> Checkpoint {
        let path = Folder.path(folder, Checkpoint.name(progress.step))
        let staged = try AtomicFolder(path)
        do {
            let weights = model.trainableParameters.map { (name: $0.name, tensor: $0.value) }
            try SafetensorsWriter.write(tensors: weights, metadata: [:], to: staged.path(of: Self.weightsName))
            try SafetensorsWriter.write(
                tensors: optimizer.stateTensors, metadata: [:], to: staged.path(of: Self.optimizerName))
            try AtomicFile.write(progress.json.utf8(.pretty), to: staged.path(of: Self.progressName))
            try AtomicFile.write(identity.json.utf8(.pretty), to: staged.path(of: Self.identityName))
            try writeExtras(staged, progress, totalSteps, epoch)
            try Manifest.write(to: staged)
        } catch FilesError.inputOutput(let file, let operation, let code) where file.hasPrefix(staged.temporaryPath) {
            // The reader knows the final place, not the temporary one.
            let name = file.dropFirst(staged.temporaryPath.count)
            throw FilesError.inputOutput(path: path + name, operation: operation, code: code)
        }
        if Folder.exists(path) { try setAside(progress.step) }
        try staged.commit()
        let saved = Checkpoint(path: path, step: progress.step)
        newest = saved
        removeOld(newest: saved.step, best: best)
        return saved
    }

    /// As transformers counts: the newest and the best stay whatever the limit, and count towards it.
    private func removeOld(newest: Int, best: Int?) {
        guard let limit else { return }
        let steps = Self.steps(in: folder).filter { $0 <= newest }
        var kept: Set<Int> = [newest]
        if let best, steps.contains(best) { kept.insert(best) }
        for step in steps.reversed() where kept.count < limit { kept.insert(step) }
        for step in steps where !kept.contains(step) {
            Folder.removeWhole(Folder.path(folder, Checkpoint.name(step)))
        }
    }

    // MARK: Going on

    /// Where a run goes on, and what a reader should know about it.
    public struct Resumption: Sendable {
        /// The state; a fresh one at the beginning.
        public var progress = TrainingProgress()
        /// Lines: damaged checkpoints that were passed over, keys of the recipe that have changed.
        public var notices: [String] = []

        /// The beginning.
        public init() {}
    }

    /// Puts the newest whole checkpoint into a prepared model and a fresh optimizer; without one nothing changes.
    ///
    /// - Throws: `TrainingError` when it belongs to another run, `FilesError`.
    public func resumeNewest(model: Decoder, optimizer: Optimizer) throws -> Resumption {
        var damaged: [String] = []
        for step in Self.steps(in: folder).reversed() {
            let checkpoint = Checkpoint(path: Folder.path(folder, Checkpoint.name(step)), step: step)
            do {
                try Manifest.verify(checkpoint.path, required: Self.required)
            } catch {
                damaged.append("\(checkpoint.name) is damaged (\(error))")
                continue
            }
            var resumption = try restoreVerified(checkpoint, model: model, optimizer: optimizer)
            resumption.notices.insert(contentsOf: damaged.map { "\($0); using \(checkpoint.name)" }, at: 0)
            return resumption
        }
        var resumption = Resumption()
        resumption.notices = damaged.map { "\($0); no whole checkpoint is left, starting from the beginning" }
        return resumption
    }

    /// Puts the checkpoint at a path into a prepared model and a fresh optimizer.
    ///
    /// - Throws: `FilesError` when it is not what was saved, `TrainingError` when it belongs to another run.
    public func resume(from path: String, model: Decoder, optimizer: Optimizer) throws -> Resumption {
        do {
            try Manifest.verify(path, required: Self.required)
        } catch {
            guard case .invalid(let path, let problem) = error else { throw error }
            throw FilesError.invalid(
                path: path, problem: "\(problem); --resume without a path uses the newest whole checkpoint")
        }
        return try restoreVerified(Checkpoint(path: path, step: -1), model: model, optimizer: optimizer)
    }

    /// Puts the weights of the best checkpoint into the model.
    ///
    /// - Returns: `nil`, or why the model still has those of the last step.
    /// - Throws: `TensorError` for memory.
    public func loadBest(step: Int, into model: Decoder) throws(TensorError) -> String? {
        let checkpoint = Checkpoint(path: Folder.path(folder, Checkpoint.name(step)), step: step)
        do {
            try Manifest.verify(checkpoint.path, required: Self.required)
            try fillWeights(checkpoint.path, model)
        } catch {
            return "the best checkpoint cannot be used (\(error)); the result is the last step"
        }
        try model.refreshAfterStep()
        return nil
    }

    private func restoreVerified(
        _ checkpoint: Checkpoint, model: Decoder, optimizer: Optimizer
    ) throws -> Resumption {
        let path = checkpoint.path
        let saved = try WholeFile.readJSON(Folder.path(path, Self.identityName))
        var resumption = Resumption()
        let comparison = identity.comparison(with: saved)
        guard comparison.obstacles.isEmpty else {
            throw TrainingError(
                .badData,
                "\(path) belongs to another run: \(comparison.obstacles.joined(separator: "; ")); resume with the "
                    + "recipe and rows it was made with, or choose another output_dir")
        }
        let json = try WholeFile.readJSON(Folder.path(path, Self.progressName))
        guard let progress = TrainingProgress(json: json) else {
            throw TrainingError(
                .badData, "\(path): \(Self.progressName) is no training state; was it saved by another version?")
        }
        try fillWeights(path, model)
        try fill(
            optimizer.stateTensors, from: Folder.path(path, Self.optimizerName), what: "optimizer states")
        try model.refreshAfterStep()
        optimizer.restore(step: progress.optimizerStep)
        newest = Checkpoint(path: path, step: progress.step)
        resumption.progress = progress
        resumption.notices = comparison.changes
        return resumption
    }

    private func fillWeights(_ path: String, _ model: Decoder) throws {
        let targets = model.trainableParameters.map { (name: $0.name, tensor: $0.value) }
        try fill(targets, from: Folder.path(path, Self.weightsName), what: "parameters")
    }

    /// Copies tensors of a file into those of the same names. All are compared before the first is touched.
    private func fill(_ targets: [(name: String, tensor: Tensor)], from path: String, what: String) throws {
        let file = try SafetensorsFile(path)
        let (mine, saved) = (Set(targets.map(\.name)), Set(file.tensorNames))
        guard mine == saved else {
            let odd = mine.symmetricDifference(saved).min() ?? ""
            throw TrainingError(
                .badData,
                "\(path) holds \(saved.count) \(what) and this run has \(mine.count); '\(odd)' is only in one of them; "
                    + "resume with the recipe it was made with")
        }
        let pairs = try targets.map { (name: $0.name, mine: $0.tensor, saved: try file.tensor(named: $0.name)) }
        for pair in pairs where pair.saved.shape != pair.mine.shape || pair.saved.dtype != pair.mine.dtype {
            throw TrainingError(
                .badData,
                "\(path): '\(pair.name)' is \(pair.saved.dtype.rawValue) \(pair.saved.shape), this run has "
                    + "\(pair.mine.dtype.rawValue) \(pair.mine.shape); resume with the recipe it was made with")
        }
        for pair in pairs { pair.mine.address.copyMemory(from: pair.saved.address, byteCount: pair.saved.byteCount) }
    }
}
