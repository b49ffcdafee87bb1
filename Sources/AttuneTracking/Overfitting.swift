import AttuneJSON

/// Says in words that a run has begun to learn its rows by heart: the evaluation loss has risen in the last two
/// evaluations above its lowest value while the training loss kept falling. `nil` while there is nothing to say.
public func overfittingMessage(from history: [LogEntry]) -> String? {
    let evaluations = history.compactMap { entry in
        entry.evaluationLoss.map { (step: entry.step, epoch: entry.epoch, loss: $0) }
    }.filter { $0.loss.isFinite }
    guard let last = evaluations.last,
        let best = evaluations.enumerated().min(by: { $0.element.loss < $1.element.loss }),
        evaluations.count - best.offset >= 2
    else { return nil }
    let lowest = best.element
    // One rise may be chance: it must be two in a row, or one of a tenth.
    let since = evaluations[best.offset...].map(\.loss)
    let rises = zip(since, since.dropFirst()).allSatisfy { $0 < $1 }
    guard last.loss > lowest.loss * 1.005, (since.count >= 3 && rises) || last.loss > lowest.loss * 1.1 else {
        return nil
    }
    let before = meanTrainingLoss(history, upTo: lowest.step)
    let after = meanTrainingLoss(history, from: lowest.step)
    guard let before, let after, after < before else { return nil }
    return "overfitting: evaluation loss was lowest (\(rounded(lowest.loss))) at step \(lowest.step), "
        + "epoch \(rounded(lowest.epoch, 2)), and has risen to \(rounded(last.loss)) while training loss fell from "
        + "\(rounded(before)) to \(rounded(after)); use the checkpoint of step \(lowest.step), or train fewer epochs"
}

/// The mean of the last training losses up to a step.
private func meanTrainingLoss(_ history: [LogEntry], upTo step: Int) -> Double? {
    mean(history.filter { $0.step <= step }.compactMap(\.loss).filter(\.isFinite).suffix(3))
}

/// The mean of the last training losses after a step.
private func meanTrainingLoss(_ history: [LogEntry], from step: Int) -> Double? {
    mean(history.filter { $0.step > step }.compactMap(\.loss).filter(\.isFinite).suffix(3))
}

private func mean(_ values: some Collection<Double>) -> Double? {
    values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
}

/// A number with a fixed count of decimals, without a locale.
func rounded(_ value: Double, _ decimals: Int = 4) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return JSON.text(of: value) }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let whole = Int((abs(value) * scale).rounded())
    let sign = value < 0 && whole > 0 ? "-" : ""
    let digits = String(whole)
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return decimals == 0 ? sign + digits : sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
}
