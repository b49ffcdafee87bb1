import AttuneJSON
import Foundation
import Testing

/// Wrong parameters: each is a 400 that names the parameter.
@Suite struct ParameterTests {
    /// A request that must fail.
    struct Wrong: Sendable, CustomTestStringConvertible {
        var path: String
        var name: String
        var value: JSON
        var param: String
        var testDescription: String { "\(path) \(name)=\(value.text().prefix(60))" }
    }

    /// Values that are wrong for a number within a range, for a flag, and so on.
    private static func bad(_ kind: String) -> [JSON] {
        switch kind {
        case "number": ["hot", true, [], [:], 1e300, -1e300, 101, -101]
        case "count": ["1", true, 1.5, [], [:], -5, 1e300]
        case "flag": ["yes", 1, [], [:]]
        case "text": [1, true, [], [:]]
        default: []
        }
    }

    static let cases: [Wrong] = {
        var cases: [Wrong] = []
        func add(_ path: String, _ name: String, _ values: [JSON], param: String? = nil) {
            for value in values { cases.append(Wrong(path: path, name: name, value: value, param: param ?? name)) }
        }
        for path in ["/v1/chat/completions", "/v1/completions"] {
            for name in [
                "temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
            ] {
                add(path, name, bad("number"))
            }
            for name in ["max_tokens", "min_tokens", "n"] { add(path, name, bad("count")) }
            add(path, "n", [0, 17, 1_000_000])
            add(path, "top_k", ["1", true, 1.5, -2])
            add(path, "seed", ["1", 1.5, true, [:]])
            for name in ["stream", "ignore_eos", "include_stop_str_in_output"] { add(path, name, bad("flag")) }
            add(path, "top_p", [0])
            add(path, "repetition_penalty", [0])
            add(path, "logit_bias", ["x", ["x": 1], ["99999": 1], ["-1": 1], ["5": 101], ["5": "1"]])
            add(path, "logit_bias", [.object(JSONObject((0..<1025).map { (key: "\($0)", value: 1) }))])
            add(
                path, "stop",
                [
                    5, [5], "", [""], .array((0..<17).map { JSON("s\($0)") }),
                    .string(String(repeating: "s", count: 257)),
                ])
            add(path, "stop_token_ids", [5, ["5"], [-1], [6144], .array((0..<129).map { JSON($0) })])
            add(path, "min_tokens", [13])
            add(path, "model", [5, true])
            add(path, "guided_regex", [5, "(", "(?<=a)b", "[z-a]"])
            add(path, "guided_choice", [5, [], [5], [""]])
            add(path, "guided_json", [5, "no json", ["type": "nothing"]])
            add(path, "stream_options", [["include_usage": true]])
            add(path, "skip_special_tokens", [false, "x"])
            add(path, "stream_options", [["include_usage": true, "continuous_usage_stats": true]])
            // What other servers take and this one must not pass over in silence.
            for name in [
                "frobnicate", "prompt_embeds", "chat_template", "documents", "mm_processor_kwargs", "lora_request",
            ] {
                add(path, name, [1])
            }
        }
        let chat = "/v1/chat/completions"
        add(chat, "messages", ["hello", [], [:]])
        add(chat, "messages", [["hello"]], param: "messages[0]")
        add(chat, "messages", [[["role": "wizard", "content": "x"]], [["content": "x"]]], param: "messages[0].role")
        add(chat, "messages", [[["role": "user"]], [["role": "user", "content": 5]]], param: "messages[0].content")
        add(
            chat, "messages",
            [
                [
                    [
                        "role": "user",
                        "content": [["type": "image_url", "image_url": ["url": "http://example.com/a.png"]]],
                    ]
                ]
            ],
            param: "messages[0].content[0].type")
        add(chat, "messages", [[["role": "tool", "content": "x"]]], param: "messages[0].tool_call_id")
        add(chat, "logprobs", bad("flag"))
        add(chat, "top_logprobs", [5, -1, 21, "x"])
        add(chat, "response_format", ["json", ["type": 5]], param: nil)
        add(chat, "response_format", [["type": "xml"]], param: "response_format.type")
        add(chat, "response_format", [["type": "json_schema"]], param: "response_format.schema")
        add(
            chat, "response_format",
            [["type": "json_schema", "json_schema": ["name": "a", "schema": ["type": "nothing"]]]],
            param: "response_format.json_schema.schema")
        add(chat, "tools", ["x"])
        add(chat, "tools", [["x"]], param: "tools[0]")
        add(chat, "tools", [[["type": "web_search"]]], param: "tools[0].type")
        add(chat, "tools", [[["type": "function"]]], param: "tools[0].function")
        add(chat, "tools", [[["type": "function", "function": ["name": "a b"]]]], param: "tools[0].function.name")
        add(chat, "tool_choice", ["sometimes", "required", ["type": "function", "function": ["name": "x"]]])
        add(chat, "chat_template_kwargs", [["chat_template": "{{ 1 }}"], ["enable_thinking": [1]]])
        add(chat, "max_completion_tokens", [0, -1, "x"])
        let completions = "/v1/completions"
        add(completions, "prompt", [5, [], [[]], [""], [6144], [[6144]], [[-1]], ["", 5], ["a": 1]])
        add(completions, "logprobs", [-1, 21, "x", true])
        add(completions, "best_of", [2, 17])
        add(completions, "suffix", ["x", 5])
        add(completions, "echo", bad("flag"))
        let responses = "/v1/responses"
        add(responses, "input", [5, [:], []])
        add(responses, "input", [[["type": "item_reference", "id": "x"]]], param: "input[0].type")
        add(responses, "previous_response_id", ["resp_1"])
        add(responses, "background", [true])
        add(responses, "truncation", ["auto"])
        add(responses, "include", [["everything"]])
        add(responses, "max_output_tokens", [0, "x"])
        add(responses, "tools", [[["type": "code_interpreter"]]], param: "tools[0].type")
        add(responses, "temperature", bad("number"))
        add("/v1/embeddings", "input", [5, [], [[]], [6144]])
        add("/v1/embeddings", "encoding_format", ["hex"])
        add("/v1/embeddings", "dimensions", [4])
        add("/tokenize", "prompt", [5])
        add("/detokenize", "tokens", ["x", [6144], [-1]])
        return cases
    }()

