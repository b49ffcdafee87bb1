import AttuneJSON
import AttuneTracking
import Testing

@Suite struct TrainerStateTests {
    @Test func writesTheLettersOfTransformers() throws {
        // Saved by transformers' TrainerState with the same values.
        var state = TrainerState()
        state.epoch = 1
        state.globalStep = 4
        state.maxSteps = 8
        state.loggingSteps = 2
        state.evalSteps = 4
        state.saveSteps = 4
        state.trainEpochs = 2
        state.trainBatchSize = 8
        state.bestMetric = 0.75
        state.bestGlobalStep = 4
        state.bestModelCheckpoint = "out/checkpoint-4"
        state.totalFlops = 1.5e12
        state.logHistory = [
            .training(step: 2, epoch: 0.5, loss: 1.25, learningRate: 1e-5, gradientNorm: 0.5),
            .evaluation(step: 4, epoch: 1, loss: 0.75, runtime: 2, samples: 8, batches: 4),
            .summary(step: 4, epoch: 1, loss: 1, runtime: 4, samples: 16, steps: 4, totalFlops: 1.5e12),
        ]
        #expect(state.text == TrainerStateSample.text)
        #expect(try TrainerState(parsing: state.text, name: "trainer_state.json") == state)
    }

    @Test func readsWhatPythonWrites() throws {
        let text =
            #"{"global_step": 3, "log_history": [{"loss": NaN, "note": "NaN \" NaN", "step": 3}], "epoch": -Infinity}"#
        let state = try TrainerState(parsing: text, name: "s")
        #expect(state.logHistory[0].loss == nil)
        #expect(state.logHistory[0].values["note"]?.stringValue == "NaN \" NaN")
        #expect(state.logHistory[0].step == 3)
    }

    @Test(arguments: ["", "{}", "[]", #"{"global_step": 1, "log_history": [1]}"#, #"{"global_step": 1"#])
    func refuses(text: String) {
        #expect(throws: TrackingError.self) { try TrainerState(parsing: text, name: "s") }
    }
}

@Suite struct OverfittingTests {
    private func history(_ evaluations: [Double], training: (Int) -> Double = { 2 / Double($0) }) -> [LogEntry] {
        evaluations.enumerated().flatMap { place, loss -> [LogEntry] in
            let step = (place + 1) * 10
            return [
                .training(
                    step: step, epoch: Double(place + 1), loss: training(step), learningRate: 1, gradientNorm: nil),
                .evaluation(step: step, epoch: Double(place + 1), loss: loss, runtime: 1, samples: 1, batches: 1),
            ]
        }
    }

    @Test func saysWhenEvaluationTurns() throws {
        let message = try #require(overfittingMessage(from: history([1, 0.8, 0.7, 0.75, 0.8])))
        #expect(message.contains("step 30") && message.contains("0.7000") && message.contains("0.8000"))
        #expect(overfittingMessage(from: history([1, 0.7, 0.9])) != nil)
    }

    @Test func saysNothingOtherwise() {
        #expect(overfittingMessage(from: history([1, 0.8, 0.7, 0.6])) == nil)
        #expect(overfittingMessage(from: history([1, 0.7, 0.71])) == nil)
        #expect(overfittingMessage(from: history([1, 0.7, 0.7005, 0.701])) == nil)
        #expect(overfittingMessage(from: history([1, 0.7, 0.8, 0.9], training: { Double($0) })) == nil)
        #expect(overfittingMessage(from: history([1])) == nil)
        #expect(overfittingMessage(from: []) == nil)
        #expect(overfittingMessage(from: SampleRun.history()) != nil)
        #expect(overfittingMessage(from: SampleRun.history(turns: false)) == nil)
    }
}
