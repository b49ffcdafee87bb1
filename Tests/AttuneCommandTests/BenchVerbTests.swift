import Attune
import AttuneJSON
import Foundation
import Testing

/// `bench`: what its report must add up to. How fast anything is, is no matter for a test.
@Suite struct BenchVerbTests {
    private static func report(_ arguments: [String]) throws -> JSON {
        let result = try Program.run(["bench", "--json", "--threads", "1", "--steps", "1"] + arguments)
        try #require(result.code == 0, "\(result.errors)")
        return try #require(try result.lines().first)
    }

    private static func number(_ report: JSON, _ key: String) throws -> Double {
        try #require(report[key]?.doubleValue)
    }

    /// Arithmetic of the measured step, from its rate.
    private static func operations(_ report: JSON) throws -> Double {
        try number(report, "gflops") * number(report, "step_seconds") * 1e9
    }

    @Test(
        arguments: [
            ("lora", 64.0), ("qlora", 64), ("full", 64), ("prefill", 64), ("decode", 3), ("serve", 3 * 67),
        ] as [(String, Double)])
    func operationsSumToTheStep(_ method: String, _ tokens: Double) throws {
        let model = try TinyModel(hidden: 64)
        let report = try Self.report([
            "--model", model.path, "--method", method, "--tokens", "64", "--length", "32", "--sequences", "3",
            "--new-tokens", "3",
        ])
        let step = try Self.number(report, "step_seconds")
        #expect(abs(try Self.number(report, "tokens_per_second") * step - tokens) < 1e-6 * tokens)
        let operations = try #require(report["operations"]?.arrayValue)
        let seconds = operations.compactMap { $0["seconds"]?.doubleValue }
        let shares = operations.compactMap { $0["share"]?.doubleValue }
        #expect(seconds.count == operations.count && abs(seconds.reduce(0, +) - step) < 1e-6 * step)
        #expect(shares.count == operations.count && abs(shares.reduce(0, +) - 1) < 1e-6)
        // The rest is what is left, and nothing is left where an operation is counted twice.
        #expect(seconds.allSatisfy { $0 >= 0 })
        // An operation that is not timed would hide in the rest.
        let names = Set(operations.compactMap { $0["name"]?.stringValue })
        #expect(names.isSuperset(of: ["linear", "attention", "rmsNorm", "other"]), "\(names)")
        #expect(names.contains("adamW") == ["lora", "qlora", "full"].contains(method))
        // A plan is made for training only.
        #expect(report["planned_memory_bytes"]?.isNull == !["lora", "qlora", "full"].contains(method))
        let limit = try #require(report["machine"]?["gflops"]?.doubleValue)
        #expect(limit > 0)
        if names.contains("adamW") {
            // Training is measured against arithmetic alone, whose limit is that of the number type.
            let share = try Self.number(report, "gflops") / limit
            #expect(abs(try Self.number(report, "fraction_of_limit") - share) < 1e-9)
        }
    }

    @Test func whatIsAskedForIsMeasured() throws {
        let pocket = ["--shape", "pocket", "--tokens", "64", "--length", "32"]
        func run(_ more: String...) throws -> JSON { try Self.report(pocket + more) }
        let whole = try run(), half = try run("--trained-share", "0.5")
        // The head and its gradient for the 31 and the 15 of 32 rows that have a target, 256 wide, 6,144 tokens.
        let head = 2.0 * 2 * 256 * 6144
        let saved = try Self.operations(whole) - Self.operations(half)
        #expect(abs(saved - 2 * Double(31 - 15) * head) < 1e-3 * saved, "\(saved / head)")
        let four = try run("--method", "qlora")
        #expect(try Self.number(four, "planned_memory_bytes") < Self.number(whole, "planned_memory_bytes"))
        let all = try run("--method", "full")
        #expect(try Self.operations(all) > 1.3 * Self.operations(whole))
    }

    @Test func kernelsCoverTheModelsShapes() throws {
        let model = try TinyModel(hidden: 64)
        let report = try Self.report(["--model", model.path, "--method", "kernels", "--dtype", "float32"])
        let operations = try #require(report["operations"]?.arrayValue)
        let names = operations.compactMap { $0["name"]?.stringValue }
        for name in [
            "linear 64 to 64, 1 rows", "linear nf4 64 to 128, 8 rows", "input gradient 128 to 64, 2048 rows",
            "weight gradient 64 to 32, 2048 rows", "linear 64 to 6144, 256 rows",
        ] {
            #expect(names.contains(name), "\(names)")
        }
        #expect(operations.allSatisfy { ($0["gflops"]?.doubleValue ?? 0) > 0 })
    }

    @Test func tokenizingCountsAllIds() throws {
        let scratch = try Scratch()
        let lines = ["I was charged twice.", "", "  Where is my parcel — order 4711?"]
        let file = try scratch.write("lines.txt", lines.joined(separator: "\n"))
        let report = try Self.report(["--model", Program.pocket, "--method", "tokenize", "--file", file])
        let tokenizer = try Tokenizer(folder: Program.pocket)
        let ids = lines.flatMap { tokenizer.ids(of: $0) }
        #expect(report["tokens"]?.doubleValue == Double(ids.count))
        var sum: UInt64 = 0
        for (place, id) in ids.enumerated() { sum &+= UInt64(id) &* UInt64(2 * place + 1) }
        #expect(UInt64(try #require(report["checksum"]?.stringValue), radix: 16) == sum)
    }

    @Test(
        arguments: [
            (64, ["--dtype", "int8"]), (64, ["--shape", "gpt-9"]),
            (64, ["--shape", "pocket", "--model", Program.pocket]),
            (64, ["--method", "tokenize"]), (64, ["--file", "x"]), (64, ["--trained-share", "0"]),
            (64, ["--steps", "0"]),
            (64, ["--quantization", "int8"]), (66, ["--model", Program.pocket + "/nowhere"]),
            (69, ["--device", "cuda"]),
            (66, ["--model", Program.pocket, "--method", "tokenize", "--file", "/nowhere.txt"]),
        ] as [(Int32, [String])])
    func wrongRequestsAreRefused(_ code: Int32, _ arguments: [String]) throws {
        let result = try Program.run(["bench"] + arguments)
        #expect(result.code == code, "\(result.errors)")
        #expect(result.output.isEmpty && !result.errors.isEmpty)
    }
}
