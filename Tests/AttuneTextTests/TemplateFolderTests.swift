import AttuneJSON
import AttuneText
import Foundation
import Testing

@Suite("Templates of a model's folder")
struct TemplateFolderTests {
    private func folder(_ files: [String: String]) throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("attune-\(UUID().uuidString)")
        for (name, text) in files {
            let file = folder.appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return folder
    }

    @Test func templatesAndTokens() throws {
        let config = """
            {"chat_template": [{"name": "default", "template": "d"}, {"name": "rag", "template": "r"}],
             "bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null, "x": 1}
            """
        let place = try folder([
            "tokenizer_config.json": config, "special_tokens_map.json": "{\"unk_token\": \"<unk>\"}",
            "additional_chat_templates/tool_use.jinja": "t",
        ])
        defer { try? FileManager.default.removeItem(at: place) }
        let found = try ChatTemplateFolder(place)
        #expect(found.source() == "d")
        #expect(found.source(hasTools: true) == "t")
        #expect(found.source(named: "rag") == "r")
        #expect(found.source(named: "nope") == nil)
        #expect(found.specialTokens["bos_token"] == "<s>")
        #expect(found.specialTokens["eos_token"] == "</s>")
        #expect(found.specialTokens["unk_token"] == "<unk>")
        #expect(found.specialTokens["pad_token"] == nil)
    }

    @Test func theFileOfItsOwnWins() throws {
        let place = try folder([
            "tokenizer_config.json": "{\"chat_template\": \"a\"}", "chat_template.json": "{\"chat_template\": \"b\"}",
            "chat_template.jinja": "c",
        ])
        defer { try? FileManager.default.removeItem(at: place) }
        #expect(try ChatTemplateFolder(place).source() == "c")
        try FileManager.default.removeItem(at: place.appendingPathComponent("chat_template.jinja"))
        #expect(try ChatTemplateFolder(place).source() == "b")
    }

    @Test func absentAndBrokenFiles() throws {
        #expect(try ChatTemplateFolder(URL(fileURLWithPath: "/nonexistent")).templates.isEmpty)
        for text in ["{", "{\"chat_template\": 5}", "{\"chat_template\": [{\"name\": \"x\"}]}"] {
            let place = try folder(["tokenizer_config.json": text])
            defer { try? FileManager.default.removeItem(at: place) }
            #expect(throws: ChatTemplateFolderError.self) { try ChatTemplateFolder(place) }
        }
    }
}
