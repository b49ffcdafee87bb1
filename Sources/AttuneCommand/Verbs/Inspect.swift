import ArgumentParser
import Attune
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneText
import AttuneTraining
import Foundation

/// `attune inspect`: what a model or adapter is, and what training it would take.
struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what a model or adapter is and what memory it takes.",
        discussion: "Example: attune inspect Models/pocket --lora-r 16 --target-modules q_proj,v_proj --json")

    @Argument(help: "A folder of a model or an adapter, or a cached hub name.")
    var model: String
    @Option(help: "Rank of the adapter to count.")
    var loraR = 16
    @Option(help: "Alpha of the adapter.")
    var loraAlpha = 32.0
    @Option(help: "all-linear, a list such as q_proj,v_proj, or a regular expression for whole module names.")
    var targetModules = "all-linear"
    @Option(help: "Tokens a row, for the memory plan.")
    var maxLength = 512
    @Option(help: "Rows a batch, for the memory plan.")
    var batch = 4
    @Flag(help: "Plan for running blocks again instead of keeping what they computed.")
    var gradientCheckpointing = false
    @OptionGroup var machine: MachineOptions
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try Failure.guarding {
            try machine.check()
            guard (1...65_536).contains(loraR) else { throw CommandError.usage("--lora-r \(loraR): give 1 to 65536") }
            guard (1...1 << 20).contains(maxLength), (1...4096).contains(batch), maxLength * batch <= 1 << 24 else {
                throw CommandError.usage("--max-length \(maxLength) --batch \(batch): give at most 16777216 tokens")
            }
            let folder = try ModelFolder.locate(model)
            let isAdapter = Folder.hasFile(Folder.path(folder, "adapter_config.json"))
            if isAdapter, !Folder.hasFile(Folder.path(folder, "config.json")) {
                try showAdapter(folder)
            } else {
                show(try modelReport(folder))
            }
        }
    }

    private func modelReport(_ folder: String) throws -> ModelReport {
        var options = LoRAOptions(targets: try targets())
        options.rank = loraR
        options.alpha = loraAlpha
        return try ModelReport(folder, options: options, tokens: maxLength * batch, tier: tier)
    }

    /// An adapter beside its base; by itself where the base is not here.
    private func showAdapter(_ folder: String) throws {
        let adapter = try AdapterDirectory(folder)
        let trainable = adapter.tensorNames.compactMap(adapter.description).reduce(0) { $0 + $1.count }
        let configuration = adapter.configuration
        guard let base = configuration.baseModel, let baseFolder = try? ModelFolder.locate(base),
            Folder.hasFile(Folder.path(baseFolder, "config.json"))
        else {
            let type = adapter.tensorNames.first.flatMap(adapter.description)?.dtype.torchName ?? "float32"
            let named = configuration.baseModel.map { "'\($0)', which is not here" } ?? "not named"
            if json {
                let report: JSON = [
                    "architecture": nil, "parameters": nil, "trainable_parameters": JSON(trainable),
                    "trainable_percent": nil, "dtype": .string(type), "footprint_bytes": nil, "plan_bytes": nil,
                    "special_tokens": [:], "chat_template": false,
                ]
                print(report.text())
            } else {
                print("Adapter: rank \(configuration.rank), alpha \(configuration.alpha); its base is \(named)")
                print("Trainable: \(Self.grouped(trainable)), stored as \(type)")
            }
            return
        }
        let options = try LoRAOptions(adapter)
        var report = try ModelReport(baseFolder, options: options, tokens: maxLength * batch, tier: tier)
        report.trainableParameters = trainable
        show(report)
    }

    private var tier: RecomputeTier { gradientCheckpointing ? .recomputeBlocks : .keepAll }

    /// Names are names; anything with other signs in it is an expression.
    private func targets() throws -> TargetModules {
        if targetModules == "all-linear" { return .allLinear }
        let list =
            targetModules.hasPrefix("[")
            ? try JSON(parsing: targetModules).arrayValue?.compactMap(\.stringValue) ?? []
            : targetModules.split(separator: ",").map { String($0.filter { $0 != " " }) }
        let isPlain = list.allSatisfy { name in
            name.unicodeScalars.allSatisfy {
                $0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "_" || $0 == "."
            }
        }
        return isPlain && !list.isEmpty ? .names(list) : .pattern(try ModulePattern(targetModules))
    }

    private func show(_ report: ModelReport) {
        if json {
            print(report.json.text())
            return
        }
        func gigabytes(_ count: Int) -> String { "\((Double(count) / 1e7).rounded() / 100) GB" }
        print("Architecture: \(report.architecture)")
        print("Parameters: \(Self.grouped(report.parameters)), stored as \(report.dtype)")
        let percent = (report.trainablePercent * 100).rounded() / 100
        print("Trainable: \(Self.grouped(report.trainableParameters)) (\(Self.twoDigits(percent))%)")
        print("Weights: " + report.footprint.map { "\($0.key) \(gigabytes($0.value))" }.joined(separator: ", "))
        print(
            "Training with \(maxLength) × \(batch) tokens: "
                + report.plan.map { "\($0.key) \(gigabytes($0.value))" }.joined(separator: ", "))
        for (name, value) in report.specialTokens.members { print("\(name): \(value.text())") }
        print("Chat template: \(report.hasChatTemplate ? "yes" : "no")")
    }

    /// `39976960` → `39,976,960`
    static func grouped(_ number: Int) -> String {
        let digits = Array(String(number))
        return digits.enumerated().map { place, digit in
            place > 0 && (digits.count - place) % 3 == 0 ? ",\(digit)" : "\(digit)"
        }.joined()
    }

    private static func twoDigits(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }
}

