import AttuneFiles
import AttuneJSON
import AttuneTensor
import Testing

@Suite struct AdapterTests {
    @Test(arguments: ["adapter_plain", "adapter_varied", "adapter_layers"])
    func writesTheBytesOfPEFT(_ name: String) throws {
        let adapter = try AdapterDirectory(fixture(name))
        let scratch = try Scratch()
        var tensors: [(name: AdapterTensorName, tensor: Tensor)] = []
        for fileName in adapter.tensorNames {
            tensors.append((try #require(AdapterTensorName(parsing: fileName)), try adapter.tensor(named: fileName)))
        }
        let folder = try AdapterDirectory.write(
            configuration: adapter.configuration, tensors: tensors, to: scratch.path("a"), adapterName: "mine")
        #expect(folder == scratch.path("a/mine"))
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            #expect(try bytes(folder + "/" + file) == bytes(fixture(name + "/" + file)), "\(file)")
        }
        let again = try AdapterDirectory(scratch.path("a"), adapterName: "mine")
        #expect(again.configuration == adapter.configuration && again.modules == adapter.modules)
    }

    @Test(arguments: ["adapter_plain", "adapter_varied", "adapter_layers"])
    func modulesAreThoseOfPEFT(_ name: String) throws {
        let adapter = try AdapterDirectory(fixture(name))
        let scales = try #require(try WholeFile.readJSON(fixture(name + "/scaling.json")).objectValue)
        #expect(Set(adapter.modules) == Set(scales.keys))
        #expect(adapter.configuration.unsupportedFeatures == (name == "adapter_layers" ? ["lora_bias"] : []))
    }

    @Test func allPartsAreFound() throws {
        let adapter = try AdapterDirectory(fixture("adapter_varied"))
        let q = "model.layers.0.self_attn.q_proj"
        #expect(try adapter.tensor(module: q, part: .a)?.shape == [2, 16])
        #expect(try adapter.tensor(module: q, part: .b)?.shape == [16, 2])
        #expect(try adapter.tensor(module: q, part: .magnitude)?.shape == [16])
        #expect(try adapter.tensor(module: q, part: .bBias) == nil)
        #expect(try adapter.tensor(module: "model.embed_tokens", part: .embeddingA)?.shape == [4, 32])
        #expect(try adapter.tensor(module: "model.embed_tokens", part: .embeddingB)?.shape == [16, 4])
        #expect(Set(adapter.plainTensorNames) == ["lm_head.weight", "model.embed_tokens.weight"])
        #expect(try adapter.plainTensor(named: "lm_head.weight")?.shape == [32, 16])
        #expect(try adapter.plainTensor(named: "model.embed_tokens.weight")?.shape == [32, 16])
        let biased = try AdapterDirectory(fixture("adapter_layers"))
        #expect(try biased.tensor(module: "model.layers.1.self_attn.o_proj", part: .bBias)?.shape == [16])
        #expect(biased.configuration.unsupportedFeatures == ["lora_bias"])
    }

    /// Names as PEFT wrote them for `bias="all"` with a pair at `q_proj`.
    @Test func biasesHaveTheNamesOfPEFT() {
        let layer = "model.layers.0.self_attn"
        #expect(
            AdapterTensorName(baseTensor: layer + ".q_proj.bias", carriesPair: true).fileName
                == "base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias")
        #expect(
            AdapterTensorName(baseTensor: layer + ".k_proj.bias", carriesPair: false).fileName
                == "base_model.model.model.layers.0.self_attn.k_proj.bias")
    }

    @Test func defaultsAreThoseOfPEFT() throws {
        let smallest = try AdapterConfiguration(["peft_type": "LORA", "target_modules": ["q_proj"]], path: "x")
        #expect(smallest.rank == 8 && smallest.alpha == 8 && smallest.dropout == 0 && smallest.bias == "none")
        #expect(!smallest.usesDoRA && !smallest.usesRSLoRA && smallest.initialization == true)
        // The whole default configuration, key by key, as the installed PEFT wrote it.
        var fresh = AdapterConfiguration()
        fresh.rank = 4
        fresh.dropout = 0.05
        let written = try WholeFile.readJSON(fixture("adapter_plain/adapter_config.json"))
        let order = written["target_modules"]?.arrayValue?.compactMap(\.stringValue) ?? []
        fresh.targetModules = .list(order)
        #expect(fresh.json == written)
    }

    @Test func unknownFieldsAreKept() throws {
        var json = try WholeFile.readJSON(fixture("adapter_plain/adapter_config.json"))
        guard case .object(var object) = json else { return }
        object["x_new_field"] = ["a": 1]
        object["layer_replication"] = [[0, 1]]
        json = .object(object)
        let configuration = try AdapterConfiguration(json, path: "x")
        #expect(configuration.json == json)
        #expect(configuration.unsupportedFeatures == ["layer_replication"])
    }

    @Test(arguments: [
        ("[]", "no JSON object"), ("{}", "peft_type is missing"), (#"{"peft_type":"IA3"}"#, "'IA3'"),
        (#"{"fine_tune_type":"lora","lora_parameters":{}}"#, "MLX"), (#"{"peft_type":"LORA","r":0}"#, "'r'"),
        (#"{"peft_type":"LORA","r":"8"}"#, "'r'"), (#"{"peft_type":"LORA","lora_dropout":2}"#, "probability"),
        (#"{"peft_type":"LORA","bias":"some"}"#, "bias"),
        (#"{"peft_type":"LORA","target_modules":[1]}"#, "target_modules"),
        (#"{"peft_type":"LORA","use_dora":"yes"}"#, "use_dora"),
        (#"{"peft_type":"LORA","rank_pattern":{"q":-1}}"#, "rank_pattern"),
        (#"{"peft_type":"LORA","layers_to_transform":["a"]}"#, "layers_to_transform"),
    ])
    func badConfigurationsAreNamed(_ text: String, _ problem: String) throws {
        let json = try JSON(parsing: text)
        let error = failure { try AdapterConfiguration(json, path: "adapter_config.json") }
        #expect(error?.exitCode == 65)
        #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
    }

    @Test(arguments: ["pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga"])
    func startsThatChangeTheBaseAreNotSupported(_ name: String) throws {
        let json: JSON = ["peft_type": "LORA", "target_modules": ["q_proj"], "init_lora_weights": .string(name)]
        let features = try AdapterConfiguration(json, path: "x").unsupportedFeatures
        #expect(features.count == 1 && features[0].contains("'\(name)'"))
        let plain: JSON = ["peft_type": "LORA", "target_modules": ["q_proj"], "init_lora_weights": "gaussian"]
        #expect(try AdapterConfiguration(plain, path: "x").unsupportedFeatures.isEmpty)
    }

    @Test func brokenFoldersAreExplained() throws {
        let scratch = try Scratch()
        #expect(failure { try AdapterDirectory(scratch.path) }?.exitCode == 66)
        #expect(
            failure { try AdapterDirectory(fixture("sharded")) }?.description.contains("model, not an adapter") == true)
        try scratch.copy("adapter_plain/adapter_config.json", as: "adapter_config.json")
        #expect(failure { try AdapterDirectory(scratch.path) }?.path == scratch.path("adapter_model.safetensors"))
        try scratch.copy("plain.safetensors", as: "adapter_model.safetensors")
        #expect(failure { try AdapterDirectory(scratch.path) }?.description.contains("base_model.model.") == true)
        #expect(failure { try AdapterDirectory(scratch.path, adapterName: "../x") }?.exitCode == 65)
    }
}
