"""Golden bytes for AttuneCPUTests from bitsandbytes on the CPU: 4-bit codes and scales, nested scales, 8-bit AdamW.

Run: python dev/golden/kernels.py > Tests/AttuneCPUTests/BitsandbytesGolden.swift
Inputs come from the same SplitMix64 stream as the tests' `Numbers`, so only results are stored.
"""

import bitsandbytes.functional as F
import exact_codes
import numpy as np
import torch

MASK = (1 << 64) - 1


def normals(seed, count):
    """`Numbers(seed).normal()` of the tests, float32 for float32."""
    state, out = seed, np.zeros(count, np.float32)

    def unit():
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        signed = z - (1 << 64) if z >> 63 else z
        return np.float32(signed >> 40) / np.float32(1 << 23)

    for i in range(count):
        total = unit() + unit()
        total = total + unit()
        total = total + unit()
        out[i] = total * np.float32(0.866)
    return out


def hexed(name, array):
    data = np.ascontiguousarray(array).tobytes().hex()
    lines = [data[i : i + 100] for i in range(0, len(data), 100)]
    body = "\n        + ".join(f'"{line}"' for line in lines)
    first, *rest = name.split("_")
    print(f"    static let {first + ''.join(word.capitalize() for word in rest)} =\n        {body}")


def boundaries(kind):
    """Every mid-point between two codes and its neighbours, with a 1 to fix the scale: four blocks of 64."""
    codes = torch.sort(F.get_4bit_type(kind, device="cpu").float())[0]
    middle = (codes[1:] + codes[:-1]) / 2
    up = torch.nextafter(middle, torch.tensor(9.0))
    down = torch.nextafter(middle, torch.tensor(-9.0))
    block = torch.cat([middle, up, down, torch.ones(1), torch.zeros(18)])
    return torch.cat([block, -block, torch.zeros(64), block * 0.37])


def main():
    print("// Made by dev/golden/kernels.py with bitsandbytes; little-endian bytes in hexadecimal.")
    print("enum BitsandbytesGolden {")
    for name, dtype in [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]:
        source = torch.from_numpy(normals(11, 10 * 67)).reshape(10, 67).to(dtype)
        for kind in ["nf4", "fp4"]:
            codes, state = F.quantize_4bit(source, blocksize=64, quant_type=kind)
            hexed(f"{name}_{kind}_codes", codes.numpy())
            hexed(f"{name}_{kind}_absmax", state.absmax.numpy())
            hexed(f"{name}_{kind}_values", F.dequantize_4bit(codes, state)[:2].contiguous().view(torch.uint8).numpy())
    for kind in ["nf4", "fp4"]:
        source = boundaries(kind)
        hexed(f"{kind}_boundaries", source.numpy())
        codes, state = F.quantize_4bit(source, blocksize=64, quant_type=kind)
        hexed(f"{kind}_boundary_codes", codes.numpy())
    source = torch.from_numpy(normals(12, 150 * 128)).reshape(150, 128)
    codes, state = F.quantize_4bit(source, blocksize=64, quant_type="nf4", compress_statistics=True)
    hexed("nested_codes", state.absmax.numpy())
    hexed("nested_absmax", state.state2.absmax.numpy())
    plain = F.quantize_4bit(source, blocksize=64, quant_type="nf4")[1].absmax
    hexed("nested_nearest_codes", exact_codes.store(plain - state.offset, F.create_dynamic_map(signed=True))[0])
    hexed("nested_offset", np.array([state.offset.item()], np.float32))
    hexed("signed_map", F.create_dynamic_map(signed=True).numpy())
    hexed("unsigned_map", F.create_dynamic_map(signed=False).numpy())

    exact_codes.install()
    count = 600
    parameter = torch.from_numpy(normals(13, count))
    first = torch.zeros(count, dtype=torch.uint8)
    second = torch.zeros(count, dtype=torch.uint8)
    absmax1, absmax2 = torch.zeros(3), torch.zeros(3)
    maps = F.create_dynamic_map(signed=True), F.create_dynamic_map(signed=False)
    for step in range(1, 4):
        # Over many orders of magnitude, so that the smallest codes, 0 and the sign's rule come up.
        powers = np.floor(normals(30 + step, count) * np.float32(8)).astype(np.int32)
        gradient = torch.from_numpy(np.ldexp(normals(20 + step, count), powers))
        torch.ops.bitsandbytes.optimizer_update_8bit_blockwise(
            "adam", gradient, parameter, first, second, 0.9, 0.999, 0.0, 0.0, 1e-8, step, 1e-2, maps[0], maps[1],
            absmax1, absmax2, 0.1, 0.5, False)
    hexed("adamw8_parameter", parameter.numpy())
    hexed("adamw8_first_codes", first.numpy())
    hexed("adamw8_second_codes", second.numpy())
    hexed("adamw8_first_absmax", absmax1.numpy())
    hexed("adamw8_second_absmax", absmax2.numpy())
    print("}")


# torch.compile inside bitsandbytes may start workers that import this file.
if __name__ == "__main__":
    main()
