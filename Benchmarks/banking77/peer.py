"""One side of compare.py: transformers' Trainer, PEFT for adapters, bitsandbytes for four bits."""

import argparse
import json
import pathlib
import time

import torch
import yaml
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

HERE = pathlib.Path(__file__).parent


def prompt_of(row):
    return f"### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:\n"


def encode(tokenizer, row):
    """The text as it is trained: tokens that begin in the answer, and the end token, have labels."""
    prompt = prompt_of(row)
    encoding = tokenizer(prompt + row["output"], return_offsets_mapping=True, add_special_tokens=False)
    ids = encoding["input_ids"] + [tokenizer.eos_token_id]
    trained = [start >= len(prompt) for start, _ in encoding["offset_mapping"]] + [True]
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "labels": [token if learn else -100 for token, learn in zip(ids, trained)],
    }


def answers(model, tokenizer, rows, batch=64):
    tokenizer.padding_side = "left"
    model.eval()
    for start in range(0, len(rows), batch):
        inputs = tokenizer([prompt_of(row) for row in rows[start : start + batch]], padding=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            ids = model.generate(
                **inputs, max_new_tokens=32, do_sample=False, pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        yield from tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", choices=["lora", "qlora", "full"], required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--train-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = yaml.safe_load((HERE / "recipe.yaml").read_text())
    started, before = time.monotonic(), time.process_time()

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    quantization = None
    if options.method == "qlora":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type=recipe["bnb_4bit_quant_type"],
            bnb_4bit_use_double_quant=recipe["bnb_4bit_use_double_quant"], bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = AutoModelForCausalLM.from_pretrained(
        options.model, dtype=torch.bfloat16, quantization_config=quantization,
    )
    if options.method != "full":
        from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

        if options.method == "qlora":
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        model = get_peft_model(
            model,
            LoraConfig(
                r=recipe["r"], lora_alpha=recipe["lora_alpha"], lora_dropout=recipe["lora_dropout"],
                target_modules=recipe["target_modules"], bias=recipe["bias"], task_type="CAUSAL_LM",
            ),
        )
    rows = [encode(tokenizer, json.loads(line)) for line in open(options.train)]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir="peer-output", seed=recipe["seed"], bf16=True, use_cpu=True,
            num_train_epochs=options.epochs or recipe["num_train_epochs"],
            per_device_train_batch_size=recipe["per_device_train_batch_size"],
            gradient_accumulation_steps=recipe["gradient_accumulation_steps"], learning_rate=options.learning_rate,
            lr_scheduler_type=recipe["lr_scheduler_type"], warmup_steps=recipe["warmup_ratio"],
            weight_decay=recipe["weight_decay"], max_grad_norm=recipe["max_grad_norm"], optim=recipe["optim"],
            logging_steps=recipe["logging_steps"], save_strategy="no", report_to="none", dataloader_num_workers=0,
        ),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
    )
    trainer.train()
    result = {"seconds": time.monotonic() - started, "processor_seconds": time.process_time() - before}
    if options.train_only:
        print(json.dumps({"accuracy": None, **result, "examples": 0}))
        return

    test = [json.loads(line) for line in open(options.test)]
    right = sum(got.strip() == row["output"] for got, row in zip(answers(model, tokenizer, test), test))
    print(json.dumps({"accuracy": right / len(test), **result, "examples": len(test)}))


if __name__ == "__main__":
    main()
