import AttuneData
import AttuneFiles
import AttuneTraining
import Testing

/// A checkpoint of another run is refused with what differs; where going on makes sense, what changed is said.
@Suite struct RunIdentityTests {
    private let scratch: Scratch
    private let run: TinyRun

    init() throws {
        scratch = try Scratch()
        run = TinyRun(.lora).changed {
            $0.options.maxSteps = 2
            $0.recipe = ["r=4", "lora_alpha=8", "train_file=a.jsonl", "learning_rate=1e-2"]
        }
        try run.session(scratch.path("out")).run()
    }

    private func refusal(_ other: TinyRun) -> TrainingError? {
        #expect(throws: TrainingError.self) { try other.session(scratch.path("out"), resume: .newest) }
    }

    @Test(arguments: [
        ("r=8", "r is 4 there and 8 here"), ("lora_alpha=16", "lora_alpha is 8.0 there and 16.0 here"),
        ("method=full", "method is \"lora\" there and \"full\" here"), ("seed=1", "seed is 42 there and 1 here"),
        ("use_dora=true", "use_dora is false there and true here"), ("load_in_4bit=true", "method is"),
        ("per_device_train_batch_size=4", "per_device_train_batch_size is 8 there and 4 here"),
        ("optim=sgd", "optim is"), ("packing=true", "packing is"), ("group_by_length=true", "group_by_length is"),
    ])
    func otherRecipesAreRefused(_ setting: String, _ expected: String) {
        let error = refusal(run.changed { $0.recipe.append(setting) })
        #expect(error?.exitCode == 65)
        #expect(error?.description.contains("checkpoint-2 belongs to another run: ") == true)
        #expect(error?.description.contains(expected) == true && error?.description.contains("\n") == false)
    }

    @Test func otherRowsAreRefused() {
        let fewer = refusal(run.changed { $0.rows.removeLast() })
        #expect(fewer?.description.contains("the training rows differ, 11 sequences there and 10 here") == true)
        let order = refusal(
            run.changed {
                $0.rows.reverse()
                $0.recipe.append("train_file=b.jsonl")
            })
        #expect(order?.description.contains("train_file is \"a.jsonl\" there and \"b.jsonl\" here") == true)
        let masks = refusal(
            run.changed {
                $0.rows[3] = TrainingRow(
                    tokens: $0.rows[3].tokens, trained: $0.rows[3].tokens.map { _ in true }, source: $0.rows[3].source)
            })
        #expect(masks?.description.contains("the training rows differ") == true)
    }

    /// The same rows from another file, another folder, more threads: nothing to say.
    @Test func whatChangesNoNumberIsNotSaid() throws {
        let session = try run.changed {
            $0.recipe += ["train_file=b.jsonl", "threads=2", "output_dir=elsewhere", "save_steps=3", "logging_steps=4"]
        }.session(scratch.path("out"), resume: .newest)
        #expect(session.notices.isEmpty && session.trainer.progress.step == 2)
    }

    @Test func whatChangesNumbersIsSaid() throws {
        let session = try run.changed {
            $0.recipe += ["learning_rate=2e-2", "max_steps=5", "lora_dropout=0.1"]
            $0.evaluationRows = TinyModel.rows(2, from: 90)
        }.session(scratch.path("out"), resume: .newest)
        #expect(
            session.notices == [
                "going on with a changed recipe: lora_dropout from 0.0 to 0.1, max_steps from -1 to 5, "
                    + "learning_rate from 0.01 to 0.02",
                "the evaluation rows differ: losses before and after do not compare",
            ])
    }

    /// Should the recipe not tell, the tensors do.
    @Test func otherTensorsAreRefused() {
        let names = refusal(TinyRun(.dora).changed { $0.recipe = run.recipe })
        #expect(names?.description.contains("trainable.safetensors holds 28 parameters and this run has 42") == true)
        let types = refusal(run.changed { $0.options.optimizer = .sgd })
        #expect(
            types?.description.contains("optimizer.safetensors holds 56 optimizer states and this run has 0") == true)
        #expect(types?.exitCode == 65)
    }

    @Test func otherBasesAreRefused() throws {
        let plan = try BatchPlan(run.rows, options: run.batches)
        let recipe = try Recipe()
        var bytes = [UInt8](repeating: 7, count: 1 << 20)
        let path = scratch.path("model.safetensors")
        func identity() throws -> RunIdentity {
            try AtomicFile.write(bytes, to: path)
            return try RunIdentity(recipe: recipe, baseFiles: [path], train: plan, evaluation: nil)
        }
        let folder = scratch.path("based")
        func session(_ identity: RunIdentity, _ resumes: Bool) throws -> TinySession {
            let base = try run.session()
            let store = CheckpointStore(folder: folder, limit: nil, identity: identity) { _, _, _, _ in }
            if resumes { _ = try store.resumeNewest(model: base.model, optimizer: base.optimizer) }
            let trainer = try Trainer(
                model: base.model, train: plan, evaluation: nil, endOfSequence: [], options: run.options,
                optimizer: base.optimizer, checkpoints: store)
            return TinySession(
                model: base.model, optimizer: base.optimizer, store: store, trainer: trainer, notices: [])
        }
        try session(identity(), false).run()
        _ = try session(identity(), true)
        bytes.removeLast()
        #expect(throws: TrainingError.self) { try session(identity(), true) }
        bytes.append(7)
        for place in bytes.indices.prefix(4096) { bytes[place] = 8 }
        let error = #expect(throws: TrainingError.self) { try session(identity(), true) }
        #expect(error?.description.contains("the base model has other weights") == true)
    }

    @Test func nothingToDoIsSaid() throws {
        let empty = #expect(throws: TrainingError.self) { try run.changed { $0.rows = [] }.session() }
        #expect(empty?.exitCode == 65)
        let untrained = #expect(throws: TrainingError.self) {
            try run.changed {
                $0.rows = $0.rows.map {
                    TrainingRow(tokens: $0.tokens, trained: $0.tokens.map { _ in false }, source: $0.source)
                }
            }.session()
        }
        #expect(untrained?.exitCode == 65)
        let none = #expect(throws: TrainingError.self) {
            try run.changed {
                $0.options.maxSteps = nil; $0.options.epochs = 0
            }.session()
        }
        #expect(none?.exitCode == 78)
    }
}
