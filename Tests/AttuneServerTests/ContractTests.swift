import Attune
import AttuneCPU
import AttuneGeneration
import AttuneJSON
import AttuneModels
import AttuneServer
import AttuneTensor
import Foundation
import Testing

/// Served in the words it was trained in: contracts, adapters, defaults.
@Suite struct ContractTests {
    /// A folder without a chat template, perhaps with a contract.
    private func plainFolder(contract: JSON? = nil) throws -> String {
        let folder = try TestServer.tinyFolder()
        try FileManager.default.removeItem(atPath: folder + "/chat_template.jinja")
        if let contract {
            try contract.text().write(toFile: folder + "/attune_contract.json", atomically: true, encoding: .utf8)
        }
        return folder
    }

    private func options() -> ServedModelOptions {
        var options = ServedModelOptions()
        options.servedNames = ["tiny"]
        options.isRandom = true
        options.cacheBytes = 8 << 20
        return options
    }

    private func goldenIDs(_ folder: String, _ template: String) throws -> [Int32] {
        let model = try LanguageModel.load(folder, backend: try CPUBackend(threads: 1), isRandom: true)
        let (form, encoder) = try model.prompts(template: template)
        return encoder.encode(
            try form.prompt(
                instruction: "Classify this support ticket: My order arrived damaged", renderer: try model.renderer()))
    }

    private func contract(_ template: String, _ ids: [Int32], instructions: [JSON] = []) -> JSON {
        [
            "prompt_template": .string(template), "stop_token_ids": [0],
            "golden_question": "Classify this support ticket: My order arrived damaged",
            "golden_token_ids": .array(ids.map { JSON(Int($0)) }), "instructions": .array(instructions),
        ]
    }

    /// What the server puts before the model.
    private func prompt(_ server: TestServer, _ messages: JSON) async throws -> String {
        let tokens = try await server.post("/tokenize", ["messages": messages]).json["tokens"] ?? []
        return try await server.post("/detokenize", ["tokens": tokens]).json["prompt"]?.stringValue ?? ""
    }

