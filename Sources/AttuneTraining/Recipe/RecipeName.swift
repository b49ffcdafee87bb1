/// The keys of a recipe, by the names Hugging Face gives them.
public enum RecipeName: String, Sendable, CaseIterable, Hashable {
    // model and machine
    case model = "model_name_or_path"
    case method
    case freezeTrainableLayers = "freeze_trainable_layers"
    case dtype
    case initAdapter = "init_adapter"
    case outputDirectory = "output_dir"
    case seed
    case threads
    case device
    // data
    case trainFile = "train_file"
    case evalFile = "eval_file"
    case testSize = "test_size"
    case promptTemplate = "prompt_template"
    case columns
    case trainOn = "train_on"
    case maxLength = "max_length"
    case overlength
    case dropDuplicates = "drop_duplicates"
    case packing
    case shuffle
    case groupByLength = "group_by_length"
    // quantization
    case loadIn4Bit = "load_in_4bit"
    case loadIn8Bit = "load_in_8bit"
    case quantType = "bnb_4bit_quant_type"
    case quantComputeDType = "bnb_4bit_compute_dtype"
    case doubleQuant = "bnb_4bit_use_double_quant"
    // adapter
    case rank = "r"
    case alpha = "lora_alpha"
    case dropout = "lora_dropout"
    case targetModules = "target_modules"
    case excludeModules = "exclude_modules"
    case bias
    case modulesToSave = "modules_to_save"
    case useRSLoRA = "use_rslora"
    case useDoRA = "use_dora"
    case rankPattern = "rank_pattern"
    case alphaPattern = "alpha_pattern"
    case layersToTransform = "layers_to_transform"
    case initLoRAWeights = "init_lora_weights"
    case loraPlusRatio = "loraplus_lr_ratio"
    // steps
    case epochs = "num_train_epochs"
    case maxSteps = "max_steps"
    case trainBatchSize = "per_device_train_batch_size"
    case evalBatchSize = "per_device_eval_batch_size"
    case accumulation = "gradient_accumulation_steps"
    case learningRate = "learning_rate"
    case weightDecay = "weight_decay"
    case adamBeta1 = "adam_beta1"
    case adamBeta2 = "adam_beta2"
    case adamEpsilon = "adam_epsilon"
    case maxGradNorm = "max_grad_norm"
    case warmupRatio = "warmup_ratio"
    case warmupSteps = "warmup_steps"
    case schedule = "lr_scheduler_type"
    case scheduleArguments = "lr_scheduler_kwargs"
    case optimizer = "optim"
    case neftuneAlpha = "neftune_noise_alpha"
    case labelSmoothing = "label_smoothing_factor"
    case logitGradientFilter = "logit_gradient_filter"
    case gradientCheckpointing = "gradient_checkpointing"
    // watching
    case loggingSteps = "logging_steps"
    case saveStrategy = "save_strategy"
    case saveSteps = "save_steps"
    case saveTotalLimit = "save_total_limit"
    case evalStrategy = "eval_strategy"
    case evalSteps = "eval_steps"
    case loadBest = "load_best_model_at_end"
    case bestMetric = "metric_for_best_model"
    case greaterIsBetter = "greater_is_better"
    case earlyStoppingPatience = "early_stopping_patience"
    case earlyStoppingThreshold = "early_stopping_threshold"
    case reportTo = "report_to"
}
