import Attune
import AttuneCPU
import AttuneGeneration
import AttuneJSON
import AttuneServer
import AttuneTensor
import AttuneText
import Foundation
import Synchronization
import Testing

/// A server on a free port of this machine.
final class TestServer: Sendable {
    let port: Int
    let model: ServedModel
    let server: ModelServer
    let running: Task<Void, any Error>
    private let log: LineStore

    private init(port: Int, model: ServedModel, server: ModelServer, running: Task<Void, any Error>, log: LineStore) {
        self.port = port
        self.model = model
        self.server = server
        self.running = running
        self.log = log
    }

    /// Lines of the log so far.
    var lines: [String] { log.lines.withLock { $0 } }

    static func start(_ model: ServedModel, _ change: (inout ServerOptions) -> Void = { _ in }) async throws
        -> TestServer
    {
        var options = ServerOptions()
        options.port = 0
        change(&options)
        let log = LineStore()
        let server = ModelServer(model, options) { line in log.lines.withLock { $0.append(line) } }
        let (ports, sink) = AsyncStream.makeStream(of: Int.self)
        let running = Task {
            defer { sink.finish() }
            try await server.run { sink.yield($0) }
        }
        for await port in ports {
            return TestServer(port: port, model: model, server: server, running: running, log: log)
        }
        try await running.value
        throw Wire.Broken(text: "the server ended before it began")
    }

    func stop() async throws {
        await server.stop()
        try await running.value
    }

    /// Waits until no block of the cache is held.
    func blocksAreFree() async -> Bool {
        for _ in 0..<2000 {
            let blocks = await model.blocks
            if blocks.free == blocks.all { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// Waits until that many texts run or wait.
    func waitUntil(texts: Int) async throws { try await waitUntil(texts, in: ["running", "waiting"]) }

    /// Waits until that many texts run.
    func waitUntil(running: Int) async throws { try await waitUntil(running, in: ["running"]) }

    private func waitUntil(_ texts: Int, in states: [String]) async throws {
        for _ in 0..<3000 {
            let text = try await get("/metrics").text
            let counts = text.split(separator: "\n").filter { line in
                states.contains { line.hasPrefix("attune:num_requests_\($0){") }
            }.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
            if counts.reduce(0, +) >= Double(texts) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    // MARK: Requests

    func get(_ path: String, headers: [(String, String)] = []) async throws -> Wire.Answer {
        try await exchange(Wire.bytes("GET", path, headers: headers))
    }

    func post(_ path: String, _ json: JSON, headers: [(String, String)] = []) async throws -> Wire.Answer {
        try await exchange(Wire.bytes("POST", path, body: json.utf8(), headers: headers))
    }

    func exchange(_ bytes: [UInt8], hasBody: Bool = true) async throws -> Wire.Answer {
        let port = port
        return try await Wire.away {
            let wire = try Wire(port: port)
            wire.send(bytes)
            return try wire.answer(hasBody: hasBody)
        }
    }

    func chat(_ members: JSON, stream: Bool = false) async throws -> Wire.Answer {
        var object = JSONObject([
            (key: "model", value: "tiny"), (key: "messages", value: [["role": "user", "content": "Hello there"]]),
            (key: "max_tokens", value: 12),
        ])
        if stream { object["stream"] = true }
        for (key, value) in members.objectValue?.members ?? [] { object[key] = value }
        return try await post("/v1/chat/completions", .object(object))
    }

    // MARK: Models

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// One server with a tiny random model for all tests of forms.
    static let shared = Task { try await start(tinyModel()) }

    /// A folder with the pocket's tokenizer and template and a configuration so small that steps take a moment only.
    static func tinyFolder() throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "attune-serve-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let pocket = root.appending(path: "Models/pocket")
        for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"] {
            try FileManager.default.createSymbolicLink(
                at: folder.appending(path: name), withDestinationURL: pocket.appending(path: name))
        }
        let config = try JSON(parsing: Array(Data(contentsOf: pocket.appending(path: "config.json"))))
        guard var object = config.objectValue else { throw Wire.Broken(text: "no configuration") }
        for (name, value) in [
            ("hidden_size", 64), ("intermediate_size", 96), ("num_hidden_layers", 2), ("num_attention_heads", 4),
            ("num_key_value_heads", 2), ("head_dim", 16), ("max_position_embeddings", 2048),
        ] { object[name] = JSON(value) }
        object["initializer_range"] = 0.2
        object["torch_dtype"] = "float32"
        try JSON.object(object).text().write(
            to: folder.appending(path: "config.json"), atomically: true, encoding: .utf8)
        return folder.path
    }

    static func tinyModel(_ change: (inout ServedModelOptions) -> Void = { _ in }) throws -> ServedModel {
        let folder = try tinyFolder()
        var options = ServedModelOptions()
        options.servedNames = ["tiny"]
        options.isRandom = true
        options.cacheBytes = 8 << 20
        change(&options)
        return try ServedModel.open(folder, options, backend: try CPUBackend(threads: 1))
    }

    /// A model whose every step is the test's.
    static func scriptedModel(
        _ runner: ScriptedRunner, _ change: (inout EngineOptions) -> Void = { _ in }
    ) throws -> ServedModel {
        var options = EngineOptions()
        options.endTokens = [0]
        options.maxModelLength = runner.cacheRowCount
        change(&options)
        let pocket = root.appending(path: "Models/pocket")
        return try ServedModel(
            name: "tiny",
            template: try String(contentsOf: pocket.appending(path: "chat_template.jinja"), encoding: .utf8),
            tokenizer: try Tokenizer(folder: pocket), runner: runner, options: options)
    }
}

/// Lines many threads write.
final class LineStore: Sendable {
    let lines = Mutex<[String]>([])
}

/// Gives every row the same logits; each step may wait or throw.
final class ScriptedRunner: ModelRunner {
    let vocabularySize = 6144
    let cacheRowCount: Int
    private let token: Int32
    private let beforeStep: @Sendable (InferenceBatch) throws -> Void
    private let isPoisoned: @Sendable (InferenceBatch, Int) -> Bool

    /// - Parameters:
    ///   - token: always the most likely.
    ///   - isPoisoned: whether a row of logits is not a number.
    init(
        token: Int32 = 40, cacheRowCount: Int = 4096,
        isPoisoned: @escaping @Sendable (InferenceBatch, Int) -> Bool = { _, _ in false },
        beforeStep: @escaping @Sendable (InferenceBatch) throws -> Void = { _ in }
    ) {
        self.token = token
        self.cacheRowCount = cacheRowCount
        self.isPoisoned = isPoisoned
        self.beforeStep = beforeStep
    }

    func run(_ batch: InferenceBatch, _ use: (Span<Float>) -> Void) throws {
        try beforeStep(batch)
        var logits = [Float](repeating: 0, count: batch.logitRows.count * vocabularySize)
        for (row, place) in batch.logitRows.enumerated() {
            let start = row * vocabularySize
            let value: Float = isPoisoned(batch, Int(place)) ? .nan : 0
            for column in 0..<vocabularySize { logits[start + column] = value }
            logits[start + Int(token)] += 10
        }
        use(logits.span)
    }

    func copyCacheRows(from: Range<Int>, to: Int) {}
}
