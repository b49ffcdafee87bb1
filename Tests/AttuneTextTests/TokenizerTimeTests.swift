import AttuneText
import Foundation
import Testing

/// One long run of a single kind of character is one word to most tokenizers: time must grow with its length, not with its square.
@Suite struct TokenizerTimeTests {
    private static let pieces = [
        "a", "A", "0", " ", "\n", "\t", "!", "'", "é", "你", "😀", "e\u{301}", "\u{301}", "\u{0}", "▁", "ab", "<", "a ",
        "1a",
    ]

    /// Seconds of this thread's processor time; a busy machine does not count.
    private func seconds(_ body: () -> Void) -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
        }
        let start = now()
        body()
        return now() - start
    }

    private func text(_ piece: String, bytes: Int) -> String {
        String(repeating: piece, count: bytes / piece.utf8.count)
    }

    @Test(arguments: TokenizerReference.folders) func aMegabyteOfOneKind(folder: URL) throws {
        let tokenizer = try Tokenizer(folder: folder)
        for piece in Self.pieces {
            let (short, long) = (text(piece, bytes: 1 << 16), text(piece, bytes: 1 << 20))
            var ids: [Int32] = []
            _ = tokenizer.encode(short, addSpecialTokens: false)
            let base = seconds { _ = tokenizer.encode(short, addSpecialTokens: false) }
            let time = seconds { ids = tokenizer.encode(long, addSpecialTokens: false).ids }
            // 16 times the text; the square would be 256 times the time.
            #expect(time < 64 * max(base, 0.002), "\(piece.debugDescription): \(base) and \(time) s")
            #expect(tokenizer.ids(of: long) == ids, "\(piece.debugDescription)")
            let back = seconds { _ = tokenizer.decode(ids, skipSpecialTokens: false) }
            #expect(back < 2, "\(piece.debugDescription): \(back) s to decode")
        }
    }

    /// Negative control: the comparison notices work that grows with the square.
    @Test func squaresAreNoticed() {
        func square(_ count: Int) -> Double {
            seconds {
                var sum: UInt64 = 0
                for a in 0..<UInt64(count) { for b in 0..<UInt64(count) { sum = (sum ^ (a &* b)) &* 31 } }
                #expect(sum != 1)
            }
        }
        let base = square(2000)
        #expect(square(32_000) > 64 * max(base, 0.002))
    }
}
