"""vLLM on the CPU: prompt and generated tokens a second of requests that come at once."""

import argparse
import glob
import json
import os
import random
import time


def process_memory(pid):
    """What a process held at most, less what others count too. vLLM's engine is a process of its own."""
    def kilobytes(file, key):
        with open(f"/proc/{pid}/{file}") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(key + ":"))
    return (kilobytes("status", "VmHWM") - kilobytes("smaps_rollup", "Rss") + kilobytes("smaps_rollup", "Pss")) * 1024


def family(pid):
    """A process and all it started."""
    yield pid
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path) as file:
            for child in file.read().split():
                yield from family(int(child))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", required=True, help="how many at once; several numbers, separated by commas")
    parser.add_argument("--prompt", type=int, required=True)
    parser.add_argument("--answer", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    counts = [int(count) for count in options.requests.split(",")]
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = f"0-{options.threads - 1}"
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"

    from vllm import LLM, SamplingParams

    random.seed(5)
    with open(os.path.join(options.model, "config.json")) as file:
        vocabulary = json.load(file)["vocab_size"]
    # Every prompt is new: there is no prefix to take from a cache.
    model = LLM(
        options.model, dtype="bfloat16", max_model_len=2048, max_num_seqs=max(counts), enable_prefix_caching=False)
    settings = SamplingParams(temperature=0, max_tokens=options.answer, ignore_eos=True, detokenize=False)

    def run(count):
        prompts = [
            {"prompt_token_ids": [random.randrange(2, vocabulary) for _ in range(options.prompt)]} for _ in range(count)]
        start = time.time()
        model.generate(prompts, settings, use_tqdm=False)
        return time.time() - start

    run(max(counts))
    result = {}
    for count in counts:
        seconds = sorted(run(count) for _ in range(3))[1]
        result[f"tokens_per_second_{count}"] = count * (options.prompt + options.answer) / seconds
    result["peak_memory_bytes"] = sum(map(process_memory, family(os.getpid())))
    print("RESULT " + json.dumps(result))


# The engine's process imports this file again.
if __name__ == "__main__":
    main()
