import AttuneJSON
import AttuneText
import Foundation
import Testing

/// Every row of every reference tokenizer.
@Suite struct TokenizerReferenceTests {
    @Test(arguments: TokenizerReference.folders) func cases(folder: URL) throws {
        let tokenizer = try Tokenizer(folder: folder)
        var wrong: [String] = []
        var offsetsCompared = 0
        for row in try TokenizerReference.cases(in: folder) {
            let name = "\(folder.lastPathComponent) row \(row.id)"
            if tokenizer.ids(of: row.text) != row.ids {
                wrong.append("\(name): ids of \(row.text.prefix(60).debugDescription)")
            }
            if tokenizer.ids(of: row.text, addSpecialTokens: true) != row.idsSpecial {
                wrong.append("\(name): ids with special tokens")
            }
            let encoding = tokenizer.encode(row.text, addSpecialTokens: false)
            if encoding.ids != row.ids { wrong.append("\(name): ids of encode") }
            if encoding.tokens.count != row.ids.count { wrong.append("\(name): tokens") }
            if let offsets = row.offsets {
                offsetsCompared += 1
                if encoding.offsets != offsets {
                    let at = zip(encoding.offsets, offsets).enumerated().first { $0.element.0 != $0.element.1 }
                    wrong.append(
                        "\(name): offsets, first \(String(describing: at)) of \(row.text.prefix(60).debugDescription)")
                }
            }
            if tokenizer.encode(row.text, addSpecialTokens: true).ids != row.idsSpecial {
                wrong.append("\(name): encode with special tokens")
            }
            if !TokenizerReference.same(tokenizer.decode(row.ids, skipSpecialTokens: false), row.decoded) {
                wrong.append("\(name): decoded")
            }
            if !TokenizerReference.same(tokenizer.decode(row.ids, skipSpecialTokens: true), row.decodedSkip) {
                wrong.append("\(name): decoded without special tokens")
            }
            if !TokenizerReference.same(tokenizer.decode(row.idsSpecial, skipSpecialTokens: false), row.decodedSpecial)
            {
                wrong.append("\(name): decoded with added special tokens")
            }
        }
        #expect(wrong.isEmpty, "\(wrong.count) differences: \(wrong.prefix(8).joined(separator: "\n"))")
        #expect(offsetsCompared > 0)
    }

    @Test(arguments: TokenizerReference.folders) func decodings(folder: URL) throws {
        let tokenizer = try Tokenizer(folder: folder)
        var wrong: [String] = []
        for row in try TokenizerReference.decodeCases(in: folder) {
            let name = "\(folder.lastPathComponent) row \(row.id)"
            if !TokenizerReference.same(tokenizer.decode(row.ids, skipSpecialTokens: false), row.decoded) {
                wrong.append(name)
            }
            if !TokenizerReference.same(tokenizer.decode(row.ids, skipSpecialTokens: true), row.decodedSkip) {
                wrong.append("\(name) skip")
            }
        }
        #expect(wrong.isEmpty, "\(wrong.count) differences: \(wrong.prefix(8).joined(separator: "\n"))")
    }

    /// The checks above must see a difference: the same rows against another tokenizer fail.
    @Test func comparisonCanFail() throws {
        let fixtures = try #require(TokenizerReference.fixtures)
        let other = try Tokenizer(folder: fixtures.appending(path: "synthetic-unigram"))
        let rows = try TokenizerReference.cases(in: fixtures.appending(path: "synthetic-bpe-bytelevel"))
        #expect(rows.count >= 60)
        #expect(rows.filter { other.ids(of: $0.text) != $0.ids }.count > rows.count / 2)
        #expect(!TokenizerReference.same("\u{E9}", "e\u{301}"))
    }
}
