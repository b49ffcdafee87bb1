import AttuneData
import AttuneEvaluation
import Testing

@Suite struct FieldAndLabelTests {
    private let tickets = [
        prediction(1, "Category: Billing\nPriority: High", "Category: Billing\nPriority: Low"),
        prediction(2, "Category: Billing\nPriority: Low", "Sure, here it is\nCategory: Technical \nPriority: Low"),
        prediction(3, "Category: Technical\nPriority: Low", "Category: Technical\nPriority: Low"),
        prediction(4, "Category: Technical\nPriority: Low", "I am happy to help!"),
    ]

    @Test func fieldsAreCountedAmongOtherLines() {
        let fields = EvaluationResult(tickets).fields
        #expect(fields.map(\.key) == ["Category", "Priority"])
        #expect(fields.map(\.correct) == [Proportion(2, of: 4), Proportion(2, of: 4)])
        #expect(fields.map(\.missing) == [1, 1])
    }

    @Test func firstFieldIsTheLabel() throws {
        let labels = try #require(EvaluationResult(tickets).labels)
        #expect(labels.key == "Category")
        #expect(labels.entries.map(\.label) == ["Billing", "Technical"])
        #expect(labels.entries.map(\.support) == [2, 2])
        #expect(labels.entries.map(\.precision) == [1, 0.5])
        #expect(labels.entries.map(\.recall) == [0.5, 0.5])
        #expect(labels.confusions.map(\.expected) == ["Billing", "Technical"])
        #expect(labels.confusions.map(\.got) == ["Technical", nil])
        #expect(labels.confusions.map { $0.rows.map(\.line) } == [[2], [4]])
    }

    @Test func wholeAnswerIsTheLabel() throws {
        let result = EvaluationResult([
            prediction(1, "yes", "yes"), prediction(2, "yes", "perhaps"), prediction(3, "no", "yes"),
        ])
        let labels = try #require(result.labels)
        #expect(result.fields.isEmpty)
        #expect(labels.key == nil)
        #expect(labels.entries.map(\.precision) == [0.5, nil])
        #expect(abs(labels.macroF1 - 0.25) < 1e-12)
        #expect(Set(labels.confusions.map { "\($0.expected)>\($0.got ?? "-")" }) == ["yes>-", "no>yes"])
    }

    @Test func proseHasNeitherFieldsNorLabels() {
        let prose = EvaluationResult([
            prediction(1, "Dear customer,\nthank you.", "?"), prediction(2, "Dear customer,\nwe regret.", "?"),
        ])
        #expect(prose.fields.isEmpty)
        #expect(prose.labels == nil)
        let distinct = EvaluationResult([prediction(1, "one", "one"), prediction(2, "two", "two")])
        #expect(distinct.labels == nil)
    }

    @Test func labelsEndAtTwoHundred() {
        func result(_ labels: Int) -> EvaluationResult {
            EvaluationResult((0..<labels * 2).map { prediction($0 + 1, "label \($0 % labels)", "label 0") })
        }
        #expect(result(200).labels?.entries.count == 200)
        #expect(result(201).labels == nil)
    }
}
