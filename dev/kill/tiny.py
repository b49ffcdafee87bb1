"""A tiny model folder and two small recipes, for the scripts that interrupt and damage runs. Only the standard library."""

import json
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 6144, "hidden_size": 48,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12,
    "hidden_act": "silu", "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "initializer_range": 0.02, "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 3,
    "torch_dtype": "float32",
}
TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"]


def make_model(folder):
    """A folder without weights: `method: full` starts such a one from random weights."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for name in TOKENIZER:
        shutil.copy(ROOT / "Models/pocket" / name, folder / name)
    return folder


def make_rows(path, count):
    rows = (ROOT / "Examples/support-tickets.jsonl").read_text().splitlines()[:count]
    path.write_text("\n".join(rows) + "\n")
    return path


def common(model, rows, out):
    return {
        "model": model, "train-file": rows, "output-dir": out, "threads": 1, "test-size": 0.1, "max-length": 192,
        "per-device-train-batch-size": 2, "per-device-eval-batch-size": 4, "max-steps": 36, "logging-steps": 1,
        "save-strategy": "steps", "eval-strategy": "steps", "lr-scheduler-type": "cosine", "warmup-ratio": 0.1,
    }


def full(model, rows, out):
    """Everything trained, accumulation, f32 moments, each checkpoint kept."""
    return {
        **common(model, rows, out), "method": "full", "gradient-accumulation-steps": 2, "learning-rate": 1e-3,
        "weight-decay": 0.1, "save-steps": 4, "eval-steps": 6,
    }


def adapter(model, rows, out):
    """QLoRA with all that draws random numbers, eight-bit moments, few checkpoints kept, the best as the result."""
    return {
        **common(model, rows, out), "method": "qlora", "r": 8, "lora-alpha": 16, "lora-dropout": 0.1,
        "neftune-noise-alpha": 5, "packing": "true", "optim": "paged_adamw_8bit", "learning-rate": 1e-2,
        "save-steps": 3, "eval-steps": 3, "save-total-limit": 2, "load-best-model-at-end": "true",
        "modules-to-save": "[embed_tokens]",
    }


def command(attune, options, *more):
    words = [str(attune), "train", "--json"]
    for key, value in options.items():
        words += [f"--{key}", str(value)]
    return words + list(more)


def make_base(attune, folder, rows):
    """A base with weights, made by a short full run."""
    bare = make_model(folder / "bare")
    options = {**full(bare, rows, folder / "base"), "max-steps": 2, "save-strategy": "no", "eval-strategy": "no"}
    subprocess.run(command(attune, options, "--quiet"), check=True, stdout=subprocess.DEVNULL)
    return folder / "base"
