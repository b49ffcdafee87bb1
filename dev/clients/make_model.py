"""Writes a tiny random Qwen3 with the pocket's tokenizer and a chat template: form without sense, for the client checks. Beside it, in
OUTPUT-adapter, a random LoRA for it.

usage: make_model.py OUTPUT [TEMPLATE.jinja]
"""

import pathlib
import shutil
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3Config, Qwen3ForCausalLM

root = pathlib.Path(__file__).resolve().parents[2]
output = pathlib.Path(sys.argv[1])
template = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else root / "Models/pocket/chat_template.jinja"

torch.manual_seed(7)
config = Qwen3Config(
    vocab_size=6144, hidden_size=96, intermediate_size=192, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=4096, tie_word_embeddings=True,
    initializer_range=0.1, bos_token_id=0, eos_token_id=2, pad_token_id=3)
decoder = Qwen3ForCausalLM(config)
decoder.save_pretrained(output)
tuned = get_peft_model(decoder, LoraConfig(
    r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False))
tuned.save_pretrained(str(output) + "-adapter")
for name in ["tokenizer.json", "tokenizer_config.json"]:
    shutil.copy(root / "Models/pocket" / name, output / name)
shutil.copy(template, output / "chat_template.jinja")
(output / "generation_config.json").write_text('{"eos_token_id": [0, 2], "pad_token_id": 3}\n')
