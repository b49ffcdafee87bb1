"""Makes the pocket model's pretraining corpus and tokenizer.

    python prepare.py REFERENCE OUT [MODEL_FOLDER]

REFERENCE is the folder of reference data (see its README), OUT receives `train.jsonl`, `eval.jsonl` and, for the last steps,
`finish.jsonl` with one `{"text": ...}` document a row, MODEL_FOLDER (default Models/pocket) holds `chat_template.jinja` and receives
`tokenizer.json` and `tokenizer_config.json`. Seeded: the same input gives the same files.
"""

import csv
import gzip
import hashlib
import json
import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import helpdesk

VOCABULARY = 6144
LONGEST = 510  # tokens of a document, so that it fits a row of 512 with its end token
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
MARKS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
EVALUATION_SHARE = 0.01
# A token that the documents hold less often than SELDOM comes in lists of words as often as that, beside so many documents.
SELDOM, FINISH_DOCUMENTS, LIST_WORDS = 40, 5000, 24
SHARES = {  # documents drawn from each source
    "desk": 17000, "plain": 8200, "tools": 4200, "coffee": 2500, "coffee_tools": 900, "bank_lists": 1, "sums": 1500,
}


def stable(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def jsonl(path: Path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        for line in file.read().split(b"\n"):
            if line:
                yield json.loads(line)


def to_json(value, **_):
    return json.dumps(value, ensure_ascii=False)


class Chat:
    """Renders conversations with the model's own template."""

    def __init__(self, template: str):
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = to_json
        self.template = environment.from_string(template)

    def render(self, messages, tools=None) -> str:
        return self.template.render(messages=messages, tools=tools)


def instruction_text(row: dict, form: str) -> str:
    """A row in the tutorial's form or in Stanford Alpaca's."""
    head = ""
    if form == "alpaca":
        head = "Below is an instruction that describes a task"
        head += ", paired with an input that provides further context" if row["input"] else ""
        head += ". Write a response that appropriately completes the request.\n\n"
    given = f"### Input:\n{row['input']}\n\n" if row["input"] else ""
    return f"{head}### Instruction:\n{row['instruction']}\n\n{given}### Response:\n{row['output']}"


def row_text(row: dict, chat: Chat, r: random.Random) -> str:
    """A help-desk row as a document: conversations as chats, instruction rows mostly in the tutorial's form."""
    if "text" in row:
        return row["text"]
    if "messages" in row:
        return chat.render(row["messages"], row.get("tools"))
    form = r.choices(["tutorial", "alpaca", "chat"], [70, 12, 18])[0]
    if form == "chat":
        asked = row["instruction"] + ("\n\n" + row["input"] if row["input"] else "")
        return chat.render([{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}])
    return instruction_text(row, form)


def tool(name: str, intent: dict, slots: dict) -> dict:
    """A service's intent as a function that a model may call."""
    wanted = list(intent["required"]) + list(intent["optional"])
    properties = {}
    for slot in wanted:
        entry = {"type": "string", "description": slots[slot]["description"]}
        values = slots[slot].get("values")
        if values and len(values) <= 6:
            entry["enum"] = values
        properties[slot] = entry
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": intent["description"],
            "parameters": {"type": "object", "properties": properties, "required": list(intent["required"])},
        },
    }


def tool_conversation(dialogue: dict, schema: dict, r: random.Random):
    """Messages of a dialogue with calls, and what makes the tools for its first messages.

    A call stands between the user's turn and the answer to it. Besides the functions that are called there is sometimes
    one that is not needed.
    """
    functions = {}
    for turn in dialogue["turns"]:
        for call in turn.get("calls", []):
            service = schema[call["service"]]
            functions[call["method"]] = tool(call["method"], service["intents"][call["method"]], service["slots"])
    service = schema[r.choice(dialogue["services"])]
    others = [name for name in service["intents"] if name not in functions]
    unneeded = r.choice(others) if others and r.random() < 0.3 else None
    if unneeded:
        functions[unneeded] = tool(unneeded, service["intents"][unneeded], service["slots"])
    order = sorted(functions, key=lambda name: stable(dialogue["id"] + name))

    def tools(messages):
        called = {c["function"]["name"] for m in messages for c in m.get("tool_calls", [])}
        return [functions[name] for name in order if name in called or name == unneeded] if called else None

    messages = []
    for turn in dialogue["turns"]:
        if turn["speaker"] == "user":
            messages.append({"role": "user", "content": turn["text"]})
            continue
        for call in turn.get("calls", []):
            function = {"name": call["method"], "arguments": call["parameters"]}
            messages.append({"role": "assistant", "content": "", "tool_calls": [{"function": function}]})
            first = call.get("first_result")
            answer = {"results": call["results_count"]}
            if first:
                shown = [key for key in first if key not in call["parameters"]][:6]
                answer["first"] = {key: first[key] for key in shown}
            messages.append({"role": "tool", "content": to_json(answer)})
        messages.append({"role": "assistant", "content": turn["text"]})
    return messages, tools


