import AttuneData
import AttuneEvaluation
import Testing

@Suite struct StatisticsTests {
    /// Values of exact rational arithmetic.
    @Test(arguments: [
        (5, 0, 0.0625), (0, 5, 0.0625), (9, 2, 0.0654296875), (3, 3, 1), (0, 0, 1), (2000, 1900, 0.11289365225934889),
    ])
    func mcNemarIsExact(fixed: Int, broke: Int, p: Double) {
        #expect(abs(McNemar.exact(fixed: fixed, broke: broke) - p) < 1e-10)
    }

    @Test func mcNemarUnderflowsToZero() {
        #expect(McNemar.exact(fixed: 5000, broke: 10) == 0)
        #expect(McNemar.exact(fixed: 100, broke: 10) > 0)
    }

    @Test func wilsonInterval() throws {
        let interval = try #require(Proportion(28, of: 30).interval)
        #expect(abs(interval.low - 0.7867654163738308) < 1e-12)
        #expect(abs(interval.high - 0.9815229762087295) < 1e-12)
        let none = try #require(Proportion(0, of: 10).interval)
        #expect(none.low == 0)
        #expect(abs(none.high - 0.2775327998628892) < 1e-12)
        let all = try #require(Proportion(10, of: 10).interval)
        #expect(all.high <= 1 && abs(all.low - 0.7224672001371107) < 1e-12)
    }

    @Test func pairsByRowNotByPlace() throws {
        let tuned = [
            prediction(1, "a", "a"), prediction(2, "a", "a"), prediction(3, "a", "b"), prediction(4, "a", "b"),
            prediction(5, "a", "a"),
        ]
        let base = [
            prediction(4, "a", "c"), prediction(3, "a", "a"), prediction(2, "a", "x"), prediction(1, "a", "a"),
            prediction(5, "other", "a"), prediction(9, "a", "a"),
        ]
        let comparison = try #require(EvaluationResult(tuned, base: base).base?.comparison)
        #expect(comparison.bothRight.map(\.line) == [1])
        #expect(comparison.fixed.map(\.line) == [2])
        #expect(comparison.broke.map(\.line) == [3])
        #expect(comparison.bothWrong.map(\.line) == [4])
        #expect(comparison.unpaired == 3)
        #expect(comparison.pValue == 1)
    }

    @Test func sameRowSeveralTimesPairsInOrder() throws {
        let tuned = [prediction(1, "a", "a"), prediction(1, "b", "b")]
        let base = [prediction(1, "a", "x"), prediction(1, "b", "b")]
        let comparison = try #require(EvaluationResult(tuned, base: base).base?.comparison)
        #expect([comparison.fixed.count, comparison.bothRight.count, comparison.unpaired] == [1, 1, 0])
    }
}
