import AttuneData
import AttuneFiles
import AttuneGeneration
import AttuneJSON
import AttuneModels
import AttuneText
import AttuneTraining

/// Questions put to a model in the form it was trained on, and its answers.
public final class Answering {
    let model: LanguageModel
    let encoder: RowEncoder
    let form: PromptForm
    let renderer: TemplateRenderer?
    let loop: GenerationLoop

    /// - Parameters:
    ///   - template: `prompt_template` by name or file; `nil` takes the contract of the adapter or model, then the chat template,
    ///     then the tutorial's form.
    ///   - adapterFolder: where a contract may lie.
    ///   - cacheTokens: tokens the cache holds for all running sequences.
    ///   - maxSequences: how many prompts are answered at once.
    ///   - reusesPrefixes: whether equal beginnings of prompts are computed once.
    /// - Throws: `FilesError`, `RecipeError`, `TensorError`.
    public convenience init(
        _ model: LanguageModel, template: String? = nil, adapterFolder: String? = nil, cacheTokens: Int = 16_384,
        maxSequences: Int = 32, reusesPrefixes: Bool = true, adapters: Set<String> = []
    ) throws {
        let own = try adapterFolder.flatMap { try PromptContract(folder: $0) }
        let contract = try own ?? PromptContract(folder: model.directory.path)
        let (form, encoder) = try model.prompts(template: template, contract: contract)
        let renderer = try model.renderer()
        if template == nil {
            try contract?.check(
                form: form, encoder: encoder, renderer: renderer, folder: adapterFolder ?? model.directory.path)
        }
        try self.init(
            model, form, encoder, renderer, cacheTokens: cacheTokens, maxSequences: maxSequences,
            reusesPrefixes: reusesPrefixes, adapters: adapters)
    }

    private init(
        _ model: LanguageModel, _ form: PromptForm, _ encoder: RowEncoder, _ renderer: TemplateRenderer?,
        cacheTokens: Int = 16_384, maxSequences: Int = 32, reusesPrefixes: Bool = true, adapters: Set<String> = []
    ) throws {
        self.model = model
        self.form = form
        self.encoder = encoder
        self.renderer = renderer
        loop = try model.makeLoop(
            cacheTokens: cacheTokens, maxSequences: maxSequences, reusesPrefixes: reusesPrefixes, adapters: adapters)
    }

    /// The same form over the base as its folder has it, for adapters that change modules of the base itself.
    /// - Throws: `FilesError`, `ModelError`, `TensorError`.
    func overUntouchedBase() throws -> Answering { try Answering(model.reloaded(), form, encoder, renderer) }

    /// Tokens of a question under the form.
    public func tokens(instruction: String, input: String?, system: String = "") throws -> [Int32] {
        encoder.encode(
            try form.prompt(instruction: instruction, input: input, system: system, renderer: renderer))
    }

    /// Tokens of an example's question.
    public func tokens(of example: Example) throws -> [Int32] { try encoder.encodePrompt(of: example) }

    /// Tokens of plain text, with what the tokenizer adds to a text.
    public func tokens(prompt: String) -> [Int32] { model.tokenizer.ids(of: prompt, addSpecialTokens: true) }

    /// Tokens of a conversation under the chat template.
    /// - Throws: `ModelError` when the model has no template.
    public func tokens(messages: JSON, tools: JSON?) throws -> [Int32] {
        guard let renderer = try model.renderer(hasTools: tools != nil) else {
            throw ModelError.mismatch("the model has no chat template; give --instruction or --prompt instead")
        }
        let text = try renderer.render(
            messages: messages, tools: tools, variables: JSONObject(), addGenerationPrompt: true)
        return model.tokenizer.ids(of: text.text)
    }

    /// One question, answered greedily under the form.
    /// - Throws: `DataError`, `GenerationError`.
    public func answer(
        _ instruction: String, input: String? = nil, maxNewTokens: Int = 256, adapter: String? = nil
    ) throws -> String {
        let prompt = try tokens(instruction: instruction, input: input)
        return try answer([prompt], options: .greedy(maxNewTokens: maxNewTokens), adapter: adapter)[0].text
    }

    /// Answers many prompts in batches.
    /// - Throws: `GenerationError` for the first impossible prompt, or the first that failed on the way.
    public func answer(
        _ prompts: [[Int32]], options: SamplingOptions, adapter: String?, progress: ((Int) -> Void)? = nil
    ) throws -> [GeneratedText] {
        let texts = try loop.generateAll(prompts, options: options, adapter: adapter, progress: progress).map {
            $0.texts[0]
        }
        if let error = texts.lazy.compactMap({ $0.finish?.error }).first { throw error }
        return texts
    }
}