def coffee_conversation(dialogue: dict, with_calls: bool):
    """Messages of a coffee order; a call comes after the text of its turn."""
    messages = []
    for turn in dialogue["turns"]:
        messages.append({"role": turn["speaker"], "content": turn["text"]})
        for call in turn.get("calls", []) if with_calls else []:
            try:
                arguments = json.loads(call.get("request") or "{}")
                response = json.loads(call["response"])
            except (ValueError, KeyError, TypeError):
                return None
            if not isinstance(arguments, dict):
                return None
            function = {"name": call["name"], "arguments": arguments}
            messages.append({"role": "assistant", "content": "", "tool_calls": [{"function": function}]})
            messages.append({"role": "tool", "content": to_json(response)})
    return messages


COFFEE_TOOLS = {
    "get_menu_items": ("Search the menu", {"query": "What to look for"}),
    "add_order_item": ("Add an item to the order", {"menu_item_id": "Item", "quantity": "How many"}),
    "get_order_details": ("Show the order", {"order_id": "Order"}),
    "finish_order": ("Send the order to be made", {"order_id": "Order"}),
    "get_addons": ("Search what can be added to an item", {"query": "What to look for", "menu_item_id": "Item"}),
}


def coffee_tools(messages):
    called = {m["tool_calls"][0]["function"]["name"] for m in messages if "tool_calls" in m}
    if not called or not called <= set(COFFEE_TOOLS):
        return None
    return [
        {"type": "function", "function": {"name": name, "description": COFFEE_TOOLS[name][0], "parameters": {
            "type": "object",
            "properties": {key: {"type": "string", "description": text} for key, text in COFFEE_TOOLS[name][1].items()},
        }}}
        for name in sorted(called)
    ]


def bank_documents(path: Path, r: random.Random):
    """Banking77's training questions, without its labels: lists of questions with one meaning, and paraphrases."""
    groups = defaultdict(list)
    with open(path, newline="", encoding="utf-8") as file:
        for entry in csv.DictReader(file):
            groups[entry["category"]].append(" ".join(entry["text"].split()))
    for questions in groups.values():
        for _ in range(SHARES["bank_lists"]):
            r.shuffle(questions)
            for start in range(0, len(questions), 8):
                some = questions[start:start + 8]
                yield "Questions to a bank about the same thing:\n" + "".join(f"- {q}\n" for q in some)
        r.shuffle(questions)
        for first, second in zip(questions[::2], questions[1::2]):
            row = {"instruction": r.choice(["Say this in other words", "Rewrite this question to a bank",
                                            "Ask the same in a different way."]), "input": first, "output": second}
            yield instruction_text(row, "tutorial")


def cut(messages, fits):
    """The longest run of whole exchanges from the start that fits; ends with an assistant's text."""
    best = None
    for end in range(1, len(messages) + 1):
        last = messages[end - 1]
        if last["role"] == "assistant" and "tool_calls" not in last:
            if not fits(messages[:end]):
                break
            best = messages[:end]
    return best


def sources(reference: Path, chat: Chat, r: random.Random):
    """All candidate documents as (source, make): `make(fits)` returns the text or None."""
    data = reference / "data"
    schema = json.loads((data / "dialogues" / "sgd_schema.json").read_bytes())
    dialogues = list(jsonl(data / "dialogues" / "sgd.jsonl.gz"))
    r.shuffle(dialogues)
    for dialogue in dialogues[:SHARES["plain"]]:
        roles = {"user": "user", "system": "assistant"}
        messages = [{"role": roles[t["speaker"]], "content": t["text"]} for t in dialogue["turns"]]
        yield "SGD dialogues", conversation(messages, None, chat)
    with_calls = [d for d in dialogues[SHARES["plain"]:] if any("calls" in t for t in d["turns"])]
    for dialogue in with_calls[:SHARES["tools"]]:
        yield "SGD with calls", conversation(*tool_conversation(dialogue, schema, r), chat)
    orders = list(jsonl(data / "dialogues" / "tm4.jsonl.gz"))
    r.shuffle(orders)
    for order in orders[:SHARES["coffee"]]:
        yield "TM4 orders", conversation(coffee_conversation(order, False), None, chat)
    made = 0
    for order in orders[SHARES["coffee"]:] + orders[:SHARES["coffee"]]:
        messages = coffee_conversation(order, True)
        tools = messages and coffee_tools(messages)
        if tools and made < SHARES["coffee_tools"]:
            made += 1
            yield "TM4 with calls", conversation(messages, tools, chat)
    for text in bank_documents(data / "banking77" / "train.csv", r):
        yield "Banking77 questions", text
    sums = list(jsonl(data / "gsm8k" / "train.jsonl.gz"))
    r.shuffle(sums)
    for entry in sums[:SHARES["sums"]]:
        yield "GSM8K", instruction_text(entry, "tutorial")
    for entry in helpdesk.rows(SHARES["desk"], 20260131):
        yield "own help desk", row_text(entry, chat, r)


