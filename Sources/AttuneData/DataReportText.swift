import AttuneJSON

extension DataReport {
    /// The whole report.
    public var json: JSON {
        func list(_ sources: [RowSource]) -> JSON {
            .array(sources.map { ["file": .string($0.file), "line": JSON($0.line)] })
        }
        var report: JSONObject = JSONObject()
        report["rows"] = JSON(rowCount)
        report["errors"] = .array(
            errors.map { error in
                [
                    "file": error.source.map { .string($0.file) } ?? nil,
                    "line": error.source.map { JSON($0.line) } ?? nil,
                    "message": .string(error.message),
                ]
            })
        report["ledger"] = ledger?.json
        report["exact_duplicates"] = .array(exactDuplicates.map(list))
        report["near_duplicates"] = .array(nearDuplicates.map(list))
        report["contradictions"] = .array(
            contradictions.map { found in
                [
                    "question": .string(found.question),
                    "answers": .array(
                        found.answers.map { ["answer": .string($0.answer), "rows": list($0.sources)] }),
                ]
            })
        report["leaks"] = .array(
            leaks.map {
                ["test": list([$0.test])[0] ?? nil, "train": list([$0.train])[0] ?? nil, "exact": JSON($0.isExact)]
            })
        report["empty_answers"] = list(answers.empty)
        report["one_word_answers"] = JSON(answers.oneWord.count)
        report["labels"] = .array(
            answers.labels.map { label in
                [
                    "key": label.key.map { .string($0) } ?? nil,
                    "counts": .object(JSONObject(label.counts.map { (key: $0.value, value: JSON($0.count)) })),
                ]
            })
        report["lengths"] = lengths?.json
        if !sample.isEmpty {
            report["sample"] = .array(sample.map { ["text": .string($0.text), "trained": JSON($0.isTrained)] })
        }
        return .object(report)
    }

    /// The report in words.
    /// - Parameters:
    ///   - limit: how many lines each list may take.
    ///   - usesColor: whether what is trained is green (ANSI); otherwise it stands between `⟦` and `⟧`.
    public func text(limit: Int = 5, usesColor: Bool = false) -> String {
        var lines = ["\(rowCount) rows read" + (errors.isEmpty ? "" : ", \(errors.count) could not be read")]
        func add<Item>(_ items: [Item], _ title: String, _ describe: (Item) -> String) {
            guard !items.isEmpty else { return }
            lines.append(title)
            lines += items.prefix(limit).map { "  " + describe($0) }
            if items.count > limit { lines.append("  … and \(items.count - limit) more") }
        }
        add(errors, "rows that could not be read:") { $0.description }
        if let ledger { lines.append("in training: " + ledger.text(limit: limit)) }
        let group = { (sources: [RowSource]) in
            sources.prefix(6).map(\.description).joined(separator: " = ") + (sources.count > 6 ? " = …" : "")
        }
        let copies = exactDuplicates.reduce(0) { $0 + $1.count - 1 }
        lines.append("\(copies) exact duplicates, \(nearDuplicates.count) groups of near duplicates")
        add(exactDuplicates, "the same row more than once:", group)
        add(nearDuplicates, "nearly the same question:", group)
        add(contradictions, "\(contradictions.count) questions with different answers:") { found in
            let answers = found.answers.map { "\($0.sources[0]) says '\(Self.excerpt($0.answer))'" }
            return "'\(Self.excerpt(found.question))': " + answers.joined(separator: ", ")
        }
        add(leaks, "\(leaks.count) test rows are also in the training data:") {
            "\($0.test) \($0.isExact ? "equals" : "resembles") \($0.train)"
        }
        add(answers.empty, "\(answers.empty.count) empty answers:") { $0.description }
        if !answers.oneWord.isEmpty { lines.append("\(answers.oneWord.count) answers of one word") }
        for label in answers.labels {
            add(label.counts, "\(label.key ?? "label"): \(label.counts.count) values") { "\($0.count)  \($0.value)" }
        }
        if let lengths { lines.append(lengths.text) }
        lines = lines.map(Self.shown)
        if !sample.isEmpty {
            lines.append(usesColor ? "one row (what is trained is green):" : "one row (what is trained is in ⟦ ⟧):")
            lines.append(
                sample.map { stretch in
                    let text = Self.shown(stretch.text)
                    guard stretch.isTrained else { return text }
                    return usesColor ? "\u{1B}[32m\(text)\u{1B}[0m" : "⟦\(text)⟧"
                }.joined())
        }
        return lines.joined(separator: "\n")
    }

    /// What rows say, without what a terminal would obey: controls, and marks that turn the direction of writing.
    private static func shown(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    switch scalar.value {
                    case 0x09, 0x0A: scalar
                    case 0x00...0x1F, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069: "\u{FFFD}"
                    default: scalar
                    }
                }))
    }

    /// The beginning of a text on one line.
    private static func excerpt(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isNewline).joined(separator: " / ")
        return line.count > 60 ? line.prefix(59) + "…" : line
    }
}
