import ArgumentParser
import Attune
import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTensor
import AttuneText

/// `attune score`: how likely a model finds the tokens of a text.
struct Score: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the log-probability of every token of a text.",
        discussion: "Example: attune score Models/pocket --text 'Hello there' --top 5 --json")

    @Argument(help: "A model folder or a cached hub name.")
    var model: String
    @Option(help: "An adapter folder.")
    var adapter: String?
    @OptionGroup var weights: WeightOptions
    @OptionGroup var machine: MachineOptions
    @Option(parsing: .unconditional, help: "A text; the tokenizer's special tokens are added.")
    var text: String?
    @Option(help: "Token ids, such as 1,2,3; no tokenizer is needed.")
    var tokens: String?
    @Option(help: "A file of rows with \"text\" or \"tokens\".")
    var file: String?
    @Option(help: "How many of the likeliest next tokens to list after each token.")
    var top = 0
    @Flag(help: "Print JSON, a line a text.")
    var json = false

    func run() throws {
        try Failure.guarding {
            guard [text, tokens, file].count(where: { $0 != nil }) == 1 else {
                throw CommandError.usage("give one of --text, --tokens and --file; see attune score --help")
            }
            guard top >= 0 else { throw CommandError.usage("--top \(top): give 0 or more") }
            let given = try tokens.map { try ModelFolder.tokens($0, option: "--tokens") }
            let type = try weights.computeType()
            let quantization = try weights.quantizationChoice()
            var reader = try file.map { try RowReader(path: $0) }
            let tokenizer = try text.map { _ in try ModelFolder.tokenizer(model) }

            let directory = try ModelDirectory(model)
            let decoder = try Decoder.load(
                directory, configuration: DecoderConfiguration(config: directory.config),
                backend: machine.makeBackend(), computeType: type ?? LanguageModel.checkpointType(directory),
                quantization: quantization)
            if let adapter { try decoder.attach(AdapterDirectory(adapter), named: "default") }
            let scorer = Scorer(decoder, adapter: adapter == nil ? nil : "default")

            if let given {
                show(try scorer.score(given, top: top))
            } else if let text, let tokenizer {
                show(try scorer.score(tokenizer.ids(of: text, addSpecialTokens: true), top: top))
            }
            var rowTokenizer: Tokenizer?
            while let row = try reader?.next() {
                let ids: [Int32]
                if let listed = try ModelFolder.tokens(row, key: "tokens") {
                    ids = listed
                } else if let text = row.fields["text"]?.stringValue {
                    let tokenizer = try rowTokenizer ?? ModelFolder.tokenizer(model)
                    rowTokenizer = tokenizer
                    ids = tokenizer.ids(of: text, addSpecialTokens: true)
                } else {
                    throw DataError(.badData, "the row has neither \"text\" nor \"tokens\"; add one", at: row.source)
                }
                do {
                    show(try scorer.score(ids, top: top))
                } catch let error as ScoreError {
                    throw DataError(.badData, error.description, at: row.source)
                }
            }
        }
    }

    private func show(_ score: TextScore) {
        if json {
            print(score.json.text())
            return
        }
        for (place, token) in score.tokens.enumerated() {
            print("\(token)\t\(score.logProbabilities[place].map { String($0) } ?? "–")")
        }
        print("sum \(score.sum), perplexity \(score.perplexity.map { String($0) } ?? "undefined (one token)")")
    }
}

extension TextScore {
    /// The contract's line.
    var json: JSON {
        [
            "tokens": .array(tokens.map { JSON(Int($0)) }),
            "logprobs": .array(logProbabilities.map { $0.map { JSON($0) } ?? .null }),
            "top": .array(
                top.map { row in
                    .array(row.map { ["id": JSON(Int($0.id)), "logprob": JSON($0.logProbability)] })
                }),
            "sum_logprob": JSON(sum), "perplexity": perplexity.map { JSON($0) } ?? .null,
        ]
    }
}
