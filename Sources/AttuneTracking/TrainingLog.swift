import AttuneJSON

/// The lines of `trainer_log.jsonl`, which dashboards follow while a run goes on: one for each entry of the log
/// history, with progress and time beside it.
public enum TrainingLog {
    /// One line, with its line break.
    /// - Parameters:
    ///   - totalSteps: steps of the whole run.
    ///   - elapsed: seconds since the run began, or was resumed at `startStep`.
    public static func line(_ entry: LogEntry, totalSteps: Int, elapsed: Double, startStep: Int = 0) -> String {
        let done = max(0, entry.step - startStep)
        let left = max(0, totalSteps - entry.step)
        let remaining = done == 0 ? 0 : elapsed / Double(done) * Double(left)
        var line = JSONObject([
            ("current_steps", JSON(entry.step)), ("total_steps", JSON(totalSteps)),
        ])
        for (key, name) in [
            ("loss", "loss"), ("eval_loss", "eval_loss"), ("train_loss", "train_loss"), ("learning_rate", "lr"),
            ("grad_norm", "grad_norm"), ("epoch", "epoch"),
        ] {
            line[name] = entry.values[key]
        }
        let share = totalSteps == 0 ? 100 : Double(entry.step) / Double(totalSteps) * 100
        line["percentage"] = JSON((share * 100).rounded() / 100)
        line["elapsed_time"] = .string(clock(elapsed))
        line["remaining_time"] = .string(clock(remaining))
        return JSON.object(line).text(.spaced) + "\n"
    }

    /// Seconds as `h:mm:ss`.
    static func clock(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "?" }
        let whole = Int(max(0, seconds))
        let two = { (value: Int) in value < 10 ? "0\(value)" : "\(value)" }
        return "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))"
    }
}
