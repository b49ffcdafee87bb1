"""Kills training runs with SIGKILL at random moments, goes on each time, and compares what they leave with undisturbed runs.

    swift build -c release
    python3 dev/kill/kill.py [--attune .build/release/attune] [--kills 100] [--seed 1] [--work FOLDER]

Two runs take turns: a full one, and a QLoRA one with dropout, noise, packing, eight-bit moments and a limit of checkpoints. After
every kill each visible checkpoint must be whole, as told by an independent reading of its manifest, and the newest no older than
before. Then SIGINT and SIGTERM: the state is saved and the exit code is 75; a second signal exits at once.
"""

import argparse
import collections
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from outcome import checkpoints, difference, is_whole, outcome
from tiny import adapter, command, full, make_base, make_model, make_rows

parser = argparse.ArgumentParser()
parser.add_argument("--attune", type=pathlib.Path, default=pathlib.Path(".build/release/attune"))
parser.add_argument("--kills", type=int, default=100)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--work", type=pathlib.Path)
arguments = parser.parse_args()

attune = arguments.attune.resolve()
work = arguments.work or pathlib.Path(tempfile.mkdtemp(prefix="attune-kill-"))
work.mkdir(parents=True, exist_ok=True)
draw = random.Random(arguments.seed)


def check(condition, text):
    if not condition:
        sys.exit(f"FAILED: {text} (files in {work})")


def start(options, *more, **rest):
    return subprocess.Popen(command(attune, options, *more), stderr=subprocess.PIPE, text=True, **rest)


def finish(options, *more):
    process = start(options, *more, stdout=subprocess.DEVNULL)
    _, errors = process.communicate()
    check(process.returncode == 0, f"exit code {process.returncode}: {errors[-500:]}")


def newest(out):
    found = checkpoints(out)
    return int(found[-1].name.split("-")[1]) if found else -1


def chain(make, straight, seconds, kills):
    """One run killed again and again until it ends by itself; returns the moments of its kills."""
    out = work / "killed"
    shutil.rmtree(out, ignore_errors=True)
    moments = []
    while True:
        before = newest(out)
        process = start(make(out), "--resume", "--quiet", stdout=subprocess.DEVNULL)
        try:
            # As long as the budget lasts; then the run may end.
            process.wait(draw.uniform(0.02, 0.6 * seconds) if len(moments) < kills else None)
        except subprocess.TimeoutExpired:
            saving = any(p.name.startswith("tmp-checkpoint") for p in out.iterdir()) if out.is_dir() else False
            process.kill()
            process.communicate()
            after = newest(out)
            moments.append("while saving" if saving else "before step 1" if after < 0 else "while training")
            check(all(is_whole(c) for c in checkpoints(out)), "a visible checkpoint is not whole")
            check(after >= before, f"checkpoint {before} was lost, {after} is the newest")
            continue
        errors = process.communicate()[1]
        check(process.returncode == 0, f"going on ended with {process.returncode}: {errors[-500:]}")
        different = difference(outcome(out), straight)
        check(not different, f"differs from the undisturbed run after {len(moments)} kills: {different}")
        check(not list(out.glob("tmp-*")) and not list(out.glob(".*.tmp-*")), "leftovers of killed writers")
        return moments


def signals(make, straight):
    """SIGINT and SIGTERM save; a second signal does not wait."""
    for number in (signal.SIGINT, signal.SIGTERM):
        out = work / "stopped"
        shutil.rmtree(out, ignore_errors=True)
        process = start(make(out), stdout=subprocess.PIPE)
        for line in process.stdout:
            if '"event":"step","step":7' in line:
                process.send_signal(number)
                break
        process.communicate()
        check(process.returncode == 75, f"{number.name} gave exit code {process.returncode}")
        check(newest(out) >= 7 and is_whole(checkpoints(out)[-1]), f"{number.name} saved no whole checkpoint")
        finish(make(out), "--resume", "--quiet")
        # The limit of checkpoints counted one that the undisturbed run never made.
        final = {n: b for n, b in outcome(out).items() if not n.startswith("checkpoint-")}
        different = difference(final, {n: b for n, b in straight.items() if not n.startswith("checkpoint-")})
        check(not different, f"after {number.name} differs: {different}")
    out = work / "twice"
    process = start(make(out), stdout=subprocess.PIPE)
    for line in process.stdout:
        if '"event":"step","step":5' in line:
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            break
    process.communicate()
    took = time.monotonic() - began
    check(process.returncode in (130, 143), f"two signals gave exit code {process.returncode}")
    check(all(is_whole(c) for c in checkpoints(out)), "two signals left a checkpoint that is not whole")
    print(f"SIGINT and SIGTERM: saved, 75, the same end; a second signal: {process.returncode} after {took * 1000:.0f} ms")


rows = make_rows(work / "rows.jsonl", 60)
base = make_base(attune, work, rows)
bare = work / "bare"
runs = {
    "full": lambda out: full(bare, rows, out),
    "adapter": lambda out: adapter(base, rows, out),
}
straight, seconds = {}, {}
for name, make in runs.items():
    began = time.monotonic()
    finish(make(work / f"straight-{name}"), "--quiet")
    seconds[name] = time.monotonic() - began
    # The folder's own name is in the state and the resolved recipe, so the killed run is given the place of the straight one.
    shutil.rmtree(work / "killed", ignore_errors=True)
    finish(make(work / "killed"), "--quiet")
    straight[name] = outcome(work / "killed")
    print(f"{name}: undisturbed {seconds[name]:.1f} s, {len(straight[name])} files")

total, chains, counts = 0, 0, collections.Counter()
while total < arguments.kills:
    name = list(runs)[chains % 2]
    moments = chain(runs[name], straight[name], seconds[name], arguments.kills - total)
    total += len(moments)
    chains += 1
    counts.update(moments)
    print(f"chain {chains} ({name}): {len(moments)} kills, the same end", flush=True)
where = ", ".join(f"{count} {moment}" for moment, count in sorted(counts.items()))
print(f"{total} kills in {chains} runs ({where}): every run ended with the bits of the undisturbed one")

# The folders named in states differ; the runs that are stopped write to a place of their own.
for name, make in runs.items():
    shutil.rmtree(work / "stopped", ignore_errors=True)
    finish(make(work / "stopped"), "--quiet")
    shutil.rmtree(work / "twice", ignore_errors=True)
    signals(make, outcome(work / "stopped"))
if arguments.work is None:
    shutil.rmtree(work)
