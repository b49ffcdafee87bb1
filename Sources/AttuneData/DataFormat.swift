/// The forms in which rows are stored.
public enum DataFormat: String, Sendable, CaseIterable {
    /// One JSON object a line.
    case jsonl
    /// A JSON array of objects, or objects one after the other.
    case json
    /// Comma-separated values (RFC 4180) with a header.
    case csv
    /// Tab-separated values with a header; quoting as in CSV.
    case tsv
    /// Plain text: every line that is not blank is a row with one column, `text`.
    case text

    /// The form that a file's name tells, with or without `.gz`; `nil` for other names.
    public init?(path: String) {
        var name = path.split(separator: "/").last.map { String($0).lowercased() } ?? ""
        if name.hasSuffix(".gz") { name.removeLast(3) }
        switch name.split(separator: ".", omittingEmptySubsequences: false).last {
        case "jsonl", "ndjson": self = .jsonl
        case "json": self = .json
        case "csv": self = .csv
        case "tsv", "tab": self = .tsv
        case "txt", "text", "md": self = .text
        default: return nil
        }
    }
}

/// Budgets that keep a hostile file from filling memory or running for ever.
public struct ReadLimits: Sendable {
    /// The longest row.
    public var rowBytes: Int
    /// How much a compressed file may expand to.
    public var expandedBytes: Int

    /// Limits of one's own; the defaults are 64 MiB a row and 64 GiB a file.
    public init(rowBytes: Int = 1 << 26, expandedBytes: Int = 1 << 36) {
        self.rowBytes = rowBytes
        self.expandedBytes = expandedBytes
    }
}
