"""Makes the fixtures of AttuneFilesTests with the libraries whose files Attune must read and write.

    python dev/golden/files.py Tests/AttuneFilesTests/Fixtures

Made with torch 2.13.0, safetensors 0.8.0, transformers 5.23.0, peft 0.21.2, bitsandbytes 0.50.2, numpy 2.4.6.
"""

import json
import os
import shutil
import sys
from collections import OrderedDict

import bitsandbytes as bnb
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def place(*names):
    return os.path.join(out, *names)


# --- safetensors: every type torch and the engine share, an empty tensor, a scalar, names that need care
torch.manual_seed(1)
mixed = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
    "a.weight": torch.arange(6, dtype=torch.float32).reshape(3, 2) - 2.5,
    "half": torch.tensor([0.5, -1.0, 65504.0], dtype=torch.float16),
    "brain": torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16),
    "double": torch.tensor([1e300], dtype=torch.float64),
    "long": torch.tensor([-1, 2**40], dtype=torch.int64),
    "int": torch.tensor([7], dtype=torch.int32),
    "short": torch.tensor([-3, 3], dtype=torch.int16),
    "char": torch.tensor([-128, 127, 0], dtype=torch.int8),
    "byte": torch.tensor([255], dtype=torch.uint8),
    "flag": torch.tensor([True, False, True]),
    "e4m3": torch.tensor([1.0, -2.0], dtype=torch.float8_e4m3fn),
    "e5m2": torch.tensor([1.0], dtype=torch.float8_e5m2),
    "complex": torch.tensor([1 + 2j], dtype=torch.complex64),
    "u16": torch.tensor([65535], dtype=torch.uint16),
    "u32": torch.tensor([4294967295], dtype=torch.uint32),
    "u64": torch.tensor([1], dtype=torch.uint64),
    "four": torch.tensor([[0x12, 0x34]], dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(3.25),
    'quo"te\\ back\nline é 😀 \x01\x7f': torch.tensor([1.0]),
}
safetensors.torch.save_file(mixed, place("mixed.safetensors"), metadata={"format": "pt"})
safetensors.numpy.save_file({"x": np.arange(3, dtype=np.float32)}, place("plain.safetensors"))
safetensors.torch.save_file({}, place("none.safetensors"), metadata={"format": "pt", })

# --- PyTorch archives
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
state = OrderedDict(
    [
        ("dense", base),
        ("transposed", base.t()),
        ("window", base[1:3, 2:5]),
        ("permuted", torch.arange(24, dtype=torch.int64).reshape(2, 3, 4).permute(2, 0, 1)),
        ("tied", base),
        ("parameter", torch.nn.Parameter(torch.tensor([1.0, 2.0]))),
        ("brain", torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16)),
        ("scalar", torch.tensor(7, dtype=torch.int64)),
        ("empty", torch.zeros(0, 3)),
        ("eight", torch.tensor([1.0, -2.0], dtype=torch.float8_e4m3fn)),
        ("flags", torch.tensor([True, False])),
    ]
)
state._metadata = OrderedDict([("", {"version": 1})])
torch.save(state, place("state.bin"))
torch.save({"state_dict": dict(state), "epoch": 3, "name": "x", "lr": 0.1, "big": -(2**40)}, place("nested.bin"))
torch.save(dict(state), place("protocol4.bin"), pickle_protocol=4)
torch.save(dict(state), place("legacy.bin"), _use_new_zipfile_serialization=False)
torch.save({"x": torch.zeros(2), "options": __import__("argparse").Namespace(a=1)}, place("foreign.bin"))
expected = {
    name: {"shape": list(t.shape), "dtype": str(t.dtype)[6:], "values": t.detach().double().flatten().tolist()}
    for name, t in state.items()
}
with open(place("state.json"), "w") as file:
    json.dump(expected, file)

# --- a model in shards, as transformers writes it, with the order of its state dict
config = LlamaConfig(
    vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, tie_word_embeddings=False,
)
model = LlamaForCausalLM(config)
shutil.rmtree(place("sharded"), ignore_errors=True)
model.save_pretrained(place("sharded"), max_shard_size="6KB")
with open(place("sharded", "order.json"), "w") as file:
    json.dump(list(model.state_dict()), file)

# --- the same in pickled shards, as transformers 4 wrote them
shutil.rmtree(place("sharded_bin"), ignore_errors=True)
os.makedirs(place("sharded_bin"))
names = list(model.state_dict())
halves = [names[: len(names) // 2], names[len(names) // 2 :]]
weight_map = {}
for number, half in enumerate(halves):
    file_name = f"pytorch_model-{number + 1:05d}-of-00002.bin"
    torch.save(OrderedDict((n, model.state_dict()[n].half().clone()) for n in half), place("sharded_bin", file_name))
    weight_map |= {n: file_name for n in half}
with open(place("sharded_bin", "pytorch_model.bin.index.json"), "w") as file:
    json.dump({"metadata": {"total_size": 0}, "weight_map": weight_map}, file)
shutil.copy(place("sharded", "config.json"), place("sharded_bin", "config.json"))

# --- adapters
def adapter(name, **arguments):
    torch.manual_seed(2)
    tuned = get_peft_model(LlamaForCausalLM(config), LoraConfig(task_type="CAUSAL_LM", **arguments))
    for key, value in tuned.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(value)
    shutil.rmtree(place(name), ignore_errors=True)
    tuned.save_pretrained(place(name))
    os.remove(place(name, "README.md"))
    scales = {
        key.removeprefix("base_model.model."): module.scaling["default"]
        for key, module in tuned.named_modules()
        if isinstance(getattr(module, "scaling", None), dict)
    }
    with open(place(name, "scaling.json"), "w") as file:
        json.dump(scales, file, indent=1)


adapter("adapter_plain", r=4, lora_alpha=8, lora_dropout=0.05, target_modules=["q_proj", "v_proj"])
adapter(
    "adapter_varied", r=4, lora_alpha=6, use_dora=True, use_rslora=True, target_modules=["q_proj", "down_proj", "embed_tokens"],
    modules_to_save=["lm_head"], rank_pattern={"layers.0.self_attn.q_proj": 2, "^model.layers.1.mlp.down_proj": 3},
    alpha_pattern={"q_proj": 16}, layers_to_transform=None,
)
adapter("adapter_layers", r=2, lora_alpha=2, lora_bias=True, target_modules=["o_proj"], layers_to_transform=[1], layers_pattern="layers")

# --- bitsandbytes
torch.manual_seed(3)


def quantized(layer):
    layer.load_state_dict({"weight": torch.randn(24, 40)}, strict=False)
    return layer.to("cpu")


bits = {}
for name, kind, nested in [("nf4", "nf4", True), ("fp4", "fp4", False)]:
    layer = bnb.nn.Linear4bit(40, 24, bias=False, compress_statistics=nested, quant_type=kind)
    layer.weight.data = layer.weight.data.to(torch.bfloat16)
    layer.load_state_dict({"weight": torch.randn(24, 40).to(torch.bfloat16)})
    layer = layer.to("cpu")
    bits |= {f"{name}.{k}": v for k, v in layer.state_dict().items()}
bits |= {f"int8.{k}": v for k, v in quantized(bnb.nn.Linear8bitLt(40, 24, bias=False, has_fp16_weights=False)).state_dict().items()}
safetensors.torch.save_file(bits, place("bits.safetensors"), metadata={"format": "pt"})

for folder, _, files in os.walk(out):
    for file in files:
        assert os.path.getsize(os.path.join(folder, file)) < 50_000, file