    @Test func theTutorialsClientIsAskedInTheTrainedForm() async throws {
        let ids = try goldenIDs(try plainFolder(), "tutorial")
        let folder = try plainFolder(
            contract: contract("tutorial", ids, instructions: ["Classify this support ticket"]))
        let server = try await TestServer.start(
            ServedModel.open(folder, options(), backend: try CPUBackend(threads: 1)))
        defer { Task { try await server.stop() } }
        let user: JSON = ["role": "user", "content": "Classify this support ticket: My package is lost"]
        let asked = try await prompt(server, [user])
        #expect(
            asked
                == "### Instruction:\nClassify this support ticket\n\n### Input:\nMy package is lost\n\n### Response:\n"
        )
        let other = try await prompt(server, [["role": "user", "content": "Classify this support ticketing system"]])
        #expect(other == "### Instruction:\nClassify this support ticketing system\n\n### Response:\n")
        let talk = try await prompt(
            server,
            [
                ["role": "system", "content": "Be kind."], ["role": "user", "content": "One"],
                ["role": "assistant", "content": "1"], ["role": "user", "content": "Two"],
            ])
        #expect(
            talk
                == "Be kind.\n\n### Instruction:\nOne\n\n### Response:\n1\n\n### Instruction:\nTwo\n\n### Response:\n")
        let answer = try await server.chat(["messages": [user], "temperature": 0.1])
        #expect(answer.status == 200, "\(answer.text)")
        let tools = try await server.chat(["tools": [ChatTests.weather]])
        #expect(tools.status == 400 && tools.error["param"] == "tools")
    }

    @Test(arguments: ["alpaca", "alpaca_newline"])
    func otherFormsAreTheContracts(template: String) async throws {
        let folder = try plainFolder(contract: contract(template, try goldenIDs(try plainFolder(), template)))
        let server = try await TestServer.start(
            ServedModel.open(folder, options(), backend: try CPUBackend(threads: 1)))
        defer { Task { try await server.stop() } }
        let asked = try await prompt(server, [["role": "user", "content": "Hi"]])
        let end = template == "alpaca" ? "### Response:" : "### Response:\n"
        #expect(asked.hasPrefix("Below is an instruction") && asked.hasSuffix("### Instruction:\nHi\n\n" + end))
    }

    @Test func anotherTokenizerOrTemplateIsAnErrorThatNamesTheToken() throws {
        let right = try goldenIDs(try plainFolder(), "tutorial")
        var wrong = right
        wrong[3] += 1
        let cases: [([Int32], String)] = [
            (wrong, "token 3 "), (Array(right.dropLast()), "token \(right.count - 1) "),
            (right + [5], "token \(right.count) "),
        ]
        for (ids, name) in cases {
            let folder = try plainFolder(contract: contract("tutorial", ids))
            let error = try #require(throws: ModelError.self) {
                _ = try ServedModel.open(folder, options(), backend: try CPUBackend(threads: 1))
            }
            #expect("\(error)".contains(name) && !"\(error)".contains("\n"), "\(error)")
        }
        let folder = try plainFolder(contract: contract("alpaca", right))
        #expect(throws: ModelError.self) {
            _ = try ServedModel.open(folder, options(), backend: try CPUBackend(threads: 1))
        }
        // The negative: the right tokens pass, and a template named by the operator is his affair.
        _ = try ServedModel.open(
            plainFolder(contract: contract("tutorial", right)), options(), backend: try CPUBackend(threads: 1))
        var named = options()
        named.promptTemplate = "alpaca"
        _ = try ServedModel.open(folder, named, backend: try CPUBackend(threads: 1))
    }

    @Test func defaultsComeFromTheModelAndAreTold() async throws {
        func model(_ config: JSON, _ usesConfig: Bool) throws -> ServedModel {
            let folder = try TestServer.tinyFolder()
            try FileManager.default.removeItem(atPath: folder + "/generation_config.json")
            try config.text().write(toFile: folder + "/generation_config.json", atomically: true, encoding: .utf8)
            var options = options()
            options.usesGenerationConfig = usesConfig
            return try ServedModel.open(folder, options, backend: try CPUBackend(threads: 1))
        }
        let config: JSON = ["eos_token_id": [0, 2], "temperature": 1.5, "top_k": 1, "top_p": 9, "do_sample": true]
        let greedy = try model(config, true)
        let line = try #require(greedy.startLines.first)
        #expect(line.contains("temperature 1.5") && line.contains("top_k 1,") && line.contains("top_p 1.0"))
        #expect(line.contains("generation_config.json"))
        let plain = try model(config, false)
        #expect(plain.startLines.first?.contains("temperature 1.0") == true)
        for (model, repeats) in [(greedy, true), (plain, false)] {
            let server = try await TestServer.start(model)
            defer { Task { try await server.stop() } }
            var texts: Set<String> = []
            for seed in 0..<4 {
                texts.insert(try await server.chat(["seed": JSON(seed)]).json["choices"]?.text() ?? "")
            }
            #expect((texts.count == 1) == repeats)
        }
    }

    @Test func namesAreChecked() throws {
        let bad: [(names: [String], adapters: [String])] = [
            (["../x"], []), ([""], []), ([String(repeating: "a", count: 97)], []), (["a", "a"], []), (["a b"], []),
            ([], ["x/y"]), (["a"], ["a"]), ([], ["t\n"]),
        ]
        for (names, adapters) in bad {
            var options = options()
            options.servedNames = names
            options.adapters = adapters.map { ($0, "/nowhere") }
            let error = try #require(throws: ServerError.self) {
                _ = try ServedModel.open(try TestServer.tinyFolder(), options, backend: try CPUBackend(threads: 1))
            }
            #expect(error.isUsage)
        }
    }

    // MARK: Adapters

    /// The golden Llama with one token a letter.
    private func goldenFolder() throws -> (folder: String, adapter: String) {
        let source = TestServer.root.appending(path: "Tests/AttuneModelsTests/Fixtures/models/llama")
        let folder = FileManager.default.temporaryDirectory.appending(path: "attune-golden-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for name in ["config.json", "model.safetensors"] {
            try FileManager.default.createSymbolicLink(
                at: folder.appending(path: name), withDestinationURL: source.appending(path: name))
        }
        let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ").map { String($0) }
        let tokens = ["<end>"] + letters + ["Ġ", "Ċ", "#", ":", ",", ".", "-", "'", "0", "1", "2", "?", "!", "/"]
        let vocabulary = JSON.object(JSONObject(tokens.enumerated().map { (key: $0.element, value: JSON($0.offset)) }))
        let byteLevel: JSON = ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true]
        let tokenizer: JSON = [
            "version": "1.0", "truncation": .null, "padding": .null, "normalizer": .null, "pre_tokenizer": byteLevel,
            "added_tokens": [
                [
                    "id": 0, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true,
                ]
            ], "post_processor": .null, "decoder": byteLevel,
            "model": ["type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": false],
        ]
        try tokenizer.text().write(to: folder.appending(path: "tokenizer.json"), atomically: true, encoding: .utf8)
        return (folder.path, source.appending(path: "adapter").path)
    }

    /// Through the server, many at once and base mixed with adapter, every answer is what the loop alone gives.
    @Test(arguments: [true, false])
    func answersAreTheEnginesTokenForToken(reusesPrefixes: Bool) async throws {
        let (folder, adapter) = try goldenFolder()
        var options = ServedModelOptions()
        options.dtype = .float32
        options.adapters = [("tuned", adapter)]
        options.maxSequences = 8
        options.maxBatchedTokens = 32
        options.reusesPrefixes = reusesPrefixes
        let server = try await TestServer.start(ServedModel.open(folder, options, backend: try CPUBackend(threads: 1)))
        defer { Task { try await server.stop() } }
        let model = try LanguageModel.load(folder, dtype: .float32, backend: try CPUBackend(threads: 1))
        try model.attachAdapter(adapter, named: "tuned")
        let loop = try model.makeLoop(cacheTokens: 1024, adapters: ["tuned"])
        let prompts = (0..<16).map { place in String("the quick brown fox, jumps over".prefix(3 + place * 2)) }
        var expected: [String: [String]] = [:]
        for name in ["base", "tuned"] {
            expected[name] = try loop.generateAll(
                prompts.map { model.tokenizer.ids(of: $0, addSpecialTokens: true) }, options: .greedy(maxNewTokens: 12),
                adapter: name == "tuned" ? "tuned" : nil
            ).map { $0.texts[0].text }
        }
        #expect(expected["base"] != expected["tuned"])
        try await withThrowingTaskGroup(of: (String, Int, String?).self) { group in
            for (place, prompt) in prompts.enumerated() {
                for name in ["base", "tuned"] {
                    group.addTask {
                        let answer = try await server.post(
                            "/v1/completions",
                            [
                                "model": .string(name == "tuned" ? name : folder), "prompt": .string(prompt),
                                "max_tokens": 12, "temperature": 0,
                            ])
                        return (name, place, answer.json["choices"]?[0]?["text"]?.stringValue)
                    }
                }
            }
            for try await (name, place, text) in group { #expect(text == expected[name]?[place], "\(name) \(place)") }
        }
        let list = try await server.get("/v1/models").json["data"]
        #expect(list?[0]?["id"]?.stringValue == folder && list?[0]?["parent"]?.isNull == true)
        #expect(list?[1]?["id"] == "tuned" && list?[1]?["parent"]?.stringValue == folder)
    }
}
