import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneText
import AttuneTraining

/// How the training examples were put before the model, saved beside the weights so that whoever serves them asks in the same words:
/// `attune_contract.json`.
public struct PromptContract: Sendable, Equatable {
    /// The file's name.
    public static let fileName = "attune_contract.json"
    /// `prompt_template` of the recipe.
    public let template: String
    /// Ids that end an answer.
    public let stopIDs: [Int32]
    /// A question, and its tokens under the form: another tokenizer or template gives others.
    public let goldenQuestion = "Classify this support ticket: My order arrived damaged"
    /// The tokens.
    public let goldenIDs: [Int32]

    init(_ recipe: Recipe, _ model: LanguageModel) throws {
        template = recipe.promptTemplate
        stopIDs = model.endOfSequence.sorted()
        let encoder = try FineTuning.rowEncoder(recipe, model)
        let form = try recipe.promptForm()
        goldenIDs = encoder.encode(
            try form.prompt(instruction: goldenQuestion, renderer: try model.renderer()))
    }

    /// Reads a folder's contract; `nil` when it has none.
    /// - Throws: `FilesError`.
    public init?(folder: String) throws(FilesError) {
        let path = Folder.path(folder, Self.fileName)
        guard Folder.hasFile(path) else { return nil }
        let json = try WholeFile.readJSON(path)
        guard let template = json["prompt_template"]?.stringValue,
            let stops = json["stop_token_ids"]?.arrayValue?.compactMap(\.intValue),
            let golden = json["golden_token_ids"]?.arrayValue?.compactMap(\.intValue)
        else { throw .invalid(path: path, problem: "is not a prompt contract") }
        self.template = template
        stopIDs = stops.map { Int32(truncatingIfNeeded: $0) }
        goldenIDs = golden.map { Int32(truncatingIfNeeded: $0) }
    }

    /// Writes the contract into a folder.
    /// - Throws: `FilesError`.
    func write(to folder: String) throws(FilesError) {
        let ids = { (list: [Int32]) in JSON.array(list.map { JSON(Int($0)) }) }
        let json: JSON = [
            "prompt_template": JSON(template), "stop_token_ids": ids(stopIDs),
            "golden_question": JSON(goldenQuestion), "golden_token_ids": ids(goldenIDs),
        ]
        try AtomicFile.write(json.utf8(.pretty), to: Folder.path(folder, Self.fileName))
    }
}
