import AttuneData

/// One table of the report, the same in the terminal, in Markdown and in HTML.
struct ReportTable {
    let title: String
    let header: [String]
    let rows: [[String]]
    /// A sentence under the table.
    var note: String?
}

/// Figures as the report writes them.
enum ReportFigure {
    /// A non-negative number with so many digits behind the point.
    static func decimal(_ value: Double, digits: Int) -> String {
        guard value.isFinite, value >= 0, value < 1e12 else { return "\(value)" }
        var scale = 1
        for _ in 0..<digits { scale *= 10 }
        let units = Int((value * Double(scale)).rounded(.toNearestOrEven))
        let behind = String(units % scale)
        return "\(units / scale)." + String(repeating: "0", count: digits - behind.count) + behind
    }

    /// `93.33%`, or a dash when there is nothing to share.
    static func percent(_ share: Double?) -> String {
        share.map { decimal($0 * 100, digits: 2) + "%" } ?? "–"
    }

    /// `81.20–97.10%`: Wilson's interval.
    static func interval(_ share: Proportion) -> String {
        share.interval.map { "\(decimal($0.low * 100, digits: 2))–\(decimal($0.high * 100, digits: 2))%" } ?? "–"
    }

    /// `p = 0.0312`, or `p < 0.0001`.
    static func probability(_ p: Double) -> String {
        p < 0.0001 ? "p < 0.0001" : "p = \(decimal(p, digits: 4))"
    }

    /// Lines of the data, twenty at most.
    static func rows(_ rows: [RowSource]) -> String {
        guard !rows.isEmpty else { return "–" }
        let shown = rows.prefix(20).map { String($0.line) }.joined(separator: ", ")
        return rows.count > 20 ? "\(shown), … (\(rows.count - 20) more)" : shown
    }
}

extension EvaluationResult {
    /// How many mistakes the confusion table shows.
    private static let confusionLimit = 20

    /// Everything but the mismatches.
    var tables: [ReportTable] {
        var tables = [summary]
        if let base { tables.append(Self.changes(base.comparison)) }
        if !fields.isEmpty { tables.append(fieldTable) }
        if let labels {
            tables.append(Self.table(labels))
            if !labels.confusions.isEmpty { tables.append(Self.confusions(labels)) }
        }
        if slices.count > 1 {
            tables.append(
                ReportTable(
                    title: "By length of the question", header: ["Characters", "Examples", "Exact match"],
                    rows: slices.map {
                        [
                            "\($0.lengths.lowerBound)–\($0.lengths.upperBound)", "\($0.correct.count)",
                            ReportFigure.percent($0.correct.fraction),
                        ]
                    }))
        }
        tables.append(
            ReportTable(
                title: "Why generation ended", header: ["Reason", "Answers"],
                rows: stopReasons.map { [$0.reason, "\($0.count)"] }))
        return tables
    }

    private var summary: ReportTable {
        func row(_ name: String, _ share: Proportion, _ perplexity: Double?) -> [String] {
            [
                name, "\(share.count)", "\(share.successes)", ReportFigure.percent(share.fraction),
                ReportFigure.interval(share), perplexity.map { ReportFigure.decimal($0, digits: 4) } ?? "–",
            ]
        }
        var rows: [[String]] = []
        if let base { rows.append(row("base", base.exactMatch, base.perplexity)) }
        rows.append(row(base == nil ? "model" : "tuned", exactMatch, perplexity))
        return ReportTable(
            title: "Exact match",
            header: ["Model", "Examples", "Right", "Exact match", "95 % interval", "Perplexity"], rows: rows,
            note: "An answer is right when it equals the expected one, white space at both ends of both removed.")
    }

    private static func changes(_ comparison: PairedComparison) -> ReportTable {
        let groups = [
            ("both right", comparison.bothRight), ("both wrong", comparison.bothWrong),
            ("fixed by tuning", comparison.fixed), ("broken by tuning", comparison.broke),
        ]
        var note = "McNemar's exact test, two-sided: \(ReportFigure.probability(comparison.pValue))."
        if comparison.unpaired > 0 { note += " \(comparison.unpaired) answers have no partner and are left out." }
        return ReportTable(
            title: "Base against tuned", header: ["Group", "Examples", "Rows"],
            rows: groups.map { [$0, "\($1.count)", ReportFigure.rows($1)] }, note: note)
    }

    private var fieldTable: ReportTable {
        let before = base?.fields
        return ReportTable(
            title: "Fields",
            header: ["Field", "Examples", "Right", "Accuracy", "95 % interval", "Missing"]
                + (before == nil ? [] : ["Base accuracy"]),
            rows: fields.map { field in
                var row = [
                    field.key, "\(field.correct.count)", "\(field.correct.successes)",
                    ReportFigure.percent(field.correct.fraction), ReportFigure.interval(field.correct),
                    "\(field.missing)",
                ]
                if let before {
                    let share = before.first { $0.key.utf8.elementsEqual(field.key.utf8) }?.correct.fraction
                    row.append(ReportFigure.percent(share))
                }
                return row
            })
    }

    private static func table(_ labels: LabelTable) -> ReportTable {
        ReportTable(
            title: labels.key.map { "Labels of \($0)" } ?? "Labels",
            header: ["Label", "Precision", "Recall", "F1", "Support"],
            rows: labels.entries.map {
                [
                    $0.label, ReportFigure.percent($0.precision), ReportFigure.percent($0.recall),
                    ReportFigure.percent($0.f1), "\($0.support)",
                ]
            }, note: "Mean F1 of the labels: \(ReportFigure.percent(labels.macroF1)).")
    }

    private static func confusions(_ labels: LabelTable) -> ReportTable {
        let left = labels.confusions.count - confusionLimit
        return ReportTable(
            title: "Confusions", header: ["Expected", "Got", "Times", "Rows"],
            rows: labels.confusions.prefix(confusionLimit).map {
                [$0.expected, $0.got ?? "(none of the labels)", "\($0.rows.count)", ReportFigure.rows($0.rows)]
            }, note: left > 0 ? "\(left) rarer pairs are not shown." : nil)
    }
}
