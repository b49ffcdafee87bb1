import AttuneData
import AttuneFiles
import AttuneJSON
import AttuneModels
import AttuneText
import AttuneTraining

/// How the training examples were put before the model, saved beside the weights so that whoever serves them asks in the same words:
/// `attune_contract.json`.
public struct PromptContract: Sendable, Equatable {
    /// The file's name.
    public static let fileName = "attune_contract.json"
    /// `prompt_template` of the recipe.
    public let template: String
    /// The text of the template where it is a file's: the file itself may be elsewhere when the model is served.
    public let templateText: String?
    /// Ids of the tokens that begin, end and fill texts, by `bos`, `eos`, `pad` and `unk`, as far as the tokenizer has them.
    public let specialIDs: [String: Int32]
    /// Ids that end an answer.
    public let stopIDs: [Int32]
    /// A question, and its tokens under the form: another tokenizer or template gives others.
    public let goldenQuestion = "Classify this support ticket: My order arrived damaged"
    /// The tokens.
    public let goldenIDs: [Int32]
    /// Instructions shared by many training rows; a chat message that begins with one is parted into instruction and input.
    public let instructions: [String]
    /// Columns of the training file that had other names than the usual ones.
    public let columns: ColumnMap

    init(_ recipe: Recipe, _ model: LanguageModel, instructions: [String]) throws {
        self.instructions = instructions
        template = recipe.promptTemplate
        columns = recipe.columns
        stopIDs = model.endOfSequence.sorted()
        let encoder = try FineTuning.rowEncoder(recipe, model)
        let form = try recipe.promptForm()
        templateText = try recipe.promptTemplateText()
        specialIDs = Self.specialIDs(of: model.tokenizer)
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
        templateText = json["prompt_template_text"]?.stringValue
        specialIDs = Dictionary(
            (json["special_token_ids"]?.objectValue?.members ?? []).compactMap { member in
                member.value.intValue.map { (member.key, Int32(truncatingIfNeeded: $0)) }
            }, uniquingKeysWith: { first, _ in first })
        do {
            let pairs = (json["columns"]?.objectValue?.members ?? []).compactMap { member in
                member.value.stringValue.map { (member.key, $0) }
            }
            columns = try ColumnMap(Dictionary(pairs, uniquingKeysWith: { first, _ in first }))
        } catch {
            throw .invalid(path: path, problem: error.message)
        }
        instructions = json["instructions"]?.arrayValue?.compactMap(\.stringValue) ?? []
        stopIDs = stops.map { Int32(truncatingIfNeeded: $0) }
        goldenIDs = golden.map { Int32(truncatingIfNeeded: $0) }
    }

    /// Writes the contract into a folder.
    /// - Throws: `FilesError`.
    func write(to folder: String) throws(FilesError) {
        let ids = { (list: [Int32]) in JSON.array(list.map { JSON(Int($0)) }) }
        let json: JSON = [
            "prompt_template": JSON(template), "prompt_template_text": templateText.map { JSON($0) } ?? .null,
            "special_token_ids": .object(
                JSONObject(specialIDs.sorted { $0.key < $1.key }.map { (key: $0.key, value: JSON(Int($0.value))) })),
            "stop_token_ids": ids(stopIDs),
            "golden_question": JSON(goldenQuestion), "golden_token_ids": ids(goldenIDs),
            "instructions": .array(instructions.map { JSON($0) }),
            "columns": .object(
                JSONObject(columns.map.sorted { $0.key < $1.key }.map { (key: $0.key, value: JSON($0.value)) })),
        ]
        try AtomicFile.write(json.utf8(.pretty), to: Folder.path(folder, Self.fileName))
    }

    /// The form of prompts.
    /// - Throws: `DataError` for a template that cannot be read, `RecipeError` for a name that is none.
    public func form() throws -> PromptForm {
        guard let templateText else { return try Recipe(set: ["prompt_template=\(template)"]).promptForm() }
        return .custom(try PromptTemplate(templateText, name: template))
    }

    private static func specialIDs(of tokenizer: Tokenizer) -> [String: Int32] {
        let known = [
            ("bos", tokenizer.bosTokenID), ("eos", tokenizer.eosTokenID), ("pad", tokenizer.padTokenID),
            ("unk", tokenizer.unkTokenID),
        ]
        return Dictionary(uniqueKeysWithValues: known.compactMap { name, id in id.map { (name, $0) } })
    }

    /// The examples of a file whose columns are named as in training, or in the usual way.
    /// - Throws: `DataError` at the first row that fits no form.
    public func examples(of path: String) throws(DataError) -> [Example] {
        do throws(DataError) {
            return try Example.examples(of: [path], columns: columns)
        } catch {
            guard columns != ColumnMap(), let usual = try? Example.examples(of: [path]) else { throw error }
            return usual
        }
    }

    /// Instructions that at least two rows with an input share, the most frequent first.
    static func sharedInstructions(of examples: [Example]) -> [String] {
        var counts: [ByteString: Int] = [:]
        for example in examples {
            guard case .instruction(_, let instruction, let input, _) = example.content, !input.isEmpty,
                !instruction.isEmpty, instruction.utf8.count <= 4096
            else { continue }
            counts[ByteString(instruction), default: 0] += 1
        }
        return counts.filter { $0.value > 1 }
            .sorted { ($0.value, $1.key.string) > ($1.value, $0.key.string) }
            .prefix(64).map(\.key.string)
    }

    /// Compares the golden prompt's tokens with what tokenizer and form give today.
    /// - Throws: `ModelError.mismatch` naming the first token that differs.
    public func check(
        form: PromptForm, encoder: RowEncoder, renderer: TemplateRenderer?, folder: String
    ) throws {
        let tokens = encoder.encode(try form.prompt(instruction: goldenQuestion, renderer: renderer))
        guard tokens != goldenIDs else { return }
        let place = zip(tokens, goldenIDs).enumerated().first { $0.element.0 != $0.element.1 }?.offset
        let differing = place ?? min(tokens.count, goldenIDs.count)
        let now = differing < tokens.count ? "\(tokens[differing])" : "missing"
        let then = differing < goldenIDs.count ? "\(goldenIDs[differing])" : "missing"
        throw ModelError.mismatch(
            "\(folder): the tokenizer or template is not the one trained with: token \(differing) of the golden prompt is "
                + "\(now), was \(then); take the tokenizer and template the training saved, or train again")
    }
}

extension LanguageModel {
    /// The form and encoder of prompts under a `prompt_template` by name or file, or where none is named under that of a contract.
    /// - Throws: `RecipeError`, `DataError` for a template that cannot be read, `TemplateError`.
    public func prompts(
        template: String?, contract: PromptContract? = nil
    ) throws -> (form: PromptForm, encoder: RowEncoder) {
        let form: PromptForm
        if template == nil, let contract {
            form = try contract.form()
        } else {
            let name = try template ?? (renderer() == nil ? "tutorial" : "chat")
            form = try Recipe(set: ["prompt_template=\(name)"]).promptForm()
        }
        let encoder = RowEncoder(
            encoder: TokenizerEncoder(tokenizer), renderer: try renderer(), form: form)
        return (form, encoder)
    }
}
