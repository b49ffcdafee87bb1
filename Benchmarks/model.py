"""Writes the random-weight models every side runs: a Hugging Face folder and, for llama.cpp, GGUF files."""

import argparse
import json
import os

SHAPES = {
    "smollm2-135m": dict(hidden=576, layers=30, heads=9, kv_heads=3, intermediate=1536, vocabulary=49152),
    "tiny": dict(hidden=128, layers=2, heads=4, kv_heads=2, intermediate=256, vocabulary=1024),
}


def write_folder(path, shape):
    """A Llama checkpoint in bfloat16 with a tokenizer whose tokens are plain words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    if os.path.exists(os.path.join(path, "model.safetensors")):
        return
    s = SHAPES[shape]
    config = LlamaConfig(
        hidden_size=s["hidden"], num_hidden_layers=s["layers"], num_attention_heads=s["heads"],
        num_key_value_heads=s["kv_heads"], intermediate_size=s["intermediate"], vocab_size=s["vocabulary"],
        tie_word_embeddings=True, max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=100000.0,
        bos_token_id=0, eos_token_id=0, pad_token_id=1)
    torch.manual_seed(7)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    words = {f"w{i}": i for i in range(s["vocabulary"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(os.path.join(path, "tokenizer.json"))
    with open(os.path.join(path, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "w0", "pad_token": "w1"}, file)


def write_gguf(folder, path):
    """The same weights for llama.cpp, bfloat16, without a vocabulary. Rows of q and k are reordered to its rotation."""
    import gguf
    import torch
    from safetensors.torch import load_file

    if os.path.exists(path):
        return
    config = json.load(open(os.path.join(folder, "config.json")))
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path + ".part", "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    names = {
        "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    }

    def turned(w, count):
        return w.reshape(count, 2, w.shape[0] // count // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)

    for name, w in load_file(os.path.join(folder, "model.safetensors")).items():
        name = name.removeprefix("model.").removesuffix(".weight")
        if name == "embed_tokens":
            target = "token_embd"
        elif name == "norm":
            target = "output_norm"
        elif name == "lm_head":
            continue
        else:
            _, layer, rest = name.split(".", 2)
            target = f"blk.{layer}.{names[rest]}"
            if rest.endswith("q_proj"):
                w = turned(w, heads)
            if rest.endswith("k_proj"):
                w = turned(w, kv_heads)
        if w.ndim == 1:
            writer.add_tensor(target + ".weight", w.float().numpy())
        else:
            raw = w.contiguous().view(torch.uint8).numpy()
            writer.add_tensor(target + ".weight", raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".part", path)


def write_four_bit(source, path):
    """llama.cpp's own Q4_0 of a GGUF file, the head in 16 bits as ours."""
    import ctypes

    import llama_cpp

    if os.path.exists(path):
        return
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0
    options.pure = False
    options.token_embedding_type = 30  # BF16
    options.output_tensor_type = 30
    code = llama_cpp.llama_model_quantize(source.encode(), (path + ".part").encode(), ctypes.byref(options))
    if code != 0:
        raise SystemExit("llama.cpp could not quantize the model")
    os.replace(path + ".part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--shape", choices=list(SHAPES), required=True)
    parser.add_argument("--gguf", help="write this file too")
    parser.add_argument("--four-bit", help="and this one")
    options = parser.parse_args()
    write_folder(options.folder, options.shape)
    if options.gguf:
        write_gguf(options.folder, options.gguf)
    if options.four_bit:
        write_four_bit(options.gguf, options.four_bit)


if __name__ == "__main__":
    main()
