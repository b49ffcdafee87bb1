"""llama.cpp through llama-cpp-python's C bindings: one prompt read, or sequences continued side by side."""

import argparse
import json
import random
import resource
import time

import llama_cpp as c

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--method", choices=["prefill", "decode"], required=True)
parser.add_argument("--sequences", type=int, default=1)
parser.add_argument("--context", type=int, required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
options = parser.parse_args()

c.llama_backend_init()
model = c.llama_model_load_from_file(options.model.encode(), c.llama_model_default_params())
settings = c.llama_context_default_params()
per_sequence = options.context + options.steps + 8
settings.n_ctx = max(512, per_sequence * options.sequences)
settings.n_batch = settings.n_ubatch = max(512, options.context)
settings.n_seq_max = options.sequences
settings.n_threads = settings.n_threads_batch = options.threads
context = c.llama_init_from_model(model, settings)
vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(model))
random.seed(5)
batch = c.llama_batch_init(settings.n_batch, 0, 1)


def step(rows):
    """rows: (token, position, sequence, whether its logits are wanted)."""
    batch.n_tokens = len(rows)
    for i, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[i] = token
        batch.pos[i] = position
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = sequence
        batch.logits[i] = wanted
    start = time.time()
    if c.llama_decode(context, batch) != 0:
        raise SystemExit("llama_decode failed")
    c.llama_synchronize(context)
    return time.time() - start


def prompt(sequence):
    n = options.context
    return [(random.randrange(2, vocabulary), i, sequence, i == n - 1) for i in range(n)]


times = []
if options.method == "prefill":
    for trial in range(options.steps + 1):
        c.llama_memory_clear(c.llama_get_memory(context), True)
        times.append(step(prompt(0)))
    tokens = options.context
else:
    for sequence in range(options.sequences):
        step(prompt(sequence))
    for offset in range(options.steps + 1):
        position = options.context + offset
        times.append(step([
            (random.randrange(2, vocabulary), position, sequence, True) for sequence in range(options.sequences)]))
    tokens = options.sequences
measured = sorted(times[1:])
print("RESULT " + json.dumps({
    "tokens_per_second": tokens / measured[len(measured) // 2],
    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
