import AttuneJSON
import AttuneText
import Foundation
import Testing

/// The published chat templates with renderings by transformers; see README there.
enum TemplateReference {
    static let folder: URL? = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let named = ProcessInfo.processInfo.environment["ATTUNE_REFERENCE"].map { URL(fileURLWithPath: $0) }
        let base = named ?? root.deletingLastPathComponent().appendingPathComponent("shared/reference")
        let folder = base.appendingPathComponent("chat_templates")
        return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
    }()

    static let isPresent = folder != nil

    static func names() throws -> [String] {
        guard let folder else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().filter {
            FileManager.default.fileExists(atPath: folder.appendingPathComponent("\($0)/template.jinja").path)
        }
    }

    static func source(_ name: String) throws -> String {
        let file = try #require(folder).appendingPathComponent("\(name)/template.jinja")
        return String(decoding: try Data(contentsOf: file), as: UTF8.self)
    }

    static func cases(_ name: String) throws -> [JSON] {
        try lines(try #require(folder).appendingPathComponent("\(name)/cases.jsonl"))
    }

    static func lines(_ file: URL) throws -> [JSON] {
        try Data(contentsOf: file).split(separator: 0x0A).map { try JSON(parsing: Array($0)) }
    }

    /// The moment the reference was rendered at.
    static func options(normalizes: Bool) -> TemplateOptions {
        var options = TemplateOptions()
        options.clock = TemplateClock(year: 2025, month: 3, day: 14, hour: 9, minute: 26, second: 53)
        options.normalizesMessages = normalizes
        return options
    }
}

@Suite("Published chat templates", .enabled(if: TemplateReference.isPresent, "no ../shared/reference"))
struct TemplateReferenceTests {
    /// What differs between a rendering and what is expected of it; `nil` when nothing does.
    private func difference(_ template: ChatTemplate, _ row: JSON, _ expected: JSON, normalizes: Bool) -> String? {
        let context = row["context"]?.objectValue ?? JSONObject()
        do {
            let text = try template.render(context, options: TemplateReference.options(normalizes: normalizes)).utf8
            guard let wanted = expected["rendered"]?.stringValue else {
                return "rendered, expected \(expected["error"]?.text() ?? "")"
            }
            if text.elementsEqual(wanted.utf8) { return nil }
            let place = zip(text, wanted.utf8).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
            let got = String(decoding: text[max(0, place - 30)..<min(text.count, place + 60)], as: UTF8.self)
            return "differs at byte \(place): \(JSON(got).text())"
        } catch {
            guard let wanted = expected["error"] else { return "failed: \(error)" }
            let isRaised = wanted["type"]?.stringValue == "TemplateError"
            if isRaised != (error.kind == .raised) { return "failed otherwise: \(error)" }
            if isRaised, !error.message.utf8.elementsEqual((wanted["message"]?.stringValue ?? "").utf8) {
                return "other words: \(error.message)"
            }
            return nil
        }
    }

    @Test func rendersEveryCaseExactly() throws {
        var count = 0
        for name in try TemplateReference.names() {
            let template = try ChatTemplate(source: try TemplateReference.source(name))
            for row in try TemplateReference.cases(name) {
                count += 1
                let label = "\(name) \(row["name"]?.stringValue ?? "")"
                let plain = difference(template, row, row, normalizes: false)
                #expect(plain == nil, "\(label)")
                let normalized = difference(template, row, row["transformers"] ?? row, normalizes: true)
                #expect(normalized == nil, "\(label), as transformers")
            }
        }
        #expect(count >= 686)
    }

    @Test func noticesWrongExpectations() throws {
        let name = try #require(try TemplateReference.names().first { $0.contains("Qwen3-0.6B") })
        let template = try ChatTemplate(source: try TemplateReference.source(name))
        let row = try #require(try TemplateReference.cases(name).first)
        #expect(difference(template, row, ["rendered": "something else"], normalizes: false) != nil)
        #expect(difference(template, row, ["error": ["type": "TypeError"]], normalizes: false) != nil)
    }

    @Test func findsGenerationBlocks() throws {
        var count = 0
        for name in try TemplateReference.names() {
            let template = try ChatTemplate(source: try TemplateReference.source(name))
            for row in try TemplateReference.cases(name) {
                guard let spans = row["generation_spans"]?.arrayValue else { continue }
                let context = row["context"]?.objectValue ?? JSONObject()
                let rendering = try template.render(context, options: TemplateReference.options(normalizes: true))
                let scalars = Array(rendering.text.unicodeScalars)
                var offsets = [0]
                for scalar in scalars { offsets.append((offsets.last ?? 0) + UTF8.width(scalar)) }
                let wanted = spans.compactMap { span -> Range<Int>? in
                    guard let begin = span[0]?.intValue, let end = span[1]?.intValue else { return nil }
                    return offsets[begin]..<offsets[end]
                }
                #expect(rendering.generationSpans == wanted, "\(name) \(row["name"]?.stringValue ?? "")")
                count += wanted.count
            }
        }
        #expect(count > 0)
    }
}
