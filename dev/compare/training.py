"""50 training steps of `attune train` against PEFT under transformers' Trainer, from the same adapter and rows, in float32.

    OMP_NUM_THREADS=1 python dev/compare/training.py [--attune PROGRAM] [CASE ...]

The loss of every step must agree within 1e-4 (relative), 1e-2 for 16-bit runs here beside float32 there: AdamW, cosine with
warm-up, clipping, accumulation over two batches; answers trained and prompts not. The trained weights are compared too.
`packed` runs put several rows into one sequence here and take the same rows one by one there.
"""

import random
import warnings

import torch
import transformers as tf
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

import tiny

STEPS, BATCH, ACCUMULATION, RATE = 50, 4, 2, 2e-3
BOUND = 1e-4
# 16-bit runs beside the same float32 reference.
BOUND_16 = 1e-2

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PLAIN = dict(r=8, lora_alpha=16, target_modules=LINEAR)
BIASED = dict(attention_bias=True, mlp_bias=True)
ODD = dict(
    num_attention_heads=9, num_key_value_heads=3, head_dim=80, hidden_size=36, intermediate_size=52, vocab_size=6147
)
# Rows of some 2,000 tokens.
LONG = dict(max_steps=5, per_device_train_batch_size=1, gradient_accumulation_steps=1, warmup_steps=1, max_length=4096)

# name: (family, options of the model, options of LoraConfig, quantized, recipe keys)
CASES = {
    "plain": ("llama", {}, PLAIN, False, {}),
    "packed": ("llama", {}, PLAIN, False, dict(packing="true")),
    "checkpointed": ("llama", {}, PLAIN, False, dict(gradient_checkpointing="true")),
    "rslora": ("llama", {}, dict(PLAIN, use_rslora=True), False, {}),
    "dora": ("llama", {}, dict(PLAIN, use_dora=True), False, {}),
    "dora-bias": ("llama", BIASED, dict(PLAIN, use_dora=True), False, {}),
    "dora-granite": ("granite", {}, dict(PLAIN, use_dora=True), False, {}),
    "patterns": (
        "llama",
        {},
        dict(
            r=4,
            lora_alpha=8,
            target_modules=LINEAR,
            rank_pattern={"q_proj": 2, r"layers\.[12]\.mlp\..*": 12},
            alpha_pattern={"model.layers.1.self_attn.v_proj": 40, "down_proj": 3},
        ),
        False,
        {},
    ),
    "layers": ("llama", {}, dict(PLAIN, layers_to_transform=[0, 2], layers_pattern="layers"), False, {}),
    "regex": ("llama", {}, dict(PLAIN, target_modules=r".*layers\.[02]\.(self_attn|mlp)\.[qvgd].*_proj"), False, {}),
    "excluded": ("llama", {}, dict(PLAIN, exclude_modules=["layers.1.mlp.up_proj", "k_proj"]), False, {}),
    "bias-lora-only": ("llama", BIASED, dict(PLAIN, target_modules=["q_proj", "up_proj"], bias="lora_only"), False, {}),
    "bias-all": ("llama", BIASED, dict(PLAIN, target_modules=["q_proj", "up_proj"], bias="all"), False, {}),
    "head": ("llama", {}, dict(PLAIN, modules_to_save=["lm_head"]), False, {}),
    "embedding": ("llama", {}, dict(PLAIN, modules_to_save=["embed_tokens"]), False, {}),
    "both": ("llama", {}, dict(PLAIN, modules_to_save=["embed_tokens", "lm_head"]), False, {}),
    "norms": ("llama", {}, dict(PLAIN, modules_to_save=["input_layernorm", "norm"]), False, {}),
    "tied-head": ("qwen2", {}, dict(PLAIN, modules_to_save=["lm_head"]), False, {}),
    "tied-embedding": ("qwen2", {}, dict(PLAIN, modules_to_save=["embed_tokens"]), False, {}),
    "tied-both": ("qwen2", {}, dict(PLAIN, modules_to_save=["embed_tokens", "lm_head"]), False, {}),
    "tied-kept": ("qwen2", {}, dict(PLAIN, modules_to_save=["embed_tokens"], ensure_weight_tying=True), False, {}),
    "qlora": ("llama", {}, PLAIN, True, {}),
    "qlora-packed": ("llama", {}, PLAIN, True, dict(packing="true")),
    "qlora-dora": ("llama", {}, dict(PLAIN, use_dora=True), True, {}),
    "odd": ("llama", ODD, PLAIN, False, {}),
    "odd-qwen3": ("qwen3", ODD, PLAIN, False, {}),
    "odd-gemma3": ("gemma3", ODD, PLAIN, False, {}),
    "bfloat16": ("llama", {}, PLAIN, False, dict(dtype="bfloat16")),
    "float16": ("llama", {}, PLAIN, False, dict(dtype="float16")),
    "float16-gemma3": ("gemma3", {}, PLAIN, False, dict(dtype="float16")),
    "qlora-bfloat16": ("llama", {}, PLAIN, True, dict(dtype="bfloat16")),
    "long": ("gemma3", dict(sliding_window=512), PLAIN, False, LONG),
    **{
        family: (family, {}, dict(PLAIN, target_modules="all-linear"), False, {})
        for family in tiny.FAMILIES
        if family != "llama"
    },
}


