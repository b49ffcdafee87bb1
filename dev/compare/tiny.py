"""Tiny random models of every family with a real tokenizer, and runs of the program beside them.

The other scripts of this folder import it. They compare whole runs of `attune` with transformers, PEFT and bitsandbytes:

    OMP_NUM_THREADS=1 python dev/compare/greedy.py [--attune .build/release/attune] [--work FOLDER] [NAME ...]

Each prints a line a case and ends with a non-zero status when one differs. Needs torch, transformers, peft, safetensors and
bitsandbytes.
"""

import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers as tf

torch.set_num_threads(1)
tf.logging.set_verbosity_error()

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "Models" / "pocket"
VOCABULARY = 6144

COMMON = dict(
    hidden_size=64,
    intermediate_size=112,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=VOCABULARY,
    max_position_embeddings=4096,
    initializer_range=0.12,
    bos_token_id=0,
    eos_token_id=0,
    pad_token_id=3,
)

LONGROPE = dict(
    rope_type="longrope",
    rope_theta=10000.0,
    short_factor=[1.0 + i / 10 for i in range(8)],
    long_factor=[1.0 + i for i in range(8)],
)

FAMILIES = {
    "llama": (tf.LlamaConfig, {}),
    "mistral": (tf.MistralConfig, dict(sliding_window=24)),
    "qwen2": (tf.Qwen2Config, dict(tie_word_embeddings=True)),
    "qwen3": (tf.Qwen3Config, {}),
    "gemma2": (tf.Gemma2Config, dict(sliding_window=24, query_pre_attn_scalar=16)),
    "gemma3": (
        tf.Gemma3TextConfig,
        dict(
            sliding_window=24,
            query_pre_attn_scalar=16,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        ),
    ),
    "phi3": (tf.Phi3Config, dict(original_max_position_embeddings=4096, rope_parameters=LONGROPE)),
    "smollm3": (tf.SmolLM3Config, dict(no_rope_layer_interval=2)),
    "granite": (
        tf.GraniteConfig,
        dict(embedding_multiplier=3.0, residual_multiplier=0.5, attention_multiplier=0.25, logits_scaling=2.0),
    ),
    "olmo2": (tf.Olmo2Config, {}),
}


def build(family, folder, seed=0, dtype=torch.float32, **options):
    """A random model of a family, saved with the pocket model's tokenizer; returns the model."""
    torch.manual_seed(seed + sum(family.encode()))
    cls, own = FAMILIES[family]
    config = cls(**{**COMMON, **own, **options})
    model = tf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name:
            parameter.data += 0.2 * torch.randn_like(parameter)
    model = model.to(dtype)
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    model.generation_config = tf.GenerationConfig(bos_token_id=0, eos_token_id=0, pad_token_id=3)
    model.save_pretrained(folder)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(TOKENIZER / name, folder / name)
    return load(folder, dtype)


def load(folder, dtype=torch.float32):
    """A model as a user loads it; from disk, so that both sides read the same file."""
    return tf.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def tokenizer():
    return tf.PreTrainedTokenizerFast.from_pretrained(TOKENIZER)


TOPICS = [
    "The checkout page shows an error 500 when I pay by card",
    "My order #12345 arrived with a broken screen",
    "How do I reset the password of my account?",
    "Nobody has answered my e-mails for a week and I would like my money back",
    "Café à la crème costs 3,50 € in Zürich",
    "Please explain, step by step, how a refund is requested",
    "The app crashes on start since the last update",
    "def add(a, b):\n    return a + b",
]


def texts(count, seed=1, longest=12):
    """Prompts of mixed length; some begin alike, so that a prefix cache has something to find."""
    chance = random.Random(seed)
    opening = "### Instruction:\nClassify this support ticket into category, priority and action. " * 2
    out = []
    for index in range(count):
        body = " ".join(chance.choice(TOPICS) for _ in range(chance.randint(1, longest)))
        out.append((opening if index % 3 == 0 else "") + body[: chance.randint(2, len(body))])
    out[1] = "T"
    return out


class Bench:
    """Arguments, a scratch folder, the program, and the verdict."""

    def __init__(self, doc, names):
        parser = argparse.ArgumentParser(description=doc.splitlines()[0])
        parser.add_argument("names", nargs="*", help=" ".join(names))
        parser.add_argument("--attune", default=str(ROOT / ".build" / "release" / "attune"))
        parser.add_argument("--work", help="keep files here instead of in a temporary folder")
        arguments = parser.parse_args()
        unknown = [name for name in arguments.names if name not in names]
        if unknown:
            parser.error(f"unknown: {unknown}; known: {list(names)}")
        self.names = arguments.names or list(names)
        self.program = arguments.attune
        self.temporary = None if arguments.work else tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(arguments.work or self.temporary.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.failures = 0
        self.count = 0

    def run(self, *arguments, code=0):
        """Runs a verb; returns standard output and standard error."""
        result = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)
        if result.returncode != code:
            raise RuntimeError(
                f"attune {' '.join(map(str, arguments))}\nended with {result.returncode}, not {code}: {result.stderr[-600:]}"
            )
        return result.stdout, result.stderr

    def lines(self, *arguments):
        """Runs a verb with --json; returns its objects."""
        return [json.loads(line) for line in self.run(*arguments, "--json")[0].splitlines()]

    def write(self, name, rows):
        path = self.folder / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return path

    def check(self, passed, text):
        self.count += 1
        self.failures += not passed
        print(("ok    " if passed else "FAIL  ") + text, flush=True)

    def guard(self, name, body):
        """Runs a case; an exception is a failure of that case alone."""
        try:
            body()
        except Exception as error:  # noqa: BLE001
            self.check(False, f"{name}: {type(error).__name__}: {error}")

    def finish(self):
        verdict = "PASSED" if self.failures == 0 else "FAILED"
        print(f"{verdict}: {self.count - self.failures} of {self.count} cases")
        sys.exit(self.failures != 0)