/// What `inspect` prints.
struct ModelReport {
    let architecture: String
    let parameters: Int
    var trainableParameters: Int
    let dtype: String
    let footprint: [(key: String, value: Int)]
    let plan: [(key: String, value: Int)]
    let specialTokens: JSONObject
    let hasChatTemplate: Bool
    /// Of all parameters, the adapter's included.
    var trainablePercent: Double {
        100 * Double(trainableParameters) / Double(max(1, parameters + trainableParameters))
    }

    init(_ folder: String, options: LoRAOptions, tokens: Int, tier: RecomputeTier) throws {
        let directory = try ModelDirectory(folder, requiresWeights: false)
        guard directory.file("config.json") != nil else {
            throw FilesError.missing(
                path: Folder.path(folder, "config.json"), hint: "give a model folder in Hugging Face layout")
        }
        let configuration = try DecoderConfiguration(config: directory.config)
        let type = LanguageModel.checkpointType(directory)
        let facts = ModelFacts(configuration)
        architecture = configuration.family
        parameters = facts.parameterCount
        trainableParameters = facts.adapterParameterCount(options)
        guard trainableParameters > 0 else {
            throw ModelError.mismatch("\(folder): --target-modules reaches no matrix of this model; check the names")
        }
        dtype = type.torchName
        let double = QuantizationChoice(isDouble: true)
        footprint = [
            ("float32", facts.weightBytes(.float32)), ("bfloat16", facts.weightBytes(.bfloat16)),
            ("nf4", facts.weightBytes(.bfloat16, quantization: QuantizationChoice())),
            ("nf4_double_quant", facts.weightBytes(.bfloat16, quantization: double)),
        ]
        func total(_ method: ModelFacts.Method) -> Int {
            facts.memoryPlan(
                method, computeType: type, tokens: tokens, tier: tier,
                momentBytes: { Optimizer.stateBytes(count: $0, isEmbedding: false, kind: .adamW) }
            ).total
        }
        plan = [
            ("full", total(.full)), ("lora", total(.adapter(options, nil))),
            ("qlora", total(.adapter(options, double))),
        ]
        let templates = try ChatTemplateFolder(URL(filePath: folder))
        specialTokens = templates.specialTokens
        hasChatTemplate = !templates.templates.isEmpty
    }

    var json: JSON {
        func object(_ members: [(key: String, value: Int)]) -> JSON {
            .object(JSONObject(members.map { (key: $0.key, value: JSON($0.value)) }))
        }
        return [
            "architecture": .string(architecture), "parameters": JSON(parameters),
            "trainable_parameters": JSON(trainableParameters), "trainable_percent": JSON(trainablePercent),
            "dtype": .string(dtype), "footprint_bytes": object(footprint), "plan_bytes": object(plan),
            "special_tokens": .object(specialTokens), "chat_template": JSON(hasChatTemplate),
        ]
    }
}
