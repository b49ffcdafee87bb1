"""Golden values for AttuneModelsTests: which modules PEFT gives a pair, with which rank and scale, for many configurations.

    python dev/golden/adapters.py Tests/AttuneModelsTests/Fixtures/adapters.json

Needs torch, transformers and peft.
"""

import json
import sys
import warnings

import transformers as tf
from peft import LoraConfig, get_peft_model

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "names": dict(target_modules=["q_proj", "v_proj"]),
    "whole names": dict(target_modules=["model.layers.1.self_attn.q_proj", "mlp.up_proj"]),
    "half a name": dict(target_modules=["_proj", "q_proj"]),
    "expression": dict(target_modules=r".*\.layers\.[0-2]\.self_attn\.(q|v)_proj"),
    "expression of an end": dict(target_modules=r"model\.layers\.1\..*_proj"),
    "excluded names": dict(target_modules=ALL, exclude_modules=["layers.0.mlp.up_proj", "k_proj"]),
    "excluded expression": dict(target_modules=ALL, exclude_modules=r".*layers\.(0|3).*|.*down_proj"),
    "layers": dict(target_modules=["q_proj", "up_proj"], layers_to_transform=[1, 3]),
    "one layer": dict(target_modules=["q_proj", "up_proj"], layers_to_transform=2),
    "layers after a name": dict(target_modules=["q_proj"], layers_to_transform=[1], layers_pattern="layers"),
    "layers after an expression": dict(target_modules=["q_proj"], layers_to_transform=[1], layers_pattern=["h", "l.*s"]),
    "saved whole": dict(target_modules=["q_proj", "down_proj"], modules_to_save=["down_proj", "lm_head"]),
    "rank patterns": dict(
        target_modules=ALL,
        r=4,
        rank_pattern={
            "q_proj": 2,
            "_proj": 64,
            r"^model.layers.1.self_attn.k_proj": 3,
            r"layers\.[23]\.mlp\..*": 6,
            "layers.0.mlp.gate_proj": 7,
            "mlp.gate_proj": 9,
        },
    ),
    "alpha patterns": dict(
        target_modules=ALL, r=4, lora_alpha=12, alpha_pattern={"self_attn.(q|k)_proj": 40, "down_proj": 0.5}
    ),
    "rank stabilized": dict(target_modules=ALL, r=9, lora_alpha=12, use_rslora=True, rank_pattern={"o_proj": 16}),
    "defaults": dict(target_modules=ALL),
}


def model():
    return tf.LlamaForCausalLM(
        tf.LlamaConfig(
            hidden_size=8, intermediate_size=8, num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=1, vocab_size=8
        )
    )


if __name__ == "__main__":
    out = []
    for name, options in CASES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peft = get_peft_model(model(), LoraConfig(task_type="CAUSAL_LM", **options))
        modules = {}
        for path, module in peft.base_model.model.named_modules():
            if hasattr(module, "lora_A") and "default" in module.lora_A:
                modules[path] = [module.r["default"], module.scaling["default"]]
        config = peft.peft_config["default"].to_dict()
        config = {key: value if not isinstance(value, set) else sorted(value) for key, value in config.items()}
        keys = [*options, "r", "lora_alpha", "use_rslora"]
        out.append(dict(name=name, config={"peft_type": "LORA", **{k: config[k] for k in keys}}, modules=modules))
    text = ",\n".join(json.dumps(case) for case in out)
    open(sys.argv[1], "w").write(f"[\n{text}\n]\n")
    print(len(out), "configurations")
