import AttuneData
import AttuneJSON

extension EvaluationResult {
    /// The result as one object; shares are in 0…1, `row` is the line in `file`, counted from 1.
    public var json: JSON {
        var object = JSONObject()
        object["examples"] = JSON(exactMatch.count)
        object["exact_match"] = Self.json(exactMatch.fraction)
        object["exact_matches"] = JSON(exactMatch.successes)
        object["exact_match_interval"] = Self.interval(exactMatch)
        object["fields"] = Self.accuracies(fields)
        object["field_table"] = .array(fields.map(Self.json))
        object["labels"] = labels.map(Self.json) ?? .null
        object["length_slices"] = .array(
            slices.map {
                [
                    "shortest": JSON($0.lengths.lowerBound), "longest": JSON($0.lengths.upperBound),
                    "examples": JSON($0.correct.count), "exact_match": Self.json($0.correct.fraction),
                ]
            })
        object["stop_reasons"] = .object(JSONObject(stopReasons.map { (key: $0.reason, value: JSON($0.count)) }))
        object["perplexity"] = Self.json(perplexity)
        object["mismatches"] = .array(mismatches.map(Self.json))
        if let base {
            object["base"] = [
                "examples": JSON(base.exactMatch.count), "exact_match": Self.json(base.exactMatch.fraction),
                "exact_matches": JSON(base.exactMatch.successes),
                "exact_match_interval": Self.interval(base.exactMatch), "fields": Self.accuracies(base.fields),
                "perplexity": Self.json(base.perplexity), "comparison": Self.json(base.comparison),
            ]
        }
        return .object(object)
    }

    /// JSON has no infinity and no NaN; they become `null`.
    private static func json(_ value: Double?) -> JSON {
        guard let value, value.isFinite else { return .null }
        return JSON(value)
    }

    private static func interval(_ share: Proportion) -> JSON {
        guard let interval = share.interval else { return .null }
        return [JSON(interval.low), JSON(interval.high)]
    }

    private static func accuracies(_ fields: [FieldAccuracy]) -> JSON {
        .object(JSONObject(fields.map { (key: $0.key, value: json($0.correct.fraction)) }))
    }

    private static func json(_ field: FieldAccuracy) -> JSON {
        [
            "field": JSON(field.key), "accuracy": json(field.correct.fraction), "interval": interval(field.correct),
            "correct": JSON(field.correct.successes), "support": JSON(field.correct.count),
            "missing": JSON(field.missing),
        ]
    }

    private static func json(_ table: LabelTable) -> JSON {
        [
            "field": table.key.map { JSON($0) } ?? .null, "macro_f1": JSON(table.macroF1),
            "table": .array(
                table.entries.map {
                    [
                        "label": JSON($0.label), "precision": json($0.precision), "recall": JSON($0.recall),
                        "f1": JSON($0.f1), "support": JSON($0.support), "predicted": JSON($0.predicted),
                    ]
                }),
            "confusions": .array(
                table.confusions.map {
                    [
                        "expected": JSON($0.expected), "got": $0.got.map { JSON($0) } ?? .null,
                        "count": JSON($0.rows.count), "rows": rows($0.rows),
                    ]
                }),
        ]
    }

    private static func json(_ mismatch: Prediction) -> JSON {
        var object = JSONObject()
        object["row"] = JSON(mismatch.row.line)
        object["expected"] = JSON(mismatch.expected)
        object["got"] = JSON(mismatch.got)
        object["stop_reason"] = JSON(mismatch.stopReason)
        object["file"] = JSON(mismatch.row.file)
        object["prompt"] = JSON(mismatch.prompt)
        if let difference = mismatch.firstDifference {
            object["first_difference"] = [
                "index": JSON(difference.index), "expected": JSON(difference.expected), "got": JSON(difference.got),
            ]
        }
        return .object(object)
    }

    private static func json(_ comparison: PairedComparison) -> JSON {
        [
            "both_right": rows(comparison.bothRight), "both_wrong": rows(comparison.bothWrong),
            "fixed": rows(comparison.fixed), "broke": rows(comparison.broke),
            "unpaired": JSON(comparison.unpaired), "mcnemar_p": JSON(comparison.pValue),
        ]
    }

    private static func rows(_ rows: [RowSource]) -> JSON { .array(rows.map { JSON($0.line) }) }
}
