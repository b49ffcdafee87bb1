import AttuneData
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneTraining
import Testing

/// Steps whose loss is no number.
@Suite struct NonFiniteTests {
    private let poison: Int32 = 79

    private func poisoned(_ row: TrainingRow) -> TrainingRow {
        var tokens = row.tokens
        tokens[1] = poison
        return TrainingRow(tokens: tokens, trained: row.trained, source: row.source)
    }

    private func run(poisoning places: [Int], of count: Int = 12) -> TinyRun {
        TinyRun(.lora).changed {
            $0.poisonedToken = Int(poison)
            $0.rows = TinyModel.rows(count)
            for place in places { $0.rows[place] = poisoned($0.rows[place]) }
            $0.batches.shuffles = false
            $0.options.maxSteps = nil
            $0.options.epochs = 1
        }
    }

    @Test(arguments: [BatchOptions.PackingMode.none, .bestFit]) func aStepIsSkippedAndItsRowsNamed(
        _ packing: BatchOptions.PackingMode
    ) throws {
        let scratch = try Scratch()
        let session = try run(poisoning: [5]).changed {
            $0.batches.packing = packing
            $0.options.accumulation = 2
        }.session(scratch.path("out"))
        try session.run()
        #expect(session.skipped.count == 1)
        #expect(session.skipped[0].rows == [RowSource(file: "tiny.jsonl", line: 6)])
        #expect(session.skipped[0].reason == "loss is not a number")
        let progress = session.trainer.progress
        #expect(progress.optimizerStep == progress.step - 1 && progress.meanLoss.isFinite && progress.meanLoss > 0)
        #expect(session.outcome.weights.values.allSatisfy { !$0.isEmpty })
        for parameter in session.model.trainableParameters {
            let values = parameter.value.floats()
            #expect(values.allSatisfy { $0.isFinite }, "\(parameter.name)")
        }
        // Every entry of the log is a number, so that the state can be read again.
        let again = try run(poisoning: [5]).changed {
            $0.batches.packing = packing
            $0.options.accumulation = 2
        }.session(scratch.path("out"), resume: .newest)
        try again.run()
        #expect(again.outcome == session.outcome)
    }

    @Test func aSkippedStepChangesNothing() throws {
        let bad = try run(poisoning: [2]).session()
        try bad.run()
        #expect(bad.skipped.map(\.step) == [2])
        let weights = try run(poisoning: []).session()
        #expect(weights.trainer.totalSteps == 6)
        #expect(bad.losses[1].isNaN && bad.losses.filter(\.isFinite).count == 5)
        #expect(bad.trainer.progress.logHistory.count == 7)
        #expect(bad.trainer.progress.logHistory[1]["loss"]?.doubleValue == nil)
    }

    @Test func severalInARowEndTheRun() throws {
        let scratch = try Scratch()
        let run = run(poisoning: Array(6..<24), of: 24)
        let session = try run.session(scratch.path("out"))
        let error = #expect(throws: TrainingError.self) { try session.run() }
        let text = error?.description ?? ""
        #expect(session.skipped.count == 5 && error?.exitCode == 1)
        #expect(text.contains("tiny.jsonl:15") && text.contains("tiny.jsonl:16") && !text.contains("\n"))
        // The checkpoints of skipped steps hold the weights of the last good one.
        #expect(text.contains("the last good checkpoint is \(scratch.path("out/checkpoint-7"))"))
        let last = try run.session(scratch.path("out"), resume: .newest)
        #expect(last.outcome.weights == session.outcome.weights)
        #expect(last.trainer.progress.skippedInARow == 4)
    }

    @Test func fourInARowDoNot() throws {
        let session = try run(poisoning: Array(6..<14), of: 24).session()
        try session.run()
        #expect(session.skipped.count == 4)
    }

    /// A gradient that overflows under the loss scale halves it and is no fault of the rows.
    @Test func theLossScaleSettles() throws {
        let run = TinyRun(.lora).changed {
            $0.dtype = .float16
            $0.options.scalesLoss = true
            // One trained token: its gradient at the logits is the whole scale, too much for float16.
            $0.rows = TinyModel.rows(12).map { row in
                let trained = row.tokens.indices.map { $0 == row.tokens.count - 1 }
                return TrainingRow(tokens: row.tokens, trained: trained, source: row.source)
            }
            $0.batches.batchSize = 1
            $0.options.maxSteps = 12
        }
        let session = try run.session()
        try session.run()
        #expect(session.losses.allSatisfy { $0.isFinite })
        let progress = session.trainer.progress
        #expect(progress.lossScale == 65_536 / Double(1 << session.skipped.count))
        #expect(progress.optimizerStep == 12 - session.skipped.count)
        #expect(progress.meanLoss > 0 && progress.lossCount == 12)
        #expect(session.skipped.allSatisfy { $0.reason.hasSuffix("(loss scale)") })
    }
}
