import AttuneData
import AttuneModels
import AttuneTensor

/// What a run trains: `method`.
public enum RecipeMethod: String, Sendable, CaseIterable {
    /// Every parameter.
    case full
    /// An adapter on a base as it is.
    case lora
    /// An adapter on a base in four or eight bits.
    case qlora
    /// The last blocks, the final norm and the head.
    case freeze
}

/// The prompt forms that have a name: `prompt_template`.
public enum RecipeTemplate: String, Sendable, CaseIterable {
    /// `PromptForm.tutorial`
    case tutorial
    /// `PromptForm.alpaca`
    case alpaca
    /// `PromptForm.alpacaNewline`
    case alpacaNewline = "alpaca_newline"
    /// `PromptForm.chat`
    case chat
    /// `PromptForm.text`
    case text

    /// The form.
    public var form: PromptForm {
        switch self {
        case .tutorial: .tutorial
        case .alpaca: .alpaca
        case .alpacaNewline: .alpacaNewline
        case .chat: .chat
        case .text: .text
        }
    }
}

/// Where a run computes: `device`.
public enum RecipeDevice: Sendable, Equatable {
    /// The best there is.
    case auto
    /// The processor.
    case cpu
    /// A GPU, by number.
    case cuda(Int)

    /// Reads `auto`, `cpu`, `cuda` and `cuda:N`.
    public init?(_ text: String) {
        switch text {
        case "auto": self = .auto
        case "cpu": self = .cpu
        case "cuda": self = .cuda(0)
        default:
            guard text.hasPrefix("cuda:"), let number = Int(text.dropFirst(5)), number >= 0 else { return nil }
            self = .cuda(number)
        }
    }
}

/// Where a log goes besides the output folder: `report_to`.
public enum RecipeReporter: String, Sendable, CaseIterable {
    /// TensorBoard's event files.
    case tensorboard
}

extension TargetModules {
    /// Reads `target_modules`: a list of names, `all-linear`, or a regular expression.
    /// - Throws: `ModelError` when the expression cannot be read.
    init(_ value: RecipeValue) throws(ModelError) {
        switch value {
        case .list([.text(RecipeKey.allLinear)]): self = .allLinear
        case .list(let names): self = .names(names.compactMap { if case .text(let name) = $0 { name } else { nil } })
        case .text(RecipeKey.allLinear): self = .allLinear
        case .text(let text): self = .pattern(try ModulePattern(text))
        default: self = .allLinear
        }
    }
}

extension Recipe {
    func flag(_ name: RecipeName) -> Bool { self[name] == .flag(true) }

    func text(_ name: RecipeName) -> String? { if case .text(let value) = self[name] { value } else { nil } }

    func integer(_ name: RecipeName) -> Int? { if case .integer(let value) = self[name] { value } else { nil } }

    func number(_ name: RecipeName) -> Double? { if case .number(let value) = self[name] { value } else { nil } }

    func table(_ name: RecipeName) -> [RecipeValue.Entry] {
        if case .table(let entries) = self[name] { entries } else { [] }
    }

    func texts(_ name: RecipeName) -> [String] {
        guard case .list(let values) = self[name] else { return [] }
        return values.compactMap { if case .text(let text) = $0 { text } else { nil } }
    }

    /// A word of an enumeration whose words the key table holds.
    private func word<Word: RawRepresentable<String>>(_ name: RecipeName, _ standard: Word) -> Word {
        text(name).flatMap(Word.init(rawValue:)) ?? standard
    }

    static func dictionary(_ entries: [RecipeValue.Entry]) -> [String: String] {
        var map: [String: String] = [:]
        for entry in entries { if case .text(let text) = entry.value { map[entry.key] = text } }
        return map
    }

    // MARK: Model and machine

