import AttuneData
import AttuneJSON

/// How often one `Key: value` line of the answers is right.
public struct FieldAccuracy: Sendable {
    /// The key of the line.
    public let key: String
    /// Right values among the rows whose expected answer has the key.
    public let correct: Proportion
    /// Rows whose given answer has no line with this key.
    public let missing: Int

    /// One per key in the order of first appearance; none unless nine in ten expected answers are such lines.
    ///
    /// The given answer may hold other lines as well; its first line with the key counts.
    static func table(_ predictions: [Prediction]) -> [FieldAccuracy] {
        let expected = predictions.map { FieldLines(answer: $0.expected) }
        let structured = expected.count { !$0.keys.isEmpty }
        guard structured > 0, structured * 10 >= predictions.count * 9 else { return [] }
        var order: [ByteString] = []
        var tally: [ByteString: (right: Int, count: Int, missing: Int)] = [:]
        for (prediction, fields) in zip(predictions, expected) {
            let given = FieldLines(amongLinesOf: prediction.got)
            for key in fields.keys {
                if tally[key] == nil { order.append(key) }
                var entry = tally[key] ?? (0, 0, 0)
                entry.count += 1
                if let value = given[key] {
                    if value == fields[key] { entry.right += 1 }
                } else {
                    entry.missing += 1
                }
                tally[key] = entry
            }
        }
        return order.compactMap { key in
            tally[key].map {
                FieldAccuracy(key: key.string, correct: Proportion($0.right, of: $0.count), missing: $0.missing)
            }
        }
    }
}

/// The `Key: value` lines of one answer by key; of equal keys the first holds.
struct FieldLines {
    private(set) var keys: [ByteString] = []
    private var values: [ByteString: ByteString] = [:]

    /// The lines of an answer that has nothing but such lines; otherwise none.
    init(answer: String) {
        add(AnswerStatistics.fields(of: AnswerText.stripped(answer)))
    }

    /// Such lines of any answer, among others.
    init(amongLinesOf answer: String) {
        for line in answer.split(whereSeparator: \.isNewline) {
            add(AnswerStatistics.fields(of: String(line)))
        }
    }

    subscript(key: ByteString) -> ByteString? { values[key] }

    private mutating func add(_ fields: [(key: String, value: String)]) {
        for field in fields {
            let key = ByteString(AnswerText.stripped(field.key))
            guard values[key] == nil else { continue }
            keys.append(key)
            values[key] = ByteString(AnswerText.stripped(field.value))
        }
    }
}