def examples(count, seed, sentences=3):
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        question = " ".join(chance.choice(tiny.TOPICS) for _ in range(chance.randint(sentences // 2, sentences)))
        answer = f"Category: {chance.choice(['billing', 'access', 'delivery'])}\nPriority: {chance.choice(['low', 'high'])}"
        rows.append(dict(instruction="Classify this support ticket", input=question, output=answer))
    return rows


def encoded(rows):
    """Tokens and labels of the tutorial's form, by character positions."""
    tokenizer = tiny.tokenizer()
    out = []
    for row in rows:
        prompt = f"### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:\n"
        both = tokenizer(prompt + row["output"], return_offsets_mapping=True)
        ids = both["input_ids"] + [tokenizer.eos_token_id]
        trained = [begin >= len(prompt) for begin, _ in both["offset_mapping"]] + [True]
        out.append((ids, [token if is_trained else -100 for token, is_trained in zip(ids, trained)]))
    return out


class Reference(tf.Trainer):
    """transformers' Trainer, rows in their order, remembering the loss of every step."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.losses = []
        self.parts = 0.0

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def training_step(self, *arguments, **options):
        loss = super().training_step(*arguments, **options)
        self.parts += float(loss)
        return loss


class Recorder(tf.TrainerCallback):
    trainer = None

    def on_step_end(self, *_, **__):
        self.trainer.losses.append(self.trainer.parts)
        self.trainer.parts = 0.0


def collate(rows):
    width = max(len(row["input_ids"]) for row in rows)
    return dict(
        input_ids=torch.tensor([row["input_ids"] + [3] * (width - len(row["input_ids"])) for row in rows]),
        attention_mask=torch.tensor(
            [[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows]
        ),
        labels=torch.tensor([row["labels"] + [-100] * (width - len(row["labels"])) for row in rows]),
    )


def prepare(bench, family, folder, quantized, options):
    """A model, dense or quantized by `attune quantize`, that both sides read."""
    if not quantized:
        tiny.build(family, folder, **options)
        return
    # bitsandbytes' CPU library begins a block anew at every row, so rows must hold whole blocks of 64. It also looks codes of
    # scales up in a coarser table than its CUDA kernel, so both sides read the checkpoint written here.
    dense = folder.with_name(folder.name + "-dense")
    tiny.build(family, dense, **{**options, "intermediate_size": 128})
    bench.run("quantize", dense, "--output", folder, "--type", "nf4", "--double-quant")


def base(folder, quantized):
    if not quantized:
        return tiny.load(folder)
    model = tf.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", device_map="cpu"
    )
    # In evaluation mode bitsandbytes rounds to bfloat16 on processors that have it.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
            module.compute_dtype = torch.float32
    return model


def reference(folder, quantized, rows, keys):
    model = PeftModel.from_pretrained(base(folder, quantized), folder / "adapter", is_trainable=True)
    arguments = tf.TrainingArguments(
        output_dir=str(folder / "trainer"),
        **{
            "max_steps": STEPS,
            "per_device_train_batch_size": BATCH,
            "gradient_accumulation_steps": ACCUMULATION,
            "warmup_steps": 5,
            **{key: value for key, value in keys.items() if key in LONG and key != "max_length"},
        },
        learning_rate=RATE,
        lr_scheduler_type="cosine",
        weight_decay=0.01,
        max_grad_norm=1.0,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    data = [dict(input_ids=rows[i][0], labels=rows[i][1]) for i in range(len(rows))]
    recorder = Recorder()
    trainer = Reference(model=model, args=arguments, train_dataset=data, data_collator=collate, callbacks=[recorder])
    recorder.trainer = trainer
    trainer.train()
    model.save_pretrained(folder / "trained")
    return trainer.losses


def randomize(model):
    """B, magnitudes and whole modules away from their starting values, so that every part matters from the first step."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        if "lora_B" in name:
            parameter.data = 0.02 * noise
        elif "magnitude" in name or "modules_to_save" in name or "bias" in name:
            parameter.data += 0.02 * noise


def case(bench, name):
    family, options, lora, quantized, keys = CASES[name]
    folder = bench.folder / name
    prepare(bench, family, folder, quantized, options)
    torch.manual_seed(11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(base(folder, quantized), LoraConfig(task_type="CAUSAL_LM", **lora))
        randomize(model)
        model.save_pretrained(folder / "adapter")
        del model

    count = 5 if keys is LONG else 48 if quantized else 80
    rows = examples(count, 7, sentences=190 if keys is LONG else 3)
    keys = dict(keys)
    if keys.get("packing") == "true":
        # A sequence holds two rows of the longest; the trainer there takes the same rows in the same batches.
        ids = encoded(rows)
        longest = max(len(tokens) for tokens, _ in ids)
        keys["max_length"] = longest
        ordered = sorted(range(count), key=lambda i: -len(ids[i][0]))
        rows = [rows[i] for i in ordered]
    path = bench.write(f"{name}.jsonl", rows)
    ids = encoded(rows)
    output = folder / "output"
    flags = {
        "model_name_or_path": folder,
        "train_file": path,
        "prompt_template": "tutorial",
        "init_adapter": folder / "adapter",
        "method": "qlora" if quantized else "lora",
        "dtype": "float32",
        "output_dir": output,
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": ACCUMULATION,
        "learning_rate": RATE,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 5,
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "shuffle": "false",
        "logging_steps": 1,
        "save_strategy": "no",
        "threads": 1,
        **keys,
    }
    if keys.get("packing") == "true":
        flags["per_device_train_batch_size"] = 1
        flags["gradient_accumulation_steps"] = 1
    events = bench.lines("train", *[word for key, value in flags.items() for word in ("--set", f"{key}={value}")])
    got = [event["loss"] for event in events if event["event"] == "step"]

    if keys.get("packing") == "true":
        expected = packed_reference(folder, quantized, ids, flags["max_length"])
    else:
        expected = reference(folder, quantized, ids, keys)
    bound = BOUND if flags["dtype"] == "float32" else BOUND_16
    worst = max(abs(a - b) / abs(b) for a, b in zip(got, expected)) if got else float("inf")
    bench.check(
        len(got) == len(expected) == flags["max_steps"] and worst <= bound,
        f"{name}: {len(got)} losses, rows of up to {max(len(t) for t, _ in ids)} tokens, from {expected[0]:.4f} to {expected[-1]:.4f}, worst relative difference {worst:.1e}",
    )
    trained = load_file(folder / "trained" / "adapter_model.safetensors")
    ours = load_file(output / "adapter_model.safetensors")
    start = load_file(folder / "adapter" / "adapter_model.safetensors")
    missing = set(trained) ^ set(ours)
    moved = max(float((trained[key] - start[key]).abs().max()) for key in trained) if not missing else 0
    apart = max(float((trained[key] - ours[key]).abs().max()) for key in trained) if not missing else float("inf")
    bench.check(
        not missing and (apart < 0.1 * moved or bound > BOUND),
        f"{name}: trained tensors moved by up to {moved:.1e} and differ by at most {apart:.1e}"
        + (f"; names differ: {sorted(missing)[:4]}" if missing else ""),
    )


def packed_reference(folder, quantized, ids, capacity):
    """A plain loop over best-fit sequences: the rows of one sequence are one batch."""
    bins = best_fit([len(tokens) for tokens, _ in ids], capacity)
    model = PeftModel.from_pretrained(base(folder, quantized), folder / "adapter", is_trainable=True)
    model.train()
    decayed = [p for n, p in model.named_parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(decayed, lr=RATE, weight_decay=0.01)
    schedule = tf.get_cosine_schedule_with_warmup(optimizer, 5, STEPS)
    losses = []
    for step in range(STEPS):
        chosen = bins[step % len(bins)]
        batch = collate([dict(input_ids=ids[i][0], labels=ids[i][1]) for i in chosen])
        count = int((batch["labels"][:, 1:] != -100).sum())
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        loss = (
            torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100, reduction="sum"
            )
            / count
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decayed, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    model.save_pretrained(folder / "trained")
    return losses


def best_fit(lengths, capacity):
    """Best-fit decreasing; of bins with the same room the one that got it first (TRL's rule)."""
    bins, rooms = [], []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fitting = [b for b in range(len(bins)) if rooms[b][0] >= lengths[index]]
        if fitting:
            b = min(fitting, key=lambda b: rooms[b])
        else:
            b = len(bins)
            bins.append([])
            rooms.append((capacity, b))
        bins[b].append(index)
        rooms[b] = (rooms[b][0] - lengths[index], index)
    return bins


if __name__ == "__main__":
    bench = tiny.Bench(__doc__, CASES)
    for name in bench.names:
        bench.guard(name, lambda: case(bench, name))
    bench.finish()
