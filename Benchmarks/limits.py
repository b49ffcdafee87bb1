"""Whole LoRA steps of published shapes against what this machine can do, and their memory against the plan."""

import argparse
import os

import measure

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--attune", default=os.path.join(HERE, "..", ".build", "release", "attune"))
parser.add_argument("--shapes", default="smollm2-135m,qwen2.5-0.5b,qwen2.5-1.5b")
parser.add_argument("--tokens", default="1024,2048,4096,8192", help="of a step, in rows of 512")
parser.add_argument("--method", default="lora")
parser.add_argument("--dtype", default="bfloat16")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--steps", type=int, default=2)
options = parser.parse_args()

print("| Shape | Tokens a step | tok/s | GFLOP/s | Of the limit | Peak MiB | Planned MiB | Peak / planned |")
print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
for shape in options.shapes.split(","):
    for tokens in options.tokens.split(","):
        result = measure.run(
            [options.attune, "bench", "--shape", shape, "--method", options.method, "--dtype", options.dtype,
             "--tokens", tokens, "--steps", str(options.steps), "--threads", str(options.threads), "--json"],
            options.threads)
        peak, planned = result["peak_memory_bytes"], result["planned_memory_bytes"]
        print(f"| {shape} | {tokens} | {result['tokens_per_second']:.0f} | {result['gflops']:.0f} | "
              f"{100 * result['fraction_of_limit']:.1f} % | {peak >> 20} | {planned >> 20} | {peak / planned:.2f} |",
              flush=True)
