import AttuneData

extension EvaluationResult {
    /// The result for a terminal; `limit` is how many mismatches are shown.
    ///
    /// Control characters of answers are written as escapes, so that an answer cannot steer the terminal.
    public func text(limit: Int = 10) -> String {
        var lines = ["Exact match accuracy: \(ReportFigure.percent(exactMatch.fraction))"]
        lines[0] += " (\(exactMatch.successes) of \(exactMatch.count), 95 % \(ReportFigure.interval(exactMatch)))"
        for (number, mismatch) in mismatches.prefix(max(0, limit)).enumerated() {
            lines.append("")
            lines.append("Mismatch \(number + 1):")
            lines.append("  Expected: " + Self.indented(AnswerText.stripped(mismatch.expected)))
            lines.append("  Got:      " + Self.indented(AnswerText.stripped(mismatch.got)))
            var place = "  At:       \(TerminalText.line(mismatch.row.description))"
            if let difference = mismatch.firstDifference { place += ", from character \(difference.index + 1)" }
            lines.append(place + ", stop reason \(TerminalText.line(mismatch.stopReason))")
        }
        let left = mismatches.count - max(0, limit)
        if left > 0 {
            lines.append("")
            lines.append("\(left) more \(left == 1 ? "mismatch" : "mismatches") not shown.")
        }
        for table in tables {
            lines.append("")
            lines.append(contentsOf: Self.aligned(table))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Further lines stand under the first.
    private static func indented(_ answer: String) -> String {
        answer.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            .map { TerminalText.line(String($0)) }.joined(separator: "\n            ")
    }

    private static func aligned(_ table: ReportTable) -> [String] {
        let cells = ([table.header] + table.rows).map { $0.map(TerminalText.line) }
        let widths = table.header.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        var lines = [TerminalText.line(table.title)]
        for row in cells {
            var line = "  "
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 {
                    line += String(repeating: " ", count: widths[column] - cell.count + 2)
                }
            }
            lines.append(line)
        }
        if let note = table.note { lines.append("  " + note) }
        return lines
    }
}

/// Text of others, made safe for one line of a terminal.
enum TerminalText {
    /// Control and direction characters become `\u{1b}` and the like.
    static func line(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            if isHarmful(scalar) {
                line += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                line.unicodeScalars.append(scalar)
            }
        }
        return line
    }

    /// C0, DEL, C1, line and paragraph separators, and the embeddings, overrides and isolates of direction.
    private static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
