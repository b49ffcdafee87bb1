import Attune
import AttuneJSON
import AttuneTensor
import Foundation

/// Shows a run: what it will do, its steps, its end. Lines on standard error; with `--json` events on standard output.
final class TrainReporter {
    private let json: Bool
    private let log: CommandLog
    private let clock = ContinuousClock()
    private var stepSeconds: [Double] = []
    private var lastStep: ContinuousClock.Instant?
    private var firstStep = 0
    private var hasEstimated = false
    /// The first step warms caches and memory up; these after it are what the estimate is made of.
    private static let estimateSteps = 3
    private static let barWidth = 20

    init(json: Bool, log: CommandLog) {
        self.json = json
        self.log = log
    }

    // MARK: Before the first step

    /// Says what is going to happen: rows, parameters, memory, steps.
    func begin(_ run: FineTuning) {
        firstStep = run.trainer.progress.step
        let forecast = run.forecast
        if json { printEvent(planJSON(run)) }
        for notice in run.notices { log.line(notice, .warning) }
        log.line("Data: " + run.ledger.text(limit: 5))
        if !run.testExamples.isEmpty { log.line("Held out: \(run.testExamples.count) rows") }
        log.line("Trainable: \(Self.grouped(run.trainableCount)) (\(Self.decimal(share(run), 2))%)")
        log.line("Total: \(Self.grouped(run.totalCount))")
        let parts = [
            ("weights", forecast.weights), ("masters", forecast.masters), ("gradients", forecast.gradients),
            ("moments", forecast.moments), ("activations", forecast.activations),
        ].map { "\($0.0) \(MemoryText.words($0.1))" }.joined(separator: ", ")
        let free = forecast.machine.available.map { ", \(MemoryText.words($0)) free" } ?? ""
        log.line("Memory: \(MemoryText.words(forecast.total)) planned (\(parts))")
        log.line("Machine: \(MemoryText.words(forecast.machine.total))\(free)")
        log.line(
            "\(run.recipe.method.rawValue) \(run.model.decoder.computeType.torchName) on "
                + "\(run.model.decoder.backend.name): \(run.trainer.totalSteps) steps, from step \(firstStep)")
        lastStep = clock.now
    }

    private func planJSON(_ run: FineTuning) -> JSON {
        let forecast = run.forecast
        return [
            "event": "plan", "data": run.ledger.json, "held_out": JSON(run.testExamples.count),
            "trainable_parameters": JSON(run.trainableCount), "parameters": JSON(run.totalCount),
            "trainable_percent": JSON(share(run)), "step": JSON(firstStep), "total_steps": JSON(run.trainer.totalSteps),
            "memory_bytes": [
                "weights": JSON(forecast.weights), "masters": JSON(forecast.masters),
                "gradients": JSON(forecast.gradients), "moments": JSON(forecast.moments),
                "activations": JSON(forecast.activations), "total": JSON(forecast.total),
            ],
            "machine_bytes": JSON(forecast.machine.total),
            "available_bytes": forecast.machine.available.map { JSON($0) } ?? .null,
        ]
    }

    /// A line at once: whoever reads a pipe follows the run.
    private func printEvent(_ event: JSON) {
        print(event.text())
        fflush(nil)
    }

    private func share(_ run: FineTuning) -> Double {
        100 * Double(run.trainableCount) / Double(max(run.totalCount, 1))
    }

    // MARK: While it goes on

    /// Shows one event.
    func show(_ event: TrainingEvent) {
        if json { printEvent(eventJSON(event)) }
        switch event {
        case .step(let step): show(step)
        case .evaluation(let result):
            let health = result.stopHealth.map { "  stop health " + Self.decimal($0, 3) } ?? ""
            log.line(
                "evaluation at step \(result.step): loss \(Self.decimal(result.loss, 4))  token accuracy "
                    + Self.decimal(result.tokenAccuracy, 3) + health)
            lastStep = clock.now
        case .checkpoint(let path):
            log.line("saved \(path)")
            lastStep = clock.now
        case .skipped(let step, let rows, let reason):
            let names = rows.prefix(4).map(\.description).joined(separator: ", ")
            log.line("step \(step) skipped: \(reason); rows \(names)", .warning)
        case .notice(let text): log.line(text, .warning)
        case .finished: log.clear()
        }
    }

