"""Banking77 with the pocket model: Attune beside transformers + PEFT (+ bitsandbytes). See README.md."""

import argparse
import json
import pathlib
import random
import resource
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# A base in bfloat16 takes steps of an adapter well and of itself badly: full fine-tuning wants the lower rate.
LEARNING_RATES = {"lora": 2e-3, "qlora": 2e-3, "full": 5e-4}


def rows_of(path, limit):
    rows = [json.loads(line) for line in open(path)]
    random.Random(7).shuffle(rows)
    return rows[:limit] if limit else rows


def write_rows(rows, path):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def processor_seconds():
    """Of the programs that have ended, all threads: what a run cost, whatever else the machine was doing."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def attune(options, method, train, test, out):
    program = str(options.attune)
    run = out / f"attune-{method}"
    started, before = time.monotonic(), processor_seconds()
    command = [program, "train", str(HERE / "recipe.yaml"), "--model", str(options.model), "--method", method]
    command += ["--train-file", str(train), "--learning-rate", str(LEARNING_RATES[method]), "--output-dir", str(run)]
    command += ["--threads", str(options.threads)]
    if options.epochs:
        command += ["--num-train-epochs", str(options.epochs)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, processor = time.monotonic() - started, processor_seconds() - before
    if options.train_only:
        return {"accuracy": None, "seconds": seconds, "processor_seconds": processor, "examples": 0}
    command = [program, "evaluate", "--data", str(test), "--max-new-tokens", "32", "--json"]
    command += ["--threads", str(options.threads)]
    if method == "full":
        command += ["--model", str(run)]
    else:
        command += ["--model", str(options.model), "--adapter", str(run)]
        command += ["--quantization", "nf4", "--double-quant"] if method == "qlora" else []
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {"accuracy": result["exact_match"], "seconds": seconds, "processor_seconds": processor, "examples": result["examples"]}


def peer(options, method, train, test, out):
    command = [sys.executable, str(HERE / "peer.py"), "--method", method, "--train", str(train), "--test", str(test)]
    command += ["--model", str(options.model), "--learning-rate", str(LEARNING_RATES[method])]
    command += ["--threads", str(options.threads)]
    if options.epochs:
        command += ["--epochs", str(options.epochs)]
    command += ["--train-only"] if options.train_only else []
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with tickets_banking77_*.jsonl")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "Models/pocket")
    parser.add_argument("--attune", type=pathlib.Path, default=ROOT / ".build/release/attune")
    parser.add_argument("--methods", default="lora,qlora,full")
    parser.add_argument("--only", choices=["attune", "peer"])
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train-only", action="store_true", help="no answers: for the times alone")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files = [
        write_rows(rows_of(options.data / f"tickets_banking77_{part}.jsonl", options.limit), options.out / f"{part}.jsonl")
        for part in ("train", "test")
    ]
    sides = {"attune": attune, "peer": peer}
    print(
        f"{'method':8} {'attune':>8} {'peer':>8} {'points':>7} {'attune s':>9} {'peer s':>9} {'faster':>7} "
        f"{'attune cpu s':>12} {'peer cpu s':>12} {'cheaper':>7}"
    )
    for method in options.methods.split(","):
        results = {}
        for name, side in sides.items():
            kept = options.out / f"{name}-{method}.json"
            if not kept.exists() and options.only in (None, name):
                kept.write_text(json.dumps(side(options, method, *files, options.out)))
            if kept.exists():
                results[name] = json.loads(kept.read_text())
        ours, theirs = results.get("attune"), results.get("peer")
        answered = [side["accuracy"] if side else None for side in (ours, theirs)]
        cells = [f"{100 * accuracy:7.2f}%" if accuracy is not None else f"{'-':>8}" for accuracy in answered]
        cells.append(f"{100 * (answered[0] - answered[1]):+7.2f}" if None not in answered else f"{'-':>7}")
        for key, width in (("seconds", 9), ("processor_seconds", 12)):
            cells += [f"{side[key]:{width}.0f}" if side else f"{'-':>{width}}" for side in (ours, theirs)]
            cells.append(f"{theirs[key] / ours[key]:6.2f}x" if ours and theirs else f"{'-':>7}")
        print(f"{method:8} " + " ".join(cells), flush=True)


if __name__ == "__main__":
    main()
