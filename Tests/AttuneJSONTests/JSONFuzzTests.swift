import AttuneFuzzing
import AttuneJSON
import Testing

@Suite struct JSONFuzzTests {
    private struct Difference: Error { let input: String }

    /// Damaged JSON is refused, or read into a value that its own text gives again.
    @Test func damagedText() throws {
        let words = [
            "{", "}", "[", "]", ",", ":", "\"", "\\u", "\\ud83d", "1e308", "-0", "9223372036854775808", "null",
        ]
        let run = try FuzzRun(
            stream: 20, iterations: 20_000,
            make: { chance in
                var bytes: [UInt8] = []
                chance.json(into: &bytes, depth: 0)
                for _ in 0..<chance.below(4) { chance.damage(&bytes, words: words) }
                return bytes
            },
            read: { bytes in
                let value = try JSON(parsing: bytes)
                for style in [JSONStyle.compact, .spaced, .sortedPretty] {
                    let text = value.text(style)
                    let again = try? JSON(parsing: text)
                    // Sorting changes the order, which does not part two objects.
                    guard let again, again == value else { throw Difference(input: text) }
                }
            }, isRefusal: { $0 is JSONError })
        #expect(run.accepted > run.count / 20 && run.refused > run.count / 20)
        #expect(run.findings.isEmpty)
    }
}

extension Chance {
    fileprivate mutating func json(into bytes: inout [UInt8], depth: Int) {
        func spaces(_ chance: inout Chance) {
            if chance.rarely(8) { bytes += Array(chance.pick([" ", "\n", "\t", "\r\n", "  "]).utf8) }
        }
        spaces(&self)
        switch below(depth > 6 ? 5 : 9) {
        case 0: bytes += Array(pick(["null", "true", "false"]).utf8)
        case 1: bytes += Array(String(pick(Self.edges)).utf8)
        case 2: bytes += Array(pick(["0.5", "-1e-7", "1E+5", "12345678901234567890", "4.9e-324", "-0.0"]).utf8)
        case 3, 4: string(into: &bytes)
        case 5, 6:
            bytes.append(0x5B)
            for place in 0..<below(4) {
                if place > 0 { bytes.append(0x2C) }
                json(into: &bytes, depth: depth + 1)
            }
            bytes.append(0x5D)
        default:
            bytes.append(0x7B)
            for place in 0..<below(5) {
                if place > 0 { bytes.append(0x2C) }
                string(into: &bytes)
                bytes.append(0x3A)
                json(into: &bytes, depth: depth + 1)
            }
            bytes.append(0x7D)
        }
        spaces(&self)
    }

    private mutating func string(into bytes: inout [UInt8]) {
        let pieces = [
            "a", "b", "é", "e\u{301}", "😀", "\\n", "\\\"", "\\\\", "\\/", "\\u0041", "\\u00e9", "\\ud83d\\ude00",
            "\\ud83d", "\\udc00x", "\\u0000", "\u{7f}", "\u{2028}",
        ]
        bytes.append(0x22)
        for _ in 0..<below(5) { bytes += Array(pick(pieces).utf8) }
        bytes.append(0x22)
    }
}
