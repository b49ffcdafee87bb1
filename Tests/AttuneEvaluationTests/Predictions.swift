import AttuneData
import AttuneEvaluation

/// A prediction on a line of `test.jsonl`.
func prediction(_ line: Int, _ expected: String, _ got: String, prompt: String = "?", stop: String = "stop")
    -> Prediction
{
    Prediction(
        row: RowSource(file: "test.jsonl", line: line), prompt: prompt, expected: expected, got: got, stopReason: stop)
}
