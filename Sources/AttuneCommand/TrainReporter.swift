import Attune
import AttuneJSON
import Foundation

/// Shows a run: what it will do, its steps, its end. Lines on standard error; with `--json` events on standard output.
final class TrainReporter {
    private let json: Bool
    private let quiet: Bool
    private let isTerminal: Bool
    private let clock = ContinuousClock()
    private var stepSeconds: [Double] = []
    private var lastStep: ContinuousClock.Instant?

    init(json: Bool, quiet: Bool) {
        self.json = json
        self.quiet = quiet
        isTerminal = isatty(2) != 0
    }

    func begin(_ run: FineTuning, backend: any Backend) {
        run.notices.forEach { line("passed over: \($0)") }
        line(run.ledger.text(limit: 5))
        let share = 100 * Double(run.trainableCount) / Double(max(run.totalCount, 1))
        line("Trainable: \(grouped(run.trainableCount)) (\(String(format: "%.2f", share))%)")
        line("Total: \(grouped(run.totalCount))")
        line(
            "\(run.recipe.method.rawValue) \(run.model.decoder.computeType.torchName) on \(backend.name), "
                + "\(run.trainer.totalSteps) steps, from step \(run.trainer.progress.step)")
        lastStep = clock.now
    }

    func show(_ event: TrainingEvent) {
        if json { print(eventJSON(event).text()) }
        switch event {
        case .step(let step):
            timeStep()
            guard step.loggedLoss != nil || isTerminal else { return }
            let loss = step.loggedLoss ?? step.loss
            let remaining = Double(step.totalSteps - step.step) * median
            let text =
                "step \(step.step)/\(step.totalSteps)  epoch \(String(format: "%.2f", step.epoch))  loss "
                + String(format: "%.4f", loss) + "  lr \(String(format: "%.2e", step.learningRate))  grad "
                + String(format: "%.3f", step.gradNorm)
                + "  \(Int(step.tokensPerSecond)) tokens/s  \(duration(remaining)) left"
            if isTerminal, step.loggedLoss == nil {
                if !quiet { FileHandle.standardError.write(Data(("\r" + text + "\u{1B}[K").utf8)) }
            } else {
                line((isTerminal ? "\r" : "") + text + (isTerminal ? "\u{1B}[K" : ""))
            }
        case .evaluation(let result):
            let health = result.stopHealth.map { "  stop health " + String(format: "%.3f", $0) } ?? ""
            line(
                "evaluation at step \(result.step): loss \(String(format: "%.4f", result.loss))  token accuracy "
                    + String(format: "%.3f", result.tokenAccuracy) + health)
        case .checkpoint(let path): line("saved \(path)")
        case .skipped(let step, let rows, let reason):
            line(
                "step \(step) skipped: \(reason); rows \(rows.prefix(4).map(\.description).joined(separator: ", "))")
        case .notice(let text): line(text)
        case .finished: break
        }
    }

    func end(_ run: FineTuning, _ finish: FinishReport) {
        let plot = run.lossPlot
        if !plot.isEmpty, !json { line(plot.terminalText(width: 78, height: 12)) }
        line(
            "\(finish.reason == .interrupted ? "stopped and saved" : "done"): \(finish.steps) steps in "
                + "\(duration(finish.runtime)), mean loss \(String(format: "%.4f", finish.loss)), peak memory "
                + "\(finish.peakMemory >> 20) MiB")
        line("result in \(run.recipe.outputDirectory)")
    }

    private var median: Double { stepSeconds.isEmpty ? 0 : stepSeconds.sorted()[stepSeconds.count / 2] }

    private func timeStep() {
        let now = clock.now
        if let lastStep {
            let elapsed = (now - lastStep).components
            stepSeconds.append(Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18)
            if stepSeconds.count > 50 { stepSeconds.removeFirst() }
        }
        lastStep = now
    }

    private func line(_ text: String) {
        guard !quiet else { return }
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    private func grouped(_ number: Int) -> String {
        var text = ""
        for (place, digit) in String(number).reversed().enumerated() {
            if place > 0, place % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    private func duration(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        return whole < 60 ? "\(whole) s" : "\(whole / 60) min \(whole % 60) s"
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
