import AttuneFiles
import AttuneJSON
import AttuneModels
import Foundation
import Testing

/// Which modules an adapter's configuration reaches, with which rank and scale, as PEFT decides (`dev/golden/adapters.py`).
@Suite struct AdapterOptionsTests {
    private static let paths = (0..<4).flatMap { layer in
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"].map { ($0, layer) }
            + ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"].map { ($0, layer) }
    }

    private func reached(_ options: LoRAOptions) -> [String: [Float]] {
        var found: [String: [Float]] = [:]
        for (name, layer) in Self.paths {
            let path = "model.layers.\(layer).\(name)"
            guard options.reaches(path, block: layer) else { continue }
            found[path] = [Float(options.rank(of: path)), options.scale(of: path)]
        }
        return found
    }

    @Test func decisionsAreThoseOfPEFT() throws {
        let file = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/adapters.json")
        let cases = try #require(try JSON(parsing: Data(contentsOf: file)).arrayValue)
        #expect(cases.count == 16)
        for entry in cases {
            let name = entry["name"]?.stringValue ?? ""
            let configuration = try AdapterConfiguration(try #require(entry["config"]), path: name)
            let options = try LoRAOptions(configuration, modules: [], path: name)
            let modules = try #require(entry["modules"]?.objectValue)
            var expected: [String: [Float]] = [:]
            for (path, values) in modules.members {
                expected[path] = values.arrayValue?.compactMap { $0.doubleValue.map { Float($0) } }
            }
            #expect(!expected.isEmpty && reached(options) == expected, "\(name)")
        }
    }

    /// What only the file can tell is taken from it; an expression beyond linear time is no reason to refuse an adapter.
    @Test(arguments: ["all-linear", #"(?!.*lm_head).*_proj"#, nil] as [String?])
    func theFileDecidesWhereTheConfigurationCannot(targets: String?) throws {
        let json: JSON = ["peft_type": "LORA", "target_modules": targets.map { .string($0) } ?? .null]
        let path = "model.layers.2.mlp.up_proj"
        let options = try LoRAOptions(AdapterConfiguration(json, path: "x"), modules: [path], path: "x")
        #expect(Array(reached(options).keys) == [path])
    }

    @Test func featuresThatWouldRunAndBeWrongAreRefused() throws {
        let json: JSON = ["peft_type": "LORA", "target_modules": ["q_proj"], "init_lora_weights": "pissa"]
        let configuration = try AdapterConfiguration(json, path: "x")
        let error = #expect(throws: ModelError.self) { try LoRAOptions(configuration, modules: [], path: "folder") }
        #expect(error?.description.contains("pissa") == true && error?.description.contains("folder") == true)
    }
}
