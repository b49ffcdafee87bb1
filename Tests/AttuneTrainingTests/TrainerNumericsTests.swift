import AttuneData
import AttuneModels
import AttuneTensor
import AttuneTraining
import Testing

/// What a step computes does not depend on how its rows are cut, packed or shared among threads.
@Suite struct TrainerNumericsTests {
    @Test(arguments: TinyRun.Part.allCases) func lossFalls(_ part: TinyRun.Part) throws {
        for dtype in [DType.float32, .bfloat16, .float16] {
            let session = try TinyRun(part).changed {
                $0.dtype = dtype
                $0.options.scalesLoss = dtype == .float16
                $0.options.maxSteps = 40
                $0.dropout = 0.05
            }.session()
            let report = try session.run()
            let (first, last) = (session.losses.prefix(5).reduce(0, +), session.losses.suffix(5).reduce(0, +))
            #expect(last < 0.6 * first, "\(part) in \(dtype): \(first / 5) to \(last / 5)")
            #expect(report.steps == 40 && report.reason == .completed)
        }
    }

    @Test(arguments: OptimizerKind.allCases) func everyOptimizerLearns(_ kind: OptimizerKind) throws {
        let session = try TinyRun(.full).changed {
            $0.options.optimizer = kind
            $0.options.learningRate = kind == .sgd ? 0.3 : 3e-3
            $0.options.maxSteps = 40
        }.session()
        try session.run()
        let (first, last) = (session.losses.prefix(5).reduce(0, +), session.losses.suffix(5).reduce(0, +))
        #expect(last < 0.6 * first, "\(first / 5) to \(last / 5)")
    }

