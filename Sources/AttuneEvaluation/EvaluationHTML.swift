import AttuneData

extension EvaluationResult {
    /// The whole report as one page that loads nothing else, with every mismatch.
    public var html: String {
        var page = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Evaluation</title>
            <style>
            body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
            table { border-collapse: collapse; }
            th, td { border: 1px solid #bbb; padding: .25rem .6rem; text-align: left; vertical-align: top; }
            pre { background: #f3f3f3; color: #111; padding: .6rem; white-space: pre-wrap; margin: .2rem 0 .8rem; }
            mark { background: #ffd54a; }
            </style>
            </head>
            <body>
            <h1>Evaluation</h1>
            <p>Exact match accuracy: <strong>\(ReportFigure.percent(exactMatch.fraction))</strong></p>

            """
        for table in tables {
            page += "<h2>\(HTMLText.escaped(table.title))</h2>\n<table>\n<thead>\(Self.row(table.header, cell: "th"))"
            page += "</thead>\n<tbody>\n"
            for row in table.rows { page += Self.row(row, cell: "td") + "\n" }
            page += "</tbody>\n</table>\n"
            if let note = table.note { page += "<p>\(HTMLText.escaped(note))</p>\n" }
        }
        page += "<h2>Mismatches (\(mismatches.count))</h2>\n"
        for mismatch in mismatches {
            let index = mismatch.firstDifference?.index
            page += "<details>\n<summary>\(HTMLText.escaped(mismatch.row.description)), stop reason "
            page += "\(HTMLText.escaped(mismatch.stopReason))</summary>\n"
            page += "<p>Question</p><pre>\(HTMLText.escaped(mismatch.prompt))</pre>\n"
            page += "<p>Expected</p><pre>\(Self.marked(mismatch.expected, from: index))</pre>\n"
            page += "<p>Got</p><pre>\(Self.marked(mismatch.got, from: index))</pre>\n</details>\n"
        }
        return page + "</body>\n</html>\n"
    }

    private static func row(_ cells: [String], cell: String) -> String {
        "<tr>" + cells.map { "<\(cell)>\(HTMLText.escaped($0))</\(cell)>" }.joined() + "</tr>"
    }

    /// The stripped answer, what follows the first difference marked.
    private static func marked(_ answer: String, from index: Int?) -> String {
        let scalars = AnswerText.stripped(answer).unicodeScalars
        guard let index, index < scalars.count else { return HTMLText.escaped(String(scalars)) }
        let place = scalars.index(scalars.startIndex, offsetBy: index)
        return HTMLText.escaped(String(scalars[..<place])) + "<mark>"
            + HTMLText.escaped(String(scalars[place...])) + "</mark>"
    }
}

/// Text of others, made literal in HTML.
enum HTMLText {
    /// The five special characters as references; control characters HTML forbids as U+FFFD.
    static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case "\n", "\t": escaped.unicodeScalars.append(scalar)
            case "\r": escaped += "&#13;"
            case _ where scalar.properties.generalCategory == .control: escaped += "\u{FFFD}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