def conversation(messages, tools, chat: Chat):
    """The longest start of a conversation that fits; `tools` is None, a list, or makes the list for some messages."""
    def text(some):
        offered = tools(some) if callable(tools) else tools
        return None if callable(tools) and not offered else chat.render(some, offered)

    def make(fits):
        kept = cut(messages, lambda some: text(some) is None or fits(text(some)))
        return kept and text(kept)

    return make


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE with single digits, the pipeline of StarCoder's tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKS), special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    for mark in SPECIAL + MARKS:
        texts = [text.replace(mark, "\n") for text in texts]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in MARKS])
    assert tokenizer.get_vocab_size() == VOCABULARY
    return tokenizer


def word_lists(tokenizer: Tokenizer, texts: list[str], r: random.Random):
    """Lists of the texts' own words, capitalized, in quotes and in capitals, that hold the tokens the texts seldom hold.

    Merges leave hundreds of tokens that only stand in words as the texts do not write them: `voice` in `Invoice`. Left
    untrained, the rows of such tokens all become one, and no adapter can tell them apart afterwards.
    """
    counts, words = Counter(), Counter()
    for encoded, text in zip(tokenizer.encode_batch(texts), texts):
        counts.update(encoded.ids)
        words.update(word.lower() for word in re.findall("[A-Za-z]{3,}", text))
    holders = defaultdict(list)
    for word in sorted(words):
        for form in (" " + word.capitalize(), word, word.upper()):
            for token in set(tokenizer.encode(form, add_special_tokens=False).ids):
                if counts[token] < SELDOM:
                    holders[token].append(form)
    forms = [r.choice(holders[token]) for token in sorted(holders) for _ in range(SELDOM)]
    r.shuffle(forms)
    kinds = [
        ("Subjects:\n", "-{}\n", [form for form in forms if form[0] == " "]),
        ("Tags: ", '"{}", ', [form for form in forms if form.islower()]),
        ("", "{} / ", [form for form in forms if form.isupper()]),
    ]
    for head, item, some in kinds:
        for start in range(0, len(some), LIST_WORDS):
            yield (head + "".join(item.format(form) for form in some[start:start + LIST_WORDS])).rstrip(", /\n")
    without = sum(counts[token] < SELDOM and token not in holders for token in range(tokenizer.get_vocab_size()))
    print(f"{len(holders)} seldom tokens in lists of words, {without} in no word")


def save_tokenizer(tokenizer: Tokenizer, folder: Path):
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    added = {
        str(tokenizer.token_to_id(mark)): {
            "content": mark, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": mark in SPECIAL,
        }
        for mark in SPECIAL + MARKS
    }
    config = {
        "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": added,
        "bos_token": SPECIAL[0], "eos_token": SPECIAL[0], "pad_token": SPECIAL[3],
        "additional_special_tokens": SPECIAL[1:3],
        "clean_up_tokenization_spaces": False, "model_max_length": 1024, "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    reference, out = Path(sys.argv[1]), Path(sys.argv[2])
    folder = Path(sys.argv[3] if len(sys.argv) > 3 else "Models/pocket")
    out.mkdir(parents=True, exist_ok=True)
    r = random.Random(1)
    chat = Chat((folder / "chat_template.jinja").read_text())
    made = list(sources(reference, chat, r))

    # Characters stand in for tokens until there is a tokenizer.
    rough = [make(lambda text: len(text) <= 1800) if callable(make) else make for _, make in made]
    tokenizer = train_tokenizer([text for text in rough if text])
    save_tokenizer(tokenizer, folder)

    def fits(text):
        return len(tokenizer.encode(text, add_special_tokens=False).ids) <= LONGEST

    documents, counts = [], defaultdict(lambda: [0, 0, 0])
    for source, make in made:
        text = make(fits) if callable(make) else make
        if not text:
            counts[source][2] += 1
            continue
        length = len(tokenizer.encode(text, add_special_tokens=False).ids) + 1
        if length > LONGEST + 1:
            counts[source][2] += 1
            continue
        counts[source][0] += 1
        counts[source][1] += length
        documents.append(text)
    r.shuffle(documents)
    held_out = int(len(documents) * EVALUATION_SHARE)
    parts = {"eval": documents[:held_out], "train": documents[held_out:]}
    parts["finish"] = r.sample(parts["train"], FINISH_DOCUMENTS) + list(word_lists(tokenizer, parts["train"], r))
    for name, part in parts.items():
        with open(out / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for text in part:
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    for source, (count, tokens, dropped) in counts.items():
        print(f"{source:22} {count:7} documents {tokens:9} tokens {tokens / max(count, 1):6.0f} each {dropped:5} left out")
    total = sum(c[1] for c in counts.values())
    print(f"{'all':22} {len(documents):7} documents {total:9} tokens; {held_out} for evaluation")


if __name__ == "__main__":
    main()
