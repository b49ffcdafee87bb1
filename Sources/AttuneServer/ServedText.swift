import AttuneGeneration
import AttuneText

/// The tokenizer as a server's engine sees it: tokens that open a tool call stay in the text, where the parser looks for them, even
/// where the tokenizer calls them special.
struct ServedText: TokenText {
    private let tokenizer: Tokenizer
    /// Control tokens that open tool calls.
    let markers: Set<Int32>

    init(_ tokenizer: Tokenizer, formats: [ToolCallFormat]) {
        self.tokenizer = tokenizer
        let texts = formats.flatMap { format in
            switch format {
            case .hermes: ["<tool_call>", "</tool_call>"]
            case .mistral: ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"]
            case .llama3: ["<|python_tag|>"]
            case .json: [String]()
            }
        }
        markers = Set(texts.compactMap { tokenizer.id(for: $0) })
    }

    func makeStreamDecoder() -> any TextStream { Stream(tokenizer, markers: markers) }
    func bytes(of id: Int32) -> [UInt8] { tokenizer.bytes(of: id) }
    func isSpecial(_ id: Int32) -> Bool { tokenizer.isSpecial(id) }

    private struct Stream: TextStream {
        let tokenizer: Tokenizer
        let markers: Set<Int32>
        var decoder: StreamDecoder

        init(_ tokenizer: Tokenizer, markers: Set<Int32>) {
            self.tokenizer = tokenizer
            self.markers = markers
            decoder = StreamDecoder(tokenizer)
        }

        mutating func push(_ id: Int32) -> String {
            guard markers.contains(id), tokenizer.isSpecial(id) else { return decoder.push(id) }
            return decoder.push(id) + (tokenizer.token(for: id) ?? "")
        }

        mutating func finish() -> String { decoder.finish() }
    }
}
