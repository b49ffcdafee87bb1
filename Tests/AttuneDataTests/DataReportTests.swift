import AttuneData
import AttuneJSON
import Testing

@Suite struct DataReportTests {
    private let task = "Classify"
    private var examples: [Example] {
        [
            alpaca(task, "my card was stolen on the train", "Category: Card\nPriority: High", line: 1),
            alpaca(task, "my card was stolen on the train", "Category: Card\nPriority: High", line: 2),
            alpaca(task, "My card was stolen, on the train!", "Category: Card\nPriority: High", line: 3),
            alpaca(task, "my card was stolen on the train", "Category: Fraud\nPriority: Low", line: 4),
            alpaca(task, "where is the nearest cash machine", "Category: Card\nPriority: Low", line: 5),
            alpaca(task, "how can I top up by transfer", "Category: Fraud\nPriority: Low", line: 6),
        ]
    }

    @Test func findsWhatIsWrong() throws {
        let test = [
            alpaca(task, "where is the nearest cash machine?", "Category: Card\nPriority: Low", line: 101),
            alpaca(task, "how can I top up by transfer", "Category: Fraud\nPriority: Low", line: 102),
            alpaca(task, "an entirely different matter", "Category: Fraud\nPriority: Low", line: 103),
        ]
        let report = DataReport(examples, test: test)
        #expect(report.exactDuplicates.map { $0.map(\.line) } == [[1, 2]])
        #expect(report.nearDuplicates.map { $0.map(\.line) } == [[1, 3, 4]])
        #expect(report.contradictions.count == 1)
        #expect(report.contradictions[0].answers.map { $0.sources.map(\.line) } == [[1, 2], [4]])
        #expect(report.leaks.map { [$0.test.line, $0.train.line] } == [[101, 5], [102, 6]])
        #expect(report.leaks.map(\.isExact) == [false, true])
        #expect(report.answers.labels.map(\.key) == ["Category", "Priority"])
        #expect(report.answers.labels[0].counts.map(\.count) == [4, 2])
        #expect(report.json["contradictions"]?[0]?["answers"]?[1]?["rows"]?[0]?["line"]?.intValue == 4)
        #expect(report.text().contains("test.jsonl:4 says 'Category: Fraud / Priority: Low'"))
    }

    @Test func cleanDataHasNothingToReport() {
        let report = DataReport([examples[0], examples[4], examples[5]])
        #expect(report.exactDuplicates.isEmpty && report.nearDuplicates.isEmpty && report.contradictions.isEmpty)
        #expect(report.leaks.isEmpty && report.answers.empty.isEmpty)
    }

    @Test func shortAnswersAndLabels() {
        let rows = (0..<10).map {
            alpaca(task, "text \($0)", $0 == 9 ? " " : $0 % 2 == 0 ? "yes" : "no way", line: $0 + 1)
        }
        let report = DataReport(rows)
        #expect(report.answers.empty.map(\.line) == [10])
        #expect(report.answers.oneWord.count == 5)
        #expect(report.answers.labels.first?.key == nil)
        #expect(report.answers.labels.first?.counts.first?.value == "yes")
    }

    @Test func whatIsTrainedIsGreenAndRowsCannotSteerTheTerminal() throws {
        let view = DataReport.ModelView(
            encoder: RowEncoder(encoder: ByteEncoder(), form: .tutorial), maxLength: 500, overlength: .stop)
        let report = DataReport([alpaca(task, "red \u{1B}[31m", "Ca\u{202E}rd", line: 1)], model: view)
        let colored = report.text(usesColor: true)
        #expect(colored.contains("\u{1B}[32mCa\u{FFFD}rd"), "\(colored)")
        #expect(colored.count { $0 == "\u{1B}" } == 4 && colored.contains("\n### Response:\n"))
        let plain = report.text()
        #expect(plain.contains("⟦Ca\u{FFFD}rd") && !plain.contains("\u{1B}"), "\(plain)")
    }

    @Test func modelsViewCountsTokens() throws {
        let view = DataReport.ModelView(
            encoder: RowEncoder(encoder: ByteEncoder(), form: .tutorial), maxLength: 115, overlength: .stop)
        let report = DataReport(examples, model: view)
        let ledger = try #require(report.ledger)
        let lengths = try #require(report.lengths)
        #expect(ledger.entries.count == 6)
        #expect(ledger.count(.dropped) == lengths.overCount)
        #expect(lengths.overCount > 0 && lengths.overCount < 6)
        #expect(lengths.histogram.reduce(0) { $0 + $1.count } == 6)
        #expect(report.text().contains("⟦Category: Card\nPriority: High⟧"))
        #expect(report.text(usesColor: true).contains("\u{1B}[32mCategory"))
        #expect(report.json["sample"]?[1]?["trained"]?.boolValue == true)
    }

    @Test func lengthFigures() {
        let lengths = LengthDistribution(Array(1...100), maxLength: 90)
        #expect(lengths.quantile(0.5) == 50)
        #expect(lengths.quantile(0.9) == 90)
        #expect(lengths.overCount == 10)
        #expect(lengths.histogram.map(\.count) == Array(repeating: 10, count: 10))
        #expect(LengthDistribution([], maxLength: 5).quantile(0.5) == 0)
    }

    @Test func cleaningKeepsAndSaysWhy() throws {
        let text = """
            {"instruction":"a","input":"my card was stolen on the train","output":"x","id":7}
            {"instruction":"a","input":"my card was stolen on the train","output":"x"}
            not a row
            {"instruction":"a","input":"My card was stolen, on the train!","output":"x"}
            {"instruction":"a","input":"where is the nearest cash machine","output":""}
            {"instruction":"a","input":"how can I top up by transfer","output":"y"}
            {"question":"a"}
            """
        var reader = try RowReader(bytes: Array(text.utf8), file: "f.jsonl")
        var rows: [Row] = []
        var errors: [DataError] = []
        var isOpen = true
        while isOpen {
            do { if let row = try reader.next() { rows.append(row) } else { isOpen = false } } catch {
                errors.append(error)
            }
        }
        var options = DataCleaning.Options()
        options.removesNearDuplicates = true
        options.heldOut = [alpaca("a", "How can I top up by transfer?", "y", line: 50)]
        let cleaned = DataCleaning(rows, errors: errors, options: options)
        #expect(cleaned.kept.map(\.source.line) == [1])
        #expect(Set(cleaned.removed.map(\.source.line)) == [2, 3, 4, 5, 6, 7])
        #expect(cleaned.removed.first { $0.source.line == 2 }?.reason == "equal to f.jsonl:1")
        #expect(String(decoding: cleaned.keptLines, as: UTF8.self).hasSuffix("\"id\": 7}\n"))
        #expect(try JSON(parsing: cleaned.removedLines.split(separator: 10)[0])["line"]?.intValue == 3)
        let mild = DataCleaning(rows)
        #expect(mild.kept.map(\.source.line) == [1, 4, 6])
    }
}
