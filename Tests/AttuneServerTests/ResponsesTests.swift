import AttuneJSON
import Testing

/// `/v1/responses`, whole and as events.
@Suite struct ResponsesTests {
    static let tool: JSON = [
        "type": "function", "name": "get_weather", "strict": true,
        "parameters": ChatTests.weather["function"]?["parameters"] ?? .null,
    ]

    static func post(_ members: JSON) async throws -> Wire.Answer {
        let server = try await TestServer.shared.value
        var object = JSONObject([
            (key: "model", value: "tiny"), (key: "input", value: "Hello"), (key: "max_output_tokens", value: 20),
        ])
        for (key, value) in members.objectValue?.members ?? [] { object[key] = value }
        return try await server.post("/v1/responses", .object(object))
    }

    @Test func anAnswerHasOpenAIsForm() async throws {
        let json = try await Self.post(["temperature": 0, "instructions": "Be brief", "metadata": ["a": "b"]]).json
        #expect(json["object"] == "response" && json["status"] == "incomplete" && json["error"]?.isNull == true)
        #expect(json["incomplete_details"]?["reason"] == "max_output_tokens")
        #expect(json["instructions"] == "Be brief" && json["metadata"]?["a"] == "b" && json["store"] == false)
        let item = try #require(json["output"]?[0])
        #expect(
            item["type"] == "message" && item["role"] == "assistant" && item["content"]?[0]?["type"] == "output_text")
        #expect(item["content"]?[0]?["annotations"] == [])
        #expect(json["usage"]?["output_tokens"] == 20)
        let ended = try await Self.post(["logit_bias": ["0": 100]]).json
        #expect(ended["status"] == "completed" && ended["incomplete_details"]?.isNull == true)
    }

    @Test func itemsBecomeMessages() async throws {
        let server = try await TestServer.shared.value
        let items: JSON = [
            ["role": "user", "content": "Weather?"],
            ["type": "message", "role": "assistant", "content": [["type": "output_text", "text": "Wait."]]],
            ["type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{\"city\": \"Oslo\"}"],
            ["type": "function_call_output", "call_id": "c1", "output": "cold"], ["type": "reasoning", "summary": []],
        ]
        let answer = try await Self.post(["input": items, "instructions": "S", "tools": [Self.tool]]).json
        let call: JSON = [
            "id": "c1", "type": "function", "function": ["name": "get_weather", "arguments": "{\"city\": \"Oslo\"}"],
        ]
        let tokens = try await server.post(
            "/tokenize",
            [
                "messages": [
                    ["role": "system", "content": "S"], ["role": "user", "content": "Weather?"],
                    ["role": "assistant", "content": "Wait.", "tool_calls": [call]],
                    ["role": "tool", "tool_call_id": "c1", "content": "cold"],
                ],
                "tools": [
                    [
                        "type": "function",
                        "function": ["name": "get_weather", "parameters": Self.tool["parameters"] ?? .null],
                    ]
                ],
            ]
        ).json
        #expect(answer["usage"]?["input_tokens"] == tokens["count"] && tokens["count"]?.intValue != nil)
    }

    /// Every event in its place: what is added is done, what is done is what the deltas said.
    @Test(arguments: [false, true])
    func eventsTellTheWholeStory(callsTool: Bool) async throws {
        var members: JSON = ["stream": true, "seed": 5, "max_output_tokens": 120]
        if callsTool {
            members = [
                "stream": true, "tools": [Self.tool], "tool_choice": "required", "parallel_tool_calls": false,
                "max_output_tokens": 120,
            ]
        }
        let answer = try await Self.post(members)
        let events = try answer.events().events
        #expect(events.compactMap { $0["sequence_number"]?.intValue } == Array(0..<events.count))
        let types = events.compactMap { $0["type"]?.stringValue }
        #expect(Array(types.prefix(3)) == ["response.created", "response.in_progress", "response.output_item.added"])
        for type in types { #expect(answer.text.contains("event: \(type)\n")) }
        let last = try #require(events.last)
        let response = try #require(last["response"])
        let item = try #require(response["output"]?[0])
        func only(_ type: String) -> JSON? { events.first { $0["type"]?.stringValue == type } }
        let doneItem = only("response.output_item.done")?["item"]
        #expect(doneItem == item)
        if callsTool {
            #expect(last["type"] == "response.completed" && item["type"] == "function_call")
            let pieces = events.filter { $0["type"] == "response.function_call_arguments.delta" }
                .compactMap { $0["delta"]?.stringValue }.joined()
            #expect(pieces == item["arguments"]?.stringValue)
            #expect(only("response.function_call_arguments.done")?["arguments"] == item["arguments"])
            #expect(only("response.output_item.added")?["item"]?["call_id"] == item["call_id"])
            #expect(try JSON(parsing: pieces)["celsius"]?.boolValue != nil)
        } else {
            let pieces = events.filter { $0["type"] == "response.output_text.delta" }
                .compactMap { $0["delta"]?.stringValue }.joined()
            #expect(pieces == item["content"]?[0]?["text"]?.stringValue && !pieces.isEmpty)
            #expect(only("response.output_text.done")?["text"]?.stringValue == pieces)
            #expect(only("response.content_part.added")?["part"]?["text"] == "")
            #expect(only("response.content_part.done")?["part"]?["text"]?.stringValue == pieces)
            let whole = try await Self.post(["seed": 5, "max_output_tokens": 120]).json
            #expect(whole["output"]?[0]?["content"]?[0]?["text"]?.stringValue == pieces)
        }
        let ids = Set(events.compactMap { $0["item_id"]?.stringValue })
        #expect(ids == [item["id"]?.stringValue ?? ""])
    }

    @Test func formsAndLogprobs() async throws {
        let answer = try await Self.post([
            "text": [
                "format": [
                    "type": "json_schema", "name": "final_output", "strict": true,
                    "schema": [
                        "type": "object", "properties": ["yes": ["type": "boolean"]], "required": ["yes"],
                        "additionalProperties": false,
                    ],
                ]
            ], "max_output_tokens": 60,
        ]).json
        let text = answer["output"]?[0]?["content"]?[0]?["text"]?.stringValue ?? ""
        #expect(try JSON(parsing: text)["yes"]?.boolValue != nil)
        let logged = try await Self.post(["include": ["message.output_text.logprobs"], "top_logprobs": 2]).json
        let logs = try #require(logged["output"]?[0]?["content"]?[0]?["logprobs"]?.arrayValue)
        #expect(!logs.isEmpty && logs.allSatisfy { $0["top_logprobs"]?.arrayValue?.count == 2 })
    }
}
