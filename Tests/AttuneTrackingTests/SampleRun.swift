import AttuneTracking

/// A made-up run: the training loss falls with a little noise, the evaluation loss turns after half of it.
enum SampleRun {
    static func history(steps: Int = 400, turns: Bool = true) -> [LogEntry] {
        var entries: [LogEntry] = []
        var noise: UInt64 = 12345
        for step in stride(from: 2, through: steps, by: 2) {
            noise = noise &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let wobble = (Double(noise >> 40) / Double(1 << 24) - 0.5) * 0.35
            let share = Double(step) / Double(steps)
            let loss = 0.25 + 2.3 / (1 + 9 * share) + wobble * (1 - 0.6 * share)
            entries.append(
                .training(
                    step: step, epoch: share * 3, loss: loss, learningRate: 2e-4 * (1 - share),
                    gradientNorm: 1.5 - share))
            if step % (steps / 8) == 0 {
                let rise = turns ? max(0, share - 0.5) * 0.7 : 0
                entries.append(
                    .evaluation(
                        step: step, epoch: share * 3, loss: 0.45 + 2.1 / (1 + 9 * share) + rise, runtime: 1.25,
                        samples: 100, batches: 25))
            }
        }
        return entries
    }
}
