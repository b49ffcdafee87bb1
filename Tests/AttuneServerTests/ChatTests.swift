import AttuneJSON
import AttuneServer
import AttuneText
import Foundation
import Testing

/// Answers of `/v1/chat/completions` and `/v1/completions`, whole and streamed.
@Suite struct ChatTests {
    static let weather: JSON = [
        "type": "function",
        "function": [
            "name": "get_weather", "description": "The weather of a city",
            "parameters": [
                "type": "object", "properties": ["city": ["enum": ["Paris", "Oslo"]], "celsius": ["type": "boolean"]],
                "required": ["city", "celsius"], "additionalProperties": false,
            ],
        ],
    ]

    /// Text of choice `index` joined from a stream's chunks.
    static func joined(_ events: [JSON], _ index: Int = 0) -> String {
        events.flatMap { $0["choices"]?.arrayValue ?? [] }.filter { $0["index"]?.intValue == index }
            .compactMap { $0["delta"]?["content"]?.stringValue ?? $0["text"]?.stringValue }.joined()
    }

    @Test func anAnswerHasOpenAIsForm() async throws {
        let server = try await TestServer.shared.value
        let answer = try await server.chat(["temperature": 0])
        #expect(answer.status == 200 && answer.headers["content-type"] == "application/json")
        let json = answer.json
        #expect(json["object"] == "chat.completion" && json["model"] == "tiny")
        #expect(
            json["id"]?.stringValue?.hasPrefix("chatcmpl-") == true && (json["created"]?.intValue ?? 0) > 1_700_000_000)
        let choice = try #require(json["choices"]?[0])
        #expect(choice["message"]?["role"] == "assistant" && choice["message"]?["content"]?.stringValue != nil)
        #expect(choice["finish_reason"] == "length" && choice["logprobs"]?.isNull == true)
        let usage = try #require(json["usage"])
        #expect(usage["completion_tokens"] == 12)
        #expect(
            usage["total_tokens"]?.intValue == (usage["prompt_tokens"]?.intValue ?? 0) + 12
                && (usage["prompt_tokens"]?.intValue ?? 0) > 5)
    }

    @Test(arguments: [1, 3])
    func streamsSayTheSame(n: Int) async throws {
        let server = try await TestServer.shared.value
        let members: JSON = ["seed": 7, "temperature": 1.2, "n": JSON(n), "max_tokens": 40]
        let whole = try await server.chat(members)
        var streamed = members.objectValue ?? JSONObject()
        streamed["stream_options"] = ["include_usage": true]
        let answer = try await server.chat(.object(streamed), stream: true)
        #expect(answer.headers["content-type"]?.hasPrefix("text/event-stream") == true)
        let (events, isDone) = try answer.events()
        #expect(isDone)
        #expect(Set(events.compactMap { $0["id"]?.stringValue }).count == 1)
        #expect(events.allSatisfy { $0["object"] == "chat.completion.chunk" })
        for index in 0..<n {
            let choice = try #require(whole.json["choices"]?[index])
            #expect(Self.joined(events, index) == choice["message"]?["content"]?.stringValue)
            let ends = events.compactMap { $0["choices"]?[0] }
                .filter { $0["index"]?.intValue == index && $0["finish_reason"]?.isNull == false }
            #expect(ends.count == 1 && ends.first?["finish_reason"] == choice["finish_reason"])
        }
        #expect(events.first?["choices"]?[0]?["delta"] == ["role": "assistant", "content": ""])
        let last = try #require(events.last)
        #expect(
            last["choices"] == [] && last["usage"]?["completion_tokens"] == whole.json["usage"]?["completion_tokens"])
        #expect(events.dropLast().allSatisfy { $0["usage"]?.isNull == true })
        streamed["stream_options"] = ["include_usage": true, "continuous_usage_stats": true]
        let counted = try await server.chat(.object(streamed), stream: true).events().events
        let counts = counted.map { $0["usage"]?["completion_tokens"]?.intValue ?? -1 }
        #expect(
            counts.first == 0 && counts == counts.sorted()
                && counts.last == last["usage"]?["completion_tokens"]?.intValue)
        let silent = try await server.chat(["max_tokens": 2], stream: true).events()
        #expect(silent.events.allSatisfy { $0["usage"] == nil })
    }

    @Test func seedsRepeatAndDiffer() async throws {
        let server = try await TestServer.shared.value
        func text(_ seed: Int) async throws -> String? {
            try await server.chat(["seed": JSON(seed), "max_tokens": 24]).json["choices"]?[0]?["message"]?["content"]?
                .stringValue
        }
        let first = try await text(1)
        #expect(try await text(1) == first)
        #expect(try await text(2) != first)
        #expect(try await text(-1) != first)
    }

    @Test func logprobsListEveryToken() async throws {
        let server = try await TestServer.shared.value
        let members: JSON = ["temperature": 0, "logprobs": true, "top_logprobs": 3]
        let content = try #require(
            try await server.chat(members).json["choices"]?[0]?["logprobs"]?["content"]?.arrayValue)
        #expect(content.count == 12)
        for entry in content {
            let top = try #require(entry["top_logprobs"]?.arrayValue)
            #expect(top.count == 3 && top[0]["token"] == entry["token"] && top[0]["logprob"] == entry["logprob"])
            #expect((entry["logprob"]?.doubleValue ?? 1) <= 0)
            let bytes = try #require(entry["bytes"]?.arrayValue?.compactMap(\.intValue).map { UInt8($0) })
            #expect(String(decoding: bytes, as: UTF8.self) == entry["token"]?.stringValue)
        }
        let events = try await server.chat(members, stream: true).events().events
        let streamed = events.flatMap { $0["choices"]?[0]?["logprobs"]?["content"]?.arrayValue ?? [] }
        #expect(streamed == content)
        let bare = try await server.chat(["logprobs": true]).json["choices"]?[0]?["logprobs"]?["content"]
        #expect(bare?[0]?["top_logprobs"] == [])
    }

    @Test func samplingOptionsReachTheEngine() async throws {
        let server = try await TestServer.shared.value
        func content(_ members: JSON) async throws -> String {
            try await server.chat(members).json["choices"]?[0]?["message"]?["content"]?.stringValue ?? ""
        }
        let plain = try await content(["temperature": 0])
        #expect(try await content(["temperature": 0, "logit_bias": ["40": 100]]) != plain)
        let biased = try await server.chat(["logit_bias": ["40": 100], "max_tokens": 5, "logprobs": true])
        let tokens = biased.json["choices"]?[0]?["logprobs"]?["content"]?.arrayValue?.map { $0["token"] }
        #expect(Set(tokens?.compactMap { $0?.stringValue } ?? []).count == 1)
        // The penalty moves a token that would come for ever.
        let free = try await content([
            "temperature": 0, "logit_bias": ["40": 100], "repetition_penalty": 10, "frequency_penalty": 2,
        ])
        #expect(free != (try await content(["temperature": 0, "logit_bias": ["40": 100]])))
        #expect(try await content(["temperature": 2, "seed": 3, "top_k": 1]) == plain)
        #expect(try await content(["temperature": 2, "seed": 3, "top_p": 0.00001]) == plain)
        #expect(try await content(["temperature": 2, "seed": 3, "min_p": 1]) == plain)
        #expect(try await content(["temperature": 2, "seed": 3]) != plain)
        // A stop text in the middle of the greedy answer cuts it there.
        let middle = String(plain.dropFirst(plain.count / 2).prefix(4))
        let stopped = try await server.chat(["temperature": 0, "stop": .string(middle)])
        let choice = try #require(stopped.json["choices"]?[0])
        #expect(choice["finish_reason"] == "stop")
        let text = choice["message"]?["content"]?.stringValue ?? ""
        #expect(plain.hasPrefix(text) && text.utf8.count < plain.utf8.count && !text.contains(middle))
        let kept = try await content(["temperature": 0, "stop": .string(middle), "include_stop_str_in_output": true])
        #expect(kept.hasPrefix(text) && kept.contains(middle))
        let byID = try await server.chat(["logit_bias": ["40": 100], "stop_token_ids": [40]])
        #expect(byID.json["usage"]?["completion_tokens"] == 1)
        let late = try await server.chat(["logit_bias": ["40": 100], "stop_token_ids": [40], "min_tokens": 4])
        #expect(late.json["usage"]?["completion_tokens"] == 5)
        let ended = try await server.chat(["logit_bias": ["0": 100]])
        #expect(ended.json["choices"]?[0]?["finish_reason"] == "stop")
        let past = try await server.chat(["logit_bias": ["0": 100], "ignore_eos": true])
        #expect(past.json["choices"]?[0]?["finish_reason"] == "length")
    }

    @Test func rolesAndPartsAreTaken() async throws {
        let server = try await TestServer.shared.value
        func count(_ messages: JSON) async throws -> JSON? {
            try await server.post("/tokenize", ["messages": messages]).json["tokens"]
        }
        let plain = try await count([["role": "system", "content": "S"], ["role": "user", "content": "a\nb"]])
        let parts = try await count([
            ["role": "developer", "content": "S"],
            ["role": "user", "content": [["type": "text", "text": "a"], ["type": "text", "text": "b"]]],
        ])
        #expect(plain == parts && plain != nil)
        let call: JSON = [
            "id": "call_1", "type": "function", "function": ["name": "f", "arguments": "{\"a\":1}"],
        ]
        let answer = try await server.chat([
            "messages": [
                ["role": "user", "content": "x"], ["role": "assistant", "content": .null, "tool_calls": [call]],
                ["role": "tool", "tool_call_id": "call_1", "content": "7"],
            ]
        ])
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test func continuingTheLastMessageLeavesItOpen() async throws {
        let server = try await TestServer.shared.value
        let messages: JSON = [["role": "user", "content": "Hi"], ["role": "assistant", "content": "Sure, it is"]]
        let tokens = try await server.post(
            "/tokenize", ["messages": messages, "continue_final_message": true, "add_generation_prompt": false]
        ).json["tokens"]
        let text = try await server.post("/detokenize", ["tokens": tokens ?? []]).json["prompt"]?.stringValue
        #expect(text?.hasSuffix("<|im_start|>assistant\nSure, it is") == true, "\(text ?? "")")
    }

    // MARK: Tools and forms

    @Test(arguments: [false, true])
    func demandedCallsAreValid(stream: Bool) async throws {
        let server = try await TestServer.shared.value
        let named: JSON = ["type": "function", "function": ["name": "get_weather"]]
        for (choice, reason) in [("required" as JSON, "tool_calls"), (named, "stop")] {
            let members: JSON = [
                "tools": [Self.weather], "tool_choice": choice, "max_tokens": 120, "parallel_tool_calls": false,
            ]
            let answer = try await server.chat(members, stream: stream)
            #expect(answer.status == 200, "\(answer.text)")
            var name: String?
            var id: String?
            var arguments = ""
            var end: JSON?
            if stream {
                for event in try answer.events().events {
                    let choice = event["choices"]?[0]
                    if let call = choice?["delta"]?["tool_calls"]?[0] {
                        #expect(call["index"] == 0)
                        id = call["id"]?.stringValue ?? id
                        name = call["function"]?["name"]?.stringValue ?? name
                        arguments += call["function"]?["arguments"]?.stringValue ?? ""
                    }
                    #expect((choice?["delta"]?["content"]?.stringValue ?? "") == "")
                    if choice?["finish_reason"]?.isNull == false { end = choice?["finish_reason"] }
                }
            } else {
                let message = answer.json["choices"]?[0]?["message"]
                #expect(message?["content"]?.isNull == true)
                let call = message?["tool_calls"]?[0]
                id = call?["id"]?.stringValue
                name = call?["function"]?["name"]?.stringValue
                arguments = call?["function"]?["arguments"]?.stringValue ?? ""
                end = answer.json["choices"]?[0]?["finish_reason"]
            }
            #expect(name == "get_weather" && id?.hasPrefix("call_") == true && end?.stringValue == reason)
            let parsed = try JSON(parsing: arguments)
            #expect(["Paris", "Oslo"].contains(parsed["city"]?.stringValue) && parsed["celsius"]?.boolValue != nil)
        }
    }

    /// The way calls are demanded is the way the template shows them.
    @Test(
        arguments: [
            ("[TOOL_CALLS]{{ m.x }}[ARGS]", "mistral", nil),
            ("[TOOL_CALLS]{{ m.x }}[CALL_ID]{{ m.id }}[ARGS]", "mistral", nil),
            ("[TOOL_CALLS][{{ m.x }}]", "mistral", nil), ("<|python_tag|>", "llama3", nil), ("", "json", nil),
            ("", "hermes", ToolCallFormat.hermes),
        ] as [(String, String, ToolCallFormat?)])
    func callsFollowTheTemplate(shown: String, format: String, given: ToolCallFormat?) async throws {
        let model = try TestServer.tinyModel {
            $0.chatTemplate = "{# \(shown) #}{% for m in messages %}{{ m.content }}{% endfor %}{{ tools | tojson }}"
            $0.toolFormat = given
        }
        #expect(model.startLines.contains { $0.hasSuffix("the chat template given, tool calls as \(format)") })
        let server = try await TestServer.start(model)
        defer { Task { try await server.stop() } }
        let answer = try await server.chat([
            "tools": [Self.weather], "tool_choice": "required", "max_tokens": 150, "parallel_tool_calls": false,
        ])
        let choice = answer.json["choices"]?[0]
        let call = choice?["message"]?["tool_calls"]?[0]
        #expect(
            choice?["finish_reason"] == "tool_calls" && call?["function"]?["name"] == "get_weather", "\(answer.text)")
        let arguments = try JSON(parsing: call?["function"]?["arguments"]?.stringValue ?? "")
        #expect(["Paris", "Oslo"].contains(arguments["city"]?.stringValue))
        // Offered only, an answer is text or whole calls.
        for seed in 0..<6 {
            let free = try await server.chat([
                "tools": [Self.weather], "max_tokens": 60, "temperature": 2, "seed": JSON(seed),
                "logit_bias": ["\(seed % 2 == 0 ? 92 : 5)": 50],
            ])
            let message = free.json["choices"]?[0]?["message"]
            for call in message?["tool_calls"]?.arrayValue ?? []
            where free.json["choices"]?[0]?["finish_reason"] != "length" {
                let text = call["function"]?["arguments"]?.stringValue ?? ""
                #expect((try? JSON(parsing: text))?["city"] != nil, "\(free.text)")
            }
            #expect(free.status == 200, "\(free.text)")
        }
    }

    @Test func withoutADemandToolsAreOnlyOffered() async throws {
        let server = try await TestServer.shared.value
        let free = try await server.chat(["tools": [Self.weather], "temperature": 0])
        #expect(free.status == 200)
        let none = try await server.chat(["tools": [Self.weather], "tool_choice": "none", "temperature": 0])
        let plain = try await server.chat(["temperature": 0])
        #expect(none.json["choices"]?[0]?["message"] == plain.json["choices"]?[0]?["message"])
        #expect(free.json["usage"]?["prompt_tokens"] != plain.json["usage"]?["prompt_tokens"])
    }

    @Test func formsOfAnswersAreKept() async throws {
        let server = try await TestServer.shared.value
        func content(_ members: JSON) async throws -> String {
            let answer = try await server.chat(members)
            #expect(answer.status == 200, "\(answer.text)")
            return answer.json["choices"]?[0]?["message"]?["content"]?.stringValue ?? ""
        }
        let schema: JSON = [
            "type": "object", "properties": ["label": ["enum": ["spam", "ham"]], "sure": ["type": "boolean"]],
            "required": ["label", "sure"], "additionalProperties": false,
        ]
        for members in [
            [
                "response_format": [
                    "type": "json_schema", "json_schema": ["name": "a", "strict": true, "schema": schema],
                ],
                "max_tokens": 60, "temperature": 2,
            ], ["guided_json": schema, "max_tokens": 60], ["structured_outputs": ["json": schema], "max_tokens": 60],
        ] as [JSON] {
            let value = try JSON(parsing: try await content(members))
            #expect(["spam", "ham"].contains(value["label"]?.stringValue) && value["sure"]?.boolValue != nil)
        }
        let pattern = try await content(["guided_regex": "[0-9]{3}-[ab]{2}", "temperature": 2])
        #expect(try pattern.wholeMatch(of: Regex("[0-9]{3}-[ab]{2}")) != nil, "\(pattern)")
        for _ in 0..<4 {
            #expect(
                ["left", "right"].contains(try await content(["guided_choice": ["left", "right"], "temperature": 2])))
        }
        let object = try await content([
            "response_format": ["type": "json_object"], "max_tokens": 20,
        ])
        #expect(object.hasPrefix("{"))
        let text = try await server.chat(["response_format": ["type": "text"], "temperature": 0])
        #expect(text.json["choices"] == (try await server.chat(["temperature": 0])).json["choices"])
        let both = try await server.chat(["guided_choice": ["a"], "guided_regex": "b"])
        #expect(both.status == 400)
        // Tools and a schema together: either a call or the schema.
        let either = try await server.chat([
            "tools": [Self.weather], "max_tokens": 120,
            "response_format": ["type": "json_schema", "json_schema": ["name": "a", "schema": schema]],
        ])
        let message = either.json["choices"]?[0]?["message"]
        let value = try? JSON(parsing: message?["content"]?.stringValue ?? "")
        #expect(message?["tool_calls"] != nil || value?["label"] != nil, "\(either.text)")
    }

    // MARK: Completions

    @Test func completionsContinueTextsAndTokens() async throws {
        let server = try await TestServer.shared.value
        func post(_ members: JSON) async throws -> JSON {
            var object = JSONObject([
                (key: "model", value: "tiny"), (key: "prompt", value: "Once upon a time"),
                (key: "temperature", value: 0),
            ])
            for (key, value) in members.objectValue?.members ?? [] { object[key] = value }
            let answer = try await server.post("/v1/completions", .object(object))
            #expect(answer.status == 200, "\(answer.text)")
            return answer.json
        }
        let plain = try await post([:])
        #expect(plain["object"] == "text_completion" && plain["usage"]?["completion_tokens"] == 16)
        let ids = try await server.post("/tokenize", ["model": "tiny", "prompt": "Once upon a time"]).json["tokens"]
        #expect(try await post(["prompt": ids ?? []])["choices"] == plain["choices"])
        let several = try await post(["prompt": ["Once upon a time", "Two"], "n": 2, "temperature": 1, "seed": 1])
        #expect(several["choices"]?.arrayValue?.compactMap { $0["index"]?.intValue } == [0, 1, 2, 3])
        let echo = try await post(["echo": true])
        let text = plain["choices"]?[0]?["text"]?.stringValue ?? ""
        #expect(echo["choices"]?[0]?["text"]?.stringValue == "Once upon a time" + text)
        let scored = try await post(["echo": true, "max_tokens": 0, "logprobs": 2])
        let log = try #require(scored["choices"]?[0]?["logprobs"])
        #expect(log["tokens"]?.arrayValue?.count == ids?.arrayValue?.count)
        #expect(log["token_logprobs"]?[0]?.isNull == true && (log["token_logprobs"]?[1]?.doubleValue ?? 1) < 0)
        #expect(log["text_offset"]?[0] == 0 && (log["top_logprobs"]?[1]?.objectValue?.count ?? 0) >= 2)
        #expect(scored["choices"]?[0]?["text"] == "Once upon a time")
        // Streamed, with echo and several prompts.
        let answer = try await server.post(
            "/v1/completions",
            [
                "model": "tiny", "prompt": ["Once upon a time", "Two"], "temperature": 0, "stream": true, "echo": true,
                "logprobs": 1, "stream_options": ["include_usage": true],
            ])
        let (events, isDone) = try answer.events()
        #expect(isDone && Self.joined(events) == "Once upon a time" + text)
        #expect(events.last?["usage"]?["completion_tokens"] == 32)
        let logged = events.filter { $0["choices"]?[0]?["index"] == 0 }
            .flatMap { $0["choices"]?[0]?["logprobs"]?["token_logprobs"]?.arrayValue ?? [] }
        #expect(logged.count == 16 + (ids?.arrayValue?.count ?? 0))
    }

    @Test func tooLongPromptsSaySo() async throws {
        let server = try await TestServer.shared.value
        let answer = try await server.chat([
            "messages": [["role": "user", "content": .string(String(repeating: "hello world ", count: 3000))]]
        ])
        #expect(answer.status == 400 && answer.error["code"] == "context_length_exceeded")
        #expect(answer.error["param"] == "messages")
        // A limit beyond the context is no error; the answer ends where the context does.
        #expect(try await server.chat(["max_tokens": 1_000_000, "logit_bias": ["0": 100]]).status == 200)
    }

    // MARK: The rest

    @Test func tokenizeAndBack() async throws {
        let server = try await TestServer.shared.value
        let text = "Grüße, 世界! <|im_start|>"
        let answer = try await server.post("/tokenize", ["prompt": .string(text), "return_token_strs": true]).json
        #expect(answer["count"]?.intValue == answer["tokens"]?.arrayValue?.count && answer["max_model_len"] == 2048)
        #expect(answer["token_strs"]?.arrayValue?.count == answer["tokens"]?.arrayValue?.count)
        let back = try await server.post("/detokenize", ["tokens": answer["tokens"] ?? []]).json
        #expect(back["prompt"]?.stringValue == text)
    }

    @Test func embeddingsAreUnitMeans() async throws {
        let server = try await TestServer.shared.value
        let answer = try await server.post("/v1/embeddings", ["model": "tiny", "input": ["one", "two two", "one"]]).json
        let vectors = (answer["data"]?.arrayValue ?? []).map {
            ($0["embedding"]?.arrayValue ?? []).compactMap(\.doubleValue)
        }
        #expect(vectors.count == 3 && vectors.allSatisfy { $0.count == 64 })
        for vector in vectors { #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-4) }
        #expect(vectors[0] == vectors[2] && vectors[0] != vectors[1])
        #expect(answer["pooling"]?.stringValue?.contains("mean") == true)
        let packed = try await server.post(
            "/v1/embeddings", ["model": "tiny", "input": "one", "encoding_format": "base64"]
        ).json
        let bytes = Data(base64Encoded: packed["data"]?[0]?["embedding"]?.stringValue ?? "") ?? Data()
        let floats = bytes.withUnsafeBytes { raw in
            (0..<64).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
        #expect(floats.map { Double($0) } == vectors[0])
    }

    @Test func modelsAndMetrics() async throws {
        let server = try await TestServer.shared.value
        _ = try await server.chat([:])
        let list = try await server.get("/v1/models").json
        #expect(list["object"] == "list" && list["data"]?[0]?["id"] == "tiny" && list["data"]?[0]?["object"] == "model")
        #expect(list["data"]?[0]?["max_model_len"] == 2048)
        let text = try await server.get("/metrics").text
        for name in [
            "num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prefix_cache_queries_total",
            "prefix_cache_hits_total", "prompt_tokens_total", "generation_tokens_total", "request_success_total",
            "request_prompt_tokens_bucket", "request_generation_tokens_sum", "time_to_first_token_seconds_count",
            "inter_token_latency_seconds_bucket", "e2e_request_latency_seconds_bucket",
            "request_queue_time_seconds_sum",
            "request_prefill_time_seconds_sum", "request_decode_time_seconds_sum",
        ] { #expect(text.contains("\nattune:\(name){model_name=\"tiny\""), "\(name)") }
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            #expect(line.split(separator: " ").last.flatMap { Double($0) } != nil, "\(line)")
        }
        #expect(try await server.get("/version").json["version"]?.stringValue?.isEmpty == false)
        let page = try await server.get("/")
        #expect(page.headers["content-type"] == "text/html; charset=utf-8" && page.text.contains("v1/chat/completions"))
        #expect(!page.text.contains("http://") && !page.text.contains("https://") && !page.text.contains("innerHTML"))
    }
}
