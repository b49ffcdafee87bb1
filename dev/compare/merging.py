"""`attune merge` against base + adapter: the merged folder in transformers answers as base + adapter here, for 200 prompts.

    OMP_NUM_THREADS=1 python dev/compare/merging.py [--attune PROGRAM] [CASE ...]

Adapters are amplified so that they change most answers. Merged in float32 the answers must be equal; a merge that is rounded
to bfloat16 is another model by that rounding, so there base + adapter in float32 is compared token by token until the first
difference, which must be a near tie. Tied heads, heads of their own, shards and a quantized base are cases.
"""

import json
import warnings

import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open

import tiny
import training

COUNT, NEW = 200, 16

# name: (family, options of the model, options of LoraConfig, dtype of base and merge, quantized, flags of merge)
CASES = {
    "float32": ("llama", {}, training.PLAIN, torch.float32, False, []),
    "dora": ("llama", {}, dict(training.PLAIN, use_dora=True), torch.float32, False, []),
    "tied": ("qwen2", {}, dict(training.PLAIN, use_rslora=True), torch.float32, False, ["--max-shard-size", "200KB"]),
    "tied-head": ("qwen2", {}, dict(training.PLAIN, modules_to_save=["lm_head"]), torch.float32, False, []),
    "tied-embedding": ("qwen2", {}, dict(training.PLAIN, modules_to_save=["embed_tokens"]), torch.float32, False, []),
    "bias": (
        "llama",
        training.BIASED,
        dict(training.PLAIN, bias="all", modules_to_save=["lm_head", "norm"]),
        torch.float32,
        False,
        ["--max-shard-size", "1MB"],
    ),
    "fused": ("phi3", {}, dict(training.PLAIN, target_modules="all-linear"), torch.float32, False, []),
    "gemma3": ("gemma3", {}, dict(training.PLAIN, target_modules="all-linear"), torch.float32, False, []),
    "bfloat16": ("llama", {}, training.PLAIN, torch.bfloat16, False, []),
    "quantized": ("llama", {}, training.PLAIN, torch.float32, True, []),
}


def case(bench, name):
    family, options, lora, dtype, quantized, flags = CASES[name]
    folder = bench.folder / name
    model = tiny.build(family, folder / "dense", dtype=dtype, **options)
    base = folder / "dense"
    if quantized:
        base = folder / "nf4"
        bench.run("quantize", folder / "dense", "--output", base, "--type", "nf4", "--double-quant")
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **lora))
        for key, parameter in peft.named_parameters():
            if "lora_B" in key:
                parameter.data = 0.1 * torch.randn_like(parameter)
            elif parameter.requires_grad and "lora_A" not in key:
                parameter.data += 0.05 * torch.randn_like(parameter)
        peft.save_pretrained(folder / "adapter")

    merged = folder / "merged"
    out, _ = bench.run("merge", "--model", base, "--adapter", folder / "adapter", "--output", merged, *flags)
    if quantized:
        bench.check("few bits" in out and "dequantized" in out, f"{name}: said plainly: {out.splitlines()[0]}")
        config = json.loads((merged / "config.json").read_text())
        bench.check("quantization_config" not in config, f"{name}: config.json names no quantization")
    shards = sorted(merged.glob("*.safetensors"))
    names = {}
    for shard in shards:
        with safe_open(shard, "pt") as file:
            names |= {key: file.get_slice(key).get_dtype() for key in file.keys()}
    kind = {torch.float32: "F32", torch.bfloat16: "BF16"}[dtype]
    bench.check(
        (len(shards) > 1) == bool(flags) and set(names.values()) == {kind} and not any("absmax" in k for k in names),
        f"{name}: {len(shards)} files, {len(names)} tensors, {sorted(set(names.values()))}",
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded, report = tiny.tf.AutoModelForCausalLM.from_pretrained(
            merged, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
    problems = [key for key, value in report.items() if value and key != "conversion_errors"]
    bench.check(not problems, f"{name}: transformers loads every tensor {problems or ''}")

    prompts = tiny.texts(COUNT, seed=9, longest=4)
    path = bench.write(f"{name}.jsonl", [{"prompt": text} for text in prompts])
    common = ["--prompts", path, "--max-new-tokens", NEW, "--threads", 1, "--dtype", "float32"]
    ours = bench.lines("generate", "--model", base, "--adapter", folder / "adapter", *common)
    plain = bench.lines("generate", "--model", base, *common)
    tokenizer = tiny.tokenizer()
    equal, ties, wrong = 0, 0, []
    for index, (text, answer) in enumerate(zip(prompts, ours)):
        tokens = tokenizer(text)["input_ids"]
        out = loaded.generate(
            input_ids=torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens), dtype=torch.long),
            max_new_tokens=NEW, do_sample=False, eos_token_id=0, pad_token_id=3,
        )[0, len(tokens) :].tolist()
        have = answer["tokens"]
        if out == have:
            equal += 1
            continue
        place = next((i for i, (a, b) in enumerate(zip(out, have)) if a != b), min(len(out), len(have)))
        with torch.no_grad():
            logits = loaded(torch.tensor([tokens + out[:place]])).logits[0, -1]
        gap = float(logits[out[place]] - logits[have[place]]) if place < min(len(out), len(have)) else 9.0
        # A step of bfloat16 in the weights moves logits by some hundredths of their spread.
        bound = 1e-4 if dtype == torch.float32 else 0.06 * float(logits.std())
        if gap < bound:
            ties += 1
        else:
            wrong.append((index, place, round(gap, 4)))
    changed = sum(a["tokens"] != b["tokens"] for a, b in zip(ours, plain))
    allowed = 1 if dtype == torch.float32 else COUNT // 4
    bench.check(
        not wrong and ties <= allowed and changed > COUNT * 0.9,
        f"{name}: {equal} of {COUNT} answers equal, {ties} at near ties; the adapter changes {changed}"
        + (f"; differ: {wrong[:3]}" if wrong else ""),
    )


if __name__ == "__main__":
    bench = tiny.Bench(__doc__, CASES)
    for name in bench.names:
        bench.guard(name, lambda: case(bench, name))
    bench.finish()
