import AttuneData
import Testing

@Suite struct SplitTests {
    private func ticket(_ number: Int) -> Example {
        // Questions unlike each other: words chosen by the digits of a scrambled number.
        let words = ["card", "lost", "refund", "late", "order", "broken", "screen", "login", "crash", "invoice"]
        let others = [
            "please", "again", "never", "arrived", "yesterday", "twice", "urgent", "monthly", "wrong", "gone",
        ]
        var value = number &* 2_654_435_761 % 1_000_003
        var text = "\(number)x"
        for place in 0..<6 {
            text += " " + (place % 2 == 0 ? words : others)[value % 10] + "\(value % 17)"
            value = value / 7 + number * (place + 3)
        }
        return alpaca("Classify this support ticket", text, "Category: A", line: number + 1)
    }

    @Test func nearDuplicatesStayTogether() throws {
        var examples = (0..<600).map(ticket)
        for number in 0..<200 {
            guard case .instruction(_, _, let input, _) = examples[number].content else { return }
            examples.append(
                alpaca("Classify this support ticket", input.uppercased() + "!", "Category: A", line: 700 + number))
        }
        let split = try DataSplit(examples, size: .fraction(0.2), seed: 42)
        #expect((split.train + split.test).sorted() == Array(0..<800))
        let test = Set(split.test)
        for number in 0..<200 { #expect(test.contains(number) == test.contains(600 + number)) }
        #expect((110...210).contains(split.test.count))
        // Control: unlike questions are not thrown together, or the test set could not have this size.
        #expect(test.count { $0 < 600 } > 60)
        #expect(try DataSplit(examples, size: .fraction(0.2), seed: 42) == split)
        #expect(try DataSplit(examples, size: .fraction(0.2), seed: 43) != split)
    }

    @Test func addedRowsMoveNoOldOnes() throws {
        let few = try DataSplit((0..<300).map(ticket), size: .fraction(0.1))
        let more = try DataSplit((0..<900).map(ticket), size: .fraction(0.1))
        #expect(more.test.filter { $0 < 300 } == few.test)
        #expect(more.test.contains { $0 >= 300 })
    }

    @Test func countsAndSmallSets() throws {
        let examples = (0..<50).map(ticket)
        #expect(try DataSplit(examples, size: .count(10)).test.count == 10)
        #expect(try DataSplit(Array(examples.prefix(3)), size: .fraction(0.01)).test.count == 1)
        #expect(try DataSplit(Array(examples.prefix(2)), size: .fraction(0.99)).train.count >= 1)
        #expect(throws: DataError.self) { try DataSplit([examples[0], examples[0]], size: .fraction(0.5)) }
        #expect(throws: DataError.self) { try DataSplit(examples, size: .count(50)) }
        #expect(try TestSize(0.1) == .fraction(0.1))
        #expect(try TestSize(20) == .count(20))
        for bad in [0, -1, 1.5, .nan] { #expect(throws: DataError.self) { try TestSize(bad) } }
    }

    @Test func ofTheTutorialsThreeRows() throws {
        let rows = [
            "My order #12345 arrived with a broken screen", "How do I change my subscription plan?",
            "Your app keeps crashing on my iPhone",
        ]
        let examples = rows.enumerated().map { alpaca("Classify this support ticket", $1, "x", line: $0 + 1) }
        let split = try DataSplit(examples, size: .fraction(0.1))
        #expect(split.train.count == 2)
    }

    @Test func referenceDataIsFast() throws {
        guard let reference = Reference.folder else { return }
        let examples = try Example.examples(of: [reference + "/data/tickets_banking77_train.jsonl"])
        let clock = ContinuousClock()
        var split: DataSplit?
        let time = try clock.measure { split = try DataSplit(examples, size: .fraction(0.1)) }
        let count = try #require(split?.test.count)
        #expect((850...1150).contains(count))
        #expect(time < .seconds(20))
        let test = try Example.examples(of: [reference + "/data/tickets_banking77_test.jsonl"])
        var report: DataReport?
        let reportTime = clock.measure { report = DataReport(examples, test: test) }
        let leaks = try #require(report?.leaks)
        let labels = try #require(report?.answers.labels.first)
        // The published test questions were made apart from the training ones, yet some are the same.
        #expect(!leaks.isEmpty && leaks.count < 500)
        #expect(labels.counts.count == 77)
        print(
            "split of \(examples.count) rows: \(count) held out, \(time); report in \(reportTime): \(leaks.count) leaks, "
                + "\(report?.nearDuplicates.count ?? 0) groups of near duplicates, "
                + "\(report?.contradictions.count ?? 0) contradictions")
    }
}
