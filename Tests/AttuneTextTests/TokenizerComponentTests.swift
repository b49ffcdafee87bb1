import AttuneJSON
import AttuneText
import Foundation
import Testing

/// Components that no reference tokenizer uses, against results of the `tokenizers` library
/// (`dev/golden/tokenizer_components.py`).
@Suite struct TokenizerComponentTests {
    private static func golden() throws -> JSON {
        let url = try #require(Bundle.module.url(forResource: "Fixtures", withExtension: nil))
        return try JSON(parsing: Array(Data(contentsOf: url.appending(path: "components.json"))))
    }

    @Test func encodings() throws {
        let entries = try #require(try Self.golden()["encodings"]?.arrayValue)
        #expect(entries.count > 60)
        for entry in entries {
            let name = entry["name"]?.stringValue ?? ""
            let tokenizer = try Tokenizer(json: try #require(entry["tokenizer"]))
            for row in entry["cases"]?.arrayValue ?? [] {
                let text = row["text"]?.stringValue ?? ""
                let encoding = tokenizer.encode(text, addSpecialTokens: true)
                let ids = TokenizerReference.numbers(row["ids"])
                let tokens = row["tokens"]?.arrayValue?.compactMap(\.stringValue) ?? []
                let offsets = row["offsets"]?.arrayValue?.map { ($0[0]?.intValue ?? 0)..<($0[1]?.intValue ?? 0) } ?? []
                #expect(encoding.ids == ids, "\(name): ids of \(text.debugDescription)")
                #expect(
                    tokenizer.ids(of: text, addSpecialTokens: true) == ids,
                    "\(name): fast ids of \(text.debugDescription)")
                #expect(
                    encoding.tokens.map { Array($0.utf8) } == tokens.map { Array($0.utf8) },
                    "\(name): tokens of \(text.debugDescription)")
                #expect(encoding.offsets == offsets, "\(name): offsets of \(text.debugDescription)")
            }
        }
    }

    @Test func decodings() throws {
        let entries = try #require(try Self.golden()["decodings"]?.arrayValue)
        for entry in entries {
            let name = entry["name"]?.stringValue ?? ""
            let tokenizer = try Tokenizer(json: try #require(entry["tokenizer"]))
            for row in entry["rows"]?.arrayValue ?? [] {
                let ids = TokenizerReference.numbers(row["ids"])
                for (key, skips) in [("decoded", false), ("skip", true)] {
                    let text = tokenizer.decode(ids, skipSpecialTokens: skips)
                    let expected = row[key]?.stringValue ?? ""
                    #expect(
                        TokenizerReference.same(text, expected),
                        "\(name) \(ids): \(text.debugDescription), not \(expected.debugDescription)")
                    var stream = StreamDecoder(tokenizer, skipSpecialTokens: skips)
                    let pieces = ids.map { stream.push($0) } + [stream.finish()]
                    #expect(TokenizerReference.same(pieces.joined(), expected), "\(name) \(ids): stream \(pieces)")
                }
            }
        }
    }

    @Test(arguments: [
        #"{"model":{"type":"Magic","vocab":{}}}"#, #"{"model":5}"#, #"[]"#, #"{}"#,
        #"{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}"#,
        #"{"model":{"type":"BPE","vocab":{"a":0},"merges":["ab"]}}"#,
        #"{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}"#,
        #"{"model":{"type":"BPE","vocab":{"a":99999999999},"merges":[]}}"#,
        #"{"model":{"type":"Unigram","vocab":[["a",0]],"unk_id":7}}"#, #"{"model":{"type":"Unigram","vocab":[["a"]]}}"#,
        #"{"model":{"type":"WordPiece","vocab":{"a":0}}}"#,
        #"{"model":{"type":"WordLevel","vocab":{"a":0}},"normalizer":{"type":"Rot13"}}"#,
        #"{"model":{"type":"WordLevel","vocab":{"a":0}},"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="}}"#,
        #"{"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"}}"#,
        #"{"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a)\\1"},"behavior":"Isolated"}}"#,
        #"{"model":{"type":"WordLevel","vocab":{"a":0}},"pre_tokenizer":{"type":"FixedLength","length":0}}"#,
        #"{"model":{"type":"WordLevel","vocab":{"a":0}},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"q"}}],"special_tokens":{}}}"#,
        #"{"model":{"type":"WordLevel","vocab":{"a":0}},"decoder":{"type":"Sequence","decoders":[{"type":"?"}]}}"#,
        #"{"model":{"type":"WordLevel","vocab":{"a":0}},"added_tokens":[{"id":3}]}"#,
    ]) func damagedFilesAreRefused(text: String) throws {
        let json = try JSON(parsing: text)
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: json) }
        #expect(error?.description.contains("\n") == false)
    }

    @Test func nestingIsLimited() throws {
        var normalizer: JSON = ["type": "NFC"]
        for _ in 0..<40 { normalizer = ["type": "Sequence", "normalizers": [normalizer]] }
        let json: JSON = ["model": ["type": "WordLevel", "vocab": ["a": 0]], "normalizer": normalizer]
        #expect(throws: TokenizerError.self) { try Tokenizer(json: json) }
    }
}
