import AttuneData
import AttuneJSON

/// A tokenizer for tests: a token for each byte, longer tokens for given pieces (longest first), and special tokens.
struct ByteEncoder: TextEncoder {
    var pieces: [String] = []
    var addsBOS = false
    let bosTokenID: Int32? = 256
    var eosTokenID: Int32? = 257

    private var specials: [(String, Int32)] { [("<s>", 256), ("</s>", 257), ("<|end|>", 258), ("<|say|>", 259)] }

    func encode(_ text: String) -> (ids: [Int32], offsets: [Range<Int>]) {
        let bytes = Array(text.utf8)
        let known =
            (specials + pieces.enumerated().map { ($1, Int32(300 + $0)) })
            .map { (Array($0.0.utf8), $0.1) }.sorted { $0.0.count > $1.0.count }
        var ids: [Int32] = []
        var offsets: [Range<Int>] = []
        var place = 0
        while place < bytes.count {
            let piece = known.first { bytes[place...].starts(with: $0.0) }
            let count = piece?.0.count ?? 1
            ids.append(piece?.1 ?? Int32(bytes[place]))
            offsets.append(place..<place + count)
            place += count
        }
        return (ids, offsets)
    }

    /// The text of byte tokens; others as `?`.
    func text(_ ids: some Sequence<Int32>) -> String {
        String(decoding: ids.map { $0 < 256 ? UInt8($0) : UInt8(ascii: "?") }, as: UTF8.self)
    }
}

/// A chat template for tests: `<|say|>role` line break, content, `<|end|>` line break.
struct LineRenderer: ConversationRenderer {
    var writesBOS = false

    func render(
        messages: JSON, tools: JSON?, variables: JSONObject, addGenerationPrompt: Bool
    ) throws -> RenderedConversation {
        var text = writesBOS ? "<s>" : ""
        var trained: [TrainedSpan] = []
        for (place, message) in (messages.arrayValue ?? []).enumerated() {
            let role = message["role"]?.stringValue ?? ""
            text += "<|say|>\(role)\n"
            let start = text.utf8.count
            text += (message["content"]?.stringValue ?? "") + "<|end|>"
            if role == "assistant" { trained.append(TrainedSpan(message: place, bytes: start..<text.utf8.count)) }
            text += "\n"
        }
        if addGenerationPrompt { text += "<|say|>assistant\n" }
        return RenderedConversation(text: text, trained: trained)
    }
}

/// A row of Alpaca form.
func alpaca(_ instruction: String, _ input: String = "", _ output: String = "", line: Int = 1) -> Example {
    Example(
        content: .instruction(system: "", instruction: instruction, input: input, output: output),
        source: RowSource(file: "test.jsonl", line: line))
}
