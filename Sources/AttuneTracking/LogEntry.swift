import AttuneJSON

/// One entry of a run's log history, with the keys that transformers writes.
public struct LogEntry: Sendable, Equatable {
    /// All values; `step` and `epoch` among them.
    public var values: JSONObject

    /// An entry as it stands in a file.
    public init(_ values: JSONObject) { self.values = values }

    /// Equal keys and values.
    public static func == (left: LogEntry, right: LogEntry) -> Bool {
        JSON.object(left.values) == JSON.object(right.values)
    }

    /// The optimizer step after which it was made.
    public var step: Int { values["step"]?.intValue ?? 0 }
    /// Epochs done by then.
    public var epoch: Double { values["epoch"]?.doubleValue ?? 0 }
    /// The mean training loss since the entry before.
    public var loss: Double? { values["loss"]?.doubleValue }
    /// The loss on the evaluation rows.
    public var evaluationLoss: Double? { values["eval_loss"]?.doubleValue }

    /// A training entry.
    /// - Parameter extra: further values, such as `mean_token_accuracy` and `num_tokens`.
    public static func training(
        step: Int, epoch: Double, loss: Double, learningRate: Double, gradientNorm: Double?,
        extra: [(key: String, value: Double)] = []
    ) -> LogEntry {
        var values: [(key: String, value: JSON)] = [("loss", JSON(loss))]
        if let gradientNorm { values.append(("grad_norm", JSON(gradientNorm))) }
        values += [("learning_rate", JSON(learningRate)), ("epoch", JSON(epoch)), ("step", JSON(step))]
        return LogEntry(JSONObject(values + extra.map { (key: $0.key, value: JSON($0.value)) }))
    }

    /// An evaluation entry.
    /// - Parameters:
    ///   - samples: rows evaluated.
    ///   - batches: batches they came in.
    ///   - extra: further values under their full names, such as `eval_mean_token_accuracy`.
    public static func evaluation(
        step: Int, epoch: Double, loss: Double, runtime: Double, samples: Int, batches: Int,
        extra: [(key: String, value: Double)] = []
    ) -> LogEntry {
        let rate = { (count: Int) in runtime > 0 ? Double(count) / runtime : 0 }
        let values: [(key: String, value: JSON)] = [
            ("eval_loss", JSON(loss)), ("eval_runtime", JSON(runtime)),
            ("eval_samples_per_second", JSON(rate(samples))), ("eval_steps_per_second", JSON(rate(batches))),
            ("epoch", JSON(epoch)), ("step", JSON(step)),
        ]
        return LogEntry(JSONObject(values + extra.map { (key: $0.key, value: JSON($0.value)) }))
    }

    /// The last entry of a run.
    /// - Parameters:
    ///   - loss: the mean training loss over all steps.
    ///   - samples: rows trained on, each as often as it was.
    ///   - steps: optimizer steps of this run.
    public static func summary(
        step: Int, epoch: Double, loss: Double, runtime: Double, samples: Int, steps: Int, totalFlops: Double
    ) -> LogEntry {
        let rate = { (count: Int) in runtime > 0 ? Double(count) / runtime : 0 }
        return LogEntry(
            JSONObject([
                ("train_runtime", JSON(runtime)), ("train_samples_per_second", JSON(rate(samples))),
                ("train_steps_per_second", JSON(rate(steps))), ("total_flos", JSON(totalFlops)),
                ("train_loss", JSON(loss)), ("epoch", JSON(epoch)), ("step", JSON(step)),
            ]))
    }
}
