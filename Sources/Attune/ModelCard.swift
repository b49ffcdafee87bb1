import AttuneData
import AttuneEvaluation
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneTraining
import Foundation

extension FineTuning {
    /// Writes `README.md` into `output_dir`: what was trained from what, how, with which result and under which licence.
    ///
    /// - Parameter evaluation: of the finished model, where there is one.
    /// - Throws: `FilesError`.
    public func writeCard(evaluation: EvaluationResult? = nil) throws {
        try AtomicFile.write(
            Array(card(evaluation: evaluation).utf8), to: Folder.path(recipe.outputDirectory, "README.md"))
    }

    private func card(evaluation: EvaluationResult?) -> String {
        let base = recipe.modelPath ?? model.directory.path
        let isAdapter = recipe.method == .lora || recipe.method == .qlora
        let licence = BaseLicence(folder: model.directory.path)
        var lines = ["---", "base_model: \(RecipeValue.text(base).yaml)"]
        lines.append("library_name: \(isAdapter ? "peft" : "transformers")")
        if let identifier = licence.identifier { lines.append("license: \(identifier)") }
        lines += ["pipeline_tag: text-generation", "tags:", "  - attune", "  - \(recipe.method.rawValue)", "---", ""]
        let kind = isAdapter ? "A \(recipe.method == .qlora ? "QLoRA" : "LoRA") adapter for" : "A model trained from"
        lines += ["# \(Folder.split(recipe.outputDirectory).name)", ""]
        lines.append("\(kind) `\(base)`, made with Attune \(AttuneVersion.current).")
        lines.append(
            "\(trainableCount) of \(totalCount) parameters were trained, in \(model.decoder.computeType.torchName).")
        lines += ["", "## Data", "", "Trained on `\(recipe.trainFile ?? "rows given by a program")`."]
        lines += ["", "    " + (ledger.text(limit: 0).split(separator: "\n").first.map(String.init) ?? ""), ""]
        lines.append("\(testExamples.count) rows were held out; prompts are in the form `\(recipe.promptTemplate)`.")
        lines += ["", "## Losses", ""] + lossLines
        if let evaluation { lines += ["", "## Evaluation", ""] + Self.lines(of: evaluation) }
        lines += ["", "## Recipe", "", "What was said; everything else is in `recipe.resolved.yaml`.", "", "```yaml"]
        for setting in recipe.settings where setting.origin != .standard {
            if case .derived = setting.origin { continue }
            lines.append("\(setting.key.name.rawValue): \(setting.value.yaml)")
        }
        lines += ["```", "", "## Versions", ""]
        lines.append("Attune \(AttuneVersion.current), \(model.decoder.backend.name), \(MachineReport.systemName)")
        lines += ["", "## Licence", "", licence.sentence(base: base)]
        return lines.joined(separator: "\n") + "\n"
    }

    private var lossLines: [String] {
        var lines = ["| Step | Epoch | Training loss | Evaluation loss | Token accuracy | Stop health |"]
        lines.append("| ---: | ---: | ---: | ---: | ---: | ---: |")
        let figure = { (value: Double?, digits: Int) in value.map { String(format: "%.\(digits)f", $0) } ?? "" }
        let entries = trainer.progress.logHistory.filter { $0["loss"] != nil || $0["eval_loss"] != nil }
        // A long run logs thousands of times; thirty rows show the curve, and evaluations are never left out.
        let stride = max(1, entries.count / 30)
        for (place, entry) in entries.enumerated() {
            let isEvaluation = entry["eval_loss"] != nil
            guard isEvaluation || place % stride == 0 || place == entries.count - 1 else { continue }
            let accuracy = entry[isEvaluation ? "eval_mean_token_accuracy" : "mean_token_accuracy"]?.doubleValue
            let cells = [
                "\(entry["step"]?.intValue ?? 0)", figure(entry["epoch"]?.doubleValue, 2),
                figure(entry["loss"]?.doubleValue, 4), figure(entry["eval_loss"]?.doubleValue, 4), figure(accuracy, 3),
                figure(entry["eval_stop_health"]?.doubleValue, 3),
            ]
            lines.append("| " + cells.joined(separator: " | ") + " |")
        }
        return lines
    }

    private static func lines(of evaluation: EvaluationResult) -> [String] {
        let share = { (part: Proportion) in
            "\(part.successes) of \(part.count) (\(String(format: "%.1f", 100 * (part.fraction ?? 0))) %)"
        }
        var lines = ["Exact match on held-out rows: \(share(evaluation.exactMatch))"]
        if let base = evaluation.base { lines[0] += "; the base alone: \(share(base.exactMatch))" }
        lines[0] += "."
        lines += evaluation.fields.map { "- \($0.key): \(share($0.correct))" }
        if let perplexity = evaluation.perplexity {
            lines.append("- perplexity of the expected answers: \(String(format: "%.4f", perplexity))")
        }
        return lines
    }
}

/// Under which licence a base is, as far as its folder says.
struct BaseLicence {
    /// What the front matter of its README.md names.
    var identifier: String?
    /// Whether a file LICENSE lies in the folder.
    var hasFile: Bool

    init(folder: String) {
        hasFile = ["LICENSE", "LICENSE.txt", "LICENSE.md"].contains { Folder.hasFile(Folder.path(folder, $0)) }
        let card = Folder.path(folder, "README.md")
        guard let bytes = try? WholeFile.read(card, limit: 1 << 20) else { return }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.first == "---" else { return }
        for line in lines.dropFirst().prefix(while: { $0 != "---" }) where line.hasPrefix("license:") {
            let name = line.dropFirst("license:".count).trimmingCharacters(in: .whitespaces)
            // Front matter is others' text; only what can be an identifier goes into ours.
            let isPlain = name.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "-._".unicodeScalars.contains($0))
            }
            if isPlain, !name.isEmpty { identifier = name }
        }
    }

    /// What a card says of it.
    func sentence(base: String) -> String {
        if let identifier {
            return "The base `\(base)` is under `\(identifier)`; what is made from it is bound by that licence."
        }
        return hasFile
            ? "The base `\(base)` has its own licence, in the file LICENSE beside it; what is made from it is bound by that."
            : "The base `\(base)` names no licence in its folder; ask its makers before passing this on."
    }
}
