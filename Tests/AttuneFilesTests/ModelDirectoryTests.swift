import AttuneFiles
import AttuneJSON
import AttuneTensor
import Foundation
import Testing

@Suite struct ModelDirectoryTests {
    private static let none: HubCache.Environment = { _ in nil }

    @Test func opensShardsOfTransformers() throws {
        let model = try ModelDirectory(fixture("sharded"))
        #expect(model.config["model_type"]?.stringValue == "llama")
        #expect(model.generationConfig != nil)
        #expect(model.tensorNames.count == 21)
        #expect(model.weightFiles.count == 4)
        #expect(try model.tensor(named: "model.embed_tokens.weight").shape == [32, 16])
        #expect(model.description(of: "lm_head.weight")?.dtype == .float32)
        #expect(failure { try model.tensor(named: "nothing") }?.exitCode == 66)
    }

    @Test func pickledShardsHoldTheSameTensorsInHalfPrecision() throws {
        let model = try ModelDirectory(fixture("sharded"))
        let pickled = try ModelDirectory(fixture("sharded_bin"))
        #expect(Set(pickled.tensorNames) == Set(model.tensorNames))
        for name in model.tensorNames {
            let (full, half) = (try model.tensor(named: name), try pickled.tensor(named: name))
            #expect(half.dtype == .float16 && half.shape == full.shape)
            for (left, right) in zip(full.floats(), half.floats()) { #expect(abs(left - right) < 1e-3) }
        }
    }

    @Test func writesTheShardsOfTransformers() throws {
        let model = try ModelDirectory(fixture("sharded"))
        let order = try #require(try WholeFile.readJSON(fixture("sharded/order.json")).arrayValue).compactMap(
            \.stringValue)
        let scratch = try Scratch()
        try scratch.put("stale", "model.safetensors")
        try scratch.put("stale", "model-00005-of-00005.safetensors")
        try scratch.put("mine", "model-card.md")
        try ShardedWriter.write(
            tensors: try order.map { ($0, try model.tensor(named: $0)) }, to: scratch.path, maximumByteCount: 6000)
        let written = (1...4).map { "model-0000\($0)-of-00004.safetensors" } + ["model.safetensors.index.json"]
        #expect(Set(scratch.names) == Set(written + ["model-card.md"]))
        for name in written { #expect(try bytes(scratch.path(name)) == bytes(fixture("sharded/" + name)), "\(name)") }

        // One at a time into one file: the shards of the earlier split are gone.
        try ShardedWriter.write(order.compactMap { model.description(of: $0) }, to: scratch.path) {
            try model.tensor(named: $0.name)
        }
        #expect(scratch.names == ["model-card.md", "model.safetensors"])
        #expect(Set(try SafetensorsFile(scratch.path("model.safetensors")).tensorNames) == Set(order))
    }

    @Test func plansShardsInTheOrderGiven() {
        // The example in huggingface_hub: no tensor is moved to fill a file better.
        func plan(_ sizes: [Int], _ limit: Int) -> [[Int]] {
            let descriptions = sizes.enumerated().map {
                TensorDescription(name: "t\($0.offset)", dtype: .uint8, shape: [$0.element])
            }
            return ShardedWriter.plan(descriptions, maximumByteCount: limit).map(\.tensors)
        }
        #expect(plan([6, 6, 2, 6, 2, 2], 10) == [[0], [1, 2], [3, 4, 5]])
        #expect(plan([3, 20, 3, 3], 10) == [[1], [0, 2, 3]])
        #expect(plan([], 10) == [[]])
        #expect(ShardedWriter.byteCount(parsing: "5GB") == 5_000_000_000)
        #expect(ShardedWriter.byteCount(parsing: "1.5 mb") == 1_500_000)
        #expect(ShardedWriter.byteCount(parsing: "77") == 77)
        for text in ["", "GB", "-1GB", "5XB", "nanGB", "1e300GB"] {
            #expect(ShardedWriter.byteCount(parsing: text) == nil, "\(text)")
        }
    }

    @Test func aMissingShardIsNamed() throws {
        let scratch = try Scratch()
        try scratch.copy("sharded", as: "m")
        try FileManager.default.removeItem(atPath: scratch.path("m/model-00003-of-00004.safetensors"))
        let error = failure { try ModelDirectory(scratch.path("m")) }
        #expect(error?.exitCode == 66)
        #expect(error?.path == scratch.path("m/model-00003-of-00004.safetensors"))
    }

    @Test func aTruncatedShardIsNamed() throws {
        let scratch = try Scratch()
        try scratch.copy("sharded", as: "m")
        let shard = scratch.path("m/model-00003-of-00004.safetensors")
        try scratch.put(Array(try bytes(shard).dropLast(1)), "m/model-00003-of-00004.safetensors")
        let error = failure { try ModelDirectory(scratch.path("m")) }
        #expect(error?.exitCode == 65 && error?.path == shard)
    }

    @Test(arguments: ["../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "a\\b", "a\\u0000b"])
    func anIndexMayNotLeadOutOfItsFolder(_ target: String) throws {
        let scratch = try Scratch()
        try scratch.copy("plain.safetensors", as: "x.safetensors")
        try scratch.put("{}", "m/config.json")
        try scratch.put(
            #"{"weight_map":{"x":"\#(target.replacingOccurrences(of: "a\\b", with: "a\\\\b"))"}}"#,
            "m/model.safetensors.index.json")
        let error = failure { try ModelDirectory(scratch.path("m")) }
        #expect(error?.exitCode == 65)
        #expect(error?.description.contains("no file name within the folder") == true, "\(String(describing: error))")
    }

    @Test func anIndexMustTellTheTruth() throws {
        let scratch = try Scratch()
        try scratch.copy("plain.safetensors", as: "a.safetensors")
        try scratch.put("{}", "config.json")
        try scratch.put(#"{"weight_map":{"x":"a.safetensors"}}"#, "model.safetensors.index.json")
        #expect(try ModelDirectory(scratch.path).tensor(named: "x").count == 3)
        try scratch.put(#"{"weight_map":{"x":"a.safetensors","y":"a.safetensors"}}"#, "model.safetensors.index.json")
        #expect(failure { try ModelDirectory(scratch.path) }?.description.contains("'y'") == true)
        for text in ["{}", #"{"weight_map":[]}"#, #"{"weight_map":{}}"#, #"{"weight_map":{"x":1}}"#, "x"] {
            try scratch.put(text, "model.safetensors.index.json")
            #expect(failure { try ModelDirectory(scratch.path) }?.exitCode == 65, "\(text)")
        }
    }

    @Test func safetensorsComeBeforePickles() throws {
        let scratch = try Scratch()
        try scratch.put("{}", "config.json")
        try scratch.copy("plain.safetensors", as: "model.safetensors")
        try scratch.copy("foreign.bin", as: "pytorch_model.bin")
        #expect(try ModelDirectory(scratch.path).tensorNames == ["x"])
    }

    @Test func foldersWithoutWeightsServeTextOnly() throws {
        let scratch = try Scratch()
        #expect(failure { try ModelDirectory(scratch.path) }?.path == scratch.path("config.json"))
        try scratch.put("{}", "config.json")
        #expect(failure { try ModelDirectory(scratch.path) }?.path == scratch.path("model.safetensors"))
        try scratch.put("", "weights.gguf")
        #expect(failure { try ModelDirectory(scratch.path) }?.description.contains("weights.gguf") == true)
        try scratch.put("{}", "tokenizer.json")
        try scratch.put("x", "chat_template.jinja")
        try scratch.put("x", "additional_chat_templates/rag.jinja")
        let folder = try ModelDirectory(scratch.path, requiresWeights: false)
        #expect(folder.tensorNames.isEmpty)
        #expect(folder.tokenizerFile == scratch.path("tokenizer.json"))
        #expect(folder.tokenizerConfigFile == nil)
        #expect(folder.chatTemplateFiles == [scratch.path("chat_template.jinja")])
        #expect(folder.additionalChatTemplates.map(\.name) == ["rag"])
        #expect(failure { try ModelDirectory(fixture("adapter_plain")) }?.description.contains("adapter") == true)
    }

    @Test func remoteCodeIsReportedAndNotRun() throws {
        let scratch = try Scratch()
        try scratch.put(#"{"auto_map":{"AutoModel":"modeling_x.X"}}"#, "config.json")
        try scratch.put("raise SystemExit", "modeling_x.py")
        #expect(try ModelDirectory(scratch.path, requiresWeights: false).codeNotice?.contains("auto_map") == true)
        #expect(try ModelDirectory(fixture("sharded")).codeNotice == nil)
    }

    // MARK: Cache

    @Test func findsModelsInTheCache() throws {
        let scratch = try Scratch()
        let commit = "0123456789abcdef0123456789abcdef01234567"
        try scratch.put(commit + "\n", "home/hub/models--owner--tiny/refs/main")
        try scratch.put("", "home/hub/models--owner--tiny/snapshots/other/x")
        try FileManager.default.copyItem(
            atPath: fixture("sharded"), toPath: scratch.path("home/hub/models--owner--tiny/snapshots/\(commit)"))
        let home = scratch.path("home")
        let environment: HubCache.Environment = { $0 == "HF_HOME" ? home : nil }
        let model = try ModelDirectory("owner/tiny", environment: environment)
        #expect(model.path == scratch.path("home/hub/models--owner--tiny/snapshots/\(commit)"))
        let direct: HubCache.Environment = { $0 == "HF_HUB_CACHE" ? home + "/hub" : "/nowhere" }
        #expect(HubCache.snapshot(of: "owner/tiny", environment: direct) == model.path)
        #expect(HubCache.snapshot(of: "owner/tiny", revision: commit, environment: direct) == model.path)
        #expect(HubCache.snapshot(of: "owner/none", environment: direct) == nil)
        let error = failure { try ModelDirectory("owner/none", environment: environment) }
        #expect(error?.exitCode == 66)
        #expect(error?.description.contains(home + "/hub") == true)
    }

    @Test func theCacheIsWhereTheLibrariesLook() {
        #expect(HubCache.path { $0 == "HOME" ? "/h" : nil } == "/h/.cache/huggingface/hub")
        #expect(HubCache.path { $0 == "XDG_CACHE_HOME" ? "/c" : "/x" } == "/x")
        #expect(HubCache.path { $0 == "XDG_CACHE_HOME" ? "/c" : nil } == "/c/huggingface/hub")
        #expect(HubCache.path { $0 == "HF_HOME" ? "" : ($0 == "HOME" ? "/h" : nil) } == "/h/.cache/huggingface/hub")
    }

    @Test(arguments: ["../x", "a/../b", "a/b/c", "/a", "a/", "", "a--b", "-a", ".a", "a b", "a/b\n"])
    func oddNamesAreNoHubNames(_ name: String) {
        #expect(!HubCache.isHubName(name))
        #expect(HubCache.isHubName("Owner-1/Model_2.5"))
    }

    @Test func aHostileReferenceStaysInTheCache() throws {
        let scratch = try Scratch()
        try scratch.put("../../..", "models--x/refs/main")
        try scratch.put("", "models--x/snapshots/a/y")
        try scratch.put("", "models--x/snapshots/b/y")
        let path = scratch.path
        #expect(HubCache.snapshot(of: "x") { $0 == "HF_HUB_CACHE" ? path : nil } == nil)
    }
}
