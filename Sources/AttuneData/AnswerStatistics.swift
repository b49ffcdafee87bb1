import AttuneJSON

/// What can be seen in the answers alone: labels with their counts, and answers that say little.
public struct AnswerStatistics: Sendable {
    /// Values of one label and how many rows have each.
    public struct Histogram: Sendable {
        /// The key of a `Key: value` line, or `nil` when the whole answer is the label.
        public var key: String?
        /// Values, the most frequent first.
        public var counts: [(value: String, count: Int)]
    }

    /// Rows whose answer is empty.
    public private(set) var empty: [RowSource] = []
    /// Rows whose answer is one word.
    public private(set) var oneWord: [RowSource] = []
    /// The label, or the labels, when answers look like classification.
    public private(set) var labels: [Histogram] = []

    /// Looks at the answers of examples; plain text has none.
    public init(_ examples: [Example]) {
        var answers: [String] = []
        for example in examples {
            guard let answer = example.answer else { continue }
            let words = answer.split(whereSeparator: \.isWhitespace)
            if words.isEmpty { empty.append(example.source) }
            if words.count == 1 { oneWord.append(example.source) }
            answers.append(answer)
        }
        guard answers.count >= 2 else { return }
        let fields = answers.map(Self.fields)
        if let first = fields.first(where: { !$0.isEmpty }) {
            for key in first.map(\.key) {
                let values = fields.compactMap { $0.first { $0.key == key }?.value }
                guard values.count * 10 >= answers.count * 9, let histogram = Self.histogram(values, key: key) else {
                    continue
                }
                labels.append(histogram)
            }
        }
        if labels.isEmpty, answers.allSatisfy({ $0.utf8.count <= 80 && !$0.contains("\n") }),
            let histogram = Self.histogram(answers, key: nil)
        {
            labels = [histogram]
        }
    }

    /// `Key: value` lines of an answer; none unless all its lines are such.
    public static func fields(of answer: String) -> [(key: String, value: String)] {
        var fields: [(key: String, value: String)] = []
        for line in answer.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex,
                line.distance(from: line.startIndex, to: colon) <= 40
            else { return [] }
            let value = line[line.index(after: colon)...].drop(while: \.isWhitespace)
            fields.append((String(line[..<colon]), String(value)))
        }
        return fields
    }

    /// Counts of values, when they repeat enough to be labels.
    private static func histogram(_ values: [String], key: String?) -> Histogram? {
        var counts: [ByteString: Int] = [:]
        for value in values { counts[ByteString(value), default: 0] += 1 }
        guard counts.count <= 200, counts.count * 2 <= values.count else { return nil }
        let sorted = counts.map { (value: $0.key.string, count: $0.value) }
            .sorted { $0.count != $1.count ? $0.count > $1.count : $0.value < $1.value }
        return Histogram(key: key, counts: sorted)
    }
}
