import AttuneFuzzing
import AttuneJSON
import AttuneModels
import AttuneTensor
import Foundation
import Testing

/// Values in `config.json` that no model has: a line that names the key, before any memory is taken by them.
@Suite struct HostileConfigurationTests {
    private func configuration(_ family: String, _ changes: [String: JSON]) throws -> DecoderConfiguration {
        let folder = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/models/\(family)")
        var object = try #require(
            try JSON(parsing: Data(contentsOf: folder.appending(path: "config.json"))).objectValue)
        for (key, value) in changes { object[key] = value }
        return try DecoderConfiguration(config: .object(object))
    }

    /// `nil` when the configuration is taken.
    private func refusal(_ family: String, _ changes: [String: JSON]) -> String? {
        do {
            _ = try configuration(family, changes)
            return nil
        } catch let error {
            return "\(error)"
        }
    }

    @Test(
        arguments: [
            ("num_hidden_layers", 1_000_000_000), ("num_hidden_layers", -1), ("num_hidden_layers", 0),
            ("hidden_size", .integer(1 << 62)), ("hidden_size", "many"), ("hidden_size", 1.5),
            ("intermediate_size", -5),
            ("num_attention_heads", 0), ("num_key_value_heads", 3), ("head_dim", 15), ("head_dim", -16),
            ("vocab_size", 0), ("vocab_size", .integer(1 << 40)), ("max_position_embeddings", -1),
            ("rms_norm_eps", "small"), ("rope_theta", 0), ("rope_theta", 1), ("rope_theta", -10_000),
            ("hidden_act", "swoosh"), ("model_type", "mamba"), ("model_type", nil), ("tie_word_embeddings", "yes"),
        ] as [(String, JSON)])
    func impossibleValues(key: String, value: JSON) throws {
        // transformers 5 writes the base of rotations into an object of its own.
        let text = try #require(refusal("llama", [key: value, "rope_parameters": nil]), "\(key) = \(value.text())")
        #expect(!text.contains("\n"))
        #expect(refusal("llama", [:]) == nil)
    }

    @Test(
        arguments: [
            [1, 2], "linear", ["rope_type": "unheard"], ["rope_type": "linear", "factor": 0], ["rope_type": "linear"],
            ["rope_type": "dynamic", "factor": -2], ["rope_type": "longrope", "short_factor": [1], "long_factor": [1]],
            ["rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4],
        ] as [JSON])
    func impossibleRotations(scaling: JSON) throws {
        for changes in [["rope_parameters": nil, "rope_scaling": scaling], ["rope_parameters": scaling]] {
            let text = try #require(refusal("llama", changes), "\(scaling.text())")
            #expect(!text.contains("\n"))
        }
    }

    /// A value of any size does not fill the line.
    @Test func longValuesAreCut() throws {
        let text = try #require(refusal("llama", ["hidden_size": .array(Array(repeating: 7, count: 100_000))]))
        #expect(text.utf8.count < 300)
    }

    /// Configurations of every family with members of any kind end in an error or in sizes that can be counted.
    @Test func mutatedConfigurations() throws {
        let folder = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/models")
        let wholes = try GoldenModel.all.map {
            try JSON(parsing: Data(contentsOf: folder.appending(path: "\($0)/config.json")))
        }
        let keys = Array(Set(wholes.flatMap { $0.objectValue?.keys ?? [] })).sorted()
        let values: [JSON] =
            Chance.edges.map { .integer($0) }
            + [
                nil, true, "x", "", [], [:], 0.5, 1e-300, 1e300, 16_777_216, 16_777_215, 65_536, 7, [1, 2],
                ["rope_type": "yarn", "factor": 1e300, "beta_fast": 0], ["rope_type": "yarn", "factor": -4],
                ["rope_type": "llama3", "factor": 8], ["rope_type": "dynamic", "factor": 1e300],
                ["full_attention": ["rope_type": "default", "rope_theta": 2]],
            ]
        let run = try FuzzRun(
            stream: 50, iterations: 3000,
            make: { chance in
                guard var object = chance.pick(wholes).objectValue else { return [] }
                for _ in 0..<(1 + chance.below(4)) { object[chance.pick(keys)] = chance.pick(values) }
                return JSON.object(object).utf8(.compact)
            },
            read: { bytes in
                let configuration = try DecoderConfiguration(config: JSON(parsing: bytes))
                let facts = ModelFacts(configuration)
                _ = facts.weightBytes(.bfloat16, quantization: QuantizationChoice(isDouble: true))
                for rope in configuration.ropes where rope.rotaryDimension < 4096 { _ = rope.frequencies(length: 9000) }
            },
            isRefusal: { ($0 as? ModelError).map { !$0.description.contains("\n") } ?? false })
        #expect(run.accepted > run.count / 20 && run.refused > run.count / 20)
        #expect(run.findings.isEmpty)
    }
}
