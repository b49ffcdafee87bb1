import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneTraining
import Testing

/// What a run leaves behind has the same bits however often it was stopped.
@Suite struct TrainerResumeTests {
    struct Scenario: CustomTestStringConvertible, Sendable {
        let name: String
        let run: TinyRun
        var testDescription: String { name }

        init(_ name: String, _ part: TinyRun.Part, _ change: (inout TinyRun) -> Void) {
            self.name = name
            run = TinyRun(part).changed(change)
        }
    }

    static let scenarios = [
        Scenario("full, accumulation, decay, cosine", .full) {
            $0.options.accumulation = 2
            $0.options.weightDecay = 0.1
            $0.options.schedule = .cosine
            $0.options.warmupRatio = 0.2
        },
        Scenario("full, eight-bit moments", .full) { $0.options.optimizer = .adamW8Bit },
        Scenario("full, paged eight-bit, bfloat16", .full) {
            $0.options.optimizer = .pagedAdamW8Bit
            $0.dtype = .bfloat16
        },
        Scenario("full, float16 loss scale", .full) {
            $0.dtype = .float16
            $0.options.scalesLoss = true
        },
        Scenario("freeze, SGD", .freeze) { $0.options.optimizer = .sgd },
        Scenario("LoRA, dropout, packing, NEFTune", .lora) {
            $0.dropout = 0.2
            $0.batches.packing = .bestFit
            $0.batches.batchSize = 1
            $0.options.neftuneAlpha = 5
        },
        Scenario("LoRA, grouped by length, last step short", .lora) {
            $0.dropout = 0.1
            $0.batches.groupsByLength = true
            $0.options.accumulation = 4
        },
        Scenario("LoRA, float16 loss scale, recomputed blocks", .lora) {
            $0.dtype = .float16
            $0.options.scalesLoss = true
            $0.dropout = 0.1
            $0.options.gradientCheckpointing = true
        },
        Scenario("LoRA, wrapped rows, LoRA+, smoothing", .lora) {
            $0.batches.packing = .wrapped
            $0.options.loraPlusRatio = 4
            $0.options.labelSmoothing = 0.1
        },
        Scenario("LoRA, logs of several steps", .lora) { $0.options.loggingSteps = 3 },
        Scenario("QLoRA, paged 32-bit", .qlora) {
            $0.options.optimizer = .pagedAdamW32Bit
            $0.dropout = 0.1
            $0.dtype = .bfloat16
        },
        Scenario("DoRA, dropout", .dora) { $0.dropout = 0.2 },
        Scenario("LoRA, evaluation, the best", .lora) {
            $0.evaluationRows = TinyModel.rows(5, from: 100)
            $0.options.evaluation = .steps(2)
            $0.options.loadsBest = true
        },
        Scenario("LoRA, evaluation, early stopping", .lora) {
            $0.evaluationRows = TinyModel.rows(5, from: 100)
            $0.options.evaluation = .steps(1)
            $0.options.earlyStoppingPatience = 2
            $0.options.earlyStoppingThreshold = 0.4
        },
    ]

    @Test(arguments: scenarios) func fromEveryCheckpoint(_ scenario: Scenario) throws {
        let scratch = try Scratch()
        let straight = try scenario.run.session(scratch.path("straight"))
        let finish = try straight.run()
        #expect(straight.saved == Array(1...finish.steps), "each step is saved once")
        for step in straight.saved {
            let session = try scenario.run.session(
                scratch.path("from-\(step)"), resume: .path(scratch.path("straight/checkpoint-\(step)")))
            #expect(session.trainer.progress.step == step)
            let again = try session.run()
            #expect(session.outcome == straight.outcome, "from step \(step)")
            #expect(again.reason == finish.reason && again.steps == finish.steps)
        }
    }

    /// Stopped at every question the loop asks, between batches and in the middle of evaluations.
    @Test(arguments: scenarios) func stoppedAgainAndAgain(_ scenario: Scenario) throws {
        let run = scenario.run.changed { $0.options.saving = .no }
        let straight = try run.session()
        let finish = try straight.run()
        // Enough questions for one step and one evaluation, so that every sitting gets on.
        let least = run.options.accumulation + (run.evaluationRows.count + 1) / 2
        for patience in [least + 1, least + 2, least + 4] {
            let scratch = try Scratch()
            var sittings = 0
            while true {
                sittings += 1
                let session = try run.session(scratch.path("out"), resume: .newest)
                let report = try session.run(stoppingAt: patience + sittings % 2)
                if report.reason != .interrupted {
                    #expect(session.outcome == straight.outcome, "\(sittings) sittings")
                    #expect(report.reason == finish.reason && report.epoch == finish.epoch)
                    break
                }
                try #require(sittings < 200, "going on must come to an end")
            }
            #expect(sittings > 1)
        }
    }

