/// Another spelling of a key: an older or a neighbour's name, or an option of which the key's value follows.
struct RecipeAlias: Sendable {
    let spelling: String
    let name: RecipeName
    /// The value of the key for what was written here; `nil` when it says nothing about the key. An alias without it is a new
    /// name only.
    let implied: (@Sendable (Bool) -> String?)?

    private init(_ spelling: String, _ name: RecipeName, implied: (@Sendable (Bool) -> String?)? = nil) {
        self.spelling = spelling
        self.name = name
        self.implied = implied
    }

    static let all: [RecipeAlias] = [
        RecipeAlias("model", .model), RecipeAlias("model_name", .model), RecipeAlias("base_model", .model),
        RecipeAlias("torch_dtype", .dtype),
        RecipeAlias("fp16", .dtype) { $0 ? "float16" : nil },
        RecipeAlias("bf16", .dtype) { $0 ? "bfloat16" : nil },
        RecipeAlias("use_cpu", .device) { $0 ? "cpu" : nil },
        RecipeAlias("no_cuda", .device) { $0 ? "cpu" : nil },
        RecipeAlias("data", .trainFile), RecipeAlias("train_data", .trainFile), RecipeAlias("dataset", .trainFile),
        RecipeAlias("eval_data", .evalFile), RecipeAlias("validation_file", .evalFile),
        RecipeAlias("dataset_text_field", .columns),
        RecipeAlias("max_seq_length", .maxLength), RecipeAlias("max_seq_len", .maxLength),
        RecipeAlias("completion_only_loss", .trainOn) { $0 ? "answer" : "all" },
        RecipeAlias("assistant_only_loss", .trainOn) { $0 ? "assistant" : nil },
        RecipeAlias("lora_r", .rank), RecipeAlias("lora_rank", .rank),
        RecipeAlias("lora_target_modules", .targetModules), RecipeAlias("lora_bias", .bias),
        RecipeAlias("evaluation_strategy", .evalStrategy),
        RecipeAlias("activation_checkpointing", .gradientCheckpointing),
    ]

    private static let bySpelling = Dictionary(all.map { ($0.spelling, $0) }, uniquingKeysWith: { first, _ in first })

    static func spelled(_ spelling: String) -> RecipeAlias? { bySpelling[spelling] }
}

/// Names people bring from Hugging Face programs that are no keys here.
enum ForeignName {
    /// What Attune always does: accepted with this value alone.
    static let fixed: [String: (values: [String], reason: String)] = [
        "task_type": (["CAUSAL_LM", "TaskType.CAUSAL_LM"], "Attune trains causal language models"),
        "device_map": (["auto"], "Attune places the model itself; choose with device"),
        "use_cache": (["false"], "training keeps no cache"),
        "padding_side": (["right"], "batches have no padding"),
        "pad_token": (["eos_token", "eos"], "batches have no padding"),
        "save_safetensors": (["true"], "weights are always saved as safetensors"),
        "logging_strategy": (["steps"], "the log is by steps; choose with logging_steps"),
        "packing_strategy": (["bfd", "bfd_split"], "packing: true is best-fit; for the other write packing: wrapped"),
        "fan_in_fan_out": (["false"], "matrices are stored out × in"),
        "inference_mode": (["false"], "a recipe is for training"),
        "dataloader_drop_last": (["false"], "the last batch of an epoch is kept"),
        "push_to_hub": (["false"], "nothing is sent over the network"),
    ]

    /// What has another way here.
    static let refused: [String: String] = [
        "tokenizer": "the tokenizer is the one in the model's folder; remove the line",
        "processing_class": "the tokenizer is the one in the model's folder; remove the line",
        "tokenizer_name_or_path": "the tokenizer is the one in the model's folder; remove the line",
        "deepspeed": "Attune runs on one machine without DeepSpeed; remove the line",
        "fsdp": "Attune runs on one machine without FSDP; remove the line",
        "train_sampling_strategy": "write group_by_length or shuffle instead",
        "resume_from_checkpoint": "resuming is said when starting: attune train RECIPE --resume [CHECKPOINT]",
        "lr": "write learning_rate",
    ]
}
