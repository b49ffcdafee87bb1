import ArgumentParser
import Attune
import AttuneJSON
import Foundation

/// `attune generate`: answers to one question or a file of them.
struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer prompts.",
        discussion: """
            Example: attune generate --model Models/pocket --adapter results \\
                --instruction "Classify this support ticket" --input "The checkout page shows an error 500"
            """)

    @OptionGroup var modelOptions: ModelOptions
    @Option(help: "Plain text to continue.")
    var prompt: String?
    @Option(help: "An instruction, put in the form the model was trained on.")
    var instruction: String?
    @Option(help: "The instruction's input.")
    var input: String?
    @Option(help: "JSON lines with prompt, tokens, instruction/input or messages.")
    var prompts: String?
    @Option(help: "A file for the answers as JSON lines, in the order of the prompts; it appears when all are there.")
    var output: String?
    @Option(help: "tutorial, alpaca, alpaca_newline, chat, text or a template file.")
    var promptTemplate: String?
    @Option(help: "Tokens an answer may have.")
    var maxNewTokens = 256
    @Option(help: "0 is greedy.")
    var temperature: Float = 0
    @Option var topP: Float = 1
    @Option var topK = 0
    @Option var minP: Float = 0
    @Option var repetitionPenalty: Float = 1
    @Option var seed: UInt64 = 42
    @Option(help: "Text that ends an answer; may be repeated.")
    var stop: [String] = []
    @Flag(help: "Do not stop at the end-of-sequence token.")
    var ignoreEos = false
    @Option(help: "Prompts answered at once.")
    var maxNumSeqs = 32
    @Flag(inversion: .prefixedNo, help: "Compute equal beginnings of prompts once.")
    var enablePrefixCaching = true
    @Flag(help: "Print JSON lines.")
    var json = false

    func run() throws {
        try Failure.guarding {
            guard (1...4096).contains(maxNumSeqs) else {
                throw CommandError.usage("--max-num-seqs \(maxNumSeqs): give 1 to 4096")
            }
            let model = try modelOptions.load()
            let adapters: Set<String> = modelOptions.adapterName.map { [$0] } ?? []
            let answering = try Answering(
                model, template: promptTemplate, adapterFolder: modelOptions.adapter, maxSequences: maxNumSeqs,
                reusesPrefixes: enablePrefixCaching, adapters: adapters)
            let questions = try questions(answering, vocabularySize: model.configuration.vocabularySize)
            let log = modelOptions.machine.log
            let start = ContinuousClock.now
            let answers = try answering.answer(
                questions.map(\.tokens), options: options, adapter: modelOptions.adapterName
            ) { count in
                guard questions.count > 1 else { return }
                if log.isTerminal {
                    log.passing("\(count) of \(questions.count) answers")
                } else if count * 10 / questions.count > (count - 1) * 10 / questions.count {
                    log.line("\(count) of \(questions.count) answers")
                }
            }
            log.clear()
            if questions.count > 1 {
                let seconds = start.duration(to: .now) / .seconds(1)
                let written = answers.reduce(0) { $0 + $1.ids.count }
                log.line("\(questions.count) answers, \(written) tokens, \(Int(Double(written) / seconds)) tokens/s")
            }
            let lines = zip(questions, answers).map { question, answer -> JSON in
                [
                    "prompt": JSON(question.text), "text": JSON(answer.text),
                    "tokens": .array(answer.ids.map { JSON(Int($0)) }),
                    "finish_reason": JSON(answer.finish?.reason.rawValue ?? ""),
                ]
            }
            if let output {
                return try AtomicFile.write(lines.flatMap { $0.utf8() + [UInt8(ascii: "\n")] }, to: output)
            }
            for (answer, line) in zip(answers, lines) {
                if json {
                    print(line.text())
                } else {
                    print(answer.text.trimmingCharacters(in: .whitespacesAndNewlines))
                    if questions.count > 1 { print("---") }
                }
            }
        }
    }

    private var options: SamplingOptions {
        var options = SamplingOptions()
        options.temperature = temperature
        options.topP = topP
        options.topK = topK
        options.minP = minP
        options.repetitionPenalty = repetitionPenalty
        options.seed = seed
        options.maxNewTokens = maxNewTokens
        options.stop = stop
        options.ignoresEndOfText = ignoreEos
        return options
    }

    private func questions(
        _ answering: Answering, vocabularySize: Int
    ) throws -> [(text: String, tokens: [Int32])] {
        if let prompts {
            return try RowReader.rows(of: [prompts]).map { row in
                let fields = row.fields
                if let tokens = try ModelFolder.tokens(row, key: "tokens") {
                    if let id = tokens.first(where: { $0 >= vocabularySize }) {
                        throw DataError(
                            .badData, "token \(id) is beyond the model's vocabulary of \(vocabularySize)",
                            at: row.source)
                    }
                    return ("", tokens)
                }
                if let text = fields["prompt"]?.stringValue { return (text, answering.tokens(prompt: text)) }
                if let messages = fields["messages"] {
                    return (messages.text(), try answering.tokens(messages: messages, tools: fields["tools"]))
                }
                if let instruction = fields["instruction"]?.stringValue {
                    let input = fields["input"]?.stringValue
                    return (instruction, try answering.tokens(instruction: instruction, input: input))
                }
                throw DataError(
                    .badData, "a row needs 'prompt', 'tokens', 'messages' or 'instruction'", at: row.source)
            }
        }
        if let prompt { return [(prompt, answering.tokens(prompt: prompt))] }
        if let instruction {
            return [(instruction, try answering.tokens(instruction: instruction, input: input))]
        }
        throw CommandError.usage("give --prompt, --instruction or --prompts; see attune generate --help")
    }
}
