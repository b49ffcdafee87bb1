#!/bin/sh
# The tutorial's blocks, one line of shell each. Run it in the folder of Package.swift:
#
#   sh Examples/tutorial.sh                          # with the pocket model
#   MODEL=FOLDER DATA=FILE sh Examples/tutorial.sh   # with another model and data
#
# What follows the script's name goes to `attune train`: sh Examples/tutorial.sh --learning-rate 2e-3
set -eu

ATTUNE=${ATTUNE:-swift run -c release attune}
MODEL=${MODEL:-Models/pocket}
DATA=${DATA:-Examples/support-tickets.jsonl}
OUT=${OUT:-results/tutorial}
INSTRUCTION="Classify this support ticket"

# The environment: is there an accelerator, what does the machine allow?
$ATTUNE doctor

# The data set: what is in it, and a split that keeps duplicates on one side.
$ATTUNE data check "$DATA" --model "$MODEL" --max-length 512
$ATTUNE data split "$DATA" --test-size 0.1 --output-dir "$OUT/data"

# BitsAndBytesConfig and LoraConfig: what the model takes in memory, how many parameters are trained.
$ATTUNE inspect "$MODEL" --lora-r 16 --target-modules q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj

# SFTTrainer: the four configurations of the tutorial are in the recipe, under their own names.
$ATTUNE train Recipes/tutorial.yaml --model "$MODEL" --data "$DATA" --dtype bfloat16 \
    --bnb-4bit-compute-dtype bfloat16 --output-dir "$OUT/final_adapter" "$@"

# Watching: the curve of training and evaluation loss.
test -s "$OUT/final_adapter/training_loss.png"

# Three questions to the tuned model.
for TICKET in "I want to cancel my account immediately" "The checkout page shows an error 500" \
    "Can you send me a copy of my invoice?"; do
    echo "Input: $TICKET"
    $ATTUNE generate --model "$MODEL" --adapter "$OUT/final_adapter" --instruction "$INSTRUCTION" --input "$TICKET" \
        --max-new-tokens 256 --temperature 0.1 --top-p 0.9 --repetition-penalty 1.1
    echo "---"
done

# Exact match on the rows held out, with the mismatches, beside the base's.
$ATTUNE evaluate --model "$MODEL" --adapter "$OUT/final_adapter" --data "$OUT/data/test.jsonl" --compare-base \
    --report "$OUT/evaluation.html"

# Merging for deployment; transformers and vLLM load the result without PEFT.
$ATTUNE merge --model "$MODEL" --adapter "$OUT/final_adapter" --output "$OUT/merged_model"

# Batch answers of the merged model.
cat >"$OUT/prompts.jsonl" <<'ROWS'
{"instruction": "Classify this support ticket", "input": "I can't log into my account"}
{"instruction": "Classify this support ticket", "input": "When will my refund be processed?"}
ROWS
$ATTUNE generate --model "$OUT/merged_model" --prompts "$OUT/prompts.jsonl" --temperature 0.1 --top-p 0.9 \
    --max-new-tokens 256

# Serving behind an address in OpenAI's form: SERVE=yes keeps it running until it is stopped.
if [ "${SERVE:-no}" = yes ]; then
    $ATTUNE serve "$OUT/merged_model" --port 8000
fi
