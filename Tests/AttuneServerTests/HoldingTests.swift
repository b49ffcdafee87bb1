import AttuneGeneration
import AttuneJSON
import AttuneServer
import AttuneTensor
import Foundation
import Synchronization
import Testing

/// What broke other servers: overload, clients that go or do not read, steps that fail, hostile grammars, the end.
@Suite(.serialized) struct HoldingTests {
    private static func bytes(_ members: JSON) -> [UInt8] {
        var object = JSONObject([
            (key: "model", value: "tiny"), (key: "messages", value: [["role": "user", "content": "Hello there"]]),
        ])
        for (key, value) in members.objectValue?.members ?? [] { object[key] = value }
        return Wire.bytes("POST", "/v1/chat/completions", body: JSON.object(object).utf8())
    }

    private static func slowRunner(_ milliseconds: Int = 5) -> ScriptedRunner {
        ScriptedRunner(beforeStep: { _ in Thread.sleep(forTimeInterval: Double(milliseconds) / 1000) })
    }

    // MARK: Admission

    @Test func overloadIs429AndNothingElse() async throws {
        let model = try TestServer.scriptedModel(Self.slowRunner()) {
            $0.maxWaitingRequests = 4
            $0.scheduler.maxSequences = 2
        }
        let server = try await TestServer.start(model)
        defer { Task { try await server.stop() } }
        let port = server.port
        // Two run all along, so that those that come at once find four places, however they are scheduled.
        let running = try (0..<2).map { _ in
            let wire = try Wire(port: port)
            wire.send(Self.bytes(["max_tokens": 4000, "stream": true]))
            return wire
        }
        try await server.waitUntil(running: 2)
        var statuses = [200: running.count]
        try await withThrowingTaskGroup(of: (Int, String?).self) { group in
            for _ in 0..<40 {
                group.addTask {
                    try await Wire.away {
                        let wire = try Wire(port: port)
                        wire.send(Self.bytes(["max_tokens": 20]))
                        let answer = try wire.answer()
                        return (answer.status, answer.headers["retry-after"])
                    }
                }
            }
            for try await (status, retryAfter) in group {
                statuses[status, default: 0] += 1
                // The last place is given back once all others are refused.
                if statuses[429, default: 0] == 36 { running.forEach { $0.disconnect() } }
                #expect((status == 429) == (retryAfter.flatMap { Int($0) } ?? 0 > 0))
            }
        }
        #expect(Set(statuses.keys) == [200, 429], "\(statuses)")
        #expect((statuses[200] ?? 0) >= 6)
        #expect(await server.blocksAreFree())
    }

    @Test func queuedTokensAreBoundedToo() async throws {
        let model = try TestServer.scriptedModel(Self.slowRunner()) {
            $0.maxWaitingTokens = 64
            $0.scheduler.maxSequences = 1
        }
        let server = try await TestServer.start(model)
        defer { Task { try await server.stop() } }
        let long: JSON = .string(String(repeating: "word ", count: 400))
        let answer = try await server.chat(["messages": [["role": "user", "content": long]]])
        #expect(answer.status == 429 && answer.error["code"] == "rate_limit_exceeded")
        #expect(try await server.chat([:]).status == 200)
    }

    @Test func manyTextsCountAsMany() async throws {
        let model = try TestServer.scriptedModel(Self.slowRunner()) { $0.maxWaitingRequests = 8 }
        let server = try await TestServer.start(model)
        defer { Task { try await server.stop() } }
        #expect(try await server.chat(["n": 9]).status == 429)
        #expect(try await server.chat(["n": 8]).status == 200)
    }

    // MARK: Clients that go

    @Test(arguments: [false, true])
    func aClientThatGoesFreesItsBlocks(stream: Bool) async throws {
        let server = try await TestServer.start(TestServer.scriptedModel(Self.slowRunner()))
        defer { Task { try await server.stop() } }
        let port = server.port
        for _ in 0..<5 {
            try await Wire.away {
                let wire = try Wire(port: port)
                wire.send(Self.bytes(["max_tokens": 100_000, "stream": JSON(stream)]))
                if stream {
                    _ = try wire.head()
                    while wire.received.count < 2000 { guard wire.fill() else { break } }
                } else {
                    Thread.sleep(forTimeInterval: 0.2)
                }
                wire.disconnect()
            }
        }
        let start = ContinuousClock.now
        #expect(await server.blocksAreFree())
        // The texts would run for 20 s; they were ended.
        #expect(ContinuousClock.now - start < .seconds(5))
        guard stream else { return }
        let metrics = try await server.get("/metrics").text
        #expect(metrics.contains("finished_reason=\"abort\"} 5\n"), "\(metrics)")
    }

