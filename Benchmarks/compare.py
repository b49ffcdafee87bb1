"""Runs the peers beside attune, in turns, and prints the table of ratios. See README.md beside this file."""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import model as models  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--work", required=True, help="a folder for models and results")
parser.add_argument("--attune", default=os.path.join(HERE, "..", ".build", "release", "attune"))
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--jobs", default="", help="names, separated by commas; all by default")
parser.add_argument("--small", action="store_true", help="a tiny model and one round: does everything run?")
parser.add_argument("--json", help="a file for every single measurement")
options = parser.parse_args()
if options.small:
    options.rounds = 1
ROWS, LENGTH, STEPS = (2, 64, 1) if options.small else (4, 512, 2)
PROMPT, CONTEXT, DECODED = (64, 16, 4) if options.small else (512, 64, 32)
REQUESTS, ANSWER = (4, 8) if options.small else (32, 64)
os.makedirs(options.work, exist_ok=True)
shape = "tiny" if options.small else "smollm2-135m"
folder = os.path.abspath(os.path.join(options.work, shape))
dense = folder + "-bf16.gguf"
four_bit = folder + "-q4_0.gguf"


def installed(*packages):
    for package in packages:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return package
    return None


def run(command):
    """A process of its own; its measurements and how long it took."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), TOKENIZERS_PARALLELISM="false")
    start = time.time()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    seconds = time.time() - start
    if done.returncode != 0:
        raise RuntimeError(" ".join(command) + "\n" + done.stderr[-2000:])
    lines = [line for line in done.stdout.splitlines() if line.startswith(("RESULT ", "{"))]
    return dict(json.loads(lines[-1].removeprefix("RESULT ")), process_seconds=seconds)


def ours(method, *arguments, dtype="bfloat16"):
    return [options.attune, "bench", "--model", folder, "--method", method, "--dtype", dtype,
            "--threads", str(options.threads), "--json", *map(str, arguments)]


def peer(script, *arguments):
    return [sys.executable, os.path.join(HERE, "peers", script), *map(str, arguments),
            "--threads", str(options.threads)]


def training(method, dtype, steps=STEPS):
    theirs = peer("train.py", "--model", folder, "--method", method, "--dtype", dtype, "--rows", ROWS,
                  "--length", LENGTH, "--steps", steps, "--work", options.work)
    return theirs, ours(method, "--tokens", ROWS * LENGTH, "--length", LENGTH, "--steps", steps, dtype=dtype)


def decoding(sequences, file, *more):
    theirs = peer("llama.py", "--model", file, "--method", "decode", "--sequences", sequences,
                  "--context", CONTEXT, "--steps", DECODED)
    return theirs, ours("decode", "--sequences", sequences, "--tokens", CONTEXT, "--steps", DECODED, *more)


hugging_face = ("torch", "transformers", "trl", "peft", "datasets")
llama = ("llama-cpp-python", "gguf")
# name: peer, packages it needs, (its command, ours)
JOBS = {
    "lora-bf16": ("TRL + PEFT", hugging_face, training("lora", "bfloat16")),
    "lora-f32": ("TRL + PEFT", hugging_face, training("lora", "float32")),
    "qlora": ("TRL + PEFT + bitsandbytes", (*hugging_face, "bitsandbytes"), training("qlora", "bfloat16")),
    "full-bf16": ("transformers Trainer", hugging_face, training("full", "bfloat16")),
    "prefill": ("llama.cpp", llama, (
        peer("llama.py", "--model", dense, "--method", "prefill", "--context", PROMPT, "--steps", 3),
        ours("prefill", "--tokens", PROMPT, "--steps", 3))),
    "decode-1": ("llama.cpp", llama, decoding(1, dense)),
    "decode-8": ("llama.cpp", llama, decoding(8, dense)),
    "decode-32": ("llama.cpp", llama, decoding(32, dense)),
    "decode-4bit": ("llama.cpp Q4_0", llama, decoding(1, four_bit, "--quantization", "nf4")),
    "generate-16": ("transformers", ("torch", "transformers"), (
        peer("generate.py", "--model", folder, "--sequences", 16, "--context", CONTEXT, "--tokens", DECODED),
        ours("decode", "--sequences", 16, "--tokens", CONTEXT, "--steps", DECODED))),
    "serve": ("vLLM (CPU)", ("vllm",), (
        peer("serve.py", "--model", folder, "--requests", REQUESTS, "--prompt", 64, "--answer", ANSWER),
        ours("serve", "--sequences", REQUESTS, "--tokens", 64, "--new-tokens", ANSWER, "--steps", 1))),
    "start": ("TRL + PEFT", hugging_face, training("lora", "bfloat16", steps=1)),
}

names = [name for name in options.jobs.split(",") if name] or list(JOBS)
for name in names:
    if name not in JOBS:
        raise SystemExit(f"no job '{name}'; there are {', '.join(JOBS)}")
models.write_folder(folder, shape)
needs_llama = [name for name in names if JOBS[name][1] == llama]
if needs_llama and installed(*llama) is None:
    models.write_gguf(folder, dense)
    if "decode-4bit" in names:
        models.write_four_bit(dense, four_bit)

results = {}
for round_number in range(options.rounds):
    for name in names:
        label, packages, (theirs, own) = JOBS[name]
        missing = installed(*packages)
        if missing:
            results[name] = missing
            continue
        for side, command in (("peer", theirs), ("attune", own)):
            measured = run(command)
            if name == "start":
                # Our process ends after one counted step and one before it; a step is taken off.
                first = measured.get("first_step_seconds") or measured["process_seconds"] - measured["step_seconds"]
                measured["tokens_per_second"] = 1 / first
            results.setdefault(name, {"peer": [], "attune": []})[side].append(measured)
            print(f"# round {round_number + 1} {name} {side}: {measured['tokens_per_second']:.4g}", file=sys.stderr)


def median(entries, key):
    return statistics.median(entry[key] for entry in entries)


print(f"{platform.processor() or platform.machine()}, {options.threads} threads, model of the shape {shape} with random "
      f"weights, medians of {options.rounds} alternating rounds.")
print("Peers: " + ", ".join(
    f"{package} {importlib.metadata.version(package)}" for package in
    ("torch", "transformers", "peft", "trl", "bitsandbytes", "llama-cpp-python", "vllm") if not installed(package)))
print()
print("| Job | Peer | Peer tok/s | attune tok/s | Ratio | Peer peak MiB | attune peak MiB | Memory |")
print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
for name in names:
    label = JOBS[name][0]
    if isinstance(results[name], str):
        print(f"| {name} | {label} | {results[name]} is not installed | | | | | |")
        continue
    sides = results[name]
    speed = {side: median(sides[side], "tokens_per_second") for side in sides}
    memory = {side: median(sides[side], "peak_memory_bytes") / 2**20 for side in sides}
    unit = [f"{1 / speed[side]:.1f} s" if name == "start" else f"{speed[side]:.0f}" for side in ("peer", "attune")]
    print(f"| {name} | {label} | {unit[0]} | {unit[1]} | {speed['attune'] / speed['peer']:.2f}× | "
          f"{memory['peer']:.0f} | {memory['attune']:.0f} | 1/{memory['peer'] / memory['attune']:.1f} |")
if options.json:
    with open(options.json, "w") as file:
        json.dump(results, file, indent=1)
