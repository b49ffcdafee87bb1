import AttuneFuzzing
import AttuneJSON
import AttuneText
import Foundation
import Testing

@Suite struct TextFuzzTests {
    private static func fixture(_ path: String) throws -> [UInt8] {
        let folder = try #require(Bundle.module.url(forResource: "Fixtures", withExtension: nil))
        return try Array(Data(contentsOf: folder.appending(path: path)))
    }

    private static let texts = [
        "", " ", "Hello, world!", "  two  spaces\n\nlines", "naïve e\u{301} 你好 😀👍🏽", "\u{0}\u{FFFD}<s></s>",
        "don't 123456",
        String(repeating: "a", count: 300), "▁x\u{200d}y\u{a0}",
    ]

    /// A damaged `tokenizer.json` is refused, or makes a tokenizer that takes and gives any text.
    @Test(arguments: [
        ("synthetic-bpe-bytelevel", UInt64(30)), ("synthetic-bpe-metaspace", 31), ("synthetic-unigram", 32),
    ])
    func tokenizers(name: String, stream: UInt64) throws {
        let whole = try JSON(parsing: try Self.fixture("tokenizers/\(name)/tokenizer.json"))
        // A small vocabulary: the structure is what is damaged, and small files are read fast.
        let original = Array(Self.shortened(whole).text().utf8)
        let words = [
            "null", "[]", "{}", "-1", "9223372036854775807", "\"Sequence\"", "\"pretokenizers\":[", "true", "\"\"",
            "\"Regex\":\"(a*)*b\"", "\"Split\"", "\"Replace\"", "0.5", "\"ByteFallback\"", "4294967296",
        ]
        let run = try FuzzRun(
            stream: stream, iterations: 400,
            make: { chance in
                var bytes = original
                for _ in 0..<(1 + chance.below(3)) { chance.damage(&bytes, words: words) }
                return bytes
            },
            read: Self.tokenize, isRefusal: { $0 is TokenizerError || $0 is JSONError })
        #expect(run.accepted > 0 && run.refused > run.count / 20)
        #expect(run.findings.isEmpty)
    }

    /// Small tokenizers of every kind of part, whose values are replaced by values from one another.
    @Test func mixedTokenizers() throws {
        let components = try JSON(parsing: try Self.fixture("components.json"))
        let wholes = ["encodings", "decodings"].flatMap { components[$0]?.arrayValue ?? [] }.compactMap {
            $0["tokenizer"]
        }
        let parts = wholes.flatMap(\.parts)
        #expect(wholes.count > 50)
        let edges: [JSON] = Chance.edges.map { .integer($0) } + [.null, .string(""), .array([]), .object(JSONObject())]
        let run = try FuzzRun(
            stream: 33, iterations: 2000,
            make: { chance in
                var root = chance.pick(wholes)
                for _ in 0..<(1 + chance.below(4)) {
                    let value = chance.rarely(4) ? chance.pick(edges) : chance.pick(parts)
                    var place = chance.below(root.parts.count)
                    root = root.replacing(&place, by: value)
                }
                return Array(root.text().utf8)
            },
            read: Self.tokenize, isRefusal: { $0 is TokenizerError || $0 is JSONError })
        #expect(run.accepted > run.count / 20 && run.refused > run.count / 20)
        #expect(run.findings.isEmpty)
    }

    /// Makes a tokenizer, and sends texts there and back.
    private static func tokenize(_ bytes: [UInt8]) throws {
        let tokenizer = try Tokenizer(json: try JSON(parsing: bytes))
        for text in texts {
            let encoding = tokenizer.encode(text, addSpecialTokens: true)
            _ = tokenizer.ids(of: text)
            _ = tokenizer.decode(encoding.ids, skipSpecialTokens: false)
            _ = tokenizer.decode(encoding.ids + [-1, .max, .min], skipSpecialTokens: true)
        }
    }

