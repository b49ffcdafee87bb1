"""Golden values for AttuneModelsTests: one tiny random model of every family, its logits and gradients from PyTorch.

    python dev/golden/models.py Tests/AttuneModelsTests/Fixtures/models

Needs torch, transformers, peft and safetensors.
"""

import json
import pathlib
import shutil
import sys

import torch
import transformers as tf
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

COMMON = dict(
    hidden_size=32,
    intermediate_size=48,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    vocab_size=67,
    max_position_embeddings=64,
    initializer_range=0.2,
    pad_token_id=None,
    bos_token_id=1,
    eos_token_id=2,
)


def rope(kind, **rest):
    return dict(rope_type=kind, rope_theta=10000.0, **rest)


FAMILIES = {
    "llama": (tf.LlamaConfig, dict(num_hidden_layers=2, attention_bias=True, mlp_bias=True)),
    "llama3": (
        tf.LlamaConfig,
        dict(
            num_hidden_layers=2,
            tie_word_embeddings=True,
            rope_parameters=rope(
                "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16
            ),
        ),
    ),
    "llama_yarn": (
        tf.LlamaConfig,
        dict(num_hidden_layers=1, rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    ),
    "mistral": (tf.MistralConfig, dict(num_hidden_layers=2, sliding_window=5)),
    "qwen2": (tf.Qwen2Config, dict(num_hidden_layers=2, tie_word_embeddings=True)),
    "qwen3": (tf.Qwen3Config, dict(num_hidden_layers=2)),
    "gemma2": (tf.Gemma2Config, dict(num_hidden_layers=2, sliding_window=5, query_pre_attn_scalar=16)),
    "gemma3": (
        tf.Gemma3TextConfig,
        dict(
            num_hidden_layers=3,
            sliding_window=5,
            query_pre_attn_scalar=16,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        ),
    ),
    "phi3": (
        tf.Phi3Config,
        dict(
            num_hidden_layers=2,
            original_max_position_embeddings=8,
            rope_parameters=rope(
                "longrope",
                short_factor=[1.0, 1.1, 1.2, 1.3],
                long_factor=[1.0, 2.0, 4.0, 8.0],
            ),
        ),
    ),
    "smollm3": (tf.SmolLM3Config, dict(num_hidden_layers=4, no_rope_layer_interval=2)),
    "granite": (
        tf.GraniteConfig,
        dict(
            num_hidden_layers=2,
            embedding_multiplier=3.0,
            residual_multiplier=0.5,
            attention_multiplier=0.2,
            logits_scaling=2.0,
        ),
    ),
    "olmo2": (tf.Olmo2Config, dict(num_hidden_layers=2)),
}

LENGTHS = [13, 7]


def randomize(model):
    """Norm weights and biases start at constants; random ones show mistakes."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)


def loss_of(model, rows, trained):
    total = 0
    count = 0
    logits = []
    for tokens, mask in zip(rows, trained):
        out = model(tokens[None]).logits[0].float()
        logits.append(out.detach().clone())
        losses = torch.nn.functional.cross_entropy(out[:-1], tokens[1:], reduction="none")
        total = total + (losses * mask[1:]).sum()
        count += int(mask[1:].sum())
    return total / count, logits


def make(name, folder):
    torch.manual_seed(sum(name.encode()))
    cls, options = FAMILIES[name]
    config = cls(**{**COMMON, **options})
    config._attn_implementation = "eager"
    model = tf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    randomize(model)
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target)
    (target / "generation_config.json").unlink(missing_ok=True)

    rows = [torch.randint(3, COMMON["vocab_size"], (length,)) for length in LENGTHS]
    trained = [(torch.arange(length) >= length // 3).float() for length in LENGTHS]
    expected = {f"tokens.{i}": r.to(torch.int32) for i, r in enumerate(rows)}
    expected |= {f"trained.{i}": m.to(torch.int32) for i, m in enumerate(trained)}

    loss, logits = loss_of(model, rows, trained)
    loss.backward()
    expected["loss"] = loss.detach()[None]
    expected |= {f"logits.{i}": l for i, l in enumerate(logits)}
    for key, parameter in model.named_parameters():
        expected["gradient." + key] = parameter.grad.clone()
    model.zero_grad()

    lora = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    peft = get_peft_model(model, lora)
    loss, logits = loss_of(peft, rows, trained)
    loss.backward()
    expected["lora.loss"] = loss.detach()[None]
    expected |= {f"lora.logits.{i}": l for i, l in enumerate(logits)}
    for key, parameter in peft.named_parameters():
        if parameter.requires_grad:
            clean = key.removeprefix("base_model.model.").replace(".default", "")
            expected["lora.gradient." + clean] = parameter.grad.clone()
    peft.save_pretrained(target / "adapter")
    (target / "adapter" / "README.md").unlink(missing_ok=True)
    save_file({k: v.contiguous() for k, v in expected.items()}, target / "expected.safetensors")
    print(name, float(loss), sum(p.numel() for p in model.parameters()))


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or FAMILIES:
        make(name, folder)
