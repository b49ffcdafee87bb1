import AttuneJSON
import Foundation
import Testing

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// `attune serve` as a program: its options, its line, its answer to a signal.
@Suite struct ServeVerbTests {
    static let refused: [EngineVerbTests.Refused] = [
        .init(64, "serve"), .init(64, "serve", Program.pocket, "--model", Program.pocket),
        .init(64, "serve", Program.pocket, "--port", "70000"),
        .init(64, "serve", Program.pocket, "--load-format", "dummy", "--tool-call-parser", "pythonic"),
        .init(66, "serve", Program.pocket, "--load-format", "dummy", "--chat-template", Program.root.path + "/nowhere"),
        .init(64, "serve", Program.pocket, "--adapter", "nameless"),
        .init(64, "serve", Program.pocket, "--load-format", "dummy", "--adapter", "a/b=dir"),
        .init(64, "serve", Program.pocket, "--load-format", "dummy", "--served-model-name", "../x"),
        .init(64, "serve", Program.pocket, "--load-format", "dummy", "--max-model-len", "5000"),
        .init(64, "serve", Program.pocket, "--load-format", "gguf"),
        .init(64, "serve", Program.pocket, "--dtype", "int7"),
        .init(66, "serve", Program.root.path + "/nowhere"),
        .init(66, "serve", Program.pocket, "--load-format", "dummy", "--api-key-file", Program.root.path + "/nowhere"),
        .init(69, "serve", Program.pocket, "--load-format", "dummy", "--quiet", "--host", "256.256.256.256"),
    ]

    @Test(arguments: refused)
    func failuresHaveACode(_ refused: EngineVerbTests.Refused) throws {
        let result = try Program.run(refused.arguments)
        #expect(result.code == refused.code && result.output.isEmpty, "\(result.errors)")
        #expect(result.errors.hasPrefix("attune: "))
    }

    /// A text that would go on for long is ended at once by `--shutdown-timeout 0`, and by a second signal.
    @Test(arguments: [true, false]) func aHurryIsPossible(secondSignal: Bool) async throws {
        let process = Process()
        guard let executable = Program.executable else { throw Program.NotBuilt() }
        process.executableURL = executable
        process.arguments = [
            "serve", "--model", Program.pocket, "--served-model-name", "pocket", "--port", "0", "--threads", "1",
            "--quiet",
            "--shutdown-timeout", secondSignal ? "600" : "0",
        ]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        defer { if process.isRunning { process.terminate() } }
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let address = try #require(
            line.split(separator: " ").last.flatMap { URL(string: $0.trimmingCharacters(in: .whitespacesAndNewlines)) })
        var request = URLRequest(url: address.appending(path: "completions"))
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "content-type")
        let body: JSON = [
            "model": "pocket", "prompt": .array([JSON](repeating: "Hello", count: 16)), "max_tokens": 900, "n": 16,
            "ignore_eos": true, "temperature": 1.5,
        ]
        request.httpBody = Data(body.utf8())
        let asked = Task { [request] in try await URLSession.shared.data(for: request).0 }
        let metrics = address.deletingLastPathComponent().appending(path: "metrics")
        for _ in 0..<600 {
            let text = String(decoding: try await URLSession.shared.data(from: metrics).0, as: UTF8.self)
            if text.contains("attune:num_requests_running{model_name=\"pocket\"} 64") { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        let start = ContinuousClock.now
        process.terminate()
        if secondSignal {
            try await Task.sleep(for: .milliseconds(500))
            #expect(process.isRunning, "the first signal waits for the text")
            process.terminate()
        }
        process.waitUntilExit()
        #expect(ContinuousClock.now - start < .seconds(15))
        #expect(process.terminationStatus == (secondSignal ? 143 : 0))
        let answer = try? JSON(parsing: Array(await asked.value))
        #expect(
            secondSignal ? answer == nil : answer?["choices"]?[0]?["finish_reason"] == "abort",
            "\(String(describing: answer))")
    }

    @Test func itAnswersAndStopsOnASignal() async throws {
        let process = Process()
        guard let executable = Program.executable else { throw Program.NotBuilt() }
        process.executableURL = executable
        process.arguments = [
            "serve", Program.pocket, "--load-format", "dummy", "--served-model-name", "pocket", "--port", "0",
            "--threads", "1",
        ]
        var environment = ProcessInfo.processInfo.environment
        environment["ATTUNE_API_KEY"] = "secret"
        process.environment = environment
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        defer { if process.isRunning { process.terminate() } }
        var line = ""
        while !line.hasSuffix("\n") {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { break }
            line += String(decoding: data, as: UTF8.self)
        }
        let address = try #require(
            line.split(separator: " ").last.flatMap { URL(string: $0.trimmingCharacters(in: .whitespacesAndNewlines)) },
            "\(line)")
        #expect(line.hasPrefix("Attune serves") && address.path == "/v1")
        // Not without the key: Foundation's client for Linux never returns from a challenge.
        func status(_ key: String) async throws -> (Int, JSON) {
            var request = URLRequest(url: address.appending(path: "chat/completions"))
            request.httpMethod = "POST"
            request.setValue("application/json", forHTTPHeaderField: "content-type")
            request.setValue("Bearer \(key)", forHTTPHeaderField: "authorization")
            let body: JSON = [
                "model": "pocket", "messages": [["role": "user", "content": "Hello"]], "max_tokens": 3,
            ]
            request.httpBody = Data(body.utf8())
            let (data, response) = try await URLSession.shared.data(for: request)
            return ((response as? HTTPURLResponse)?.statusCode ?? 0, try JSON(parsing: Array(data)))
        }
        let (code, answer) = try await status("secret")
        #expect(code == 200 && answer["usage"]?["completion_tokens"] == 3, "\(answer.text())")
        process.terminate()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let told = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        #expect(told.contains("sampling defaults: temperature 1.0") && told.contains("chat template"))
        #expect(told.contains("POST /v1/chat/completions 200"))
    }
}
