"""Greedy outputs of `attune serve`, `attune generate` and transformers' `generate`, token for token in float32.

usage: compare.py MODEL [ADAPTER]
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile

import openai
import torch
import transformers
from serving import Checks, Server, program

check = Checks()
model = sys.argv[1]
adapter = sys.argv[2] if len(sys.argv) > 2 else None
tokens = 24


def prompts():
    dice = random.Random(5)
    return [[dice.randrange(4, 6100) for _ in range(dice.choice([3, 9, 17, 40, 90]))] for _ in range(64)]


def expected(all):
    decoder = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    if adapter:
        import peft
        decoder = peft.PeftModel.from_pretrained(decoder, adapter)
    results = []
    for ids in all:
        with torch.no_grad():
            out = decoder.generate(
                torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                max_new_tokens=tokens, eos_token_id=[0, 2], pad_token_id=3)
        results.append(out[0, len(ids):].tolist())
    return results


async def served(url, name, all, at_once):
    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused", timeout=600)
    places = asyncio.Semaphore(at_once)

    async def one(ids):
        async with places:
            answer = await client.completions.create(
                model=name, prompt=ids, max_tokens=tokens, temperature=0)
            return answer.choices[0].text

    results = await asyncio.gather(*(one(ids) for ids in all))
    await client.close()
    return results


def generated(all):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for ids in all:
            file.write(json.dumps({"tokens": ids}) + "\n")
        file.flush()
        flags = ["--adapter", adapter] if adapter else []
        run = subprocess.run(
            [program, "generate", "--model", model, *flags, "--dtype", "float32", "--prompts", file.name,
             "--max-new-tokens", str(tokens), "--json"], capture_output=True, text=True, check=True)
    return [json.loads(line)["tokens"] for line in run.stdout.splitlines()]


def main():
    all = prompts()
    truth = expected(all)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in truth]
    check(generated(all) == truth, "attune generate equals transformers")
    flags = ["--adapter", f"tuned={adapter}"] if adapter else []
    for caching in ("--enable-prefix-caching", "--no-enable-prefix-caching"):
        with Server(model, *flags, "--dtype", "float32", "--quiet", caching) as server:
            for at_once in (1, 32):
                name = "tuned" if adapter else model
                got = asyncio.run(served(server.url, name, all, at_once))
                same = sum(a == b for a, b in zip(got, texts))
                check(same == len(all), f"{caching}, {at_once} at once: {same} of {len(all)} equal")
    return check.report()


if __name__ == "__main__":
    sys.exit(main())
