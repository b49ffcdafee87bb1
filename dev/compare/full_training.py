"""Thirty steps of `attune train` (full, float32) against a PyTorch loop with transformers' model, on the same rows in the same order.

    swift build -c release
    python dev/compare/full_training.py [--attune .build/release/attune] [--optim adamw_torch]

Needs torch, transformers and bitsandbytes (for --optim adamw_8bit, whose moments are stored as its CUDA kernels store them; see
`dev/golden/exact_codes.py`). Prints the largest relative difference of losses, gradient norms and final weights, reads the trained
folder with transformers, and `trainer_state.json` with its TrainerState.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers as tf

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "dev" / "golden"))
parser = argparse.ArgumentParser()
parser.add_argument("--attune", type=pathlib.Path, default=pathlib.Path(".build/release/attune"))
parser.add_argument("--optim", default="adamw_torch", choices=["adamw_torch", "adamw_8bit", "sgd"])
arguments = parser.parse_args()
STEPS, BATCH, ACCUMULATION, RATE, DECAY, CLIP, WARMUP = 30, 4, 2, 1e-3, 0.1, 0.5, 0.1

work = pathlib.Path(tempfile.mkdtemp(prefix="attune-compare-"))
torch.manual_seed(0)
config = tf.LlamaConfig(
    vocab_size=6144, hidden_size=96, intermediate_size=192, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=0,
    eos_token_id=0, initializer_range=0.05, attn_implementation="eager",
)
model = tf.LlamaForCausalLM(config).float()
model.save_pretrained(work / "model")
for name in ["tokenizer.json", "tokenizer_config.json"]:
    shutil.copy(ROOT / "Models/pocket" / name, work / "model" / name)
tokenizer = tf.AutoTokenizer.from_pretrained(work / "model")
examples = [json.loads(line) for line in (ROOT / "Examples/support-tickets.jsonl").read_text().splitlines()[:60]]
(work / "rows.jsonl").write_text("".join(json.dumps(e) + "\n" for e in examples))

options = {
    "model": work / "model", "train-file": work / "rows.jsonl", "output-dir": work / "out", "method": "full",
    "dtype": "float32", "shuffle": "false", "packing": "false", "per-device-train-batch-size": BATCH,
    "gradient-accumulation-steps": ACCUMULATION, "learning-rate": RATE, "lr-scheduler-type": "cosine",
    "warmup-ratio": WARMUP, "weight-decay": DECAY, "max-grad-norm": CLIP, "max-steps": STEPS, "logging-steps": 1,
    "save-strategy": "steps", "save-steps": 10, "save-total-limit": 1, "optim": arguments.optim, "threads": 1,
}
words = [str(arguments.attune), "train", "--json", "--quiet"]
for key, value in options.items():
    words += [f"--{key}", str(value)]
result = subprocess.run(words, capture_output=True, text=True)
if result.returncode != 0:
    sys.exit(result.stderr)
events = [json.loads(line) for line in result.stdout.splitlines()]
theirs = [e for e in events if e["event"] == "step"]


def row(example):
    """The tutorial's form; the tokens of the prompt are those inference would see."""
    prompt = f"### Instruction:\n{example['instruction']}\n\n### Input:\n{example['input']}\n\n### Response:\n"
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    start, whole = encode(prompt), encode(prompt + example["output"])
    if whole[: len(start)] != start:
        whole = start + encode(example["output"])
    return whole + [tokenizer.eos_token_id], len(start)


def optimizer():
    decayed = set(tf.Trainer.get_decay_parameter_names(tf.Trainer.__new__(tf.Trainer), model))
    groups = [
        {"params": [p for n, p in model.named_parameters() if n in decayed], "weight_decay": DECAY},
        {"params": [p for n, p in model.named_parameters() if n not in decayed], "weight_decay": 0.0},
    ]
    if arguments.optim == "adamw_8bit":
        import bitsandbytes
        import exact_codes

        exact_codes.keep_embeddings(model)
        exact_codes.install()
        return bitsandbytes.optim.AdamW8bit(groups, lr=RATE)
    return (torch.optim.AdamW if arguments.optim == "adamw_torch" else torch.optim.SGD)(groups, lr=RATE)


rows = [row(e) for e in examples]
steps_per_epoch = -(-(-(-len(rows) // BATCH)) // ACCUMULATION)
step_of = optimizer()
schedule = tf.get_scheduler("cosine", step_of, int(-(-STEPS * WARMUP // 1)), STEPS)
losses, norms = [], []
for step in range(STEPS):
    first = step % steps_per_epoch * BATCH * ACCUMULATION
    chosen = rows[first : first + BATCH * ACCUMULATION]
    total = sum(len(tokens) - start for tokens, start in chosen)
    step_of.zero_grad()
    loss = 0.0
    for tokens, start in chosen:
        logits = model(torch.tensor([tokens])).logits[0]
        part = torch.nn.functional.cross_entropy(logits[start - 1 : -1], torch.tensor(tokens[start:]), reduction="sum")
        (part / total).backward()
        loss += part.item() / total
    norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
    losses.append(loss)
    assert abs(schedule.get_last_lr()[0] - theirs[step]["learning_rate"]) < 1e-12, step
    step_of.step()
    schedule.step()

relative = lambda a, b: abs(a - b) / abs(b)
loss = max(relative(e["loss"], l) for e, l in zip(theirs, losses))
norm = max(relative(e["grad_norm"], n) for e, n in zip(theirs, norms))
trained = tf.AutoModelForCausalLM.from_pretrained(work / "out", dtype=torch.float32)
weight, worst = max(
    (float((a - b).detach().norm() / b.detach().norm()), name)
    for (name, a), (_, b) in zip(trained.named_parameters(), model.named_parameters())
)
print(f"{arguments.optim}: {len(theirs)} steps, loss {losses[0]:.4f} to {losses[-1]:.4f}, clipped {sum(n > CLIP for n in norms)}")
print(f"largest relative differences: loss {loss:.2e}, gradient norm {norm:.2e}, weights {weight:.2e} ({worst})")

for place in [work / "out", work / f"out/checkpoint-{STEPS}"]:
    state = tf.TrainerState.load_from_json(place / "trainer_state.json")
    assert state.global_step == STEPS == state.max_steps and state.num_train_epochs >= 1
    logged = [e for e in state.log_history if "loss" in e]
    assert [e["step"] for e in logged] == list(range(1, STEPS + 1))
    assert all(relative(e["loss"], l["loss"]) == 0 for e, l in zip(logged, theirs))
    state.save_to_json(work / "again.json")
    mine, again = [json.loads(p.read_text()) for p in (place / "trainer_state.json", work / "again.json")]
    assert mine == again, {k for k in mine if mine[k] != again.get(k)}
print("trainer_state.json: read by transformers' TrainerState and written back the same")
bound = 1e-4
shutil.rmtree(work)
sys.exit(0 if loss < bound else "FAILED: losses differ")
