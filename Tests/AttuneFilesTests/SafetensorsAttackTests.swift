import AttuneFiles
import AttuneTensor
import Testing

/// Hostile safetensors files, after the catalogue of the reference project: each gives one typed, one-line error.
@Suite struct SafetensorsAttackTests {
    private static func entry(_ name: String, _ dtype: String, _ shape: String, _ begin: String, _ end: String)
        -> String
    {
        "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
    }

    private static func one(_ shape: String, _ begin: String, _ end: String, _ dtype: String = "F32") -> String {
        "{\(entry("x", dtype, shape, begin, end))}"
    }

    static let attacks: [(name: String, bytes: [UInt8], problem: String)] = [
        ("empty file", [], "bytes long"),
        ("seven bytes", [1, 2, 3, 4, 5, 6, 7], "bytes long"),
        ("length of 2^63", .number(1 << 63, 8) + Array("{}".utf8), "claims"),
        ("length of 100 million", .number(100_000_000, 8) + Array("{}".utf8), "claims"),
        ("length past the end", .number(3, 8) + Array("{}".utf8), "the file has"),
        ("no header", .number(0, 8), "begin with"),
        ("space before the brace", safetensors(" {}"), "begin with"),
        ("list instead of object", safetensors("[]"), "begin with"),
        ("torn JSON", safetensors("{\"x\":"), "header"),
        ("text after the object", safetensors("{}x"), "header"),
        ("bytes that are no UTF-8", safetensors(Array("{\"".utf8) + [0xFF] + Array("\":1}".utf8)), "UTF-8"),
        ("hundred lists deep", safetensors("{\"x\":" + String(repeating: "[", count: 100)), "nested"),
        (
            "duplicate names",
            safetensors("{\(entry("x", "U8", "[1]", "0", "1")),\(entry("x", "U8", "[1]", "1", "2"))}", [0, 0]), "twice"
        ),
        ("metadata with a number", safetensors(#"{"__metadata__":{"a":1}}"#), "no string"),
        ("metadata list", safetensors(#"{"__metadata__":[]}"#), "no object"),
        ("unknown type", safetensors(one("[1]", "0", "4", "F99"), [0, 0, 0, 0]), "dtype"),
        ("shape of texts", safetensors(one("[\"1\"]", "0", "4"), [0, 0, 0, 0]), "dtype"),
        ("negative size", safetensors(one("[-1]", "0", "4"), [0, 0, 0, 0]), "dtype"),
        ("size with a point", safetensors(one("[1.0]", "0", "4"), [0, 0, 0, 0]), "dtype"),
        ("one offset", safetensors(#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#), "dtype"),
        ("offset of 2^64", safetensors(one("[1]", "0", "18446744073709551616")), "dtype"),
        ("end before begin", safetensors(one("[1]", "4", "0"), [0, 0, 0, 0]), "ends before"),
        ("size overflow", safetensors(one("[4611686018427387904,4]", "0", "0")), "does not fill"),
        ("overflow hidden by a zero", safetensors(one("[4611686018427387904,4,0]", "0", "0")), "does not fill"),
        ("shape larger than range", safetensors(one("[2]", "0", "4"), [0, 0, 0, 0]), "does not fill"),
        ("half a byte", safetensors(one("[1]", "0", "1", "F4"), [0]), "does not fill"),
        ("trailing bytes", safetensors(one("[1]", "0", "4"), [0, 0, 0, 0, 1]), "tensors end at"),
        ("truncated data", safetensors(one("[1]", "0", "4"), [0, 0]), "incomplete"),
        ("hole at the start", safetensors(one("[1]", "4", "8"), [0, 0, 0, 0, 0, 0, 0, 0]), "hole"),
        (
            "hole in the middle",
            safetensors("{\(entry("x", "U8", "[1]", "0", "1")),\(entry("y", "U8", "[1]", "2", "3"))}", [0, 0, 0]),
            "hole"
        ),
        (
            "overlap",
            safetensors("{\(entry("x", "U8", "[2]", "0", "2")),\(entry("y", "U8", "[2]", "1", "3"))}", [0, 0, 0]),
            "overlaps"
        ),
        (
            "ten thousand tensors at offset 0",
            safetensors(
                "{" + (0..<10_000).map { entry("t\($0)", "F32", "[200,200]", "0", "160000") }.joined(separator: ",")
                    + "}",
                [UInt8](repeating: 0, count: 160_000)), "overlaps"
        ),
        (
            "too many tensors",
            safetensors(
                "{" + (0..<200_001).map { entry("t\($0)", "U8", "[0]", "0", "0") }.joined(separator: ",") + "}"),
            "limit"
        ),
    ]

    @Test(arguments: attacks.indices)
    func isRefused(_ place: Int) throws {
        let attack = Self.attacks[place]
        let scratch = try Scratch()
        let path = try scratch.put(attack.bytes, "x.safetensors")
        let error = failure { try SafetensorsFile(path) }
        #expect(error?.exitCode == 65, "\(attack.name)")
        let text = error?.description ?? ""
        #expect(text.contains(attack.problem), "\(attack.name): \(text)")
        #expect(text.hasPrefix(path) && !text.contains("\n") && text.utf8.count < 1000)
    }

    /// The checks above would prove nothing if everything were refused.
    @Test(arguments: [
        safetensors("{}"), safetensors("{}      "), safetensors(#"{"__metadata__":{}}"#),
        safetensors(one("[1]", "0", "4"), [0, 0, 0, 0]), safetensors(one("[0]", "0", "0")),
        safetensors(one("[4]", "0", "3", "F6_E2M3"), [0, 0, 0]),
    ])
    func validFilesAreNot(_ bytes: [UInt8]) throws {
        let scratch = try Scratch()
        _ = try SafetensorsFile(try scratch.put(bytes, "x"))
    }

    @Test func sixBitFloatsAreNamedWhenAskedFor() throws {
        let scratch = try Scratch()
        let path = try scratch.put(safetensors(Self.one("[4]", "0", "3", "F6_E2M3"), [0, 0, 0]), "x")
        let file = try SafetensorsFile(path)
        #expect(file.tensorNames == ["x"])
        #expect(failure { try file.tensor(named: "x") }?.description.contains("F6_E2M3") == true)
    }

    @Test func namesCannotBreakTheErrorLine() throws {
        let scratch = try Scratch()
        let path = try scratch.put(safetensors(#"{"a\nb\u001b[31m":{"dtype":"F32"}}"#), "x")
        let text = failure { try SafetensorsFile(path) }?.description ?? "\n"
        #expect(!text.contains("\n") && !text.contains("\u{1B}"))
    }

    /// Flips and cuts in a real file end in a value or a typed error, never in a crash.
    @Test func damagedFilesEndInAnErrorOrAValue() throws {
        let original = try bytes(fixture("mixed.safetensors"))
        let scratch = try Scratch()
        var refused = 0
        for step in 0..<400 {
            var damaged = original
            if step % 4 == 0 {
                damaged.removeLast(1 + step * 7 % (damaged.count - 1))
            } else {
                damaged[(step * 31) % 1200] ^= UInt8(1 + step % 255)
            }
            let path = try scratch.put(damaged, "x")
            do {
                let file = try SafetensorsFile(path)
                for name in file.tensorNames { _ = try file.tensor(named: name).byteCount }
            } catch { refused += 1 }
        }
        #expect(refused > 300)
    }
}
