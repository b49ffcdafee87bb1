"""Four-bit checkpoints: `attune quantize` beside bitsandbytes under transformers, file against file, and each read by the other.

    OMP_NUM_THREADS=1 python dev/compare/fourbit.py [--attune PROGRAM] [CASE ...]

Names, shapes and bytes of all tensors must be equal. With double quantization bitsandbytes' table on a processor may name another
code for a block's scale than the nearest, which its CUDA kernels and Attune take (`dev/golden/exact_codes.py`); those codes are
compared with the nearest. Log-probabilities of both checkpoints in float32 must agree in both programs.
"""

import json
import sys

import numpy as np
import torch
import transformers as tf
from safetensors.torch import load_file

import tiny
import training

sys.path.append(str(tiny.ROOT / "dev" / "golden"))
import exact_codes  # noqa: E402

TOKENS = [35, 900, 17, 4000, 4000, 23, 6143, 512, 77, 1]
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CASES = [f"{kind}{double} {dtype}" for kind in ["nf4", "fp4"] for double in ["", "-double"] for dtype in TYPES]


def log_probabilities(folder):
    model = training.base(folder, True).eval()
    # transformers keeps what is not quantized in the file's type, and bitsandbytes rounds to the type that was quantized.
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()
    for module in model.modules():
        if hasattr(getattr(module, "weight", None), "quant_state"):
            module.weight.quant_state.dtype = module.compute_dtype = torch.float32
            module.compute_type_is_set = True
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([TOKENS])).logits[0].float(), -1)


def scored(bench, folder):
    line = bench.lines(
        "score", folder, "--dtype", "float32", "--threads", 1, "--top", tiny.VOCABULARY, "--tokens",
        ",".join(map(str, TOKENS)),
    )[0]
    out = torch.zeros(len(TOKENS), tiny.VOCABULARY)
    for row, entries in enumerate(line["top"]):
        out[row, torch.tensor([e["id"] for e in entries])] = torch.tensor([e["logprob"] for e in entries])
    return out


def tensors(folder):
    return {name: value for file in sorted(folder.glob("*.safetensors")) for name, value in load_file(file).items()}


def scales_are_nearest(ours, dense, name):
    """The codes of scales, from the scales of an undoubled quantization of the same weight."""
    state = json.loads(bytes(ours[next(n for n in ours if n.startswith(name + ".quant_state"))].tolist()))
    weight = dense[name].float().reshape(-1, state["blocksize"]).abs().max(dim=1).values
    offset = np.float32(state["nested_offset"])
    codes, scales = exact_codes.store(weight.numpy() - offset, ours[name + ".nested_quant_map"].numpy())
    return np.array_equal(codes, ours[name + ".absmax"].numpy()) and np.allclose(
        scales, ours[name + ".nested_absmax"].numpy(), rtol=1e-6
    )


def case(bench, name):
    kind, dtype = name.split()
    kind, double = kind.removesuffix("-double"), kind.endswith("-double")
    dense = bench.folder / "dense"
    tiny.build("llama", dense, dtype=TYPES[dtype], intermediate_size=128)
    ours, theirs = bench.folder / f"ours-{name.replace(' ', '-')}", bench.folder / f"theirs-{name.replace(' ', '-')}"
    bench.run("quantize", dense, "--output", ours, "--type", kind, *(["--double-quant"] if double else []))
    options = tf.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype=TYPES[dtype]
    )
    tf.AutoModelForCausalLM.from_pretrained(
        dense, dtype=TYPES[dtype], quantization_config=options, device_map="cpu"
    ).save_pretrained(theirs)

    mine, other, source = tensors(ours), tensors(theirs), tensors(dense)
    apart = sorted(set(mine) ^ set(other))
    loose = [n for n in mine if double and n.endswith((".absmax", ".nested_absmax")) or ".quant_state." in n]
    wrong = [
        n for n in mine
        if n not in apart and n not in loose
        and not (mine[n].dtype == other[n].dtype and mine[n].shape == other[n].shape and torch.equal(mine[n], other[n]))
    ]
    states = [n for n in mine if ".quant_state." in n]
    for n in states:
        a, b = (json.loads(bytes(t[n].tolist())) for t in (mine, other))
        offsets = [state.pop("nested_offset", 0.0) for state in (a, b)]
        if a != b or abs(offsets[0] - offsets[1]) > 1e-6 * abs(offsets[1]):
            wrong.append(n)
    if double:
        wrong += [n for n in source if n + ".nested_absmax" in mine and not scales_are_nearest(mine, source, n)]
    bench.check(
        not apart and not wrong and len(states) == 21,
        f"{name}: {len(mine)} tensors, {len(states)} matrices" + (f"; differ: {(apart + wrong)[:3]}" if apart + wrong else ""),
    )
    plain = float((log_probabilities(ours) - tiny_plain(dense)).abs().max())
    for label, folder in [("ours", ours), ("theirs", theirs)]:
        worst = float((scored(bench, folder) - log_probabilities(folder)).abs().max())
        bench.check(worst < 1e-4 < plain, f"{name}: {label} here and there differ by {worst:.1e} (unquantized: {plain:.1e})")


def tiny_plain(folder):
    with torch.no_grad():
        return torch.log_softmax(tiny.load(folder)(torch.tensor([TOKENS])).logits[0].float(), -1)


if __name__ == "__main__":
    bench = tiny.Bench(__doc__, CASES)
    for name in bench.names:
        bench.guard(name, lambda: case(bench, name))
    bench.finish()
