"""TRL + PEFT (+ bitsandbytes), or transformers' Trainer for full fine-tuning: a line when a step is done.

Without --data rows are random token ids, all of one length, so packing wastes nothing and nothing is tokenized.
"""

import argparse
import json
import os
import resource

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--method", choices=["lora", "qlora", "full"], required=True)
parser.add_argument("--dtype", choices=["bfloat16", "float32"], required=True)
parser.add_argument("--data", help="rows of prompt and completion; the completion is trained")
parser.add_argument("--packing", action="store_true", help="whole rows share sequences of --length tokens")
parser.add_argument("--rows", type=int, required=True, help="sequences a batch")
parser.add_argument("--accumulation", type=int, default=1, help="batches a step")
parser.add_argument("--length", type=int, required=True)
parser.add_argument("--steps", type=int, required=True, help="steps after one that warms up")
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
if options.data:
    with open(options.data) as file:
        rows = Dataset.from_list([json.loads(line) for line in file])
else:
    generator = torch.Generator().manual_seed(3)
    count = options.rows * options.accumulation * (options.steps + 1)
    ids = torch.randint(2, model.config.vocab_size, (count, options.length), generator=generator)
    rows = Dataset.from_dict({"input_ids": ids.tolist()})


class Trainer(SFTTrainer):
    tokens = 0

    def training_step(self, model, inputs, *rest):
        # Padding does not count. A packed batch has none, and no mask.
        mask = inputs.get("attention_mask")
        self.tokens += int(inputs["input_ids"].numel() if mask is None else mask.sum())
        return super().training_step(model, inputs, *rest)


class Steps(TrainerCallback):
    def on_step_end(self, *_, **__):
        print("RESULT " + json.dumps({"event": "step", "num_input_tokens_seen": trainer.tokens}), flush=True)


lora = None
if options.method != "full":
    lora = LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
trainer = Trainer(
    model=model, processing_class=tokenizer, peft_config=lora, callbacks=[Steps()], train_dataset=rows,
    args=SFTConfig(
        output_dir=os.path.join(options.work, "trl"), per_device_train_batch_size=options.rows,
        gradient_accumulation_steps=options.accumulation, max_steps=options.steps + 1, max_length=options.length,
        packing=options.packing, learning_rate=1e-4, use_cpu=True, bf16=options.dtype == "bfloat16",
        gradient_checkpointing=False, save_strategy="no", report_to=[], logging_steps=1000, dataloader_num_workers=0,
        disable_tqdm=True))
trainer.train()
print("RESULT " + json.dumps({"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
