"""bitsandbytes' eight-bit optimizers on a processor, with moments stored as its CUDA kernels store them.

The processor's `quantize_blockwise` of bitsandbytes 0.50.2 looks codes up in a coarse table: a value of 1e-7 of the largest
becomes 1.6e-5 of it, and more than half of the codes of a wide distribution are not the nearest. Its CUDA kernels
(`csrc/cuda/optimizers.cu`) search the map for the nearest code, and a first moment keeps its sign. `install()` puts that rule in.
"""

import numpy as np
import torch


def nearest(codes, x):
    """The kernels' search among 256 sorted values."""
    codes, x = np.asarray(codes, np.float32), np.asarray(x, np.float32)
    pivot, upper, lower = (np.full(x.shape, start) for start in (127, 255, 0))
    step = 64
    while step:
        above = x > codes[pivot]
        lower, upper = np.where(above, pivot, lower), np.where(above, upper, pivot)
        pivot = np.where(above, pivot + step, pivot - step)
        step //= 2
    half = np.float32(0.5)
    up = np.where(x > (codes[upper] + codes[pivot]) * half, upper, pivot)
    down = np.where(x < (codes[lower] + codes[pivot]) * half, lower, pivot)
    return np.where(x > codes[pivot], up, down).astype(np.uint8)


def store(values, codes, block=256):
    """Codes and scales of moments; a block of zeros has code 0 throughout."""
    values, codes = np.asarray(values, np.float32).reshape(-1), np.asarray(codes, np.float32)
    out = np.zeros(values.size, np.uint8)
    scales = np.zeros(-(-values.size // block), np.float32)
    for index in range(scales.size):
        part = values[index * block : (index + 1) * block]
        scales[index] = np.abs(part).max()
        if scales[index] == 0:
            continue
        found = nearest(codes, part / scales[index])
        if codes[0] < 0:
            other = np.signbit(codes[found]) != np.signbit(part)
            found = np.where(other, np.where(part > 0, found + 1, found - 1), found).astype(np.uint8)
        out[index * block : (index + 1) * block] = found
    return out, scales


def install():
    import bitsandbytes.backends.cpu.ops as ops

    def quantize(values, code, absmax_out, out, blocksize):
        codes, scales = store(values.numpy(), code.numpy(), blocksize)
        out.copy_(torch.from_numpy(codes).reshape(out.shape))
        absmax_out.copy_(torch.from_numpy(scales))

    ops._quant_blockwise_fp32_direct = quantize


def keep_embeddings(model):
    """Embeddings keep 32-bit moments, as transformers' Trainer asks of bitsandbytes."""
    import bitsandbytes

    manager = bitsandbytes.optim.GlobalOptimManager.get_instance()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            manager.register_module_override(module, "weight", {"optim_bits": 32})
