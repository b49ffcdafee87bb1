import AttuneJSON

/// Where every row of the input went: each is in exactly one bin, and the totals add up.
public struct RowLedger: Sendable {
    /// What became of a row.
    public enum Bin: String, Sendable, CaseIterable {
        /// Trained on as it is.
        case used
        /// Cut to the length limit.
        case shortened
        /// Trained on in several pieces.
        case split
        /// Not trained on.
        case dropped
        /// Not trained on because an equal row came before it.
        case duplicate
    }

    /// One row's fate.
    public struct Entry: Sendable {
        /// Where the row stands.
        public var source: RowSource
        /// What became of it.
        public var bin: Bin
        /// Why, unless it was simply used.
        public var reason: String?
        /// Its tokens before anything was done to it.
        public var tokens: Int
        /// How many of them are not trained on.
        public var tokensLost: Int
        /// Whether the end of the answer is among them.
        public var losesAnswerEnd: Bool
    }

    /// All rows, in the order of the input.
    public private(set) var entries: [Entry] = []

    /// An empty ledger.
    public init() {}

    mutating func add(
        _ source: RowSource, _ bin: Bin, _ reason: String? = nil, tokens: Int, lost: Int = 0,
        losesAnswerEnd: Bool = false
    ) {
        entries.append(
            Entry(
                source: source, bin: bin, reason: reason, tokens: tokens, tokensLost: lost,
                losesAnswerEnd: losesAnswerEnd))
    }

    /// How many rows are in a bin.
    public func count(_ bin: Bin) -> Int { entries.count { $0.bin == bin } }

    /// Totals and every row that was not simply used.
    public var json: JSON {
        var bins = JSONObject()
        for bin in Bin.allCases { bins[bin.rawValue] = JSON(count(bin)) }
        let exceptions = entries.filter { $0.bin != .used }.map { entry -> JSON in
            [
                "file": .string(entry.source.file), "line": JSON(entry.source.line), "bin": .string(entry.bin.rawValue),
                "reason": entry.reason.map { .string($0) } ?? nil, "tokens": JSON(entry.tokens),
                "tokens_lost": JSON(entry.tokensLost), "loses_answer_end": JSON(entry.losesAnswerEnd),
            ]
        }
        return [
            "rows": JSON(entries.count), "bins": .object(bins),
            "tokens": JSON(entries.reduce(0) { $0 + $1.tokens }),
            "tokens_lost": JSON(entries.reduce(0) { $0 + $1.tokensLost }), "exceptions": .array(exceptions),
        ]
    }

    /// Rows by bin and tokens, in one line.
    public var totals: String {
        let total = entries.reduce(0) { $0 + $1.tokens }
        let lost = entries.reduce(0) { $0 + $1.tokensLost }
        let bins = Bin.allCases.map { "\(count($0)) \($0.rawValue)" }.joined(separator: ", ")
        return "\(entries.count) rows: \(bins); \(total) tokens, \(lost) lost"
    }

    /// The same in words: the line of totals, then at most `limit` exceptions.
    public func text(limit: Int = 10) -> String {
        var lines = [totals]
        let exceptions = entries.filter { $0.bin != .used }
        for entry in exceptions.prefix(limit) {
            let loss = entry.tokensLost > 0 ? " (\(entry.tokensLost) of \(entry.tokens) tokens lost)" : ""
            lines.append("  \(entry.source): \(entry.bin.rawValue): \(entry.reason ?? "")\(loss)")
        }
        if exceptions.count > limit { lines.append("  … and \(exceptions.count - limit) more") }
        return lines.joined(separator: "\n")
    }
}