    @Test(arguments: TinyRun.Part.allCases, [DType.float32, .bfloat16, .float16])
    func threadsDoNotMatter(_ part: TinyRun.Part, _ dtype: DType) throws {
        let run = TinyRun(part).changed {
            $0.dtype = dtype
            $0.dropout = 0.1
            $0.batches.packing = .bestFit
            $0.options.neftuneAlpha = 5
            $0.options.optimizer = .adamW8Bit
            $0.options.scalesLoss = dtype == .float16
            $0.evaluationRows = TinyModel.rows(4, from: 50)
            $0.options.evaluation = .steps(4)
        }
        let one = try run.outcome()
        for threads in [2, 3] { #expect(try run.changed { $0.threads = threads }.outcome() == one, "\(threads)") }
    }

    /// 1 × 8 = 8 × 1: the same rows in one batch or in eight. Sums of gradients are rounded in another order, so losses agree
    /// to 1e-5 and, over steps of SGD, weights to 1e-5 of their largest.
    @Test(arguments: [TinyRun.Part.full, .lora, .dora]) func accumulationIsALargerBatch(_ part: TinyRun.Part) throws {
        let run = TinyRun(part).changed {
            $0.rows = TinyModel.rows(24)
            $0.options.optimizer = .sgd
            $0.options.learningRate = 0.05
            $0.options.maxSteps = 6
            $0.dropout = 0.1
            $0.options.neftuneAlpha = 5
        }
        let sessions = try [(8, 1), (1, 8), (2, 4), (3, 3)].map { batch, accumulation in
            let session = try run.changed {
                $0.batches.batchSize = batch
                $0.options.accumulation = accumulation
            }.session()
            try session.run()
            return session
        }
        for other in sessions[1...2] {
            for (a, b) in zip(sessions[0].losses, other.losses) { #expect(abs(a - b) <= 1e-5 * a) }
            for (mine, its) in zip(sessions[0].model.trainableParameters, other.model.trainableParameters) {
                let (a, b) = (mine.value.floats(), its.value.floats())
                let largest = a.map(abs).max() ?? 0
                #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-5 * largest }, "\(mine.name)")
            }
        }
        #expect(abs(sessions[3].losses[1] - sessions[0].losses[1]) > 1e-3, "nine rows a step are another run")
    }

    /// What all rows begin with is computed once a step, however its rows are cut into batches.
    @Test(arguments: TinyRun.Part.allCases) func aStepComputesItsBeginningOnce(_ part: TinyRun.Part) throws {
        let run = TinyRun(part).changed {
            $0.rows = TinyModel.rows(24, opening: 40)
            $0.options.optimizer = .sgd
            $0.options.learningRate = 0.05
            $0.options.maxSteps = 6
        }
        func session(
            _ batch: Int, _ accumulation: Int, _ change: (inout TinyRun) -> Void = { _ in }
        ) throws -> TinySession {
            let session = try run.changed {
                $0.batches.batchSize = batch
                $0.options.accumulation = accumulation
                change(&$0)
            }.session()
            try session.run()
            return session
        }
        let whole = try session(8, 1)
        #expect(whole.trainer.sharedTokens == 6 * 7 * 41)
        for (batch, accumulation) in [(1, 8), (2, 4)] {
            let cut = try session(batch, accumulation)
            #expect(cut.trainer.sharedTokens == 6 * 7 * 41)
            for (a, b) in zip(whole.losses, cut.losses) { #expect(abs(a - b) <= 1e-5 * a) }
            for (mine, its) in zip(whole.model.trainableParameters, cut.model.trainableParameters) {
                let (a, b) = (mine.value.floats(), its.value.floats())
                let largest = a.map(abs).max() ?? 0
                #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-5 * largest }, "\(mine.name)")
            }
        }
        // Where it would change something, or its keys are not kept, every row computes its own.
        let checkpointing = try session(1, 8) { $0.options.gradientCheckpointing = true }
        #expect(checkpointing.trainer.sharedTokens == 0)
        for (a, b) in zip(whole.losses, checkpointing.losses) { #expect(abs(a - b) <= 1e-5 * a) }
        #expect(try session(1, 8) { $0.options.neftuneAlpha = 5 }.trainer.sharedTokens == 0)
    }

    @Test func passesAreAsLargeAsTheirBatches() throws {
        let run = TinyRun(.lora)
        let model = try run.makeModel()
        let rows = TinyModel.rows(24, opening: 40)
        let plan = try BatchPlan(rows, options: BatchOptions(batchSize: 3, maxLength: 64))
        var options = run.options
        options.accumulation = 8
        options.maxSteps = 1
        let size = PassSize(model, train: plan, evaluation: nil, options: options)
        #expect(size.trunk == Array(rows[0].tokens[..<41]))
        let largest = (0..<plan.batchesPerEpoch).map {
            plan.batch(at: $0, order: plan.order(epoch: 0)).needed.tokens.count - 2 * 41
        }
        #expect(size.capacity == largest.max())
        options.accumulation = 3
        #expect(PassSize(model, train: plan, evaluation: nil, options: options).trunk.isEmpty, "82 tokens a step")
        let loose = try BatchPlan([rows[0]] + TinyModel.rows(4), options: BatchOptions(batchSize: 5, maxLength: 64))
        let whole = loose.batch(at: 0, order: loose.order(epoch: 0)).needed.tokens.count
        #expect(PassSize(model, train: loose, evaluation: nil, options: options).capacity == whole)
    }

    /// Losses of rows by their identity, in one pass with dropout and noise.
    private func losses(
        _ batches: [[TrainingRow]], step: UInt64 = 3, part: TinyRun.Part = .lora, dtype: DType = .float32
    ) throws -> [UInt64: [Float]] {
        let model = try TinyRun(part).changed {
            $0.dropout = 0.3
            $0.dtype = dtype
        }.makeModel()
        for parameter in model.adapterParameters("default") where parameter.isLoRAB {
            // B starts at zero, and then dropout changes nothing.
            model.backend.copy(
                parameter.value,
                try Tensor(TinyModel.numbers(5, parameter.value.count).map(Float.init), shape: parameter.value.shape))
        }
        try model.refreshAfterStep()
        let pass = try TrainingPass(model, capacity: 240, tier: .keepAll, trains: true)
        var result: [UInt64: [Float]] = [:]
        for rows in batches {
            let batch = Batch(rows)
            let report = try pass.forwardBackward(
                TokenBatch(batch), adapter: "default", gradientScale: 1, labelSmoothing: 0,
                key: RandomKey(seed: 42, step: step, stream: 0), noiseAlpha: 5)
            for row in batch.rows {
                result[row.identity] = zip(report.rows, report.losses).filter { row.range.contains(Int($0.0)) }.map(\.1)
            }
        }
        return result
    }

    /// Packed rows are rows alone, to the bit, dropout masks and noise included.
    @Test(arguments: [TinyRun.Part.lora, .qlora, .dora], [DType.float32, .bfloat16, .float16])
    func packingChangesNoRow(_ part: TinyRun.Part, _ dtype: DType) throws {
        let rows = TinyModel.rows(12)
        let cases = [[rows], [rows.reversed()], [Array(rows[3...]), Array(rows[..<3])]]
        let alone = try losses(rows.map { [$0] }, part: part, dtype: dtype)
        #expect(alone.count == 12)
        for batches in cases { #expect(try losses(batches, part: part, dtype: dtype) == alone) }
        #expect(try losses([rows], step: 4, part: part, dtype: dtype) != alone, "another step has other masks")
    }

    /// A run over packed sequences is the run over the rows they hold.
    @Test func packedRunsAreRunsOfRows() throws {
        let packed = TinyRun(.lora).changed {
            $0.rows = TinyModel.rows(8)
            $0.batches = BatchOptions(batchSize: 100, maxLength: 40, packing: .bestFit, shuffles: false)
            $0.options.optimizer = .sgd
            $0.options.learningRate = 0.05
            $0.dropout = 0.2
        }
        let loose = packed.changed { $0.batches = BatchOptions(batchSize: 100, maxLength: 40, shuffles: false) }
        let (a, b) = (try packed.session(), try loose.session())
        try a.run()
        try b.run()
        for (x, y) in zip(a.losses, b.losses) { #expect(abs(x - y) <= 1e-5 * x) }
        let wrapped = try packed.changed { $0.batches.packing = .wrapped }.session()
        try wrapped.run()
        #expect(abs(wrapped.losses[0] - a.losses[0]) > 1e-4, "wrapped rows see each other")
    }

    @Test func adaptersInFloat16KeepTheirScale() throws {
        let session = try TinyRun(.lora).changed {
            $0.dtype = .float16
            $0.options.scalesLoss = true
            $0.options.maxSteps = 30
        }.session()
        try session.run()
        let progress = session.trainer.progress
        #expect(progress.lossScale > 1 && progress.lossScale < 65_536 || session.skipped.isEmpty)
        #expect(progress.optimizerStep == 30 - session.skipped.count)
        #expect(session.skipped.allSatisfy { $0.reason.contains("loss scale") })
        #expect(session.losses.allSatisfy { $0.isFinite })
    }
}
