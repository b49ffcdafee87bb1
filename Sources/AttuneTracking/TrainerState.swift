import AttuneJSON

/// The state of a run as transformers keeps it in `trainer_state.json`.
public struct TrainerState: Sendable, Equatable {
    /// The step with the best metric.
    public var bestGlobalStep: Int?
    /// The best value of the metric that chooses the model.
    public var bestMetric: Double?
    /// The folder of the checkpoint with the best metric.
    public var bestModelCheckpoint: String?
    /// Epochs done.
    public var epoch = 0.0
    /// Steps between evaluations; below 1 a share of all steps.
    public var evalSteps = 500.0
    /// Optimizer steps done.
    public var globalStep = 0
    /// Everything logged so far, in order.
    public var logHistory: [LogEntry] = []
    /// Steps between training entries.
    public var loggingSteps = 500.0
    /// Steps of the whole run.
    public var maxSteps = 0
    /// Input tokens seen so far.
    public var inputTokensSeen = 0
    /// Epochs of the whole run.
    public var trainEpochs = 3
    /// Steps between checkpoints.
    public var saveSteps = 500.0
    /// State of callbacks by class name.
    public var statefulCallbacks = JSONObject([("TrainerControl", Self.trainerControl(stopping: false))])
    /// Floating-point operations done.
    public var totalFlops = 0.0
    /// Rows in a batch of one device.
    public var trainBatchSize: Int?

    /// The state before the first step.
    public init() {}

    /// Equal texts in a file.
    public static func == (left: TrainerState, right: TrainerState) -> Bool { left.json == right.json }

    /// The entry of the trainer's own flags among the stateful callbacks.
    public static func trainerControl(stopping: Bool) -> JSON {
        [
            "args": [
                "should_epoch_stop": false, "should_evaluate": false, "should_log": false, "should_save": true,
                "should_training_stop": JSON(stopping),
            ],
            "attributes": [:],
        ]
    }

    /// The entry of transformers' `EarlyStoppingCallback` among the stateful callbacks.
    public static func earlyStopping(patience: Int, threshold: Double, counter: Int) -> JSON {
        [
            "args": ["early_stopping_patience": JSON(patience), "early_stopping_threshold": JSON(threshold)],
            "attributes": ["early_stopping_patience_counter": JSON(counter)],
        ]
    }

    /// The file's text: two spaces a level, keys sorted, a line break at the end.
    public var text: String { json.text(.sortedPretty) + "\n" }

    private var json: JSON {
        [
            "best_global_step": bestGlobalStep.map { JSON($0) } ?? nil,
            "best_metric": bestMetric.map { JSON($0) } ?? nil,
            "best_model_checkpoint": bestModelCheckpoint.map { JSON($0) } ?? nil, "epoch": JSON(epoch),
            "eval_steps": Self.steps(evalSteps), "global_step": JSON(globalStep), "is_hyper_param_search": false,
            "is_local_process_zero": true, "is_world_process_zero": true,
            "log_history": .array(logHistory.map { .object($0.values) }), "logging_steps": Self.steps(loggingSteps),
            "max_steps": JSON(maxSteps), "num_input_tokens_seen": JSON(inputTokensSeen),
            "num_train_epochs": JSON(trainEpochs), "save_steps": Self.steps(saveSteps),
            "stateful_callbacks": .object(statefulCallbacks), "total_flos": JSON(totalFlops),
            "train_batch_size": trainBatchSize.map { JSON($0) } ?? nil, "trial_name": nil, "trial_params": nil,
        ]
    }

    /// Whole steps without a decimal point, as transformers has them.
    private static func steps(_ value: Double) -> JSON { Int(exactly: value).map { JSON($0) } ?? JSON(value) }

    /// Reads a file's text. Keys that are missing take their defaults, unknown ones are passed over.
    ///
    /// Python writes a number that is none as `NaN`, which JSON does not know; such a value reads as null.
    /// - Parameter name: the path, for errors.
    /// - Throws: `TrackingError` when the text is not a trainer state.
    public init(parsing text: String, name: String) throws(TrackingError) {
        let value: JSON
        do { value = try JSON(parsing: Self.withoutNaN(text)) } catch {
            throw TrackingError("\(name): not valid JSON (\(error)); use the state of another checkpoint")
        }
        guard let history = value["log_history"]?.arrayValue, let step = value["global_step"]?.intValue else {
            throw TrackingError("\(name): has no log_history or global_step; it is not a trainer state")
        }
        for (place, entry) in history.enumerated() {
            guard let values = entry.objectValue else {
                throw TrackingError("\(name): entry \(place + 1) of log_history is not an object")
            }
            logHistory.append(LogEntry(values))
        }
        globalStep = step
        bestGlobalStep = value["best_global_step"]?.intValue
        bestMetric = value["best_metric"]?.doubleValue
        bestModelCheckpoint = value["best_model_checkpoint"]?.stringValue
        epoch = value["epoch"]?.doubleValue ?? 0
        evalSteps = value["eval_steps"]?.doubleValue ?? evalSteps
        loggingSteps = value["logging_steps"]?.doubleValue ?? loggingSteps
        maxSteps = value["max_steps"]?.intValue ?? 0
        inputTokensSeen = value["num_input_tokens_seen"]?.intValue ?? 0
        trainEpochs = value["num_train_epochs"]?.intValue ?? trainEpochs
        saveSteps = value["save_steps"]?.doubleValue ?? saveSteps
        statefulCallbacks = value["stateful_callbacks"]?.objectValue ?? statefulCallbacks
        totalFlops = value["total_flos"]?.doubleValue ?? 0
        trainBatchSize = value["train_batch_size"]?.intValue
    }

    /// The text with `NaN` and `Infinity` outside strings written as null.
    private static func withoutNaN(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        let words = ["-Infinity", "Infinity", "NaN"].map { Array($0.utf8) }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var isInString = false
        var place = 0
        while place < bytes.count {
            let byte = bytes[place]
            if isInString, byte == UInt8(ascii: "\\"), place + 1 < bytes.count {
                result += bytes[place...(place + 1)]
                place += 2
                continue
            }
            if byte == UInt8(ascii: "\"") { isInString.toggle() }
            if !isInString, let word = words.first(where: { bytes[place...].starts(with: $0) }) {
                result += Array("null".utf8)
                place += word.count
                continue
            }
            result.append(byte)
            place += 1
        }
        return result
    }
}

/// What is wrong with a tracking file, in one line.
public struct TrackingError: Error, Sendable, CustomStringConvertible {
    /// What, where and what next.
    public let description: String

    init(_ description: String) { self.description = description }
}