    /// The base: a folder or a hub name.
    public var modelPath: String? { text(.model) }
    /// What is trained.
    public var method: RecipeMethod { word(.method, .lora) }
    /// Blocks that `method: freeze` trains.
    public var trainedBlocks: Int { integer(.freezeTrainableLayers) ?? 1 }
    /// The adapter the run starts from.
    public var initialAdapter: String? { text(.initAdapter) }
    /// Where results go.
    public var outputDirectory: String { text(.outputDirectory) ?? "results" }
    /// The seed of everything random.
    public var seed: UInt64 { UInt64(integer(.seed) ?? 0) }
    /// Threads to work with; `nil` for one a core.
    public var threads: Int? { integer(.threads) }
    /// Where to compute.
    public var device: RecipeDevice { text(.device).flatMap(RecipeDevice.init) ?? .auto }

    /// The type of products; `nil` for that of the model's files, which `adopting(modelDType:)` fills in.
    public var computeType: DType? {
        switch text(.dtype) {
        case "float32": .float32
        case "bfloat16": .bfloat16
        case "float16": .float16
        default: nil
        }
    }

    /// How the base's matrices are stored; `nil` for as they are.
    public var quantization: QuantizationChoice? {
        if flag(.loadIn8Bit) { return QuantizationChoice(format: .int8) }
        guard flag(.loadIn4Bit) else { return nil }
        return QuantizationChoice(format: word(.quantType, .nf4), isDouble: flag(.doubleQuant))
    }

    /// What the model is told to train, with the name of the adapter where there is one.
    public func trainingMode(adapter: String = "default") -> TrainingMode {
        switch method {
        case .full: .full
        case .freeze: .lastBlocks(trainedBlocks)
        case .lora, .qlora: .adapter(adapter)
        }
    }

    // MARK: Data

    /// The rows to learn from.
    public var trainFile: String? { text(.trainFile) }
    /// The rows to evaluate on.
    public var evaluationFile: String? { text(.evalFile) }
    /// How much of the training file is held out; `nil` for nothing.
    public var testSize: TestSize? {
        guard let size = number(.testSize), size != 0 else { return nil }
        return try? TestSize(size)
    }
    /// Which column plays which part.
    public var columns: ColumnMap { (try? ColumnMap(Self.dictionary(table(.columns)))) ?? ColumnMap() }
    /// What is learned.
    public var trainOn: TrainOn { word(.trainOn, .answer) }
    /// The most tokens of a row or packed sequence.
    public var maxLength: Int { integer(.maxLength) ?? 2 }
    /// What happens to longer rows.
    public var overlength: Overlength { word(.overlength, .stop) }
    /// Whether rows equal to an earlier one are left out.
    public var dropsDuplicates: Bool { flag(.dropDuplicates) }
    /// The most tokens a row may have when it is prepared: with `packing: wrapped` the stream is cut later, so there is no limit.
    public var preparationLength: Int { packing == .wrapped ? .max : maxLength }
    /// What fills a sequence.
    public var packing: BatchOptions.PackingMode {
        switch text(.packing) {
        case "true": .bestFit
        case "wrapped": .wrapped
        default: .none
        }
    }
    /// The name of the prompt form, or the path of its file: what a prompt contract records.
    public var promptTemplate: String { text(.promptTemplate) ?? RecipeTemplate.tutorial.rawValue }

    /// How rows become batches to learn from.
    public var batchOptions: BatchOptions {
        BatchOptions(
            batchSize: integer(.trainBatchSize) ?? 1, maxLength: maxLength, packing: packing, shuffles: flag(.shuffle),
            groupsByLength: flag(.groupByLength), seed: seed)
    }

    /// How rows become batches to evaluate on: in the order of the file, packed as in training.
    public var evaluationBatchOptions: BatchOptions {
        BatchOptions(
            batchSize: integer(.evalBatchSize) ?? 1, maxLength: maxLength, packing: packing, shuffles: false, seed: seed
        )
    }

    /// Where the log goes besides the output folder.
    public var reporters: [RecipeReporter] { texts(.reportTo).compactMap(RecipeReporter.init(rawValue:)) }
}
