import AttuneData

extension RecipeKey {
    static let computeTypes = ["float32", "bfloat16", "float16"]

    /// Python's and PyTorch's other words for number types.
    static let typeWords = [
        "torch.float16": "float16", "fp16": "float16", "half": "float16", "torch.bfloat16": "bfloat16",
        "bf16": "bfloat16",
        "torch.float32": "float32", "fp32": "float32", "float": "float32",
    ]

    static let modelKeys: [RecipeKey] = [
        RecipeKey(.model, .text, .none, "The base: a folder in Hugging Face layout, or a hub name."),
        RecipeKey(
            .method, .choice(RecipeMethod.allCases.map(\.rawValue)), .none,
            "What is trained: an adapter on the base (lora), an adapter on the base in few bits (qlora), everything (full), or "
                + "the last blocks (freeze). Unless said it is qlora with load_in_4bit or load_in_8bit and lora otherwise; TRL "
                + "trains everything unless given a LoraConfig, Attune is made for adapters."),
        RecipeKey(
            .freezeTrainableLayers, .integer(atLeast: 1), .integer(2),
            "With method freeze: how many of the last blocks are trained, with the final norm and the head. LLaMA-Factory's name "
                + "and default."),
        RecipeKey(
            .dtype, .choice(["auto"] + computeTypes), .text("auto"),
            "The type products are computed in; auto is the type of the model's files.", words: typeWords),
        RecipeKey(.initAdapter, .text, .none, "An adapter folder whose weights the run starts from."),
        RecipeKey(
            .outputDirectory, .text, .text("results"),
            "Where checkpoints and results go. TRL's is named trainer_output; Attune's follows the tutorial."),
        RecipeKey(
            .seed, .integer(atLeast: 0), .integer(42),
            "The seed of split, order, initialization, dropout and "
                + "noise."),
        RecipeKey(.threads, .integer(atLeast: 1), .none, "Threads to work with; unless said, one a core."),
        RecipeKey(.device, .text, .text("auto"), "auto, cpu, cuda or cuda:N."),
        RecipeKey(
            .loadIn4Bit, .flag, .flag(false),
            "Keeps the base's matrices in four bits. Method qlora turns it on unless load_in_8bit is on."),
        RecipeKey(.loadIn8Bit, .flag, .flag(false), "Keeps the base's matrices in eight bits."),
        RecipeKey(
            .quantType, .choice(["nf4", "fp4"]), .text("nf4"),
            "The four-bit format. bitsandbytes' default is fp4; nf4 is what QLoRA was shown to work with."),
        RecipeKey(
            .quantComputeDType, .choice(computeTypes), .none,
            "The type products with four-bit matrices are computed in; Attune computes in one type throughout, so this and dtype "
                + "must agree. bitsandbytes' default is float32; unless said it is dtype here.", words: typeWords),
        RecipeKey(.doubleQuant, .flag, .flag(false), "Quantizes the scales of the four-bit format too."),
    ]

    static let dataKeys: [RecipeKey] = [
        RecipeKey(.trainFile, .text, .none, "The rows to learn from: JSONL, JSON, CSV, TSV or text, gzip too."),
        RecipeKey(.evalFile, .text, .none, "The rows to evaluate on."),
        RecipeKey(
            .testSize, .number(.notNegative), .number(0),
            "How many rows of train_file are held out for evaluation: a share below 1 or a number; 0 for none."),
        RecipeKey(
            .promptTemplate, .text, .text("tutorial"),
            "How a question is put: tutorial, alpaca, alpaca_newline, chat, text, or a file. TRL takes the text column as it is; "
                + "Attune renders the row so that training and serving ask alike."),
        RecipeKey(
            .columns, .textTable, .table([]),
            "Which column plays which part, for example {output: label}; parts are instruction, input, output, system, prompt, "
                + "completion, messages, conversations, tools, text."),
        RecipeKey(
            .trainOn, .choice(TrainOn.allCases.map(\.rawValue)), .text("answer"),
            "What is learned: the answer, all tokens, or all that the assistant says. TRL learns all of a text column; a prompt "
                + "that is given at inference need not be learned."),
        RecipeKey(
            .maxLength, .integer(atLeast: 2), .integer(1024),
            "The most tokens of a row, or of a packed "
                + "sequence."),
        RecipeKey(
            .overlength, .choice(Overlength.allCases.map(\.rawValue)), .text("stop"),
            "What happens to a longer row: stop names it, drop leaves it out, cut shortens it, split continues plain text in the next "
                + "row. TRL cuts without a word, and a model that never sees the end of an answer does not learn to stop."
        ),
        RecipeKey(
            .dropDuplicates, .flag, .flag(false),
            "Whether rows equal to an earlier one, token for token, are left out; otherwise they are learned as often as they stand."
        ),
        RecipeKey(
            .packing, .choice(["false", "true", "wrapped"]), .text("false"),
            "Whether rows share sequences of max_length: true fits whole rows together and keeps them from seeing each other, "
                + "wrapped cuts the stream of rows.", words: ["bfd": "true"]),
        RecipeKey(
            .shuffle, .flag, .flag(true),
            "Whether every epoch has an order of its own; false is the order of "
                + "the file."),
        RecipeKey(.groupByLength, .flag, .flag(false), "Whether rows of like length share a batch."),
    ]
}
