"""Greedy answers of `attune generate --prompts` against transformers' `generate`, token for token in float32.

    OMP_NUM_THREADS=1 python dev/compare/greedy.py [--attune PROGRAM] [FAMILY ...]

64 prompts of 1 to some 300 tokens, 48 new tokens each; with and without a PEFT adapter; one sequence at a time and 32 at once;
with the prefix cache and without.
"""

import torch
from peft import LoraConfig, PeftModel, get_peft_model

import tiny

COUNT, NEW = 64, 48


def reference(model, rows):
    answers = []
    for tokens in rows:
        out = model.generate(
            input_ids=torch.tensor([tokens]),
            attention_mask=torch.ones(1, len(tokens), dtype=torch.long),
            max_new_tokens=NEW,
            do_sample=False,
        )
        answers.append(out[0, len(tokens) :].tolist())
    return answers


def gap(model, tokens):
    """How far the most likely next token is ahead of the second; a near tie may fall either way."""
    with torch.no_grad():
        first, second = model(torch.tensor([tokens])).logits[0, -1].topk(2).values.tolist()
    return first - second


def family(bench, name):
    folder = bench.folder / name
    model = tiny.build(name, folder)
    lora = LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    peft = get_peft_model(tiny.load(folder), lora)
    peft.save_pretrained(folder / "adapter")
    peft = PeftModel.from_pretrained(tiny.load(folder), folder / "adapter").eval()

    prompts = tiny.texts(COUNT)
    tokenizer = tiny.tokenizer()
    rows = [tokenizer(text)["input_ids"] for text in prompts]
    path = bench.write(f"{name}.jsonl", [{"prompt": text} for text in prompts])
    lengths = [len(row) for row in rows]
    bench.check(min(lengths) == 1 and max(lengths) > 150, f"{name}: prompts of {min(lengths)} to {max(lengths)} tokens")

    answers = {}
    for kind, oracle in [("base", model), ("adapter", peft)]:
        answers[kind] = expected = reference(oracle, rows)
        for sequences in [1, 32]:
            for cache in [True, False]:
                flags = ["--max-num-seqs", sequences, *([] if cache else ["--no-enable-prefix-caching"])]
                if kind == "adapter":
                    flags += ["--adapter", folder / "adapter"]
                got = bench.lines(
                    "generate", "--model", folder, "--dtype", "float32", "--prompts", path, "--max-new-tokens", NEW,
                    "--threads", 1, *flags,
                )
                wrong, ties = [], 0
                for index, (row, want, have) in enumerate(zip(rows, expected, got)):
                    have = have["tokens"]
                    if have == want:
                        continue
                    place = next(
                        (i for i, (a, b) in enumerate(zip(want, have)) if a != b), min(len(want), len(have))
                    )
                    if place < min(len(want), len(have)) and gap(oracle, row + want[:place]) < 1e-4:
                        ties += 1
                    else:
                        wrong.append((index, place))
                total = sum(map(len, expected))
                bench.check(
                    len(got) == COUNT and not wrong and ties <= 1,
                    f"{name} {kind}, {sequences} at once, prefix cache {'on' if cache else 'off'}: "
                    f"{COUNT - len(wrong) - ties} of {COUNT} prompts equal ({total} tokens), {ties} ties"
                    + (f"; differ at {wrong[:4]}" if wrong else ""),
                )
    bench.check(answers["base"] != answers["adapter"], f"{name}: the adapter changes answers")


if __name__ == "__main__":
    bench = tiny.Bench(__doc__, tiny.FAMILIES)
    for name in bench.names:
        bench.guard(name, lambda: family(bench, name))
    bench.finish()
