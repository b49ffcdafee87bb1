"""Runs out of disk space in the middle of training and at its end, goes on with more space, and compares the results.

    swift build -c release
    sudo python3 dev/kill/full_disk.py [--attune .build/release/attune]

Mounts a small tmpfs, which needs root. Without it only the limit on file sizes is tried, which fails writes in the same places.
"""

import argparse
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

from outcome import checkpoints, difference, is_whole, outcome
from tiny import adapter, command, full, make_base, make_rows

parser = argparse.ArgumentParser()
parser.add_argument("--attune", type=pathlib.Path, default=pathlib.Path(".build/release/attune"))
arguments = parser.parse_args()
attune = arguments.attune.resolve()
work = pathlib.Path(tempfile.mkdtemp(prefix="attune-full-disk-"))


def check(condition, text):
    if not condition:
        sys.exit(f"FAILED: {text} (files in {work})")


def train(options, *more, limit=None):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    return subprocess.run(
        command(attune, options, *more), capture_output=True, text=True, preexec_fn=limited if limit else None
    )


def failed_in_one_line(result, words, where):
    lines = [line for line in result.stderr.splitlines() if line.startswith("attune:")]
    check(result.returncode == 74, f"{where}: exit code {result.returncode}: {result.stderr[-400:]}")
    check(len(lines) == 1 and words in lines[0], f"{where}: {lines}")
    return lines[0]


def final(folder):
    return {n: b for n, b in outcome(folder).items() if not n.startswith(("checkpoint-", "earlier/"))}


rows = make_rows(work / "rows.jsonl", 60)
base = make_base(attune, work, rows)
out = work / "out"
make = {"full": lambda: full(work / "bare", rows, out), "adapter": lambda: adapter(base, rows, out)}

for name, options in make.items():
    shutil.rmtree(out, ignore_errors=True)
    check(train(options()).returncode == 0, "the undisturbed run")
    straight = final(out)
    sizes = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    largest = max(p.stat().st_size for p in out.rglob("*") if p.is_file())
    shutil.rmtree(out)

    # No file may be larger than half the largest: every save fails, training goes on, the last save is the error.
    result = train(options(), "--resume", limit=largest // 2)
    line = failed_in_one_line(result, "File too large", f"{name}, limit on files")
    goes_on = result.stderr.count("training goes on")
    check(goes_on > 1 and not checkpoints(out), f"{name}: {goes_on} notices, {checkpoints(out)}")
    check(train(options(), "--resume").returncode == 0, "going on without the limit")
    check(not difference(final(out), straight), f"{name}: differs after the limit on files")
    print(f"{name}, limit on files: {goes_on} checkpoints given up, 74, then the same end\n    {line}")

    if os.geteuid() != 0:
        print("no root, no small volume: skipped")
        continue
    for share in (0.25, 0.5, 0.75, 0.95):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        size = int(sizes * share)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", out], check=True)
        try:
            result = train(options())
            line = failed_in_one_line(result, "No space left on device", f"{name}, {share:.0%} of the space")
            whole = checkpoints(out)
            check(all(is_whole(c) for c in whole), f"{name}: a checkpoint is not whole")
            check(not list(out.glob("tmp-*")) and not list(out.glob(".*.tmp-*")), f"{name}: leftovers")
            subprocess.run(["mount", "-o", f"remount,size={4 * sizes}", out], check=True)
            check(train(options(), "--resume").returncode == 0, "going on with more space")
            check(not difference(final(out), straight), f"{name}: differs after a full disk")
            newest = whole[-1].name if whole else "no checkpoint"
            print(f"{name}, {share:.0%} of the space: 74 with {newest}, then the same end\n    {line}")
        finally:
            subprocess.run(["umount", out], check=True)
shutil.rmtree(work)
