import AttuneCPU
import AttuneFiles
import AttuneModels
import AttuneTensor
import Foundation
import Testing

/// Several adapters over one base, those that train whole modules among them; and their way to disk and back.
@Suite struct AdapterVersionTests {
    private static let tokens: [Int32] = [5, 40, 7, 7, 12, 60, 3]

    private func logits(_ model: Decoder, _ adapter: String?) throws -> [Float] {
        let count = Self.tokens.count
        let pass = try InferencePass(model, capacity: count, logitCapacity: count)
        return try pass.run(
            Self.tokens, SegmentTable([Segment(rows: 0..<count)]), cache: nil, logitRows: (0..<count).map(Int32.init),
            adapterRuns: [AdapterRun(rows: 0..<count, adapter: adapter)]
        ).floats()
    }

    /// Attaches an adapter whose every parameter is away from its start.
    private func attach(_ name: String, to model: Decoder, seed: UInt64, _ change: (inout LoRAOptions) throws -> Void)
        throws
    {
        var options = LoRAOptions(targets: .names(["q_proj", "down_proj"]))
        options.rank = 3
        try change(&options)
        try model.attach(name, options, seed: seed)
        var tensors: [String: Tensor] = [:]
        for parameter in model.adapterParameters(name) + model.savedParameters(name) {
            let noise = Philox(RandomKey(seed: seed, step: UInt64(tensors.count), stream: 9))
                .normals(parameter.value.count)
            tensors[parameter.name] = try Tensor(
                zip(parameter.value.floats(), noise).map { $0 + 0.1 * $1 }, shape: parameter.value.shape)
        }
        try model.loadAdapter(name, tensors: tensors)
    }

    /// One pass with rows of the base and of several adapters gives each row the bits it has alone.
    @Test func severalAdaptersInOneBatch() throws {
        let golden = try GoldenModel("llama")
        let model = try golden.load(try CPUBackend())
        try golden.attachAdapter(to: model)
        try attach("other", to: model, seed: 3) { $0.usesDoRA = true }
        let names = [nil, "golden", "other", "golden", nil]
        let count = Self.tokens.count
        let rows = names.indices.map { $0 * count..<($0 + 1) * count }
        let pass = try InferencePass(model, capacity: names.count * count, logitCapacity: names.count * count)
        let together = try pass.run(
            names.flatMap { _ in Self.tokens }, SegmentTable(rows.map { Segment(rows: $0) }), cache: nil,
            logitRows: (0..<names.count * count).map(Int32.init),
            adapterRuns: zip(names, rows).map { AdapterRun(rows: $1, adapter: $0) }
        ).floats()
        let width = count * golden.configuration.vocabularySize
        for (place, name) in names.enumerated() {
            #expect(Array(together[place * width..<(place + 1) * width]) == (try logits(model, name)))
        }
        #expect(try logits(model, nil) != logits(model, "other") && logits(model, "golden") != logits(model, "other"))
    }

    /// Whole modules of an adapter count for its own rows alone: the base stays the base.
    @Test(arguments: ["llama", "qwen2"]) func wholeModulesLeaveTheBaseAlone(family: String) throws {
        let golden = try GoldenModel(family)
        let model = try golden.load(try CPUBackend())
        let base = try logits(model, nil)
        try attach("whole", to: model, seed: 5) {
            $0.bias = .all
            $0.modulesToSave = ["lm_head", "embed_tokens", "norm", "v_proj"]
        }
        let tuned = try logits(model, "whole")
        #expect(tuned != base)
        #expect(try logits(model, nil) == base)
        #expect(try logits(model, "whole") == tuned)
        // While the other's modules are in place.
        try attach("head", to: model, seed: 6) { $0.modulesToSave = ["lm_head"] }
        let head = try logits(model, "head")
        #expect(head != base && head != tuned)
        #expect(try logits(model, "whole") == tuned)
        #expect(try logits(model, nil) == base)
        model.detach("whole")
        #expect(try logits(model, nil) == base && logits(model, "head") == head)
    }