    private func show(_ step: StepReport) {
        timeStep()
        let remaining = Double(step.totalSteps - step.step) * median
        let text =
            "step \(step.step)/\(step.totalSteps)  epoch \(Self.decimal(step.epoch, 2))  loss "
            + Self.decimal(step.loggedLoss ?? step.loss, 4) + "  lr \(String(format: "%.2e", step.learningRate))  grad "
            + Self.decimal(step.gradNorm, 3)
            + "  \(Int(step.tokensPerSecond)) tokens/s  \(Self.duration(remaining)) left"
        if step.loggedLoss != nil || log.shows(.debug) { log.line(text) }
        if step.step < step.totalSteps { log.passing(bar(step) + " " + text) }
        guard !hasEstimated, step.step - firstStep > Self.estimateSteps, step.step < step.totalSteps else { return }
        hasEstimated = true
        log.line("about \(Self.duration(remaining)) for the \(step.totalSteps - step.step) steps that are left")
        guard json else { return }
        let estimate: JSON = [
            "event": "estimate", "step": JSON(step.step), "total_steps": JSON(step.totalSteps),
            "seconds_per_step": JSON(median), "remaining_seconds": JSON(remaining),
        ]
        printEvent(estimate)
    }

    private func bar(_ step: StepReport) -> String {
        let done = step.step * Self.barWidth / max(step.totalSteps, 1)
        return "[" + String(repeating: "#", count: done) + String(repeating: " ", count: Self.barWidth - done) + "]"
    }

    // MARK: At the end

    /// The curve, the time, and memory beside its plan.
    func end(_ run: FineTuning, _ finish: FinishReport) {
        let plot = run.lossPlot
        if !plot.isEmpty, !json { log.line(plot.terminalText(width: 78, height: 12)) }
        log.line(
            "\(finish.reason == .interrupted ? "stopped and saved" : "done"): \(finish.steps) steps in "
                + "\(Self.duration(finish.runtime)), mean loss \(Self.decimal(finish.loss, 4)), peak memory "
                + "\(MemoryText.words(finish.peakMemory)) of the whole program, \(MemoryText.words(run.forecast.total)) "
                + "of it planned for training")
        if run.trainer.sharedTokens > 0 {
            log.line(
                "\(run.trainer.sharedTokens) of \(run.trainer.progress.tokensSeen) tokens stood at beginnings that rows "
                    + "share and were computed once")
        }
        log.line("result in \(run.recipe.outputDirectory)")
    }

    private var median: Double { stepSeconds.isEmpty ? 0 : stepSeconds.sorted()[stepSeconds.count / 2] }

    private func timeStep() {
        let now = clock.now
        if let lastStep {
            stepSeconds.append(lastStep.duration(to: now) / .seconds(1))
            if stepSeconds.count > 50 { stepSeconds.removeFirst() }
        }
        lastStep = now
    }

    // MARK: Figures

    /// `39976960` → `39,976,960`
    static func grouped(_ number: Int) -> String { Inspect.grouped(number) }

    static func decimal(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

    /// `48 s`, `3 min 20 s`, `2 h 5 min`
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "a long time" }
        let whole = Int(seconds.rounded())
        if whole < 60 { return "\(whole) s" }
        return whole < 3600 ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole / 60 % 60) min"
    }

    private func eventJSON(_ event: TrainingEvent) -> JSON {
        switch event {
        case .step(let step):
            [
                "event": "step", "step": JSON(step.step), "epoch": JSON(step.epoch), "loss": JSON(step.loss),
                "learning_rate": JSON(step.learningRate), "grad_norm": JSON(step.gradNorm),
                "tokens_per_second": JSON(step.tokensPerSecond), "num_input_tokens_seen": JSON(step.tokensSeen),
                "mean_token_accuracy": JSON(step.tokenAccuracy),
            ]
        case .evaluation(let result):
            [
                "event": "evaluation", "step": JSON(result.step), "epoch": JSON(result.epoch),
                "eval_loss": JSON(result.loss), "eval_mean_token_accuracy": JSON(result.tokenAccuracy),
                "eval_stop_health": result.stopHealth.map { JSON($0) } ?? .null, "eval_runtime": JSON(result.runtime),
            ]
        case .checkpoint(let path): ["event": "checkpoint", "path": JSON(path)]
        case .skipped(let step, let rows, let reason):
            [
                "event": "skipped", "step": JSON(step), "reason": JSON(reason),
                "rows": .array(rows.map { JSON($0.description) }),
            ]
        case .notice(let text): ["event": "notice", "text": JSON(text)]
        case .finished(let finish):
            [
                "event": "finished", "reason": JSON(finish.reason.rawValue), "train_runtime": JSON(finish.runtime),
                "train_loss": JSON(finish.loss), "peak_memory_bytes": JSON(finish.peakMemory),
                "step": JSON(finish.steps), "epoch": JSON(finish.epoch),
            ]
        }
    }
}
