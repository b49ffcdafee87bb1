import ArgumentParser
import Attune
import AttuneData
import AttuneJSON
import AttuneText

/// `attune tokenize`: text to ids and back.
struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turn text into token ids, or ids into text.",
        discussion: "Example: attune tokenize Models/pocket --text 'Hello' --json")

    @Argument(help: "A model folder, a cached hub name, or a tokenizer.json.")
    var folder: String
    @Option(parsing: .unconditional, help: "A text to tokenize.")
    var text: String?
    @Option(help: "A file of rows with \"text\", or with \"ids\" when decoding.")
    var file: String?
    @Option(defaultAsFlag: "", help: "Ids to decode, such as 1,2,3; without a value the rows of --file.")
    var decode: String?
    @Flag(help: "Leave special tokens out of decoded text.")
    var skipSpecialTokens = false
    @Flag(help: "Add the tokens that begin and end a text.")
    var addSpecialTokens = false
    @OptionGroup var machine: MachineOptions
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try Failure.guarding {
            try machine.check()
            let isDecodingFile = decode == "" && file != nil
            let sources = [text != nil, file != nil, decode != nil && !isDecodingFile].count { $0 }
            guard sources == 1 else {
                throw CommandError.usage("give one of --text, --file and --decode; see attune tokenize --help")
            }
            let tokenizer = try ModelFolder.tokenizer(folder)
            if let text {
                encode(text, tokenizer)
            } else if let file {
                for path in [file] {
                    var reader = try RowReader(path: path)
                    while let row = try reader.next() { try handle(row, tokenizer) }
                }
            } else if let decode {
                self.decode(try ModelFolder.tokens(decode, option: "--decode"), tokenizer)
            }
        }
    }

    private func handle(_ row: Row, _ tokenizer: Tokenizer) throws {
        if decode != nil {
            guard let ids = try ModelFolder.tokens(row, key: "ids") else {
                throw DataError(.badData, "the row has no \"ids\"; add them, or leave out --decode", at: row.source)
            }
            decode(ids, tokenizer)
            return
        }
        guard let text = row.fields["text"]?.stringValue else {
            throw DataError(.badData, "the row has no \"text\"; add it", at: row.source)
        }
        encode(text, tokenizer)
    }

    private func encode(_ text: String, _ tokenizer: Tokenizer) {
        let encoding = tokenizer.encode(text, addSpecialTokens: addSpecialTokens)
        if json {
            let object: JSON = [
                "ids": .array(encoding.ids.map { JSON(Int($0)) }), "tokens": .array(encoding.tokens.map { JSON($0) }),
                "offsets": .array(encoding.offsets.map { [JSON($0.lowerBound), JSON($0.upperBound)] }),
            ]
            print(object.text())
            return
        }
        for (place, id) in encoding.ids.enumerated() {
            let range = encoding.offsets[place]
            print("\(id)\t\(encoding.tokens[place].debugDescription)\t\(range.lowerBound)–\(range.upperBound)")
        }
        print("\(encoding.ids.count) tokens")
    }

    private func decode(_ ids: [Int32], _ tokenizer: Tokenizer) {
        let text = tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens)
        print(json ? JSON.object(JSONObject([("text", .string(text))])).text() : text)
    }
}