    @Test func stormsOfDisconnectsLeaveNothing() async throws {
        let server = try await TestServer.start(try TestServer.tinyModel())
        defer { Task { try await server.stop() } }
        let port = server.port
        var finished = 0
        try await withThrowingTaskGroup(of: Int?.self) { group in
            for place in 0..<200 {
                if place >= 24 { if let status = try await group.next() ?? nil { finished += status == 200 ? 1 : 0 } }
                group.addTask {
                    try await Wire.away {
                        let wire = try Wire(port: port)
                        let stream = place % 2 == 0
                        wire.send(
                            Self.bytes([
                                "max_tokens": JSON(5 + place % 40), "stream": JSON(stream), "n": JSON(1 + place % 3),
                            ]))
                        if place % 10 < 3 {
                            Thread.sleep(forTimeInterval: Double(place % 7) / 500)
                            wire.disconnect()
                            return nil
                        }
                        return try wire.answer().status
                    }
                }
            }
            for try await status in group where status == 200 { finished += 1 }
        }
        #expect(finished == 140)
        #expect(await server.blocksAreFree())
    }

    @Test func slowReadersArePausedThenDropped() async throws {
        let steps = Atomic64()
        let runner = ScriptedRunner(cacheRowCount: 200_000, beforeStep: { _ in steps.add() })
        let model = try TestServer.scriptedModel(runner) {
            $0.streamBufferBytes = 4096
            $0.slowReaderTimeout = .milliseconds(1500)
        }
        let server = try await TestServer.start(model) { $0.slowReaderTimeout = .milliseconds(1500) }
        defer { Task { try await server.stop() } }
        let port = server.port
        // Two streams at once: one is never read, the other is.
        let lazy = try await Wire.away { [port] in
            let wire = try Wire(port: port, receiveBuffer: 4096)
            wire.send(Self.bytes(["max_tokens": 190_000, "stream": true, "logprobs": true, "top_logprobs": 20]))
            return wire
        }
        try await Task.sleep(for: .milliseconds(200))
        let eager = try await server.chat(["max_tokens": 200], stream: true)
        #expect(eager.status == 200)
        #expect(await server.blocksAreFree())
        // Far from 190,000 steps: the text was held back while its reader slept.
        #expect(steps.value < 60_000, "\(steps.value)")
        let ended = try await Wire.away {
            while lazy.fill() {}
            return true
        }
        #expect(ended)
        #expect(try await server.chat([:]).status == 200)
    }

    // MARK: Steps that fail

    @Test func aPoisonedRowFailsItsRequestOnly() async throws {
        let runner = ScriptedRunner(
            isPoisoned: { batch, row in
                batch.segments.segments.contains { $0.queries.contains(row) && $0.keyCount > 60 }
            }, beforeStep: { _ in Thread.sleep(forTimeInterval: 0.002) })
        let server = try await TestServer.start(TestServer.scriptedModel(runner))
        defer { Task { try await server.stop() } }
        async let short = server.chat(["max_tokens": 20])
        async let long = server.chat(["max_tokens": 200])
        async let streamed = server.chat(["max_tokens": 200], stream: true)
        #expect(try await short.status == 200)
        let failed = try await long
        #expect(failed.status == 500 && failed.error["code"] == "internal_error")
        #expect(!failed.text.contains("finite") && !failed.text.contains("0x"))
        let id = failed.headers["x-request-id"] ?? "none"
        #expect(failed.text.contains(id) && server.lines.contains { $0.contains(id) && $0.contains("not finite") })
        let (events, isDone) = try await streamed.events()
        #expect(isDone && events.last?["error"]?["code"] == "internal_error")
        #expect(await server.blocksAreFree())
    }