    /// Keeps the first tokens of a vocabulary and the merges among them.
    private static func shortened(_ tokenizer: JSON) -> JSON {
        guard var root = tokenizer.objectValue, var model = root["model"]?.objectValue else { return tokenizer }
        if let vocabulary = model["vocab"]?.objectValue {
            let kept = Array(vocabulary.members.prefix(400))
            let names = Set(kept.map { ByteString($0.key) })
            model["vocab"] = .object(JSONObject(kept))
            model["merges"] = .array(
                (model["merges"]?.arrayValue ?? []).filter { merge in
                    let parts =
                        merge.stringValue.map { $0.split(separator: " ").map(String.init) }
                        ?? merge.arrayValue?.compactMap(\.stringValue) ?? []
                    return parts.count == 2 && names.contains(ByteString(parts.joined()))
                        && parts.allSatisfy { names.contains(ByteString($0)) }
                })
        } else if let pieces = model["vocab"]?.arrayValue {
            model["vocab"] = .array(Array(pieces.prefix(400)))
        }
        root["model"] = .object(model)
        return .object(root)
    }

    /// Templates of damaged and random source end in text or a `TemplateError`, within their limits.
    @Test func templates() throws {
        let lines = String(decoding: try Self.fixture("JinjaLanguage.jsonl"), as: UTF8.self).split(separator: "\n")
        let context = try #require(try JSON(parsing: String(lines[0]))["context"]?.objectValue)
        let sources = try lines.dropFirst().compactMap { try JSON(parsing: String($0))["source"]?.stringValue }
        let words = [
            "{{", "}}", "{%", "%}", "{%-", "-%}", "{#", "#}", "|", "(", ")", "[", "]", ".", " if ", " else ",
            " for x in l ",
            "{% endfor %}", "{% endif %}", "loop.index", "|join", "|map(attribute='x')", "|sort", "range(9)", "~",
            " is ",
            " in ", "not ", "9223372036854775807", "'%s' % ", "'{}'.format(", "namespace(", "{% set x = ", "[::-1]",
            "{% macro m(x=1) %}", "{% endmacro %}", "m()", "{% generation %}", "{% endgeneration %}", "{% break %}",
            "**",
            "//", "é", "messages", "tojson", "d.items()", "\\", "\"", "'",
        ]
        var limits = TemplateLimits()
        limits.steps = 200_000
        var options = TemplateOptions()
        options.limits = limits
        let run = try FuzzRun(
            stream: 40, iterations: 10_000,
            make: { chance in
                var bytes: [UInt8] = []
                for _ in 0..<(1 + chance.below(3)) {
                    bytes += chance.rarely(5) ? Array(chance.pick(words).utf8) : Array(chance.pick(sources).utf8)
                }
                for _ in 0..<chance.below(4) { chance.damage(&bytes, words: words) }
                return bytes
            },
            read: { bytes in
                let template = try ChatTemplate(source: String(decoding: bytes, as: UTF8.self), limits: limits)
                _ = try template.render(context, options: options)
            }, isRefusal: { $0 is TemplateError })
        #expect(run.accepted > run.count / 20 && run.refused > run.count / 20)
        #expect(run.findings.isEmpty)
    }
}

extension JSON {
    /// This value and all within it, outer before inner.
    fileprivate var parts: [JSON] {
        switch self {
        case .array(let elements): [self] + elements.flatMap(\.parts)
        case .object(let object): [self] + object.members.flatMap(\.value.parts)
        default: [self]
        }
    }

    /// This value with the part that stands at `place` in `parts` replaced; `place` counts down and ends below 0.
    fileprivate func replacing(_ place: inout Int, by value: JSON) -> JSON {
        place -= 1
        if place < 0 { return place == -1 ? value : self }
        switch self {
        case .array(let elements): return .array(elements.map { $0.replacing(&place, by: value) })
        case .object(let object):
            return .object(JSONObject(object.members.map { ($0.key, $0.value.replacing(&place, by: value)) }))
        default: return self
        }
    }
}