    /// The comparison must notice: another seed, one step fewer, other moments.
    @Test func otherRunsDiffer() throws {
        let run = TinyRun(.lora).changed {
            $0.dropout = 0.2
            $0.options.saving = .no
        }
        let straight = try run.outcome()
        #expect(try run.outcome() == straight)
        #expect(try run.changed { $0.options.seed = 43 }.outcome().weights != straight.weights, "dropout's seed")
        #expect(try run.changed { $0.batches.seed = 43 }.outcome().weights != straight.weights, "the order's seed")
        #expect(try run.changed { $0.options.maxSteps = 7 }.outcome().weights != straight.weights)
        #expect(try run.changed { $0.options.adamBeta1 = 0.8 }.outcome().moments != straight.moments)
    }

    /// A checkpoint without its moments would go on, but elsewhere.
    @Test func momentsMatter() throws {
        let scratch = try Scratch()
        let run = TinyRun(.lora)
        let straight = try run.session(scratch.path("out"))
        try straight.run()
        let session = try run.session(scratch.path("b"), resume: .path(scratch.path("out/checkpoint-4")))
        for state in session.optimizer.stateTensors { session.model.backend.zero(state.tensor) }
        try session.run()
        #expect(session.outcome.weights != straight.outcome.weights)
    }

    @Test func aFinishedRunGoesOnToItsEndAgain() throws {
        let scratch = try Scratch()
        let run = TinyRun(.lora)
        let straight = try run.session(scratch.path("out"))
        try straight.run()
        let again = try run.session(scratch.path("out"), resume: .newest)
        try again.run()
        #expect(again.outcome == straight.outcome && again.saved.isEmpty && again.losses.isEmpty)
    }

    @Test func moreStepsGoOnWhereFewerEnded() throws {
        let scratch = try Scratch()
        var run = TinyRun(.lora)
        run.options.schedule = .constant
        let straight = try run.outcome(scratch.path("a"))
        try run.changed { $0.options.maxSteps = 5 }.session(scratch.path("b")).run()
        let session = try run.session(scratch.path("b"), resume: .newest)
        try session.run()
        #expect(session.outcome == straight)
    }

    @Test func limitKeepsTheNewestAndTheBest() throws {
        let scratch = try Scratch()
        var run = TinyRun(.lora)
        run.options.saveTotalLimit = 2
        try run.session(scratch.path("a")).run()
        #expect(CheckpointStore.steps(in: scratch.path("a")) == [7, 8])
        // What a kill between a save and the deletion leaves is deleted when the run goes on.
        try run.changed { $0.options.saveTotalLimit = nil }.session(scratch.path("d")).run()
        #expect(CheckpointStore.steps(in: scratch.path("d")) == Array(1...8))
        try run.session(scratch.path("d"), resume: .newest).run()
        #expect(CheckpointStore.steps(in: scratch.path("d")) == [7, 8])
        // Ruined by a rate far too high, the first evaluations stay the best.
        run.options.learningRate = 0.3
        run.options.schedule = .constant
        run.options.evaluation = .steps(1)
        run.options.loadsBest = true
        run.evaluationRows = TinyModel.rows(5, from: 100)
        let session = try run.session(scratch.path("b"))
        try session.run()
        let best = try #require(session.trainer.progress.bestStep)
        #expect(best < 7, "the run is made so that an early step is best")
        #expect(CheckpointStore.steps(in: scratch.path("b")) == [best, 8])
        run.options.saveTotalLimit = 1
        try run.session(scratch.path("c")).run()
        #expect(CheckpointStore.steps(in: scratch.path("c")) == [best, 8])

        let worst = session.outcome.weights
        let problem = try session.store?.loadBest(step: best, into: session.model)
        #expect(problem == nil && session.outcome.weights != worst)
        let straight = try run.changed {
            $0.options.maxSteps = best; $0.options.saving = .no
        }.session()
        try straight.run()
        #expect(
            session.outcome.weights == straight.outcome.weights, "the best checkpoint holds the best step's weights")
        #expect(
            try session.store?.loadBest(step: 3, into: session.model)?.contains("the result is the last step") == true)
    }
}
