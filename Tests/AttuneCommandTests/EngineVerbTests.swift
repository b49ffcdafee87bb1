import AttuneJSON
import Foundation
import Testing

/// `score`, `inspect` and `quantize` on a small Llama.
@Suite struct EngineVerbTests {
    @Test func scoreGivesLogProbabilities() throws {
        let result = try Program.run("score", Program.llama, "--tokens", "1,5,9,60", "--top", "67", "--json")
        #expect(result.code == 0, "\(result.errors)")
        let line = try #require(try result.lines().first)
        #expect(line["tokens"] == [1, 5, 9, 60])
        let values = try #require(line["logprobs"]?.arrayValue)
        #expect(values.count == 4 && values[0].isNull)
        let top = try #require(line["top"]?.arrayValue)
        #expect(top.count == 4)
        for (place, row) in top.enumerated() {
            let entries = try #require(row.arrayValue)
            let logs = entries.compactMap { $0["logprob"]?.doubleValue }
            #expect(logs.count == 67 && logs == logs.sorted(by: >))
            #expect(abs(logs.reduce(0) { $0 + exp($1) } - 1) < 1e-9)
            guard place < 3 else { continue }
            let next = line["tokens"]?[place + 1]
            #expect(entries.first { $0["id"] == next }?["logprob"] == values[place + 1])
        }
        let sum = values.compactMap(\.doubleValue).reduce(0, +)
        #expect(abs((line["sum_logprob"]?.doubleValue ?? 0) - sum) < 1e-12)
        #expect(abs((line["perplexity"]?.doubleValue ?? 0) - exp(-sum / 3)) < 1e-9)
    }

    @Test func scoreTakesRowsAndAdapters() throws {
        let scratch = try Scratch()
        let rows = try scratch.write("rows.jsonl", "{\"tokens\":[1,5,9]}\n{\"tokens\":[7]}\n")
        let base = try Program.run("score", Program.llama, "--file", rows, "--json")
        let lines = try base.lines()
        #expect(base.code == 0 && lines.count == 2, "\(base.errors)")
        #expect(lines.last?["perplexity"]?.isNull == true)
        let adapted = try Program.run(
            "score", Program.llama, "--adapter", Program.llama + "/adapter", "--file", rows, "--json")
        #expect(adapted.code == 0, "\(adapted.errors)")
        #expect(try adapted.lines().first?["sum_logprob"] != lines.first?["sum_logprob"])
    }

    /// A command line that must fail, with its exit code.
    struct Refused: Sendable {
        var arguments: [String]
        var code: Int32

        init(_ code: Int32, _ arguments: String...) {
            self.code = code
            self.arguments = arguments
        }
    }

    static let refused: [Refused] = [
        Refused(64, "score", Program.llama),
        Refused(64, "score", Program.llama, "--tokens", "1,x"),
        Refused(65, "score", Program.llama, "--tokens", "1,67"),
        Refused(66, "score", Program.llama, "--text", "a"),
        Refused(66, "score", Program.llama + "/nowhere", "--tokens", "1"),
        Refused(64, "score", Program.llama, "--tokens", "1", "--dtype", "int7"),
        Refused(69, "score", Program.llama, "--tokens", "1", "--device", "cuda"),
        Refused(65, "inspect", Program.llama, "--target-modules", "nothing_proj"),
        Refused(66, "inspect", Program.root.path + "/Sources"),
        // What the parser of arguments itself refuses.
        Refused(64, "score", Program.llama, "--tokens", "1", "--tpo", "3"),
        Refused(64, "score", Program.llama, "--tokens", "1", "--top", "three"),
        Refused(64, "score", "--tokens"), Refused(64, "tokenise", "x"), Refused(64, "quantize", Program.llama),
    ]

    @Test(arguments: refused)
    func failuresAreOneLineWithACode(_ refused: Refused) throws {
        let result = try Program.run(refused.arguments)
        #expect(result.code == refused.code, "\(result.errors)")
        #expect(result.hasOneErrorLine, "\(result.errors)")
        #expect(result.output.isEmpty)
    }

    @Test func aMistypedOptionNamesTheHelpOfItsVerb() throws {
        let result = try Program.run("score", Program.llama, "--tokens", "1", "--tpo", "3")
        #expect(result.errors.contains("--tpo"), "\(result.errors)")
        #expect(result.errors.contains("see attune score --help"), "\(result.errors)")
        let help = try Program.run("score", "--help")
        #expect(help.code == 0 && help.output.contains("USAGE: attune score"))
    }

    @Test func inspectCountsAsTheTutorialDoes() throws {
        let scratch = try Scratch()
        _ = try scratch.write(
            "config.json",
            """
            {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32000, "hidden_size": 4096,
             "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
             "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "tie_word_embeddings": false,
             "torch_dtype": "float16", "hidden_act": "silu"}
            """)
        let text = try Program.run("inspect", scratch.url.path, "--lora-r", "16", "--target-modules", "all-linear")
        #expect(text.output.contains("Trainable: 39,976,960 (0.59%)"), "\(text.output)\(text.errors)")
        let result = try Program.run("inspect", scratch.url.path, "--lora-r", "16", "--json")
        let report = try #require(try result.lines().first)
        #expect(report["parameters"] == 6_738_415_616)
        #expect(report["trainable_parameters"] == 39_976_960)
        #expect(report["dtype"] == "float16" && report["chat_template"] == false)
        #expect(report["footprint_bytes"]?["bfloat16"] == 13_476_831_232)
        #expect(
            report.objectValue?.keys == [
                "architecture", "parameters", "trainable_parameters", "trainable_percent", "dtype", "footprint_bytes",
                "plan_bytes", "special_tokens", "chat_template",
            ])
        let plans = ["full", "lora", "qlora"].compactMap { report["plan_bytes"]?[$0]?.intValue }
        #expect(plans.count == 3 && plans == plans.sorted(by: >))
        let few = try Program.run("inspect", scratch.url.path, "--target-modules", "q_proj,v_proj", "--json")
        #expect(try few.lines().first?["trainable_parameters"] == 8_388_608)
    }

    @Test func inspectCountsAnAdapterWithoutItsBase() throws {
        let result = try Program.run("inspect", Program.llama + "/adapter", "--json")
        #expect(result.code == 0, "\(result.errors)")
        let report = try #require(try result.lines().first)
        #expect((report["trainable_parameters"]?.intValue ?? 0) > 0 && report["parameters"]?.isNull == true)
    }

    @Test func quantizedModelsScoreLikeTheirOriginal() throws {
        let scratch = try Scratch()
        let folder = scratch.path("nf4")
        let made = try Program.run("quantize", Program.llama, "--output", folder, "--type", "nf4", "--double-quant")
        #expect(made.code == 0, "\(made.errors)")
        let config = try JSON(parsing: try String(contentsOfFile: folder + "/config.json", encoding: .utf8))
        #expect(config["quantization_config"]?["bnb_4bit_quant_type"] == "nf4")
        let stored = try Program.run("score", folder, "--tokens", "1,5,9,60", "--json")
        let loaded = try Program.run(
            "score", Program.llama, "--tokens", "1,5,9,60", "--quantization", "nf4", "--double-quant", "--json")
        #expect(stored.code == 0 && stored.output == loaded.output, "\(stored.errors)\(loaded.errors)")
        let dense = try Program.run("score", Program.llama, "--tokens", "1,5,9,60", "--json")
        #expect(dense.output != stored.output)
        let again = try Program.run("quantize", Program.llama, "--output", folder, "--type", "nf4")
        #expect(again.code == 65 && again.hasOneErrorLine)
    }
}
