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
    @Option(help: "Names of columns, such as {instruction: question}; those of the training by default.")
    var columns: String?
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
            guard limit ?? 1 > 0 else { throw CommandError.usage("--limit \(limit ?? 0): give 1 or more") }
            guard maxNewTokens > 0 else {
                throw CommandError.usage("--max-new-tokens \(maxNewTokens): give 1 or more")
            }
            guard !compareBase || modelOptions.adapter != nil else {
                throw CommandError.usage("--compare-base: there is no adapter to compare with the base; give --adapter")
            }
            let all = try readExamples()
            let examples = Array(all.prefix(limit ?? all.count))
            guard !examples.isEmpty else { throw CommandError.badData("\(data): holds no rows; add some") }
            let model = try modelOptions.load()
            let adapters: Set<String> = modelOptions.adapterName.map { [$0] } ?? []
            let answering = try Answering(
                model, template: promptTemplate, adapterFolder: modelOptions.adapter, adapters: adapters)
            let log = modelOptions.machine.log
            let result = try answering.evaluate(
                examples, maxNewTokens: maxNewTokens, adapter: modelOptions.adapterName, comparesBase: compareBase
            ) { log.passing("\($0) of \($1) answers") }
            log.clear()
            if let report {
                let text = report.hasSuffix(".html") ? result.html : result.markdown
                try AtomicFile.write(Array(text.utf8), to: report)
            }
            print(json ? result.json.text() : result.text())
        }
    }

    private func readExamples() throws -> [Example] {
        if let columns {
            return try Example.examples(of: [data], columns: Recipe(set: ["columns=\(columns)"]).columns)
        }
        let trained = try modelOptions.adapter.flatMap { try PromptContract(folder: $0) }
        let contract = try trained ?? PromptContract(folder: ModelFolder.locate(modelOptions.model))
        return try contract?.examples(of: data) ?? Example.examples(of: [data])
    }
}
