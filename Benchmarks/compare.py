"""Runs the peers beside attune, in turns, and prints the table of ratios. See README.md beside this file."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys

import jobs as definitions
import measure
import model as models
import rows as texts

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = os.environ.get("ATTUNE_REFERENCE", os.path.join(HERE, "..", "..", "shared", "reference"))
TOKENIZERS = (os.path.join(REFERENCE, "tokenizers", "llama-bpe"), os.path.join(HERE, "..", "Models", "pocket"))

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--work", required=True, help="a folder for models and results")
parser.add_argument("--attune", default=os.path.join(HERE, "..", ".build", "release", "attune"))
parser.add_argument("--vllm-python", default=sys.executable, help="the Python of the environment that has vLLM")
parser.add_argument("--tokenizer", default=next(filter(os.path.isdir, TOKENIZERS)), help="a folder with tokenizer.json")
parser.add_argument("--text", help="what is tokenized; by default 10 MB of the peers' documentation")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--steps", type=int, default=2, help="counted steps of every training run")
parser.add_argument("--jobs", default="", help="names, separated by commas; all by default")
parser.add_argument("--small", action="store_true", help="a tiny model and one round: does everything run?")
parser.add_argument("--json", help="a file for every single measurement; rounds it has already count, so a stopped run goes on")
options = parser.parse_args()
if options.small:
    options.rounds = options.steps = 1
os.makedirs(options.work, exist_ok=True)
shape = "tiny" if options.small else "smollm2-135m"
folder = os.path.abspath(os.path.join(options.work, shape))
rows = folder + "-rows.jsonl"
text = options.text or os.path.join(options.work, "small.txt" if options.small else "english.txt")
JOBS = definitions.make_jobs(options, folder, rows, text)
names = [name for name in options.jobs.split(",") if name] or list(JOBS)
for name in names:
    if name not in JOBS:
        raise SystemExit(f"no job '{name}'; there are {', '.join(JOBS)}")

VERSIONS = """
import importlib.metadata, json, sys
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
"""


def installed(python, packages):
    """Versions of those packages an environment has."""
    done = subprocess.run([python, "-c", VERSIONS, *packages], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


versions = {}
missing = {}
for name in names:
    found = installed(JOBS[name].python, JOBS[name].packages)
    lacking = [package for package in JOBS[name].packages if package not in found]
    if lacking:
        missing[name] = lacking[0]
    versions.update(found)

# In a process of its own: a process that starts another hands its peak memory on.
writing = [sys.executable, models.__file__, folder, "--shape", shape]
needs_llama = [name for name in names if JOBS[name].packages == definitions.LLAMA and name not in missing]
if needs_llama:
    writing += ["--gguf", folder + "-bf16.gguf"]
    if "decode-4bit" in needs_llama:
        writing += ["--four-bit", folder + "-q4_0.gguf"]
subprocess.run(writing, check=True, stdout=subprocess.DEVNULL)
texts.write_instructions(rows, models.SHAPES[shape]["vocabulary"])
if "tokenize" in names and not options.text:
    subprocess.run([sys.executable, texts.__file__, text, "100000" if options.small else "10000000"], check=True)

results = {name: {"peer": [], "attune": []} for name in names if name not in missing}
if options.json and os.path.exists(options.json):
    with open(options.json) as file:
        earlier = json.load(file)
    results = {name: earlier.get(name, kept) for name, kept in results.items()}
for round_number in range(options.rounds):
    shared = {}  # what a process said that serves several jobs
    for name in results:
        job = JOBS[name]
        for command in job.theirs:
            if tuple(command) not in shared:
                shared[tuple(command)] = measure.run(command, options.threads)
        tried = [shared[tuple(command)] for command in job.theirs]
        tried = [dict(entry, **{job.key: entry[job.their_key]}) for entry in tried]
        theirs = (min if job.key == "start_seconds" else max)(tried, key=lambda entry: entry[job.key])
        own = measure.run(job.own, options.threads)
        if theirs.get("checksum") != own.get("checksum"):
            raise SystemExit(f"{name}: the two sides made different ids")
        for side, measured in (("peer", theirs), ("attune", own)):
            results[name][side].append(measured)
            print(f"# round {round_number + 1} {name} {side}: {measured[job.key]:.4g}", file=sys.stderr, flush=True)
    if options.json:
        with open(options.json + ".part", "w") as file:
            json.dump(results, file, indent=1)
        os.replace(options.json + ".part", options.json)


def median(name, side, key):
    return statistics.median(entry[key] for entry in results[name][side])


def words(name, value):
    return f"{value:.2f} s" if JOBS[name].key == "start_seconds" else f"{value:.0f}"


print(f"{platform.processor() or platform.machine()}, {options.threads} threads, model of the shape {shape} with random "
      f"weights, medians of {max((len(sides['peer']) for sides in results.values()), default=0)} alternating rounds.")
print("Peers: " + ", ".join(f"{package} {version}" for package, version in versions.items()))
print()
print("| Job | Peer | Peer tok/s | attune tok/s | Ratio | Peer peak MiB | attune peak MiB | Memory |")
print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
for name in names:
    job = JOBS[name]
    if name in missing:
        print(f"| {name} | {job.label} | {missing[name]} is not installed | | | | | |")
        continue
    theirs, own = (median(name, side, job.key) for side in ("peer", "attune"))
    ratio = theirs / own if job.key == "start_seconds" else own / theirs
    memory = [median(name, side, "peak_memory_bytes") / 2**20 for side in ("peer", "attune")]
    print(f"| {name} | {job.label} | {words(name, theirs)} | {words(name, own)} | {ratio:.2f}× | "
          f"{memory[0]:.0f} | {memory[1]:.0f} | 1/{memory[0] / memory[1]:.1f} |")
