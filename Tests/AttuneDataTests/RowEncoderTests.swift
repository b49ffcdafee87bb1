import AttuneData
import AttuneJSON
import Testing

@Suite struct RowEncoderTests {
    private func learned(_ row: TrainingRow) -> [Int32] {
        zip(row.tokens, row.trained).filter(\.1).map(\.0)
    }

    @Test func answerAndItsEndAreTrainedThePromptIsNot() throws {
        let tokenizer = ByteEncoder()
        let encoder = RowEncoder(encoder: tokenizer, form: .tutorial)
        let row = try encoder.encode(alpaca("Do", "x", "Yes"))
        #expect(learned(row) == Array("Yes".utf8).map(Int32.init) + [257])
        #expect(tokenizer.text(row.tokens.dropLast()) == "### Instruction:\nDo\n\n### Input:\nx\n\n### Response:\nYes")
        #expect(row.tokens.starts(with: try encoder.encodePrompt(of: alpaca("Do", "x"))))
        let all = try RowEncoder(encoder: tokenizer, form: .tutorial, trainOn: .all).encode(alpaca("Do", "x", "Yes"))
        #expect(all.tokens == row.tokens)
        #expect(all.trained.allSatisfy { $0 })
        #expect(all.identity != row.identity)
    }

    @Test func tokensOverTheEdgeAreCutAsInferenceSeesThem() throws {
        // The tokenizer would join the prompt's last line break with the answer's first letters.
        let tokenizer = ByteEncoder(pieces: ["\nYe", "\n\n", "s"])
        let encoder = RowEncoder(encoder: tokenizer, form: .tutorial)
        for answer in ["Yes", "\nNo", "No"] {
            let row = try encoder.encode(alpaca("Do", "", answer))
            let prompt = try encoder.encodePrompt(of: alpaca("Do"))
            #expect(row.tokens.starts(with: prompt), "\(answer)")
            #expect(row.trained.firstIndex(of: true) == prompt.count)
        }
        // Control: tokenized whole, the row would not begin with the prompt.
        let whole = tokenizer.encode("### Instruction:\nDo\n\n### Response:\nYes").ids
        #expect(!whole.starts(with: try encoder.encodePrompt(of: alpaca("Do"))))
    }

    @Test func beginningOfSequenceIsNeverDoubled() throws {
        let encoder = RowEncoder(encoder: ByteEncoder(addsBOS: true), renderer: LineRenderer(writesBOS: true))
        let row = try encoder.encode(alpaca("Do", "", "Yes"))
        #expect(row.tokens[0] == 256)
        #expect(row.tokens[1] != 256)
        #expect(!row.trained[0])
        let written = try encoder.encode(
            Example(content: .text("<s>Hello"), source: RowSource(file: "f", line: 1)))
        #expect(written.tokens.prefix(2) == [256, 72])
        let chat = RowEncoder(
            encoder: ByteEncoder(addsBOS: true), renderer: LineRenderer(writesBOS: true), form: .chat)
        #expect(try chat.encode(alpaca("Do", "", "Yes")).tokens.prefix(2) == [256, 259])
        #expect(throws: DataError.self) {
            try encoder.encode(Example(content: .text("<s><s>Hello"), source: RowSource(file: "f", line: 1)))
        }
    }

    @Test func endOfSequenceIsNeverDoubled() throws {
        let encoder = RowEncoder(encoder: ByteEncoder(), form: .tutorial)
        let row = try encoder.encode(alpaca("Do", "", "Yes</s>"))
        #expect(learned(row) == Array("Yes".utf8).map(Int32.init) + [257])
        #expect(throws: DataError.self) {
            try RowEncoder(encoder: ByteEncoder(eosTokenID: nil), form: .tutorial).encode(alpaca("Do", "", "Yes"))
        }
    }

    @Test func turnsOfAConversation() throws {
        let tokenizer = ByteEncoder()
        let messages: [JSON] = ["q", "a", "r", "b"].enumerated().map {
            ["role": .string($0 % 2 == 0 ? "user" : "assistant"), "content": .string($1)]
        }
        func learned(_ trainOn: TrainOn?, answerStart: Int? = nil) throws -> [Int32] {
            let example = Example(
                content: .conversation(
                    messages: messages, tools: nil, variables: JSONObject(), answerStart: answerStart),
                source: RowSource(file: "f", line: 1))
            return self.learned(
                try RowEncoder(encoder: tokenizer, renderer: LineRenderer(), trainOn: trainOn).encode(example))
        }
        #expect(try learned(nil) == [97, 258, 98, 258])
        #expect(try learned(.assistant) == [97, 258, 98, 258])
        #expect(try learned(.answer) == [98, 258])
        #expect(try learned(nil, answerStart: 2) == [98, 258])
        #expect(try learned(.assistant, answerStart: 2) == [97, 258, 98, 258])
        #expect(try learned(.all).count > 30)
        let encoder = RowEncoder(encoder: tokenizer, renderer: LineRenderer(), form: .tutorial)
        #expect(throws: DataError.self) {
            try encoder.encode(
                Example(
                    content: .conversation(messages: messages, tools: nil, variables: JSONObject(), answerStart: nil),
                    source: RowSource(file: "f", line: 1)))
        }
    }

    @Test func showsWhatIsTrained() throws {
        let encoder = RowEncoder(encoder: ByteEncoder(addsBOS: true), form: .tutorial)
        let stretches = try encoder.explain(alpaca("Dö", "", "Yés"))
        #expect(stretches.map(\.text) == ["### Instruction:\nDö\n\n### Response:\n", "Yés", "<end of sequence>"])
        #expect(stretches.map(\.isTrained) == [false, true, true])
    }

    @Test func customSuffixIsTrained() throws {
        let form = PromptForm.custom(try PromptTemplate("{instruction}>{output}!", name: "t"))
        let row = try RowEncoder(encoder: ByteEncoder(), form: form).encode(alpaca("Do", "", "Y"))
        #expect(learned(row) == [89, 33, 257])
    }
}

