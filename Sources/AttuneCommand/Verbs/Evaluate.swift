import ArgumentParser
import Attune
import AttuneJSON
import Foundation

/// `attune evaluate`: exact match over a file of examples, with the mismatches, and base against tuned.
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer the examples of a file and compare.",
        discussion: "Example: attune evaluate --model Models/pocket --adapter results --data test.jsonl --compare-base")

    @OptionGroup var modelOptions: ModelOptions
    @Option(help: "Examples with answers.")
    var data: String
    @Option(help: "tutorial, alpaca, alpaca_newline, chat, text or a template file; what was trained by default.")
    var promptTemplate: String?
    @Flag(help: "Answer with the base alone too, and compare.")
    var compareBase = false
    @Option(help: "Tokens an answer may have.")
    var maxNewTokens = 64
    @Option(help: "Only the first examples.")
    var limit: Int?
    @Option(help: "Write a report here: Markdown, or HTML when the name ends in .html.")
    var report: String?
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try Failure.guarding {
            let all = try Example.examples(of: [data])
            let examples = Array(all.prefix(limit ?? all.count))
            let model = try modelOptions.load()
            let adapters: Set<String> = modelOptions.adapterName.map { [$0] } ?? []
            let answering = try Answering(
                model, template: promptTemplate, adapterFolder: modelOptions.adapter, adapters: adapters)
            let tuned = try predictions(examples, answering, adapter: modelOptions.adapterName)
            let base = compareBase ? try predictions(examples, answering, adapter: nil) : nil
            let result = EvaluationResult(tuned, base: base)
            if let report {
                let text = report.hasSuffix(".html") ? result.html : result.markdown
                try AtomicFile.write(Array(text.utf8), to: report)
            }
            print(json ? result.json.text() : result.text())
        }
    }

    private func predictions(
        _ examples: [Example], _ answering: Answering, adapter: String?
    ) throws -> [Prediction] {
        var options = SamplingOptions()
        options.temperature = 0
        options.maxNewTokens = maxNewTokens
        let answers = try answering.answer(
            try examples.map(answering.tokens), options: options, adapter: adapter)
        return zip(examples, answers).map { example, answer in
            Prediction(
                row: example.source, prompt: example.question.own, expected: example.answer ?? "", got: answer.text,
                stopReason: answer.finish?.reason.rawValue ?? "")
        }
    }
}
