import AttuneData
import AttuneJSON
import Testing

@Suite struct ExampleTests {
    private func example(_ text: String, _ columns: [String: String] = [:]) throws -> Example {
        let fields = try #require(try JSON(parsing: text).objectValue)
        let row = Row(fields: fields, source: RowSource(file: "f.jsonl", line: 7))
        return try Example(row, columns: try ColumnMap(columns))
    }

    private func message(_ text: String, _ columns: [String: String] = [:]) -> String {
        do {
            _ = try example(text, columns)
            return "no error"
        } catch { return "\(error)" }
    }

    @Test(arguments: [
        #"{"instruction":"i","output":"o"}"#, #"{"instruction":"i","input":null,"output":"o"}"#,
        #"{"instruction":"i","input":"","output":"o","text":"t"}"#,
    ])
    func alpacaWithoutInput(text: String) throws {
        guard case .instruction("", "i", "", "o") = try example(text).content else {
            Issue.record("not recognised: \(text)")
            return
        }
    }

    @Test func promptAndCompletion() throws {
        guard case .completion("p", "c") = try example(#"{"prompt":"p","completion":"c"}"#).content else {
            Issue.record("strings")
            return
        }
        let lists = try example(
            #"{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]}"#)
        guard case .conversation(let messages, nil, _, 1) = lists.content else {
            Issue.record("lists")
            return
        }
        #expect(messages.count == 2)
        #expect(message(#"{"prompt":"p","completion":[]}"#).contains("must both be"))
    }

    @Test func conversations() throws {
        let call = #"[{"type":"function","function":{"name":"f","arguments":{"x":1}}}]"#
        let messages = #"[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":\#(call)}]"#
        for tools in [#"[{"type":"function"}]"#, #""[{\"type\":\"function\"}]""#] {
            let read = try example(
                #"{"messages":\#(messages),"tools":\#(tools),"chat_template_kwargs":{"enable_thinking":false}}"#)
            guard case .conversation(let list, let found?, let variables, nil) = read.content else {
                Issue.record("not recognised")
                return
            }
            #expect(list[1]["tool_calls"]?[0]?["function"]?["arguments"]?["x"] == 1)
            #expect(found[0]?["type"] == "function")
            #expect(variables["enable_thinking"] == false)
        }
        #expect(message(#"{"messages":[]}"#).contains("empty list"))
        #expect(message(#"{"messages":[{"content":"x"}]}"#).hasPrefix("f.jsonl:7: message 1 has neither"))
    }

    @Test func shareGPT() throws {
        let read = try example(
            #"""
            {"conversations":[{"from":"system","value":"s"},{"from":"human","value":"q"},
            {"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{}}"},{"from":"observation","value":"r"},
            {"from":"gpt","value":"a"}]}
            """#)
        guard case .conversation(let list, nil, _, nil) = read.content else {
            Issue.record("not recognised")
            return
        }
        #expect(list.map { $0["role"]?.stringValue } == ["system", "user", "assistant", "tool", "assistant"])
        #expect(list[2]["tool_calls"]?[0]?["function"]?["name"] == "f")
        #expect(read.answer == "a")
        #expect(message(#"{"conversations":[{"from":"alien","value":"q"}]}"#).contains("alien"))
    }

    @Test func columnsMayHaveOtherNames() throws {
        for map in [["instruction": "text", "output": "label"], ["text": "instruction", "label": "output"]] {
            guard case .instruction(_, "hi", _, "3") = try example(#"{"text":"hi","label":3}"#, map).content else {
                Issue.record("\(map)")
                return
            }
        }
        guard case .text("x") = try example(#"{"instruction":"i","output":"o","body":"x"}"#, ["text": "body"]).content
        else {
            Issue.record("a named column comes first")
            return
        }
        #expect(throws: DataError.self) { try ColumnMap(["a": "b"]) }
        #expect(throws: DataError.self) { try ColumnMap(["a": "text", "b": "text"]) }
    }

    @Test func errorsNameColumnsAndSayHowToMap() {
        #expect(message(#"{"question":"q"}"#).contains("found 'question'"))
        #expect(message(#"{"instruction":"q","answer":"a"}"#).contains("'output' is missing"))
        #expect(message(#"{"instruction":"q","output":{}}"#).contains("'output' is not text"))
    }
}

@Suite struct PromptFormTests {
    @Test func tutorialToTheLetter() throws {
        #expect(
            try PromptForm.tutorial.prompt(instruction: "A", input: "B").text
                == "### Instruction:\nA\n\n### Input:\nB\n\n### Response:\n")
        for input in ["", nil] {
            #expect(
                try PromptForm.tutorial.prompt(instruction: "A", input: input).text
                    == "### Instruction:\nA\n\n### Response:\n")
        }
    }

    @Test func alpacaToTheLetter() throws {
        let with =
            "Below is an instruction that describes a task, paired with an input that provides further context. "
            + "Write a response that appropriately completes the request.\n\n### Instruction:\nA\n\n### Input:\nB\n\n"
            + "### Response:"
        let without =
            "Below is an instruction that describes a task. Write a response that appropriately completes the request."
            + "\n\n### Instruction:\nA\n\n### Response:"
        #expect(try PromptForm.alpaca.prompt(instruction: "A", input: "B").text == with)
        #expect(try PromptForm.alpaca.prompt(instruction: "A").text == without)
        #expect(try PromptForm.alpacaNewline.prompt(instruction: "A", input: "B").text == with + "\n")
        #expect(try PromptForm.alpacaNewline.prompt(instruction: "A").text == without + "\n")
    }

    @Test func chatPutsInputBehindInstruction() throws {
        let prompt = try PromptForm.chat.prompt(instruction: "A", input: "B", renderer: LineRenderer())
        #expect(prompt.text == "<|say|>user\nA\n\nB<|end|>\n<|say|>assistant\n")
        #expect(!prompt.addsSpecialTokens)
        #expect(throws: DataError.self) { try PromptForm.chat.prompt(instruction: "A") }
    }

    @Test func templatesFromFiles() throws {
        let template = try PromptTemplate(
            "Q {{1}}: {instruction}{#input} [{input}]{/input}{^input} (none){/input}\nA: {output} END\n", name: "t")
        let form = PromptForm.custom(template)
        #expect(try form.prompt(instruction: "x", input: "y").text == "Q {1}: x [y]\nA: ")
        #expect(try form.prompt(instruction: "x").text == "Q {1}: x (none)\nA: ")
        #expect(template.suffix == " END")
        for bad in [
            "{instruction}", "{nothing}{output}", "{#input}{output}", "{#input}x{/instruction}{output}", "}{output}",
            "{output", "{output}{input}", "{#input}{output}{/input}",
        ] {
            #expect(throws: DataError.self, "\(bad)") { try PromptTemplate(bad, name: "t") }
        }
    }
}