@Suite struct PreparationTests {
    private let encoder = RowEncoder(encoder: ByteEncoder(), form: .tutorial)
    private var examples: [Example] {
        [
            alpaca("a", "", "short", line: 1), alpaca("a", "", String(repeating: "long ", count: 30), line: 2),
            alpaca("a", "", "short", line: 3), alpaca(String(repeating: "q", count: 200), "", "lost", line: 4),
        ]
    }

    @Test func stopsWhenAnAnswerWouldBeCut() {
        do {
            _ = try PreparedRows(examples, encoder: encoder, maxLength: 100)
            Issue.record("did not stop")
        } catch {
            #expect("\(error)".hasPrefix("test.jsonl:2: "))
            #expect("\(error)".contains("test.jsonl:4"))
        }
    }

    @Test func everyRowIsInOneBin() throws {
        let cut = try PreparedRows(
            examples, encoder: encoder, maxLength: 100, overlength: .cut, removesDuplicates: true)
        #expect(cut.ledger.entries.map(\.bin) == [.used, .shortened, .duplicate, .dropped])
        #expect(cut.rows.map(\.tokens.count) == [40, 100])
        #expect(cut.ledger.entries[1].losesAnswerEnd)
        let drop = try PreparedRows(examples, encoder: encoder, maxLength: 100, overlength: .drop)
        #expect(drop.ledger.entries.map(\.bin) == [.used, .dropped, .used, .dropped])
        for ledger in [cut.ledger, drop.ledger] {
            #expect(ledger.entries.count == 4)
            #expect(RowLedger.Bin.allCases.reduce(0) { $0 + ledger.count($1) } == 4)
        }
        let kept = cut.rows.reduce(0) { $0 + $1.tokens.count }
        let lost = cut.ledger.entries.reduce(0) { $0 + $1.tokensLost }
        #expect(cut.ledger.entries.reduce(0) { $0 + $1.tokens } == kept + lost)
        #expect(cut.ledger.json["bins"]?["shortened"]?.intValue == 1)
        #expect(cut.ledger.text().contains("test.jsonl:2: shortened"))
    }

    @Test func textIsSplitWithoutLoss() throws {
        let text = Example(
            content: .text(String(repeating: "abcdefghij", count: 10)), source: RowSource(file: "f", line: 1))
        let split = try PreparedRows([text], encoder: encoder, maxLength: 20, overlength: .split)
        #expect(split.rows.map(\.tokens.count) == [20, 20, 20, 20, 19, 2])
        #expect(split.rows.flatMap(\.tokens) == (try encoder.encode(text)).tokens)
        #expect(split.ledger.count(.split) == 1)
        #expect(throws: DataError.self) {
            try PreparedRows(examples, encoder: encoder, maxLength: 100, overlength: .split)
        }
    }

    @Test func rowsWithNothingToLearnAreNamed() throws {
        let silent = Example(
            content: .conversation(
                messages: [["role": "user", "content": "q"]], tools: nil, variables: JSONObject(), answerStart: nil),
            source: RowSource(file: "f", line: 9))
        #expect(throws: DataError.self) {
            try PreparedRows(
                [silent], encoder: RowEncoder(encoder: ByteEncoder(), renderer: LineRenderer()), maxLength: 100)
        }
        let error = try #require(throws: DataError.self) {
            try PreparedRows(examples, encoder: encoder, maxLength: 10, overlength: .drop)
        }
        // One line: the totals, and the first row with its reason.
        #expect(error.description.contains("no row is left to train on"))
        #expect(error.description.contains("dropped") && error.description.contains("test.jsonl:1"))
        #expect(!error.description.contains("\n"))
    }
}
