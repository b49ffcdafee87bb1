"""transformers generate: generated tokens a second of sequences side by side, greedy."""

import argparse
import json
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--sequences", type=int, required=True)
parser.add_argument("--context", type=int, required=True)
parser.add_argument("--tokens", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
options = parser.parse_args()

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

torch.set_num_threads(options.threads)
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16)
generator = torch.Generator().manual_seed(5)
prompts = torch.randint(2, model.config.vocab_size, (options.sequences, options.context), generator=generator)


def run(tokens):
    start = time.time()
    model.generate(
        prompts, attention_mask=torch.ones_like(prompts), do_sample=False, min_new_tokens=tokens,
        max_new_tokens=tokens)
    return time.time() - start


run(2)
# What the prompts and the first token cost is taken off.
short, long = run(1), run(1 + options.tokens)
print("RESULT " + json.dumps({
    "tokens_per_second": options.sequences * options.tokens / (long - short),
    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
