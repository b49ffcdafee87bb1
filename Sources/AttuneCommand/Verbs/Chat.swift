import ArgumentParser
import Attune
import AttuneGeneration
import Foundation

/// `attune chat`: a conversation in the terminal, or over a pipe.
struct Chat: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Talk to a model; /reset forgets what was said, /exit ends.",
        discussion: """
            Example: attune chat --model Models/pocket --system "You are a support agent."
            Lines come from standard input, so questions can be piped: echo "Where is my parcel?" | attune chat --model FOLDER
            """)

    @OptionGroup var modelOptions: ModelOptions
    @Option(help: "What stands before the conversation.")
    var system: String?
    @Option(help: "tutorial, alpaca, alpaca_newline, chat, text or a template file; what was trained by default.")
    var promptTemplate: String?
    @Option(help: "Tokens an answer may have.")
    var maxNewTokens = 256
    @Option(help: "0 is greedy.")
    var temperature: Float = 0.7
    @Option(help: "The share of probability that is drawn from.")
    var topP: Float = 0.9
    @Option(help: "Divides the logits of tokens seen before.")
    var repetitionPenalty: Float = 1
    @Option(help: "The seed of drawing; each start draws another when not given.")
    var seed: UInt64?

    func run() throws {
        try Failure.guarding {
            let model = try modelOptions.load()
            let adapters: Set<String> = modelOptions.adapterName.map { [$0] } ?? []
            let answering = try Answering(
                model, template: promptTemplate, adapterFolder: modelOptions.adapter, adapters: adapters)
            var options = SamplingOptions()
            options.temperature = temperature
            options.topP = topP
            options.repetitionPenalty = repetitionPenalty
            options.maxNewTokens = maxNewTokens
            options.seed = seed
            try options.validate(vocabularySize: model.configuration.vocabularySize)
            let session = ChatSession(
                answering, adapter: modelOptions.adapterName, system: system, options: options)
            let log = modelOptions.machine.log
            if !session.remembers {
                log.line("this model was trained on single questions; each is answered by itself", .info)
            }
            try talk(session, log)
        }
    }

    private func talk(_ session: ChatSession, _ log: CommandLog) throws {
        let asksByHand = isatty(0) != 0 && isatty(1) != 0
        while true {
            if asksByHand { show("> ") }
            guard let line = readLine() else { break }
            let text = line.trimmingCharacters(in: .whitespacesAndNewlines)
            switch text {
            case "": continue
            case "/exit", "/quit": return
            case "/reset":
                session.reset()
                log.line("forgotten")
            case _ where text.hasPrefix("/"):
                log.line("\(text): no such command; there are /reset and /exit", .warning)
            default:
                try session.reply(to: text, onText: show)
                show("\n")
            }
        }
        if asksByHand { show("\n") }
    }

    /// At once, and without what could steer a terminal.
    private func show(_ text: String) {
        let plain = String(
            String.UnicodeScalarView(
                text.unicodeScalars.filter { $0 == "\n" || $0 == "\t" || $0.properties.generalCategory != .control }))
        try? FileHandle.standardOutput.write(contentsOf: Data(plain.utf8))
    }
}
