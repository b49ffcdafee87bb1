import AttuneData
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneTraining
import Testing

/// Whole runs against PyTorch: transformers' model, schedule and weight-decay groups, torch's and bitsandbytes' optimizers.
@Suite struct TrainingGoldenTests {
    private struct Golden {
        let losses: [Double]
        let norms: [Double]
        let rates: [Double]
        let sums: JSONObject

        init(_ optimizer: OptimizerKind) throws {
            let runs = try #require(try Fixture.json("training")["runs"]?.arrayValue)
            let run = try #require(runs.first { $0["optimizer"]?.stringValue == optimizer.rawValue })
            func numbers(_ key: String) -> [Double] { run[key]?.arrayValue?.compactMap(\.doubleValue) ?? [] }
            losses = numbers("losses")
            norms = numbers("gradient_norms")
            rates = numbers("learning_rates")
            sums = try #require(run["absolute_sums"]?.objectValue)
        }
    }

    private func run(_ optimizer: OptimizerKind) -> TinyRun {
        TinyRun(.full).changed {
            $0.rows = TinyModel.rows(20)
            $0.batches.shuffles = false
            $0.options.optimizer = optimizer
            $0.options.maxSteps = 30
            $0.options.accumulation = 2
            $0.options.schedule = .cosine
            $0.options.warmupSteps = 3
            $0.options.learningRate = 2e-3
            $0.options.weightDecay = 0.1
            $0.options.maxGradNorm = 0.5
        }
    }

    /// The largest relative differences of losses and of gradient norms.
    private func differences(_ run: TinyRun, _ golden: Golden) throws -> (loss: Double, norm: Double) {
        let session = try run.session()
        try session.run()
        let reports = session.events.compactMap { if case .step(let step) = $0 { step } else { nil } }
        #expect(reports.count == golden.losses.count)
        for (report, rate) in zip(reports, golden.rates) { #expect(abs(report.learningRate - rate) < 1e-15) }
        let relative = { (a: [Double], b: [Double]) in zip(a, b).map { abs($0 - $1) / abs($1) }.max() ?? .infinity }
        for parameter in session.model.trainableParameters {
            let sum = parameter.value.floats().reduce(0) { $0 + Double(abs($1)) }
            let expected = try #require(golden.sums[parameter.name]?.doubleValue)
            #expect(abs(sum - expected) / expected < 1e-4, "\(parameter.name)")
        }
        #expect(session.model.trainableParameters.count == golden.sums.count)
        return (relative(reports.map(\.loss), golden.losses), relative(reports.map(\.gradNorm), golden.norms))
    }

    /// 30 steps of full training: accumulation, clipping, decay, warm-up, cosine.
    @Test(arguments: [OptimizerKind.adamW, .sgd]) func followsPyTorch(_ optimizer: OptimizerKind) throws {
        let golden = try Golden(optimizer)
        #expect(golden.norms.contains { $0 > 0.5 }, "clipping must be at work")
        let difference = try differences(run(optimizer), golden)
        #expect(difference.loss < 1e-4 && difference.norm < 1e-3, "\(difference)")
    }

    /// The codes are those of the library's CUDA kernels, with embeddings left out as transformers does. A rounding that
    /// falls on the other side of a code makes runs part slowly.
    @Test func followsBitsandbytes() throws {
        let golden = try Golden(.adamW8Bit)
        let difference = try differences(run(.adamW8Bit), golden)
        #expect(difference.loss < 2e-2, "\(difference)")
        let first = try run(.adamW8Bit).changed {
            $0.options.maxSteps = nil; $0.options.epochs = 6
        }.session()
        #expect(first.trainer.totalSteps == 30)
    }

    /// Each ingredient must be seen by the comparison.
    @Test func whatIsLeftOutIsNoticed() throws {
        let golden = try Golden(.adamW)
        let ingredients: [(String, (inout TinyRun) -> Void)] = [
            ("decay", { $0.options.weightDecay = 0 }), ("clipping", { $0.options.maxGradNorm = 0 }),
            ("order", { $0.batches.shuffles = true }), ("beta", { $0.options.adamBeta2 = 0.99 }),
        ]
        for (name, change) in ingredients {
            let session = try run(.adamW).changed(change).session()
            try session.run()
            let difference = zip(session.losses, golden.losses).map { abs($0 - $1) / $1 }.max() ?? 0
            #expect(difference > 1e-3, "\(name)")
        }
    }

    /// Decay must not touch biases and norms: with a rate so small that only decay could show, nothing of them moves.
    @Test func weightDecaySparesNorms() throws {
        var run = TinyRun(.full)
        run.options.optimizer = .sgd
        run.options.learningRate = 1e-12
        run.options.schedule = .constant
        run.options.maxGradNorm = 0
        run.options.weightDecay = 1e9
        run.options.maxSteps = 20
        let before = try run.session()
        let start = before.outcome.weights
        try before.run()
        for (name, bytes) in before.outcome.weights {
            #expect((bytes == start[name]) == name.contains("norm"), "\(name)")
        }
    }
}