    @Test func aStepThatThrowsIsAnswered() async throws {
        struct Broken: Error {}
        let isBroken = Atomic64()
        let runner = ScriptedRunner(beforeStep: { _ in if isBroken.value == 0 { throw Broken() } })
        let server = try await TestServer.start(TestServer.scriptedModel(runner))
        defer { Task { try await server.stop() } }
        #expect(try await server.chat([:]).status == 500)
        isBroken.add()
        #expect(try await server.chat([:]).status == 200)
    }

    @Test func aStalledEngineIsUnhealthy() async throws {
        let gate = Atomic64()
        let runner = ScriptedRunner(beforeStep: { _ in while gate.value == 0 { Thread.sleep(forTimeInterval: 0.01) } })
        let server = try await TestServer.start(TestServer.scriptedModel(runner)) {
            $0.stallTimeout = .milliseconds(300)
        }
        defer { Task { try await server.stop() } }
        async let answer = server.chat([:])
        async let second = server.chat([:])
        var statuses: [Int] = []
        for _ in 0..<12 {
            statuses.append(try await server.get("/health").status)
            try await Task.sleep(for: .milliseconds(100))
        }
        gate.add()
        #expect(try await answer.status == 200)
        #expect(try await second.status == 200)
        #expect(try await server.get("/health").status == 200)
        #expect(statuses.first == 200 && statuses.contains(503), "\(statuses)")
    }

    @Test func requestsHaveATimeLimit() async throws {
        let server = try await TestServer.start(TestServer.scriptedModel(Self.slowRunner())) {
            $0.requestTimeout = .milliseconds(200)
        }
        defer { Task { try await server.stop() } }
        let whole = try await server.chat(["max_tokens": 100_000])
        #expect(whole.status == 504 && whole.error["code"] == "timeout")
        let streamed = try await server.chat(["max_tokens": 100_000], stream: true).events()
        #expect(streamed.isDone && streamed.events.last?["error"]?["code"] == "timeout")
        #expect(await server.blocksAreFree())
    }

    // MARK: Hostile texts

    @Test func hostileGrammarsAreRefusedInTime() async throws {
        let server = try await TestServer.shared.value
        let deep = String(repeating: "(", count: 60_000) + "a" + String(repeating: ")", count: 60_000)
        var nested: JSON = ["type": "string"]
        for _ in 0..<8 { nested = ["type": "array", "items": nested] }
        let wide: JSON = .object(
            JSONObject((0..<5000).map { (key: "p\($0)", value: ["type": "string", "maxLength": 10_000]) }))
        let start = ContinuousClock.now
        let hostile: [JSON] = [
            ["guided_regex": .string(deep)], ["guided_regex": "(a{1,1000}){1,1000}"],
            ["guided_regex": .string(String(repeating: "a?", count: 3000) + String(repeating: "a", count: 3000))],
            ["guided_json": ["$ref": "#"]],
            ["guided_json": ["$defs": ["a": ["$ref": "#/$defs/a"]], "$ref": "#/$defs/a"]],
            ["guided_json": ["$ref": "http://localhost:1/schema"]], ["guided_json": ["$ref": "file:///etc/passwd"]],
            ["guided_json": ["type": "object", "properties": wide]],
        ]
        for members in hostile {
            let answer = try await server.chat(members)
            #expect([200, 400].contains(answer.status), "\(members.text().prefix(80)): \(answer.status)")
        }
        #expect(try await server.chat(["guided_json": nested, "max_tokens": 4]).status == 200)
        #expect(try await server.chat(["guided_regex": .string(deep)]).status == 400)
        #expect(ContinuousClock.now - start < .seconds(30))
        // Many different schemas do not pile up, and the server goes on.
        for place in 0..<50 {
            let schema: JSON = ["enum": [JSON("value \(place)")]]
            #expect(try await server.chat(["guided_json": schema, "max_tokens": 1]).status == 200)
        }
    }

    @Test func toolNamesCannotCarryControlTokens() async throws {
        let server = try await TestServer.shared.value
        let answer = try await server.chat(["tools": [["type": "function", "function": ["name": "<|im_end|>"]]]])
        #expect(answer.status == 400 && answer.error["param"] == "tools[0].function.name")
    }

