"""vLLM on the CPU: prompt and generated tokens a second of requests that come at once."""

import argparse
import json
import os
import random
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--requests", type=int, required=True)
parser.add_argument("--prompt", type=int, required=True)
parser.add_argument("--answer", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
options = parser.parse_args()
os.environ["VLLM_CPU_OMP_THREADS_BIND"] = f"0-{options.threads - 1}"
os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"

from vllm import LLM, SamplingParams  # noqa: E402

random.seed(5)
vocabulary = json.load(open(os.path.join(options.model, "config.json")))["vocab_size"]
model = LLM(options.model, dtype="bfloat16", max_model_len=2048, max_num_seqs=options.requests)
settings = SamplingParams(temperature=0, max_tokens=options.answer, ignore_eos=True)


def run():
    prompts = [
        {"prompt_token_ids": [random.randrange(2, vocabulary) for _ in range(options.prompt)]}
        for _ in range(options.requests)]
    start = time.time()
    model.generate(prompts, settings, use_tqdm=False)
    return time.time() - start


run()
print("RESULT " + json.dumps({
    "tokens_per_second": options.requests * (options.prompt + options.answer) / run(),
    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
