"""TRL + PEFT (+ bitsandbytes), or transformers' Trainer for full fine-tuning: seconds of whole steps.

Rows are token ids, all of one length, so packing wastes nothing and nothing is tokenized while the clock runs.
"""

import argparse
import json
import os
import resource
import time

START = time.time()

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--method", choices=["lora", "qlora", "full"], required=True)
parser.add_argument("--dtype", choices=["bfloat16", "float32"], required=True)
parser.add_argument("--rows", type=int, required=True)
parser.add_argument("--length", type=int, required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--work", required=True)
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from peft import LoraConfig  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

torch.set_num_threads(options.threads)
dtype = getattr(torch, options.dtype)
extra = {}
if options.method == "qlora":
    extra["quantization_config"] = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype)
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, **extra)
tokenizer = AutoTokenizer.from_pretrained(options.model)
generator = torch.Generator().manual_seed(3)
count = options.rows * (options.steps + 1)
ids = torch.randint(2, model.config.vocab_size, (count, options.length), generator=generator).tolist()
durations = []


class Clock(TrainerCallback):
    def on_step_begin(self, *_, **__):
        self.begun = time.time()

    def on_step_end(self, *_, **__):
        durations.append(time.time() - self.begun)
        if len(durations) == 1:
            self.first = time.time() - START


clock = Clock()
lora = None
if options.method != "full":
    lora = LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
trainer = SFTTrainer(
    model=model, processing_class=tokenizer, peft_config=lora, callbacks=[clock],
    train_dataset=Dataset.from_dict({"input_ids": ids}),
    args=SFTConfig(
        output_dir=os.path.join(options.work, "trl"), per_device_train_batch_size=options.rows,
        max_steps=options.steps + 1, max_length=options.length, learning_rate=1e-4, use_cpu=True,
        bf16=options.dtype == "bfloat16", gradient_checkpointing=False, save_strategy="no", report_to=[],
        logging_steps=1000, dataloader_num_workers=0, disable_tqdm=True))
trainer.train()
measured = sorted(durations[1:])
print("RESULT " + json.dumps({
    "tokens_per_second": options.rows * options.length / measured[len(measured) // 2],
    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "first_step_seconds": clock.first,
}))
