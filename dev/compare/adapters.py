"""Adapters of PEFT here and adapters from here in PEFT: no warning, the same log-probabilities; and adapters that do not fit.

    OMP_NUM_THREADS=1 python dev/compare/adapters.py [--attune PROGRAM] [CASE ...]

The cases are those of training.py and the negative ones below. Every log-probability of the whole vocabulary at every
position of a text counts, in float32.
"""

import json
import shutil
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

import tiny
import training

BOUND = 1e-4
TOKENS = [35, 900, 17, 4000, 4000, 23, 6143, 512, 77, 1]
NEGATIVE = "negative"


def log_probabilities(model):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([TOKENS])).logits[0].float(), -1)


def scored(bench, folder, adapter):
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    line = bench.lines(
        "score", folder, "--adapter", adapter, "--dtype", "float32", "--threads", 1, "--top", vocabulary,
        "--tokens", ",".join(map(str, TOKENS)),
    )[0]
    out = torch.zeros(len(TOKENS), vocabulary)
    for row, entries in enumerate(line["top"]):
        out[row, torch.tensor([e["id"] for e in entries])] = torch.tensor([e["logprob"] for e in entries])
    return out


def opened(folder, adapter, quantized):
    """The adapter in PEFT, and what was warned of while loading."""
    model = training.base(folder, quantized)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        peft = PeftModel.from_pretrained(model, adapter).eval()
    return peft, {str(w.message) for w in caught if not issubclass(w.category, (DeprecationWarning, FutureWarning))}


def recipe(lora):
    """The keys of a recipe for a LoraConfig."""
    keys = dict(lora)
    if keys.pop("ensure_weight_tying", False) or keys.pop("layers_pattern", None) == "nothing":
        return None
    return [
        word
        for key, value in keys.items()
        for word in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")
    ]


