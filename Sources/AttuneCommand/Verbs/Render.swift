import ArgumentParser
import Attune
import AttuneFiles
import AttuneJSON
import AttuneText
import Foundation

/// `attune render`: a conversation as a model's chat template writes it.
struct Render: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a conversation as the model's chat template writes it, and nothing else.",
        discussion: "Example: attune render Models/pocket --messages chat.json --add-generation-prompt")

    @Argument(help: "A model folder, a cached hub name, or a template file.")
    var template: String
    @Option(help: "A JSON file with the list of messages, or an object with \"messages\" and perhaps \"tools\".")
    var messages: String
    @Option(help: "A JSON file with a list of tools.")
    var tools: String?
    @Option(help: "The template of this name, where a folder has several.")
    var name: String?
    @Flag(help: "Begin the assistant's turn.")
    var addGenerationPrompt = false
    @Option(name: .customLong("set"), help: "A variable of the template: name=JSON.")
    var variables: [String] = []
    @Option(help: "What strftime_now shows: 2026-01-31T12:00:00.")
    var now: String?
    @OptionGroup var machine: MachineOptions
    @Flag(help: "Print JSON with the bytes each message produced.")
    var json = false

    func run() throws {
        try Failure.guarding {
            try machine.check()
            let conversation = try WholeFile.readJSON(messages)
            guard let list = (conversation["messages"] ?? conversation).arrayValue else {
                throw FilesError.invalid(path: messages, problem: "is no list of messages; write [{\"role\": …}, …]")
            }
            let toolList = try tools.map { try WholeFile.readJSON($0) } ?? conversation["tools"]
            if let toolList, toolList.arrayValue == nil, !toolList.isNull {
                throw FilesError.invalid(path: tools ?? messages, problem: "the tools are no list; write [{…}, …]")
            }
            let found = try find(hasTools: toolList?.arrayValue?.isEmpty == false)
            var variables = found.variables
            for assignment in self.variables {
                guard let place = assignment.firstIndex(of: "="), place != assignment.startIndex else {
                    throw CommandError.usage("--set \(assignment): write name=JSON")
                }
                let text = String(assignment[assignment.index(after: place)...])
                // A value that is no JSON is a text: nobody quotes twice by hand.
                variables[String(assignment[..<place])] = (try? JSON(parsing: text)) ?? .string(text)
            }
            var options = TemplateOptions()
            options.clock = try now.map(clock)
            let rendering = try ChatTemplate(source: found.source).render(
                ChatTemplate.context(
                    messages: list, tools: toolList?.arrayValue, addsGenerationPrompt: addGenerationPrompt,
                    variables: variables), options: options)
            if json {
                let spans = rendering.messageSpans.map { span -> JSON in
                    [
                        "message": JSON(span.message), "begin": JSON(span.range.lowerBound),
                        "end": JSON(span.range.upperBound),
                    ]
                }
                print((["text": .string(rendering.text), "spans": .array(spans)] as JSON).text())
            } else {
                try FileHandle.standardOutput.write(contentsOf: Data(rendering.utf8))
            }
        }
    }

    private func find(hasTools: Bool) throws -> (source: String, variables: JSONObject) {
        if Folder.hasFile(template) {
            guard let source = String(validating: try WholeFile.read(template, limit: 16 << 20), as: UTF8.self) else {
                throw FilesError.invalid(path: template, problem: "is not text in UTF-8")
            }
            return (source, JSONObject())
        }
        let path = try ModelFolder.locate(template)
        let folder = try ChatTemplateFolder(URL(filePath: path))
        guard let source = folder.source(named: name, hasTools: hasTools) else {
            throw FilesError.missing(
                path: Folder.path(path, "chat_template.jinja"),
                hint: name.map { "the folder has no template named '\($0)'" }
                    ?? "the folder has no chat template; give a template file")
        }
        return (source, folder.specialTokens)
    }

    private func clock(_ text: String) throws -> TemplateClock {
        let halves = text.split(separator: "T", omittingEmptySubsequences: false)
        let date = (halves.first ?? "").split(separator: "-").compactMap { Int($0) }
        let time = (halves.count > 1 ? halves[1] : "0:0:0").split(separator: ":").compactMap { Int($0) }
        guard halves.count <= 2, date.count == 3, (2...3).contains(time.count), (1...9999).contains(date[0]),
            (1...12).contains(date[1]), (1...31).contains(date[2]), (0...23).contains(time[0]),
            (0...59).contains(time[1]), (0...60).contains(time.count > 2 ? time[2] : 0)
        else { throw CommandError.usage("--now \(text): write it as 2026-01-31T12:00:00") }
        return TemplateClock(
            year: date[0], month: date[1], day: date[2], hour: time[0], minute: time[1],
            second: time.count > 2 ? time[2] : 0)
    }
}
