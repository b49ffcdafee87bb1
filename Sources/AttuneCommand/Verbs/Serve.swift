import ArgumentParser
import Attune
import AttuneServer
import Foundation

/// `attune serve`: a model behind an address in the form of OpenAI's.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a model to OpenAI clients.",
        discussion: """
            Example: attune serve ./merged_model --dtype float16 --port 8000
            Example: attune serve Models/pocket --adapter tickets=results --api-key-file keys.txt
            """)

    @Argument(help: "A model folder, or a cached hub name. Also the model's name in requests.")
    var model: String?
    @Option(name: .customLong("model"), help: "The same, in the spelling of vLLM's api_server.")
    var modelOption: String?
    @Option(
        name: [.long, .customLong("lora-modules")],
        help: "A PEFT folder under a name of its own, NAME=DIR; may be repeated.")
    var adapter: [String] = []
    @Option(help: "A name for the model in requests instead; may be repeated, the first stands in answers.")
    var servedModelName: [String] = []
    @Option(help: "Address to listen on.")
    var host = "127.0.0.1"
    @Option(help: "Port to listen on; 0 takes a free one.")
    var port = 8000
    @Option(
        help: "A key clients must send; may be repeated. Other users of the machine can read it here: prefer a file.")
    var apiKey: [String] = []
    @Option(help: "A file with one key a line. ATTUNE_API_KEY in the environment is another place for a key.")
    var apiKeyFile: String?
    @OptionGroup var weights: WeightOptions
    @OptionGroup var machine: MachineOptions
    @Option(help: "Tokens of a text; as many as model and cache allow when not given.")
    var maxModelLen: Int?
    @Option(help: "Texts at once.")
    var maxNumSeqs = 64
    @Option(help: "Rows of a step.")
    var maxNumBatchedTokens = 512
    @Option(help: "Bytes of the key/value cache; up to 1 GiB when not given.")
    var kvCacheMemoryBytes: Int?
    @Flag(inversion: .prefixedNo, help: "Compute equal beginnings once.")
    var enablePrefixCaching = true
    @Option(help: "auto takes the sampling defaults of generation_config.json, vllm those of OpenAI.")
    var generationConfig = "auto"
    @Option(help: "tutorial, alpaca, alpaca_newline, chat, text or a template file, in place of the model's own.")
    var promptTemplate: String?
    @Option(help: "A file with a chat template in place of the model's own.")
    var chatTemplate: String?
    @Option(
        help: "How the model writes tool calls: auto reads it off the chat template; hermes, llama3, mistral, json.")
    var toolCallParser = "auto"
    @Option(help: "auto, or dummy for random weights.")
    var loadFormat = "auto"
    @Option(help: "Texts that may wait before requests are answered with 429.")
    var maxWaitingRequests = 256
    @Option(help: "Prompt tokens that may wait before requests are answered with 429.")
    var maxWaitingTokens = 1 << 18
    @Option(help: "Bytes of a request's body.")
    var maxBodyBytes = 8 << 20
    @Option(help: "Seconds a request may take.")
    var requestTimeout = 600
    @Option(help: "Seconds running requests have to finish once the server is asked to stop.")
    var shutdownTimeout = 30

    func run() async throws {
        try await Failure.guarding {
            let name = try typedModel()
            let (server, model) = try start(name)
            for line in model.startLines { machine.log.line(line) }
            StopSignal.install()
            let watcher = Task {
                while !StopSignal.isRaised { try await Task.sleep(for: .milliseconds(50)) }
                await server.stop()
            }
            defer { watcher.cancel() }
            let host = host
            try await server.run { port in
                let shown = host.contains(":") ? "[\(host)]" : host
                print("Attune serves \(name) at http://\(shown):\(port)/v1")
                fflush(nil)
            }
            // The server is down as soon as the last answer is written, which `stop` sees a moment later.
            if StopSignal.isRaised { try? await watcher.value }
        }
    }

    private func typedModel() throws -> String {
        guard (model == nil) != (modelOption == nil), let name = model ?? modelOption else {
            throw CommandError.usage("serve: give one MODEL, a folder or a cached hub name")
        }
        return name
    }

    private func start(_ name: String) throws -> (ModelServer, ServedModel) {
        var options = ServerOptions()
        options.host = host
        options.port = try inRange(port, 0...65_535, "--port")
        options.apiKeys = try keys()
        options.maxBodyBytes = try inRange(maxBodyBytes, 1024...(1 << 30), "--max-body-bytes")
        options.requestTimeout = .seconds(try inRange(requestTimeout, 1...1_000_000, "--request-timeout"))
        options.shutdownTimeout = .seconds(try inRange(shutdownTimeout, 0...1_000_000, "--shutdown-timeout"))
        options.logsRequests = machine.log.shows(.info)
        var opening = ServedModelOptions()
        opening.servedNames = servedModelName
        opening.adapters = try adapter.map(Self.adapter)
        opening.dtype = try weights.computeType()
        opening.quantization = try weights.quantizationChoice()
        opening.promptTemplate = promptTemplate
        opening.chatTemplate = try chatTemplateSource()
        opening.toolFormat = try toolFormat()
        opening.maxModelLength = try maxModelLen.map { try inRange($0, 1...(1 << 24), "--max-model-len") }
        opening.maxSequences = try inRange(maxNumSeqs, 1...4096, "--max-num-seqs")
        opening.maxBatchedTokens = try inRange(maxNumBatchedTokens, 1...65_536, "--max-num-batched-tokens")
        opening.cacheBytes = try kvCacheMemoryBytes.map { try inRange($0, 1...Int.max, "--kv-cache-memory-bytes") }
        opening.reusesPrefixes = enablePrefixCaching
        opening.maxWaitingRequests = try inRange(maxWaitingRequests, 1...1_000_000, "--max-waiting-requests")
        opening.maxWaitingTokens = try inRange(maxWaitingTokens, 1...(1 << 40), "--max-waiting-tokens")
        opening.usesGenerationConfig = try choice(generationConfig, ["auto", "vllm"], "--generation-config") == "auto"
        opening.isRandom = try choice(loadFormat, ["auto", "dummy"], "--load-format") == "dummy"
        let model = try ServedModel.open(name, opening, backend: try machine.makeBackend())
        return (ModelServer(model, options), model)
    }

    private func chatTemplateSource() throws -> String? {
        guard let file = chatTemplate else { return nil }
        guard promptTemplate == nil else {
            throw CommandError.usage("--chat-template stands beside --prompt-template; give one")
        }
        return String(decoding: try WholeFile.read(file, limit: 1 << 20), as: UTF8.self)
    }

    private func toolFormat() throws -> ToolCallFormat? {
        let names = ["auto"] + ToolCallFormat.allCases.map(\.rawValue)
        return ToolCallFormat(rawValue: try choice(toolCallParser, names, "--tool-call-parser"))
    }

    private func keys() throws -> [String] {
        var keys = apiKey
        if let file = apiKeyFile {
            let text = String(decoding: try WholeFile.read(file, limit: 1 << 20), as: UTF8.self)
            keys += text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
                .filter { !$0.isEmpty }
            guard !keys.isEmpty else { throw CommandError.badData("--api-key-file \(file): has no key in it") }
        }
        if let key = ProcessInfo.processInfo.environment["ATTUNE_API_KEY"], !key.isEmpty { keys.append(key) }
        guard keys.allSatisfy({ !$0.isEmpty }) else { throw CommandError.usage("--api-key: a key cannot be empty") }
        return keys
    }

    private static func adapter(_ text: String) throws -> (name: String, folder: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
            throw CommandError.usage("--adapter \(text): write NAME=DIR")
        }
        return (String(parts[0]), String(parts[1]))
    }

    private func inRange(_ value: Int, _ range: ClosedRange<Int>, _ option: String) throws -> Int {
        guard range.contains(value) else {
            throw CommandError.usage("\(option) \(value): give \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private func choice(_ value: String, _ allowed: [String], _ option: String) throws -> String {
        guard allowed.contains(value) else {
            throw CommandError.usage("\(option) \(value): give \(allowed.joined(separator: " or "))")
        }
        return value
    }
}
