import AttuneData
import AttuneJSON

/// Classification seen label by label: the whole answer, or its first field that is a label.
public struct LabelTable: Sendable {
    /// One label.
    public struct Entry: Sendable {
        /// The label.
        public let label: String
        /// Rows that should get it.
        public let support: Int
        /// Rows that got it.
        public let predicted: Int
        /// Rows that should and did.
        public let correct: Int

        /// correct / predicted; `nil` when nothing got the label.
        public var precision: Double? { predicted == 0 ? nil : Double(correct) / Double(predicted) }
        /// correct / support.
        public var recall: Double { Double(correct) / Double(support) }
        /// 2 · correct / (support + predicted).
        public var f1: Double { 2 * Double(correct) / Double(support + predicted) }
    }

    /// One mistake and how often it was made.
    public struct Confusion: Sendable {
        /// The label that was right.
        public let expected: String
        /// The label that was given; `nil` when the answer was none of the labels.
        public let got: String?
        /// The rows.
        public let rows: [RowSource]
    }

    /// The key of the field, or `nil` when the whole answer is the label.
    public let key: String?
    /// Labels of the expected answers, the most frequent first.
    public let entries: [Entry]
    /// Mistakes, the most frequent first.
    public let confusions: [Confusion]

    /// The mean of the labels' F1.
    public var macroF1: Double { entries.reduce(0) { $0 + $1.f1 } / Double(entries.count) }

    /// The most labels a table is made for.
    static let maximumLabels = 200

    /// The table; `nil` when the answers are not labels.
    ///
    /// Labels are single lines of at most 80 bytes with at most 200 distinct values, some of them seen twice.
    /// With fields, rows without the field are left out.
    init?(_ predictions: [Prediction], fields: [FieldAccuracy]) {
        guard !fields.isEmpty else {
            let pairs = predictions.map {
                (
                    ByteString(AnswerText.stripped($0.expected)), Optional(ByteString(AnswerText.stripped($0.got))),
                    $0.row
                )
            }
            self.init(key: nil, pairs)
            return
        }
        let lines = predictions.map {
            (FieldLines(answer: $0.expected), FieldLines(amongLinesOf: $0.got), $0.row)
        }
        for field in fields {
            let key = ByteString(field.key)
            let pairs = lines.compactMap { expected, got, row in expected[key].map { ($0, got[key], row) } }
            if let table = LabelTable(key: field.key, pairs) {
                self = table
                return
            }
        }
        return nil
    }

    private init?(key: String?, _ pairs: [(expected: ByteString, got: ByteString?, row: RowSource)]) {
        var support: [ByteString: Int] = [:]
        for pair in pairs {
            let label = pair.expected.string
            guard !label.isEmpty, label.utf8.count <= 80, !label.contains(where: \.isNewline) else { return nil }
            support[pair.expected, default: 0] += 1
        }
        guard !support.isEmpty, support.count <= Self.maximumLabels, support.count < pairs.count else { return nil }
        var predicted: [ByteString: Int] = [:]
        var correct: [ByteString: Int] = [:]
        var mistakes: [Mistake: [RowSource]] = [:]
        for pair in pairs {
            let got = pair.got.flatMap { support[$0] == nil ? nil : $0 }
            if let got { predicted[got, default: 0] += 1 }
            if got == pair.expected {
                correct[pair.expected, default: 0] += 1
            } else {
                mistakes[Mistake(expected: pair.expected, got: got), default: []].append(pair.row)
            }
        }
        self.key = key
        entries = support.map { label, count in
            Entry(
                label: label.string, support: count, predicted: predicted[label] ?? 0, correct: correct[label] ?? 0)
        }.sorted { $0.support != $1.support ? $0.support > $1.support : $0.label < $1.label }
        confusions = mistakes.map { Confusion(expected: $0.expected.string, got: $0.got?.string, rows: $1) }.sorted {
            if $0.rows.count != $1.rows.count { return $0.rows.count > $1.rows.count }
            return ($0.expected, $0.got ?? "") < ($1.expected, $1.got ?? "")
        }
    }

    private struct Mistake: Hashable {
        let expected: ByteString
        let got: ByteString?
    }
}