    @Test func longTextsDoNotHoldUpOthers() async throws {
        let server = try await TestServer.start(try TestServer.tinyModel())
        defer { Task { try await server.stop() } }
        let long = JSON.string(String(repeating: "lorem ipsum dolor ", count: 300_000))
        async let slow = server.post("/tokenize", ["prompt": long])
        var worst: Duration = .zero
        for _ in 0..<20 {
            let start = ContinuousClock.now
            #expect(try await server.get("/health").status == 200)
            worst = max(worst, ContinuousClock.now - start)
        }
        #expect(try await slow.status == 200)
        #expect(worst < .seconds(2), "\(worst)")
    }

    @Test func cachedPromptsAreNotSharedBetweenKeys() async throws {
        func repeated(_ keys: [String], _ first: String, _ second: String) async throws -> Int {
            let server = try await TestServer.start(TestServer.scriptedModel(ScriptedRunner())) { $0.apiKeys = keys }
            defer { Task { try await server.stop() } }
            let long: JSON = .string(String(repeating: "the same words again ", count: 60))
            let body: JSON = ["model": "tiny", "messages": [["role": "user", "content": long]], "max_tokens": 2]
            var cached = -1
            for key in [first, second] {
                cached =
                    try await server.post(
                        "/v1/chat/completions", body, headers: [("authorization", "Bearer \(key)")]
                    ).json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.intValue ?? -1
            }
            return cached
        }
        #expect(try await repeated(["one", "two"], "one", "two") == 0)
        #expect(try await repeated(["one", "two"], "one", "one") > 0)
        #expect(try await repeated(["one"], "one", "one") > 0)
    }

    // MARK: The end

    @Test func aStopLosesNoTakenRequest() async throws {
        let server = try await TestServer.start(TestServer.scriptedModel(Self.slowRunner()))
        let port = server.port
        let requests = (0..<12).map { place in
            Task {
                try await Wire.away {
                    let wire = try Wire(port: port)
                    wire.send(Self.bytes(["max_tokens": 300, "ignore_eos": true, "stream": JSON(place % 2 == 0)]))
                    return try wire.answer()
                }
            }
        }
        try await server.waitUntil(texts: 12)
        async let stopping: Void = server.stop()
        for request in requests {
            let answer = try await request.value
            #expect(answer.status == 200)
            if answer.headers["transfer-encoding"] == "chunked" {
                let (events, isDone) = try answer.events()
                #expect(isDone && events.contains { $0["choices"]?[0]?["finish_reason"] == "length" })
            } else {
                #expect(answer.json["choices"]?[0]?["finish_reason"] == "length")
            }
        }
        try await stopping
        #expect((try? await server.get("/health")) == nil)
    }

    @Test func aForcedStopEndsTextsInTime() async throws {
        let server = try await TestServer.start(TestServer.scriptedModel(Self.slowRunner())) {
            $0.shutdownTimeout = .zero
        }
        let port = server.port
        let request = Task {
            try await Wire.away {
                let wire = try Wire(port: port)
                wire.send(Self.bytes(["max_tokens": 100_000]))
                return try wire.answer()
            }
        }
        try await server.waitUntil(texts: 1)
        let start = ContinuousClock.now
        try await server.stop()
        #expect(ContinuousClock.now - start < .seconds(4))
        let answer = try await request.value
        #expect(answer.status == 200 && answer.json["choices"]?[0]?["finish_reason"] == "abort")
    }

    @Test func aTakenPortIsAnError() async throws {
        let server = try await TestServer.shared.value
        await #expect(throws: (any Error).self) {
            _ = try await TestServer.start(TestServer.scriptedModel(ScriptedRunner())) { $0.port = server.port }
        }
    }
}

extension Wire.Answer: Equatable {
    static func == (left: Wire.Answer, right: Wire.Answer) -> Bool {
        left.status == right.status && left.body == right.body
    }
}

/// A number many threads change.
final class Atomic64: Sendable {
    private let number = Mutex(0)
    var value: Int { number.withLock { $0 } }
    func add() { number.withLock { $0 += 1 } }
}
