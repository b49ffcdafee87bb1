import Attune
import Foundation
import Testing

/// What a run says of the rows it does not learn from.
@Suite struct WatchedRunTests {
    /// Rows whose answers contradict those that are learned: their loss rises while the other falls.
    private static func contrary(_ model: TinyModel) throws -> String {
        let rows = try Example.examples(of: [model.tickets()]).map { example in
            #"{"instruction":"Classify this support ticket","input":"\#(example.question.own)","output":"No idea at all"}"#
        }
        return try model.scratch.write("contrary.jsonl", rows.joined(separator: "\n"))
    }

    private static func run(_ model: TinyModel, eval: String, _ set: [String]) throws -> FineTuning {
        try FineTuning(
            Recipe(
                set: [
                    "model_name_or_path=\(model.path)", "train_file=\(model.tickets())", "eval_file=\(eval)",
                    "output_dir=\(model.beside("out"))", "r=8", "max_steps=60", "per_device_train_batch_size=4",
                    "learning_rate=1e-2", "eval_strategy=steps", "eval_steps=5", "logging_steps=1", "save_strategy=no",
                ] + set), backend: CPUBackend(threads: 1))
    }

    @Test func overfittingIsSaidWhileItHappens() throws {
        let model = try TinyModel()
        /// The steps after which it was said; 61 stands for the end.
        func told(_ eval: String) throws -> [Int] {
            let run = try Self.run(model, eval: eval, [])
            var (step, told) = (0, [Int]())
            _ = try run.run { event in
                if case .step(let report) = event { step = report.step }
                if case .finished = event { step = 61 }
                if case .notice(let text) = event, text.hasPrefix("overfitting: ") { told.append(step) }
            }
            return told
        }
        let steps = try told(Self.contrary(model))
        #expect((steps.first ?? 61) < 60 && steps.dropFirst().allSatisfy { $0 == 61 }, "\(steps)")
        #expect(try told(model.tickets(named: "same.jsonl")).isEmpty)
    }

    @Test func stopHealthIsTheProbabilityOfTheEnd() throws {
        let model = try TinyModel()
        let run = try Self.run(model, eval: Self.contrary(model), ["label_smoothing_factor=0.1", "packing=true"])
        let report = try #require(try run.trainer.evaluate())
        let (_, encoder) = try run.model.prompts(template: "tutorial")
        let scorer = Scorer(run.model.decoder)
        let ends = try run.testExamples.map { example in
            exp(try #require(scorer.score(encoder.encode(example).tokens).logProbabilities.last ?? nil))
        }
        let expected = ends.reduce(0, +) / Double(ends.count)
        let health = try #require(report.stopHealth)
        #expect(abs(health - expected) < 1e-4 * expected, "\(health) \(expected)")
        // Rows that were learned end where their answers end.
        let same = try Self.run(model, eval: model.tickets(named: "same.jsonl"), [])
        let before = try #require(try same.trainer.evaluate()?.stopHealth)
        _ = try same.run { _ in }
        let after = try #require(try same.trainer.evaluate()?.stopHealth)
        #expect(after > 3 * before, "\(before) \(after)")
    }
}
