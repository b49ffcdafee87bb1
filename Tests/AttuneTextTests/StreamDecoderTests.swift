import AttuneJSON
import AttuneText
import Foundation
import Testing

@Suite struct StreamDecoderTests {
    /// All pieces together are the decoding of the list, no piece holds half a character, and text does not wait for
    /// the end where it need not.
    @Test(arguments: TokenizerReference.folders) func streamEqualsDecode(folder: URL) throws {
        let tokenizer = try Tokenizer(folder: folder)
        let limit = Int32(tokenizer.vocabularySize)
        var lists = try TokenizerReference.cases(in: folder).prefix(200).map(\.ids)
        lists += try TokenizerReference.decodeCases(in: folder).map(\.ids)
        for _ in 0..<200 { lists.append((0..<12).map { _ in Int32.random(in: 0..<limit) }) }
        var wrong: [String] = []
        for ids in lists {
            for skips in [false, true] {
                var stream = StreamDecoder(tokenizer, skipSpecialTokens: skips)
                let pieces = ids.map { stream.push($0) } + [stream.finish()]
                let whole = tokenizer.decode(ids, skipSpecialTokens: skips)
                if !TokenizerReference.same(pieces.joined(), whole) { wrong.append("\(ids): \(pieces)") }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.count): \(wrong.prefix(3))")
    }

    @Test func charactersComeWhole() throws {
        let fixtures = try #require(TokenizerReference.fixtures)
        let tokenizer = try Tokenizer(folder: fixtures.appending(path: "synthetic-bpe-bytelevel"))
        let ids = tokenizer.ids(of: "ok 🙂 ok")
        var stream = StreamDecoder(tokenizer)
        let pieces = ids.map { stream.push($0) }
        #expect(pieces.joined() == "ok 🙂 ok")
        #expect(pieces.contains(""))
        #expect(pieces.allSatisfy { !$0.unicodeScalars.contains("\u{FFFD}") })
        var cut = StreamDecoder(tokenizer)
        let half = ids.prefix(3).map { cut.push($0) }.joined()
        #expect(half.hasPrefix("ok"))
        #expect(!half.unicodeScalars.contains("\u{FFFD}"))
        #expect(cut.finish() == "\u{FFFD}")
    }

    @Test func bytesOfTokensJoinToTheText() throws {
        let fixtures = try #require(TokenizerReference.fixtures)
        for name in ["synthetic-bpe-bytelevel", "synthetic-bpe-metaspace"] {
            let tokenizer = try Tokenizer(folder: fixtures.appending(path: name))
            let text = "Ünï 🙂 ok\n"
            let bytes = tokenizer.ids(of: text).flatMap { tokenizer.bytes(of: $0) }
            let expected = Array((name.hasSuffix("metaspace") ? " " + text : text).utf8)
            #expect(bytes == expected, "\(name)")
            #expect(tokenizer.bytes(of: 1 << 20).isEmpty)
        }
    }
}
