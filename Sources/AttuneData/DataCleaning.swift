import AttuneJSON

/// Rows worth keeping, and for every other row why it is not.
public struct DataCleaning: Sendable {
    /// A row that was not kept.
    public struct Removal: Sendable {
        /// Where it stands.
        public var source: RowSource
        /// Why.
        public var reason: String
    }

    /// What counts as not worth keeping, besides rows that fit no form.
    public struct Options: Sendable {
        /// Rows whose question and answer came before, to the byte.
        public var removesDuplicates = true
        /// Rows whose question nearly came before.
        public var removesNearDuplicates = false
        /// Rows without an answer.
        public var removesEmptyAnswers = true
        /// Rows whose question is also among these: what is to be tested on.
        public var heldOut: [Example] = []

        /// The defaults: everything but near duplicates.
        public init() {}
    }

    /// The rows kept, unchanged and in their order.
    public private(set) var kept: [Row] = []
    /// The others.
    public private(set) var removed: [Removal] = []

    /// Cleans rows.
    /// - Parameter errors: rows that could not be read at all; they are listed as removed.
    public init(
        _ rows: [Row], errors: [DataError] = [], columns: ColumnMap = ColumnMap(), options: Options = Options()
    ) {
        for error in errors {
            if let source = error.source { removed.append(Removal(source: source, reason: error.message)) }
        }
        var readable: [(row: Row, example: Example)] = []
        for row in rows {
            do throws(DataError) {
                readable.append((row, try Example(row, columns: columns)))
            } catch {
                removed.append(Removal(source: row.source, reason: error.message))
            }
        }
        let held = options.heldOut
        let groups = Similarity((held + readable.map(\.example)).map(\.question)).groups
        var firstExact: [ByteString: RowSource] = [:]
        var firstNear: [Int: RowSource] = [:]
        for (place, (row, example)) in readable.enumerated() {
            let question = example.question
            let key = ByteString("\(question.shared)\u{0}\(question.own)\u{0}\(example.answer ?? "")")
            let group = groups[held.count + place]
            let reason: String? =
                if options.removesEmptyAnswers, example.answer?.allSatisfy(\.isWhitespace) == true {
                    "the answer is empty"
                } else if group < held.count {
                    "the question is in the test data (\(held[group].source))"
                } else if options.removesDuplicates, let first = firstExact[key] {
                    "equal to \(first)"
                } else if options.removesNearDuplicates, let first = firstNear[group] {
                    "nearly the same question as \(first)"
                } else {
                    nil
                }
            if let reason {
                removed.append(Removal(source: row.source, reason: reason))
            } else {
                kept.append(row)
                firstExact[key] = row.source
                firstNear[group] = firstNear[group] ?? row.source
            }
        }
    }

    /// The rows kept, as JSONL.
    public var keptLines: [UInt8] { RowReader.jsonLines(kept) }

    /// The rows removed, as JSONL with `file`, `line` and `reason`.
    public var removedLines: [UInt8] {
        removed.flatMap { removal -> [UInt8] in
            let line: JSON = [
                "file": .string(removal.source.file), "line": JSON(removal.source.line),
                "reason": .string(removal.reason),
            ]
            return line.utf8(.spaced) + [0x0A]
        }
    }
}