    struct Variant: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var family = "llama"
        var change: @Sendable (inout LoRAOptions) throws -> Void
    }

    static let variants = [
        Variant(testDescription: "plain") { _ in },
        Variant(testDescription: "rank stabilized DoRA") {
            $0.isRankStabilized = true
            $0.usesDoRA = true
        },
        Variant(testDescription: "patterns") {
            $0.rankPattern = [(try ModulePattern("layers.1.*q_proj"), 2)]
            $0.alphaPattern = [(try ModulePattern("down_proj"), 0.5)]
        },
        Variant(testDescription: "excluded") {
            $0.targets = .allLinear
            $0.excluded = .names(["k_proj", "layers.0.mlp.down_proj"])
        },
        Variant(testDescription: "expression and layers") {
            $0.targets = .pattern(try ModulePattern(#".*\.(q|v)_proj"#))
            $0.layers = [1]
        },
        Variant(testDescription: "layers") {
            $0.targets = .allLinear
            $0.layers = [1]
            $0.layersPattern = [try ModulePattern("layers")]
        },
        Variant(testDescription: "biases") { $0.bias = .loraOnly },
        Variant(testDescription: "whole modules") {
            $0.bias = .all
            $0.modulesToSave = ["lm_head", "embed_tokens", "norm"]
        },
        Variant(testDescription: "tied", family: "qwen2") {
            $0.modulesToSave = ["embed_tokens"]
            $0.tiesSavedEmbedding = true
        },
        Variant(testDescription: "untied", family: "qwen2") { $0.modulesToSave = ["embed_tokens"] },
    ]

    @Test(arguments: variants) func anAdapterComesBackFromDisk(variant: Variant) throws {
        let golden = try GoldenModel(variant.family)
        let backend = try CPUBackend()
        let model = try golden.load(backend)
        try attach("mine", to: model, seed: 8, variant.change)
        let expected = try logits(model, "mine")
        let folder = FileManager.default.temporaryDirectory.appending(path: "attune-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try model.saveAdapter("mine", base: "base", to: folder.path)
        let fresh = try golden.load(backend)
        try fresh.attach(AdapterDirectory(folder.path), named: "again")
        #expect(try logits(fresh, "again") == expected)
        #expect(try logits(fresh, nil) == logits(model, nil))
        #expect(expected != (try logits(model, nil)))
    }

    /// Nothing is left behind by an adapter that does not fit.
    @Test func anAdapterThatDoesNotFitIsNamedAndLeavesNothing() throws {
        let golden = try GoldenModel("llama")
        let model = try golden.load(try CPUBackend())
        let base = try logits(model, nil)
        let folder = golden.folder.appending(path: "adapter").path
        let file = try SafetensorsFile(folder + "/adapter_model.safetensors")
        let key = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
        let changes: [(String, (inout [String: Tensor]) throws -> Void, [String])] = [
            (
                "renamed", { $0[key.replacing("q_proj", with: "qq_proj")] = $0.removeValue(forKey: key) },
                ["qq_proj", "nearest: 'model.layers.1.self_attn.q_proj.lora_A.weight'"]
            ),
            ("missing", { $0[key] = nil }, ["one part receives no tensor", "1.self_attn.q_proj.lora_A"]),
            (
                "a block too many", { $0[key.replacing("layers.1", with: "layers.7")] = try Tensor(zeros: [4, 32]) },
                ["one tensor lands nowhere", "layers.7", "nearest: 'model.layers."]
            ),
            (
                "wrong rank", { $0[key] = try Tensor(zeros: [9, 32]) },
                ["1.self_attn.q_proj.lora_A.weight", "[9, 32]", "[4, 32]"]
            ),
        ]
        for (name, change, words) in changes {
            let target = FileManager.default.temporaryDirectory.appending(path: "attune-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: target) }
            try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                atPath: folder + "/adapter_config.json", toPath: target.path + "/adapter_config.json")
            var tensors: [String: Tensor] = [:]
            for name in file.tensorNames { tensors[name] = try file.tensor(named: name) }
            try change(&tensors)
            try SafetensorsWriter.write(
                tensors: tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, metadata: ["format": "pt"],
                to: target.path + "/adapter_model.safetensors")
            let error = #expect(throws: ModelError.self, "\(name)") {
                try model.attach(AdapterDirectory(target.path), named: "bad")
            }
            let text = error?.description ?? ""
            #expect(words.allSatisfy(text.contains) && !text.contains("\n"), "\(name): \(text)")
            #expect(try logits(model, nil) == base)
            #expect(model.adapters.isEmpty)
        }
        try model.attach(AdapterDirectory(folder), named: "good")
        #expect(try logits(model, "good") != base)
    }
}
