"""Golden values for TrainingGoldenTests: losses, gradient norms and learning rates of whole runs of a tiny Llama by PyTorch,
with transformers' model, schedule and weight-decay groups, and bitsandbytes' eight-bit AdamW with codes as on CUDA (exact_codes.py).

    python dev/golden/training.py Tests/AttuneTrainingTests/Fixtures/training.json

Needs torch, transformers and bitsandbytes. Weights and rows are made from the formula below, which the test repeats.
"""

import json
import sys

import bitsandbytes
import exact_codes
import numpy as np
import torch
import transformers as tf

CONFIG = dict(
    vocab_size=80,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_id=2,
)
ROWS, BATCH, ACCUMULATION, STEPS, WARMUP = 20, 2, 2, 30, 3
RATE, DECAY, CLIP = 2e-3, 0.1, 0.5


def numbers(seed, count):
    """Uniform in [0, 1), exact in float32: a counter through a bijection, the upper 24 bits."""
    mask = (1 << 64) - 1
    with np.errstate(over="ignore"):
        x = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = x + np.uint64(seed * 0xBF58476D1CE4E5B9 & mask)
        x = (x ^ (x >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(29))
    return (x >> np.uint64(40)).astype(np.float64) * 2.0**-24


def make_model():
    model = tf.LlamaForCausalLM(tf.LlamaConfig(**CONFIG, attn_implementation="eager")).float().train()
    for name, parameter in model.named_parameters():
        values = numbers(sum(name.encode()) * 7 + len(name), parameter.numel()) - 0.5
        scaled = 1 + 0.25 * values if "norm" in name else 0.25 * values
        parameter.data = torch.tensor(scaled.astype(np.float32)).reshape(parameter.shape)
    return model


def make_rows():
    """A beginning, letters, a mark, and the same letters 20 higher, which is what is learned, and an end."""
    rows = []
    for index in range(ROWS):
        draws = numbers(1000 + index, 8)
        letters = [3 + int(d * 16) for d in draws[1 : 3 + int(draws[0] * 5)]]
        rows.append(([1] + letters + [60] + [t + 20 for t in letters] + [2], len(letters) + 2))
    return rows


def groups(model):
    trainer = tf.Trainer.__new__(tf.Trainer)
    decayed = set(tf.Trainer.get_decay_parameter_names(trainer, model))
    named = list(model.named_parameters())
    assert any(name not in decayed for name, _ in named)
    return [
        {"params": [p for n, p in named if n in decayed], "weight_decay": DECAY},
        {"params": [p for n, p in named if n not in decayed], "weight_decay": 0.0},
    ]


def run(optimizer_name):
    model = make_model()
    rows = make_rows()
    if optimizer_name == "adamw_torch":
        optimizer = torch.optim.AdamW(groups(model), lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    elif optimizer_name == "adamw_8bit":
        exact_codes.install()
        exact_codes.keep_embeddings(model)
        optimizer = bitsandbytes.optim.AdamW8bit(groups(model), lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    else:
        optimizer = torch.optim.SGD(groups(model), lr=RATE)
    schedule = tf.get_scheduler("cosine", optimizer, num_warmup_steps=WARMUP, num_training_steps=STEPS)
    starts = list(range(0, ROWS, BATCH))
    losses, norms, rates = [], [], []
    position = 0
    for _ in range(STEPS):
        batches = [starts[(position + i) % len(starts)] for i in range(ACCUMULATION)]
        position += ACCUMULATION
        chosen = [row for start in batches for row in rows[start : start + BATCH]]
        total = sum(len(tokens) - first for tokens, first in chosen)
        optimizer.zero_grad()
        loss = 0.0
        for tokens, first in chosen:
            logits = model(torch.tensor([tokens])).logits[0]
            part = torch.nn.functional.cross_entropy(logits[first - 1 : -1], torch.tensor(tokens[first:]), reduction="sum")
            (part / total).backward()
            loss += part.item() / total
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        losses.append(loss)
        norms.append(float(norm))
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    sums = {n: float(p.detach().double().abs().sum()) for n, p in model.named_parameters()}
    return dict(optimizer=optimizer_name, losses=losses, gradient_norms=norms, learning_rates=rates, absolute_sums=sums)


def main(path):
    assert ROWS % (BATCH * ACCUMULATION) == 0
    runs = [run(name) for name in ("adamw_torch", "adamw_8bit", "sgd")]
    for result in runs:
        print(result["optimizer"], result["losses"][0], result["losses"][-1], max(result["gradient_norms"]))
    with open(path, "w") as file:
        json.dump(dict(config=CONFIG, runs=runs), file, indent=1)
        file.write("\n")


main(sys.argv[1])
