import AttuneCPU
import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneTraining
import Foundation
import Testing

/// A short run on the tiny model, described by a value, so that it can be made again.
struct TinyRun: Sendable {
    enum Part: String, CaseIterable, Sendable { case full, freeze, lora, qlora, dora }

    var part = Part.lora
    var dtype = DType.float32
    var dropout: Float = 0
    var threads = 1
    var options = TrainingOptions()
    var batches = BatchOptions(batchSize: 2, maxLength: 32, seed: 42)
    var rows = TinyModel.rows(11)
    var evaluationRows: [TrainingRow] = []
    var poisonedToken: Int?
    /// The recipe the checkpoints say they belong to.
    var recipe: [String] = []

    init(_ part: Part = .lora) {
        self.part = part
        options.maxSteps = 8
        options.learningRate = part == .full || part == .freeze ? 3e-3 : 1e-2
        options.loggingSteps = 1
        options.saving = .steps(1)
    }

    func changed(_ change: (inout TinyRun) -> Void) -> TinyRun {
        var copy = self
        change(&copy)
        return copy
    }

    func makeModel() throws -> Decoder {
        let source = try TinyModel(poisonedToken: poisonedToken)
        let model = try Decoder.load(
            source, configuration: source.configuration, backend: try CPUBackend(threads: threads),
            computeType: dtype,
            quantization: part == .qlora ? QuantizationChoice(format: .nf4, isDouble: true) : nil)
        switch part {
        case .full: try model.prepareTraining(.full)
        case .freeze: try model.prepareTraining(.lastBlocks(1))
        case .lora, .qlora, .dora:
            var lora = LoRAOptions(targets: .allLinear)
            lora.rank = 4
            lora.alpha = 8
            lora.dropout = dropout
            lora.usesDoRA = part == .dora
            try model.attach("default", lora, seed: 3)
            try model.prepareTraining(.adapter("default"))
        }
        return model
    }

    /// The run, ready to begin or to go on; `folder` is its `output_dir`.
    func session(
        _ folder: String? = nil, resume: TinySession.Resume? = nil,
        extras: @escaping CheckpointStore.Extras = { _, _, _, _ in }
    ) throws -> TinySession {
        let model = try makeModel()
        let optimizer = try Optimizer(model.trainableParameters, options: options, backend: model.backend)
        let plan = try BatchPlan(rows, options: batches)
        var evaluationBatches = batches
        evaluationBatches.shuffles = false
        let evaluationPlan =
            evaluationRows.isEmpty ? nil : try BatchPlan(evaluationRows, options: evaluationBatches)
        let identity = try RunIdentity(
            recipe: try Recipe(set: recipe), baseFiles: [], train: plan, evaluation: evaluationPlan)
        let store = folder.map {
            CheckpointStore(folder: $0, limit: options.saveTotalLimit, identity: identity, writeExtras: extras)
        }
        var resumption = CheckpointStore.Resumption()
        switch resume {
        case .newest: resumption = try store?.resumeNewest(model: model, optimizer: optimizer) ?? resumption
        case .path(let path):
            resumption = try store?.resume(from: path, model: model, optimizer: optimizer) ?? resumption
        case nil: break
        }
        let trainer = try Trainer(
            model: model, train: plan, evaluation: evaluationPlan, endOfSequence: [2], options: options,
            optimizer: optimizer, checkpoints: store, state: resumption.progress)
        return TinySession(
            model: model, optimizer: optimizer, store: store, trainer: trainer, notices: resumption.notices)
    }

    /// The whole run without a pause.
    func outcome(_ folder: String? = nil) throws -> TinySession.Outcome {
        let session = try session(folder)
        try session.run()
        return session.outcome
    }
}

/// A sitting of a tiny run.
final class TinySession {
    enum Resume { case newest, path(String) }

    /// Everything a run leaves behind that is no time of a clock.
    struct Outcome: Equatable {
        var weights: [String: [UInt8]] = [:]
        var moments: [String: [UInt8]] = [:]
        var progress: JSON = nil
    }

    let model: Decoder
    let optimizer: Optimizer
    let store: CheckpointStore?
    let trainer: Trainer
    let notices: [String]
    private(set) var events: [TrainingEvent] = []

    init(model: Decoder, optimizer: Optimizer, store: CheckpointStore?, trainer: Trainer, notices: [String]) {
        self.model = model
        self.optimizer = optimizer
        self.store = store
        self.trainer = trainer
        self.notices = notices
    }

    /// Runs; asked to stop at the question with the given number, counted from 1.
    @discardableResult
    func run(stoppingAt question: Int = .max) throws -> FinishReport {
        var asked = 0
        return try trainer.run(
            shouldStop: {
                asked += 1
                return asked >= question
            }, report: { events.append($0) })
    }

    var losses: [Double] {
        events.compactMap { if case .step(let step) = $0 { step.loss } else { nil } }
    }
    var told: [String] {
        events.compactMap { if case .notice(let text) = $0 { text } else { nil } }
    }
    var saved: [Int] {
        events.compactMap { event in
            guard case .checkpoint(let path) = event else { return nil }
            return Int(path.split(separator: "-").last ?? "")
        }
    }
    var skipped: [(step: Int, rows: [RowSource], reason: String)] {
        events.compactMap {
            if case .skipped(let step, let rows, let reason) = $0 { (step, rows, reason) } else { nil }
        }
    }

    var outcome: Outcome {
        Outcome(
            weights: Self.bytes(model.trainableParameters.map { ($0.name, $0.value) }),
            moments: Self.bytes(optimizer.stateTensors.map { ($0.name, $0.tensor) }),
            progress: Self.withoutTimes(trainer.progress.json))
    }

    static func bytes(_ tensors: [(String, Tensor)]) -> [String: [UInt8]] {
        Dictionary(
            uniqueKeysWithValues: tensors.map { name, tensor in
                (name, Array(UnsafeRawBufferPointer(start: tensor.address, count: tensor.byteCount)))
            })
    }

    /// JSON without what a clock says.
    static func withoutTimes(_ json: JSON) -> JSON {
        switch json {
        case .array(let values): .array(values.map(withoutTimes))
        case .object(let object):
            .object(
                JSONObject(
                    object.members.filter { !$0.key.hasSuffix("runtime") && !$0.key.hasSuffix("_per_second") }
                        .map { ($0.key, withoutTimes($0.value)) }))
        default: json
        }
    }
}
