import AttuneJSON
import AttuneServer
import Foundation
import Testing

/// Keys, paths, methods and heads.
@Suite struct DoorTests {
    private static let reads = ["/", "/version", "/metrics", "/v1/models", "/v1/models/tiny"]
    private static let writes = [
        "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/tokenize", "/detokenize",
    ]

    @Test func everyRouteButHealthNeedsAKey() async throws {
        let server = try await TestServer.start(TestServer.tinyModel()) { $0.apiKeys = ["secret-one", "secret-two"] }
        defer { Task { try await server.stop() } }
        let headers: [[(String, String)]] = [
            [], [("authorization", "Bearer wrong")], [("authorization", "Bearer ")], [("authorization", "Bearer")],
            [("authorization", "secret-one")], [("authorization", "Bearer secret-on")],
            [("authorization", "Bearer secret-onee")],
            [("authorization", "Basic " + Data("u:wrong".utf8).base64EncodedString())],
            [("authorization", "Basic !!!")], [("x-api-key", "secret-one")], [("authorization", "Digest secret-one")],
        ]
        let spellings: [(String) -> String] = [
            { $0 }, { "/" + $0 }, { $0.replacingOccurrences(of: "v1", with: "%761") }, { $0 + "/" },
            { $0 + "?key=secret-one" },
            { "http://localhost" + $0 }, { "/health/.." + $0 }, { "/./" + $0.dropFirst() },
        ]
        for path in Self.reads + Self.writes + ["/nowhere"] {
            for spelling in spellings {
                for method in ["GET", "POST", "HEAD", "OPTIONS", "DELETE"] where path != "/nowhere" || method == "GET" {
                    let answer = try await server.exchange(
                        Wire.bytes(method, spelling(path), body: method == "POST" ? Array("{}".utf8) : nil),
                        hasBody: method != "HEAD")
                    #expect(answer.status == 401, "\(method) \(spelling(path)): \(answer.status)")
                }
            }
            for header in headers {
                let answer = try await server.get(path, headers: header)
                #expect(answer.status == 401 && answer.error["code"] == "invalid_api_key", "\(path) \(header)")
                #expect(answer.headers["www-authenticate"] == "Bearer\nBasic realm=\"attune\"")
            }
        }
        #expect(try await server.get("/health").status == 200)
        // HTTP/2 is not spoken, with prior knowledge or after an upgrade.
        let preface = try await Wire.away { [port = server.port] in
            let wire = try Wire(port: port)
            wire.send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
            return (try? wire.head().status) ?? 0
        }
        #expect(preface == 0 || preface == 400 || preface == 401 || preface == 505, "\(preface)")
        let upgrade = try await server.get(
            "/v1/models",
            headers: [("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "")])
        #expect(upgrade.status == 401)
        // The negative: with either key, as bearer or as a browser's password, the same routes open.
        for header in [
            "Bearer secret-one", "bearer secret-two", "Basic " + Data("me:secret-two".utf8).base64EncodedString(),
        ] {
            for path in Self.reads {
                #expect(try await server.get(path, headers: [("authorization", header)]).status == 200)
            }
            for path in Self.writes {
                let answer = try await server.post(path, [:], headers: [("authorization", header)])
                #expect(answer.status == 400, "\(path): \(answer.text)")
            }
        }
    }

    @Test func withoutKeysTheDoorIsOpen() async throws {
        let server = try await TestServer.shared.value
        for path in Self.reads + ["/health"] {
            let answer = try await server.get(path)
            #expect(answer.status == 200, "\(path): \(answer.text)")
            #expect(answer.headers["x-request-id"]?.hasPrefix("req-") == true)
            let head = try await server.exchange(Wire.bytes("HEAD", path), hasBody: false)
            #expect(head.status == 200)
        }
    }

    @Test func unknownPathsAndMethods() async throws {
        let server = try await TestServer.shared.value
        for path in [
            "/v1", "//v1/models", "/v1/models/", "/V1/models", "/v1/%6dodels", "/../etc/passwd", "/etc/passwd",
            "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/responses/resp_1",
        ] {
            let answer = try await server.get(path)
            #expect(answer.status == 404 && answer.error["code"] == "not_found", "\(path): \(answer.status)")
        }
        for path in ["/v1/load_lora_adapter", "/v1/unload_lora_adapter"] {
            let answer = try await server.post(path, ["lora_name": "x", "lora_path": "/etc"])
            #expect(answer.status == 404, "adapters are named at the start only")
        }
        for name in ["other", "tiny%20", "%2e%2e%2fetc%2fpasswd", "tiny/"] {
            let answer = try await server.get("/v1/models/" + name)
            #expect(answer.status == 404 && answer.error["code"] == "model_not_found", "\(name): \(answer.status)")
        }
        let one = try await server.get("/v1/models/%74iny")
        #expect(one.status == 200 && one.json["id"] == "tiny" && one.json["object"] == "model")
        #expect(one.headers["openai-processing-ms"].flatMap { Int($0) } != nil)
        let wrong = try await server.get("/v1/chat/completions")
        #expect(wrong.status == 405 && wrong.headers["allow"] == "POST")
        let other = try await server.post("/v1/models", [:])
        #expect(other.status == 405 && other.headers["allow"] == "GET, HEAD")
        let form = try await server.post(
            "/v1/completions", [:], headers: [("content-type", "application/x-www-form-urlencoded")])
        #expect(form.status == 415)
        #expect(try await server.get("/v1/models?limit=1").status == 200)
    }

    @Test(arguments: [
        "other", "tiny ", "Tiny", "../../etc/passwd", "/etc/passwd", "tiny\u{0}", "", "tiny\n[info] forged",
    ])
    func unknownModelsAre404(name: String) async throws {
        let server = try await TestServer.shared.value
        let bodies: [(String, JSON)] = [
            ("/v1/chat/completions", ["model": .string(name), "messages": [["role": "user", "content": "x"]]]),
            ("/v1/completions", ["model": .string(name), "prompt": "x"]),
            ("/v1/responses", ["model": .string(name), "input": "x"]),
            ("/v1/embeddings", ["model": .string(name), "input": "x"]),
        ]
        for (path, body) in bodies {
            let answer = try await server.post(path, body)
            #expect(answer.status == 404 && answer.error["code"] == "model_not_found", "\(path): \(answer.text)")
            #expect(answer.error["param"] == "model")
        }
    }

    @Test func logLinesCannotBeForged() async throws {
        let server = try await TestServer.start(TestServer.tinyModel())
        defer { Task { try await server.stop() } }
        _ = try await server.get("/a%1B[31m%0aattune:forged")
        _ = try await server.chat(["model": "x\nattune: forged\u{2028}y"])
        #expect(server.lines.count >= 2)
        for line in server.lines {
            #expect(
                line.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x2028 && $0.value != 0x7F }, "\(line)"
            )
            #expect(line.hasPrefix("attune: req-"))
        }
    }

    // MARK: Heads and bodies

    @Test func bodiesAreBounded() async throws {
        let server = try await TestServer.start(TestServer.tinyModel()) { $0.maxBodyBytes = 4096 }
        defer { Task { try await server.stop() } }
        let large = try await server.chat(["user": .string(String(repeating: "x", count: 5000))])
        #expect(large.status == 413 && large.error["code"] == "request_too_large")
        #expect(try await server.chat(["user": .string(String(repeating: "x", count: 3000))]).status == 200)
        // Without a length, the bytes count.
        let port = server.port
        let chunked = try await Wire.away {
            let wire = try Wire(port: port)
            wire.send(
                Array(
                    "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
                        .utf8))
            for _ in 0..<8 {
                wire.send(Array("400\r\n".utf8) + [UInt8](repeating: 32, count: 1024) + Array("\r\n".utf8))
            }
            return try wire.answer()
        }
        #expect(chunked.status == 413)
        // What is announced need not come before the answer.
        let announced = try await Wire.away {
            let wire = try Wire(port: port)
            wire.send(
                Array(
                    "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n"
                        .utf8))
            return try wire.answer()
        }
        #expect(announced.status == 413)
    }

    @Test func headsAreBounded() async throws {
        let server = try await TestServer.shared.value
        let many = (0..<300).map { ("x-header-\($0)", "v") }
        let long = [("x-long", String(repeating: "y", count: 20 << 10))]
        let heavy = (0..<40).map { ("x-heavy-\($0)", String(repeating: "z", count: 4 << 10)) }
        for headers in [many, long, heavy] {
            let status = (try? await server.get("/health", headers: headers).status) ?? 0
            #expect(status == 400 || status == 431 || status == 0, "\(status)")
        }
        let endless = try await Wire.away { [port = server.port] in
            let wire = try Wire(port: port)
            wire.send(Array("GET /health HTTP/1.1\r\n".utf8))
            let many = Array(String(repeating: "a: b\r\n", count: 10_000).utf8)
            for _ in 0..<100 where !wire.send(many) { break }
            return (try? wire.head().status) ?? 0
        }
        #expect(endless == 400 || endless == 431 || endless == 0, "\(endless)")
        #expect(try await server.get("/health", headers: (0..<100).map { ("x-header-\($0)", "v") }).status == 200)
    }

    @Test func slowHeadsAndBodiesAreDropped() async throws {
        let server = try await TestServer.start(TestServer.tinyModel()) {
            $0.idleTimeout = .milliseconds(300)
            $0.bodyTimeout = .milliseconds(300)
        }
        defer { Task { try await server.stop() } }
        let starts = [
            "", "GET /health HT",
            "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{",
        ]
        for start in starts {
            let time = try await Wire.away { [port = server.port] in
                let wire = try Wire(port: port)
                let begin = ContinuousClock.now
                wire.send(Array(start.utf8))
                while wire.fill() {}
                return ContinuousClock.now - begin
            }
            #expect(time < .seconds(5), "\(start): \(time)")
        }
        // A head that comes drop by drop is not more alive than one that does not come.
        let dripped = try await Wire.away { [port = server.port] in
            let wire = try Wire(port: port)
            let begin = ContinuousClock.now
            for byte in "GET /health HTTP/1.1\r\nx-slow: ".utf8 + [UInt8](repeating: 97, count: 100) {
                guard wire.send([byte]), ContinuousClock.now - begin < .seconds(8) else { break }
                Thread.sleep(forTimeInterval: 0.1)
            }
            return ContinuousClock.now - begin
        }
        #expect(dripped < .seconds(5), "\(dripped)")
        #expect(try await server.get("/health").status == 200)
    }

    @Test func connectionsAreCounted() async throws {
        let server = try await TestServer.start(TestServer.tinyModel()) { $0.maxConnections = 2 }
        defer { Task { try await server.stop() } }
        let port = server.port
        let held = try await Wire.away {
            try (0..<2).map { _ in
                let wire = try Wire(port: port)
                wire.send(Wire.bytes("GET", "/health"))
                _ = try wire.answer()
                return wire
            }
        }
        let answered = Atomic64()
        let third = Task {
            let answer = try await server.get("/health")
            answered.add()
            return answer.status
        }
        try await Task.sleep(for: .milliseconds(400))
        #expect(answered.value == 0)
        held[0].disconnect()
        #expect(try await third.value == 200)
    }
}