def case(bench, name):
    family, options, lora, quantized, keys = training.CASES[name]
    folder = bench.folder / name
    training.prepare(bench, family, folder, quantized, options)
    torch.manual_seed(11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(training.base(folder, quantized), LoraConfig(task_type="CAUSAL_LM", **lora)).eval()
        training.randomize(model)
        model.save_pretrained(folder / "adapter")

    # PEFT's here.
    expected = log_probabilities(model)
    got = scored(bench, folder, folder / "adapter")
    apart = float((got - expected).abs().max())
    with model.disable_adapter():
        plain = float((log_probabilities(model) - expected).abs().max())
    bench.check(apart <= BOUND < plain, f"{name}: PEFT's adapter here differs by {apart:.1e} (without it by {plain:.1e})")
    _, own = opened(folder, folder / "adapter", quantized)

    # Ours there, from a recipe, after three steps.
    words = recipe(lora)
    if words is None:
        return
    rows = bench.write(f"{name}.jsonl", training.examples(12, 3))
    output = folder / "output"
    bench.run(
        "train", "--model-name-or-path", folder, "--train-file", rows, "--prompt-template", "tutorial", "--dtype",
        "float32", "--output-dir", output, "--max-steps", 3, "--per-device-train-batch-size", 4, "--learning-rate",
        "0.05", "--save-strategy", "no", "--threads", 1, "--method", "qlora" if quantized else "lora", "--quiet",
        *words,
    )
    peft, warned = opened(folder, output, quantized)
    expected = log_probabilities(peft)
    got = scored(bench, folder, output)
    apart = float((got - expected).abs().max())
    with peft.disable_adapter():
        plain = float((log_probabilities(peft) - expected).abs().max())
    extra = warned - own
    bench.check(
        apart <= BOUND < plain and not extra,
        f"{name}: ours in PEFT differs by {apart:.1e} (without it by {plain:.1e}), {len(warned)} warnings, "
        f"{len(own)} at PEFT's own" + (f": {sorted(extra)[0][:160]}" if extra else ""),
    )
    theirs = set(load_file(folder / "adapter" / "adapter_model.safetensors"))
    ours = set(load_file(output / "adapter_model.safetensors"))
    bench.check(theirs == ours, f"{name}: {len(ours)} tensor names" + (f", differ: {sorted(theirs ^ ours)[:3]}" if theirs != ours else ""))


def changed(folder, name, tensors=None, config=None):
    """A copy of the adapter with something wrong in it."""
    target = folder / name
    shutil.copytree(folder / "adapter", target)
    if tensors:
        file = target / "adapter_model.safetensors"
        content = load_file(file)
        tensors(content)
        save_file(content, file, metadata={"format": "pt"})
    if config:
        file = target / "adapter_config.json"
        content = json.loads(file.read_text())
        content.update(config)
        file.write_text(json.dumps(content))
    return target


def negative(bench):
    folder = bench.folder / NEGATIVE
    tiny.build("llama", folder)
    lora = LoraConfig(task_type="CAUSAL_LM", **training.PLAIN, init_lora_weights=False)
    get_peft_model(tiny.load(folder), lora).save_pretrained(folder / "adapter")
    key = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
    renamed = key.replace("q_proj", "qq_proj")

    def rename(content):
        content[renamed] = content.pop(key)

    def drop_pair(content):
        content.pop(key)
        content.pop(key.replace("lora_A", "lora_B"))

    def widen(content):
        content[key] = torch.zeros(9, content[key].shape[1])

    def foreign(content):
        content["model.layers.0.weight"] = torch.zeros(3)

    def extra(content):
        content[key.replace("layers.1", "layers.7")] = torch.zeros_like(content[key])

    cases = [
        ("renamed", dict(tensors=rename), ["qq_proj", "layers.1.self_attn.q_proj.lora_A", "nearest"]),
        ("missing one", dict(tensors=lambda content: content.pop(key)), ["layers.1.self_attn.q_proj.lora_A"]),
        ("missing pair", dict(tensors=drop_pair), ["layers.1.self_attn.q_proj.lora_A"]),
        ("wrong rank in the file", dict(tensors=widen), ["layers.1.self_attn.q_proj.lora_A", "[9, 64]", "[8, 64]"]),
        ("wrong rank in the configuration", dict(config=dict(r=4)), ["[8, 64]", "[4, 64]"]),
        ("a layer too many", dict(tensors=extra), ["layers.7.self_attn.q_proj.lora_A", "nearest"]),
        ("no adapter's names", dict(tensors=foreign), ["model.layers.0.weight", "base_model.model."]),
        ("no target", dict(config=dict(target_modules=["qq_proj"])), ["q_proj"]),
        ("not LoRA", dict(config=dict(peft_type="IA3")), ["IA3"]),
        ("a start that changes the base", dict(config=dict(init_lora_weights="pissa")), ["pissa"]),
        ("layer replication", dict(config=dict(layer_replication=[[0, 2]])), ["layer_replication"]),
        ("modules to save that are not there", dict(config=dict(modules_to_save=["score"])), ["score"]),
    ]
    for name, change, words in cases:
        target = changed(folder, name.replace(" ", "-"), **change)
        for verb in [
            ["score", folder, "--adapter", target, "--tokens", "1,2,3"],
            ["generate", "--model", folder, "--adapter", target, "--prompt", "x"],
            ["merge", "--model", folder, "--adapter", target, "--output", folder / "merged"],
        ]:
            try:
                _, error = bench.run(*verb, code=65)
                passed = error.count("\n") == 1 and all(word in error for word in words)
            except RuntimeError as failure:
                passed, error = False, str(failure)
            bench.check(passed, f"{name} ({verb[0]}): {error.strip()[:230]}")
    bench.check(not (folder / "merged").exists(), "nothing was merged")


if __name__ == "__main__":
    bench = tiny.Bench(__doc__, [*training.CASES, NEGATIVE])
    for name in bench.names:
        # Other runs of the same adapter.
        again = name in ["packed", "checkpointed", "qlora-packed", "long"] or "float16" in name
        if again and len(bench.names) > 3:
            continue
        bench.guard(name, (lambda: negative(bench)) if name == NEGATIVE else (lambda: case(bench, name)))
    bench.finish()