    static func body(_ wrong: Wrong) -> JSON {
        var object = JSONObject()
        switch wrong.path {
        case "/v1/chat/completions":
            object = JSONObject([
                (key: "model", value: "tiny"), (key: "messages", value: [["role": "user", "content": "x"]]),
                (key: "max_tokens", value: 12),
            ])
        case "/v1/completions":
            object = JSONObject([
                (key: "model", value: "tiny"), (key: "prompt", value: "x"), (key: "max_tokens", value: 12),
            ])
        case "/v1/responses", "/v1/embeddings":
            object = JSONObject([(key: "model", value: "tiny"), (key: "input", value: "x")])
        default: object = JSONObject()
        }
        object[wrong.name] = wrong.value
        return .object(object)
    }

    @Test func wrongParametersAreNamed() async throws {
        let server = try await TestServer.shared.value
        #expect(Self.cases.count >= 200)
        for wrong in Self.cases {
            let answer = try await server.post(wrong.path, Self.body(wrong))
            let param = answer.error["param"]?.stringValue ?? "none"
            let isNamed = param == wrong.param || param.hasPrefix(wrong.param + ".")
            #expect(
                answer.status == 400 && isNamed && answer.error["type"] == "invalid_request_error",
                "\(wrong.testDescription): \(answer.status) \(answer.text)")
        }
    }

    /// The same requests without the wrong member are answered: the table tests the members, not the rest.
    @Test(arguments: ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"])
    func theRestOfTheRequestsIsRight(path: String) async throws {
        let server = try await TestServer.shared.value
        var object = Self.body(Wrong(path: path, name: "user", value: "someone", param: "")).objectValue ?? JSONObject()
        if path == "/v1/responses" { object["max_output_tokens"] = 4 }
        let body = JSON.object(object)
        let answer = try await server.post(path, body)
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test func missingMembersAreNamed() async throws {
        let server = try await TestServer.shared.value
        let missing: [(String, JSON, String)] = [
            ("/v1/chat/completions", ["messages": [["role": "user", "content": "x"]]], "model"),
            ("/v1/chat/completions", ["model": "tiny"], "messages"),
            ("/v1/completions", ["model": "tiny"], "prompt"), ("/v1/responses", ["model": "tiny"], "input"),
            ("/v1/embeddings", ["model": "tiny"], "input"), ("/tokenize", [:], "prompt"),
            ("/detokenize", [:], "tokens"),
        ]
        for (path, body, param) in missing {
            let answer = try await server.post(path, body)
            #expect(answer.status == 400 && answer.error["param"]?.stringValue == param, "\(path): \(answer.text)")
        }
    }

    /// Bodies that are no request at all.
    @Test(arguments: [
        "", "x", "[]", "null", "5", "\"text\"", "{", "{\"model\": NaN}", "{\"model\": \"tiny\", \"n\": 1e999}",
        "{\"a\":1}{", "\u{FEFF}{}", "{\"messages\": \"\u{1}\"}",
    ])
    func bodiesThatAreNoObjectAre400(text: String) async throws {
        let server = try await TestServer.shared.value
        let answer = try await server.exchange(
            Wire.bytes("POST", "/v1/chat/completions", body: Array(text.utf8)))
        #expect(answer.status == 400, "\(answer.text)")
    }

    @Test func nestingIsBounded() async throws {
        let server = try await TestServer.shared.value
        for depth in [65, 100_000] {
            let text = "{\"model\":" + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
            let answer = try await server.exchange(
                Wire.bytes("POST", "/v1/chat/completions", body: Array(text.utf8)))
            #expect(answer.status == 400)
        }
    }

    @Test func mutatedBodiesNeverBreakTheServer() async throws {
        let server = try await TestServer.shared.value
        var state: UInt64 = 7
        func roll(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        let seeds: [JSON] = [
            [
                "model": "tiny", "messages": [["role": "user", "content": "x"]], "max_tokens": 2,
                "tools": [["type": "function", "function": ["name": "f", "parameters": ["type": "object"]]]],
                "logit_bias": ["5": 1], "stop": ["a"], "top_logprobs": 2, "logprobs": true,
            ],
            [
                "model": "tiny", "messages": [["role": "user", "content": "x"]], "max_tokens": 2,
                "response_format": [
                    "type": "json_schema",
                    "json_schema": [
                        "name": "a", "schema": ["type": "object", "properties": ["a": ["enum": [1, "b"]]]],
                    ],
                ],
            ],
        ]
        for round in 0..<150 {
            var bytes = seeds[round % 2].utf8()
            for _ in 0...roll(3) {
                switch roll(4) {
                case 0: bytes[roll(bytes.count)] = UInt8(roll(256))
                case 1: bytes.remove(at: roll(bytes.count))
                case 2: bytes.insert(UInt8(32 + roll(96)), at: roll(bytes.count))
                default:
                    let start = roll(bytes.count)
                    let end = min(bytes.count, start + roll(20))
                    bytes.insert(contentsOf: bytes[start..<end], at: roll(bytes.count))
                }
            }
            let answer = try await server.exchange(Wire.bytes("POST", "/v1/chat/completions", body: bytes))
            #expect(answer.status < 500, "\(String(decoding: bytes, as: UTF8.self)): \(answer.status)")
        }
    }
}
