import AttuneData

extension EvaluationResult {
    /// The whole report as Markdown (GitHub's tables), with every mismatch.
    public var markdown: String {
        var lines = ["# Evaluation", ""]
        lines.append("Exact match accuracy: \(ReportFigure.percent(exactMatch.fraction))")
        for table in tables {
            lines.append(contentsOf: ["", "## \(MarkdownText.inline(table.title))", ""])
            lines.append(MarkdownText.row(table.header))
            lines.append("|" + String(repeating: " --- |", count: table.header.count))
            lines.append(contentsOf: table.rows.map(MarkdownText.row))
            if let note = table.note { lines.append(contentsOf: ["", note]) }
        }
        lines.append(contentsOf: ["", "## Mismatches (\(mismatches.count))"])
        for mismatch in mismatches {
            lines.append(contentsOf: ["", "### \(MarkdownText.inline(mismatch.row.description))", ""])
            var place = "Stop reason: \(MarkdownText.inline(mismatch.stopReason))."
            if let difference = mismatch.firstDifference {
                place += " First difference at character \(difference.index + 1)."
            }
            lines.append(place)
            for (name, text) in [
                ("Question", mismatch.prompt), ("Expected", mismatch.expected), ("Got", mismatch.got),
            ] {
                lines.append(contentsOf: ["", "\(name):", ""])
                lines.append(contentsOf: MarkdownText.block(AnswerText.stripped(text)))
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// Text of others, made literal in Markdown.
enum MarkdownText {
    /// One line in which nothing is markup.
    static func inline(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            if scalar.properties.isWhitespace {
                line += " "
            } else if "\\`*_{}[]<>()#+!|~&".unicodeScalars.contains(scalar) {
                line += "\\"
                line.unicodeScalars.append(scalar)
            } else {
                line.unicodeScalars.append(scalar)
            }
        }
        return line
    }

    /// A row of a table.
    static func row(_ cells: [String]) -> String { "| " + cells.map(inline).joined(separator: " | ") + " |" }

    /// A fenced block whose fence is longer than any run of backticks inside.
    static func block(_ text: String) -> [String] {
        var longest = 0
        var run = 0
        for scalar in text.unicodeScalars {
            run = scalar == "`" ? run + 1 : 0
            longest = max(longest, run)
        }
        let fence = String(repeating: "`", count: max(3, longest + 1))
        return ["\(fence)text", text, fence]
    }
}
