/// Turns ids into text as they arrive. No piece ends inside a character, and all pieces together are exactly what
/// `Tokenizer.decode` gives for the whole list.
public struct StreamDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecialTokens: Bool
    private var stages: [DecodingStage]

    /// - Parameter skipSpecialTokens: whether special tokens leave no trace in the text.
    public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
        stages = DecodingStage.chain(tokenizer.decoders)
    }

    /// Takes the next id; the text that is certain by now, often empty. Unknown ids are passed over.
    public mutating func push(_ id: Int32) -> String { String(decoding: pushBytes(id), as: UTF8.self) }

    /// The text that was held back. The decoder is then spent.
    public mutating func finish() -> String { String(decoding: finishBytes(), as: UTF8.self) }

    mutating func pushBytes(_ id: Int32) -> [UInt8] {
        guard let text = tokenizer.text(of: id), !(skipSpecialTokens && tokenizer.isSpecial(id)) else { return [] }
        var output: [UInt8] = []
        feed(text, to: 0, &output)
        return output
    }

    mutating func finishBytes() -> [UInt8] {
        var output: [UInt8] = []
        for place in stages.indices {
            for text in stages[place].finish() { feed(text, to: place + 1, &output) }
        }
        return output
    }

    private mutating func feed(_ text: [UInt8], to place: Int, _ output: inout [UInt8]) {
        guard place < stages.count else {
            output.append(contentsOf: text)
            return
        }
        for result in stages[place].push(text) { feed(result, to: place + 1, &output) }
    }
}
