import AttuneJSON
import AttuneText
import Foundation
import Testing

@Suite struct TokenizerFolderTests {
    private static func fixtures() throws -> URL {
        try #require(Bundle.module.url(forResource: "Fixtures", withExtension: nil))
    }

    /// A bare `tokenizer.model` gives the ids of the converters of `transformers`.
    @Test(arguments: ["llama", "gemma", "unigram"]) func sentencePiece(name: String) throws {
        let folder = try Self.fixtures().appending(path: "sentencepiece/\(name)")
        let tokenizer = try Tokenizer(folder: folder)
        let rows = try JSON(parsing: Array(Data(contentsOf: folder.appending(path: "expected.json")))).arrayValue ?? []
        #expect(rows.count > 10)
        for row in rows {
            let text = row["text"]?.stringValue ?? ""
            let ids = TokenizerReference.numbers(row["ids"])
            #expect(tokenizer.ids(of: text) == ids, "\(text.debugDescription)")
            #expect(tokenizer.encode(text, addSpecialTokens: false).ids == ids, "\(text.debugDescription)")
            #expect(
                tokenizer.ids(of: text, addSpecialTokens: true) == TokenizerReference.numbers(row["ids_special"]),
                "\(text.debugDescription)")
            let decoded = tokenizer.decode(ids, skipSpecialTokens: false)
            #expect(
                TokenizerReference.same(decoded, row["decoded"]?.stringValue ?? ""), "\(decoded.debugDescription)")
        }
        #expect(tokenizer.unkTokenID == (name == "gemma" ? 3 : 0))
        #expect(tokenizer.eosTokenID == (name == "gemma" ? 1 : 2))
    }

    /// A damaged `tokenizer.model` is refused in one line, whatever byte is cut or changed.
    @Test func damagedSentencePiece() throws {
        let source = try Self.fixtures().appending(path: "sentencepiece/unigram/tokenizer.model")
        let bytes = try Array(Data(contentsOf: source))
        let folder = FileManager.default.temporaryDirectory.appending(path: "attune-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var refused = 0
        for round in 0..<60 {
            var damaged = bytes
            if round % 2 == 0 {
                damaged.removeLast(Int.random(in: 1..<bytes.count))
            } else {
                for _ in 0..<20 { damaged[Int.random(in: 0..<damaged.count)] = UInt8.random(in: 0...255) }
            }
            try Data(damaged).write(to: folder.appending(path: "tokenizer.model"))
            do {
                _ = try Tokenizer(folder: folder).ids(of: "Hello ½ world")
            } catch let error {
                refused += 1
                #expect(!error.description.contains("\n"))
            }
        }
        #expect(refused > 20)
    }

    @Test func rolesAndLookups() throws {
        let folder = try Self.fixtures().appending(path: "tokenizers/synthetic-bpe-bytelevel")
        let tokenizer = try Tokenizer(folder: folder.path)
        #expect(tokenizer.bosTokenID == 0)
        #expect(tokenizer.eosTokenID == 1)
        #expect(tokenizer.padTokenID == 2)
        #expect(tokenizer.isSpecial(0))
        #expect(!tokenizer.isSpecial(1800))
        #expect(tokenizer.token(for: 1800) == "<tool_call>")
        #expect(tokenizer.id(for: "<tool_call>") == 1800)
        #expect(tokenizer.id(for: "no such token") == nil)
        #expect(tokenizer.token(for: 5000) == nil)
        #expect(tokenizer.vocabularySize == 1802)
        #expect(tokenizer.specialTokens.map(\.id) == Array(0...6))
        #expect(tokenizer.specialTokens.first?.token == "<|begin|>")
    }

    @Test func missingFolder() {
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(folder: "/nonexistent") }
        #expect(error?.description.contains("tokenizer.json") == true)
    }

    @Test func batchKeepsOrder() throws {
        let tokenizer = try Tokenizer(folder: try Self.fixtures().appending(path: "tokenizers/synthetic-unigram"))
        let texts = (0..<500).map { "row \($0) of the batch" }
        #expect(tokenizer.ids(ofBatch: texts) == texts.map { tokenizer.ids(of: $0) })
        let encodings = tokenizer.encodeBatch(texts, addSpecialTokens: true)
        #expect(encodings == texts.map { tokenizer.encode($0, addSpecialTokens: true) })
        #expect(tokenizer.ids(ofBatch: []).isEmpty)
    }

    /// A long run of one character takes time in proportion to its length.
    @Test func longWordsStayLinear() throws {
        let tokenizer = try Tokenizer(folder: try Self.fixtures().appending(path: "tokenizers/synthetic-bpe-bytelevel"))
        let clock = ContinuousClock()
        let time = clock.measure {
            for character in ["a", " ", "\n", "é"] {
                let text = String(repeating: character, count: 300_000)
                #expect(
                    tokenizer.decode(tokenizer.ids(of: text), skipSpecialTokens: false).utf8.count == text.utf8.count)
            }
        }
        // A quadratic loop would need minutes.
        #expect(time < .seconds(20))
    }

    /// Short and long words, which are merged in two ways, both give what the textbook loop gives.
    @Test func mergesFollowTheTextbook() throws {
        let folder = try Self.fixtures().appending(path: "tokenizers/synthetic-bpe-bytelevel")
        let tokenizer = try Tokenizer(folder: folder)
        let json = try JSON(parsing: Array(Data(contentsOf: folder.appending(path: "tokenizer.json"))))
        var ranks: [[String]: Int] = [:]
        for (rank, pair) in (json["model"]?["merges"]?.arrayValue ?? []).enumerated() {
            ranks[[pair[0]?.stringValue ?? "", pair[1]?.stringValue ?? ""]] = rank
        }
        #expect(ranks.count > 1000)
        for count in [1, 2, 7, 30, 48, 49, 60, 150, 400] {
            for _ in 0..<20 {
                let word = String((0..<count).compactMap { _ in "theiongrasu".randomElement() })
                var symbols = word.map { String($0) }
                while let best = symbols.indices.dropLast().compactMap({ place in
                    ranks[[symbols[place], symbols[place + 1]]].map { (rank: $0, place: place) }
                }).min(by: { ($0.rank, $0.place) < ($1.rank, $1.place) }) {
                    symbols[best.place] += symbols.remove(at: best.place + 1)
                }
                #expect(tokenizer.ids(of: word).map { tokenizer.token(for: $0) } == symbols, "\(word)")
            }
        }
    }
}
