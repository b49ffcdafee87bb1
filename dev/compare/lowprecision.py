"""Forward passes in bfloat16, float16 and int8 against transformers' own, for every family; and odd shapes.

    OMP_NUM_THREADS=1 python dev/compare/lowprecision.py [--attune PROGRAM] [NAME ...]

Two programs that round to 16 bits at different places cannot agree to the last bit. What counts is that Attune is as close to
the exact (float32) result of the same weights as transformers' own 16-bit run is: its error may be at most BOUND times theirs.
float32 runs of odd shapes must agree within 1e-3 in every logit.
"""


import torch

import tiny

BOUND = 1.25
TOP = tiny.VOCABULARY


def log_probabilities(model, tokens):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([tokens])).logits[0].float(), -1)


def scored(bench, folder, tokens, *flags, top=TOP):
    path = bench.write("tokens.jsonl", [{"tokens": tokens}])
    line = bench.lines("score", folder, "--threads", 1, "--top", top, "--file", path, *flags)[0]
    out = torch.full((len(tokens), top), float("nan"))
    for row, entries in enumerate(line["top"]):
        out[row, torch.tensor([e["id"] for e in entries])] = torch.tensor([e["logprob"] for e in entries])
    return out


def compare(bench, name, got, theirs, exact):
    ours_error, their_error = float((got - exact).abs().mean()), float((theirs - exact).abs().mean())
    ours_worst, their_worst = float((got - exact).abs().max()), float((theirs - exact).abs().max())
    margin = exact.topk(2).values
    # Where the most likely token leads by more than twice the largest error of theirs, it must lead here too.
    clear = (margin[:, 0] - margin[:, 1]) > 2 * their_worst
    same = (got.argmax(-1) == exact.argmax(-1))[clear]
    bench.check(
        ours_error <= BOUND * their_error and ours_worst <= 2 * BOUND * their_worst and bool(same.all()),
        f"{name}: mean error {ours_error:.1e} (transformers {their_error:.1e}), worst {ours_worst:.1e} "
        f"({their_worst:.1e}), most likely token equal at {int(same.sum())} of {int(clear.sum())} clear positions",
    )


def sixteen(bench, family):
    folder = bench.folder / family
    tokens = torch.randint(4, TOP, (40,), generator=torch.Generator().manual_seed(2)).tolist()
    for dtype, word in [(torch.bfloat16, "bfloat16"), (torch.float16, "float16")]:
        model = tiny.build(family, folder, dtype=dtype)
        theirs = log_probabilities(model, tokens)
        exact = log_probabilities(tiny.load(folder, torch.float32), tokens)
        got = scored(bench, folder, tokens, "--dtype", word)
        compare(bench, f"{family} {word}", got, theirs, exact)


def eight(bench):
    """int8 as bitsandbytes stores it: one scale a row; the dequantized matrices in float32 are the reference."""
    folder = bench.folder / "int8"
    model = tiny.build("llama", folder)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            weight = module.weight.data
            scale = weight.abs().max(dim=1, keepdim=True).values / 127
            module.weight.data = torch.round(weight / scale).clamp(-127, 127) * scale
    tokens = torch.randint(4, TOP, (40,), generator=torch.Generator().manual_seed(2)).tolist()
    expected = log_probabilities(model, tokens)
    got = scored(bench, folder, tokens, "--dtype", "float32", "--quantization", "int8")
    apart = float((got - expected).abs().max())
    plain = float((log_probabilities(tiny.load(folder), tokens) - expected).abs().max())
    bench.check(apart < 1e-3 < plain, f"int8: log-probabilities differ by {apart:.1e} (unquantized: {plain:.1e})")
    target = bench.folder / "int8-file"
    bench.run("quantize", folder, "--output", target, "--type", "int8")
    again = scored(bench, target, tokens, "--dtype", "float32")
    apart = float((again - got).abs().max())
    bench.check(apart < 1e-5, f"int8: a saved checkpoint scores as quantizing while loading ({apart:.1e})")


SHAPES = {
    "head 80": dict(head_dim=80),
    "3 key heads": dict(hidden_size=60, num_attention_heads=6, num_key_value_heads=3, head_dim=20),
    "vocabulary 1003": dict(vocab_size=1003, eos_token_id=0, pad_token_id=3),
    "all odd": dict(
        num_attention_heads=9, num_key_value_heads=3, head_dim=80, vocab_size=1003, hidden_size=36, intermediate_size=52
    ),
}


def shapes(bench):
    for name, options in SHAPES.items():
        for family in ["llama", "qwen3", "gemma3"]:
            folder = bench.folder / name.replace(" ", "-")
            model = tiny.build(family, folder, **options)
            size = options.get("vocab_size", TOP)
            for length in [1, 77]:
                tokens = torch.randint(4, size, (length,), generator=torch.Generator().manual_seed(2)).tolist()
                expected = log_probabilities(model, tokens)
                got = scored(bench, folder, tokens, "--dtype", "float32", top=size)
                apart = float((got - expected).abs().max())
                same = bool((got.argmax(-1) == expected.argmax(-1)).all())
                bench.check(apart < 1e-3 and same, f"{family}, {name}, {length} tokens: differ by {apart:.1e}")


def long(bench):
    """2,048 tokens: past every window, and far enough for rotations to lose digits if they could."""
    for family in ["llama", "mistral", "gemma3", "smollm3"]:
        folder = bench.folder / "long"
        size = 1003
        model = tiny.build(family, folder, vocab_size=size)
        tokens = torch.randint(4, size, (2048,), generator=torch.Generator().manual_seed(2)).tolist()
        expected = log_probabilities(model, tokens)
        line = bench.lines(
            "score", folder, "--threads", 1, "--top", 3, "--dtype", "float32", "--file",
            bench.write("tokens.jsonl", [{"tokens": tokens}]),
        )[0]
        got = torch.tensor(line["logprobs"][1:])
        wanted = expected[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]
        apart = float((got - wanted).abs().max())
        same = sum(row[0]["id"] == int(best) for row, best in zip(line["top"], expected.argmax(-1)))
        bench.check(apart < 1e-3 and same == 2048, f"{family}, 2048 tokens: differ by {apart:.1e}, {same} most likely equal")


GROUPS = {**{family: None for family in tiny.FAMILIES}, "int8": eight, "shapes": shapes, "long": long}

if __name__ == "__main__":
    bench = tiny.Bench(__doc__, GROUPS)
    for name in bench.names:
        body = GROUPS[name]
        bench.guard(name, (lambda: body(bench)) if body else (lambda: sixteen(bench, name)))
    bench.finish()
