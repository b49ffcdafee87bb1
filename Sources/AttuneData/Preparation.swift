/// What happens to a row longer than the length limit.
public enum Overlength: String, Sendable, CaseIterable {
    /// Preparation ends with an error that names the rows.
    case stop
    /// The row is left out.
    case drop
    /// The row's end is cut off, its answer's end included.
    case cut
    /// Plain text goes on in further rows; a row with an answer cannot be split and stops as under `stop`.
    case split
}

/// The rows of a data set, tokenized and within the length limit, with the account of what became of each input row.
public struct PreparedRows: Sendable {
    /// Rows in the order of the input.
    public private(set) var rows: [TrainingRow] = []
    /// What became of every input row.
    public private(set) var ledger = RowLedger()
    private var seen = Set<UInt64>()
    private var tooLong: [(source: RowSource, count: Int)] = []
    private var unlearned: [RowSource] = []

    /// Encodes examples.
    /// - Parameters:
    ///   - maxLength: the most tokens a row may have.
    ///   - removesDuplicates: whether a row equal to an earlier one (tokens and mask) is left out.
    ///   - progress: called now and then with the number of rows done.
    /// - Throws: `DataError` naming up to five rows: rows that are too long under `stop`, or rows without any token to
    ///   learn; also when no row is left. What the renderer throws.
    public init(
        _ examples: [Example], encoder: RowEncoder, maxLength: Int, overlength: Overlength = .stop,
        removesDuplicates: Bool = false, progress: (Int) -> Void = { _ in }
    ) throws {
        guard maxLength >= 2 else {
            throw DataError(.usage, "max_length is \(maxLength); a row needs at least two tokens")
        }
        for (place, example) in examples.enumerated() {
            if place % 256 == 0 { progress(place) }
            add(try encoder.encode(example), example, maxLength, overlength, removesDuplicates)
        }
        progress(examples.count)
        try Self.check(unlearned: unlearned)
        try Self.check(tooLong: tooLong, maxLength: maxLength)
        guard !rows.isEmpty else {
            // An error is one line: the totals and the first exception.
            let first = ledger.entries.first { $0.reason != nil }.map { "; \($0.source): \($0.reason ?? "")" } ?? ""
            throw DataError(.badData, "no row is left to train on: \(ledger.totals)\(first)")
        }
    }

    /// Encodes examples for a report: what would stop training is dropped here, with the reason in the ledger.
    init(
        surveying examples: [Example], encoder: RowEncoder, maxLength: Int, overlength: Overlength,
        removesDuplicates: Bool
    ) {
        for example in examples {
            do {
                add(try encoder.encode(example), example, max(2, maxLength), overlength, removesDuplicates)
            } catch {
                ledger.add(
                    example.source, .dropped, "stops training: \((error as? DataError)?.message ?? "\(error)")",
                    tokens: 0)
            }
        }
    }

    private mutating func add(
        _ row: TrainingRow, _ example: Example, _ maxLength: Int, _ overlength: Overlength, _ removesDuplicates: Bool
    ) {
        let count = row.tokens.count
        if removesDuplicates, !seen.insert(row.identity).inserted {
            ledger.add(row.source, .duplicate, "equal to an earlier row", tokens: count, lost: count)
        } else if row.trainedCount == 0 {
            unlearned.append(row.source)
            ledger.add(row.source, .dropped, "stops training: no token is trained", tokens: count, lost: count)
        } else if count <= maxLength {
            rows.append(row)
            ledger.add(row.source, .used, tokens: count)
        } else {
            let isText = if case .text = example.content { true } else { false }
            switch overlength {
            case .drop:
                ledger.add(
                    row.source, .dropped, "longer than \(maxLength) tokens", tokens: count, lost: count,
                    losesAnswerEnd: true)
            case .cut: cut(row, to: maxLength)
            case .split where isText: split(row, into: maxLength)
            case .split, .stop:
                tooLong.append((row.source, count))
                ledger.add(
                    row.source, .dropped, "stops training: longer than \(maxLength) tokens", tokens: count, lost: count,
                    losesAnswerEnd: true)
            }
        }
    }

    private mutating func cut(_ row: TrainingRow, to maxLength: Int) {
        let kept = TrainingRow(
            tokens: Array(row.tokens.prefix(maxLength)), trained: Array(row.trained.prefix(maxLength)),
            source: row.source)
        let count = row.tokens.count
        let losesEnd = row.trained.dropFirst(maxLength).contains(true)
        guard kept.trainedCount > 0 else {
            ledger.add(
                row.source, .dropped, "no token of the answer is within \(maxLength) tokens", tokens: count,
                lost: count,
                losesAnswerEnd: losesEnd)
            return
        }
        rows.append(kept)
        ledger.add(
            row.source, .shortened, "longer than \(maxLength) tokens\(losesEnd ? "; the answer's end is lost" : "")",
            tokens: count, lost: count - maxLength, losesAnswerEnd: losesEnd)
    }

    private mutating func split(_ row: TrainingRow, into maxLength: Int) {
        // A piece of one token has nothing to learn, so the one before it gives it a second.
        var start = 0
        var pieces = 0
        while start < row.tokens.count {
            var end = min(start + maxLength, row.tokens.count)
            if row.tokens.count - end == 1, maxLength > 2 { end -= 1 }
            rows.append(
                TrainingRow(
                    tokens: Array(row.tokens[start..<end]), trained: Array(row.trained[start..<end]), source: row.source
                ))
            pieces += 1
            start = end
        }
        ledger.add(row.source, .split, "in \(pieces) pieces", tokens: row.tokens.count)
    }

    private static func check(unlearned: [RowSource]) throws(DataError) {
        guard let first = unlearned.first else { return }
        let more = unlearned.count > 1 ? " (and \(unlearned.count - 1) more: \(list(unlearned.dropFirst())))" : ""
        throw DataError(
            .badData, "no token of the row is trained\(more); add an answer or an assistant message, or remove the row",
            at: first)
    }

    private static func check(tooLong: [(source: RowSource, count: Int)], maxLength: Int) throws(DataError) {
        guard let first = tooLong.first else { return }
        let longest = tooLong.map(\.count).max() ?? first.count
        let others = tooLong.dropFirst().map(\.source)
        let more = others.isEmpty ? "" : " (and \(others.count) more: \(list(others[...])))"
        throw DataError(
            .badData,
            "\(first.count) tokens, and max_length is \(maxLength): the answer's end would be lost\(more); "
                + "raise max_length to \(longest), or set overlength: drop or cut",
            at: first.source)
    }

    private static func list(_ sources: ArraySlice<RowSource>) -> String {
        sources.prefix(4).map(\.description).joined(separator: ", ") + (sources.count > 4 ? ", …" : "")
    }
}
