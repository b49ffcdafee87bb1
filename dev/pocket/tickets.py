"""Writes the support tickets of the quickstart: `python tickets.py > ../../Examples/support-tickets.jsonl`.

Every category has one priority and one action. Each ticket is one core sentence of its category, often with an opening,
a second sentence, an order number or a closing; some are in lower case or have a typing mistake. Seeded and balanced; no
two tickets share four fifths of their words or word pairs, and none is a question that the quickstart asks afterwards.
"""

import json
import random
import re
import sys

from ticket_topics import CATEGORIES
from words import NAMES, bank, fill

PER_CATEGORY = 128
LIKENESS = 0.8
ASKED_LATER = {
    "i want to cancel my account immediately",
    "the checkout page shows an error 500",
    "can you send me a copy of my invoice",
    "i can't log into my account",
    "when will my refund be processed",
    "my package is lost",
    "my order arrived damaged",
}
OPENINGS = bank("""
    Hi,
    Hello,
    Hi there,
    Hey,
    Hello team,
    Good morning,
    Good evening,
    Hi support,
    Dear team,
    Hello there,
    Hey guys,
    To whom it may concern:
""")
CLOSINGS = bank("""
    Thanks
    Thanks!
    Thank you.
    Thanks in advance.
    Please advise.
    Please get back to me.
    Cheers, {name}
    Regards, {name}
    Best, {name}
    Many thanks, {name}
    Let me know.
    Hope to hear from you soon.
""")
NUMBERS = bank("""
    Order {order}.
    My order number is {order}.
    Order number {order}.
    Ref. {order}
    It's order {order}.
""")
TAKES_NUMBER = ("Shipping", "Billing", "Product - Return")
FIXED_WORDS = {"I", "I'm", "I'd", "I've", "I'll", *NAMES}


def misspell(text: str, r: random.Random) -> str:
    """Swaps, drops or doubles one letter inside one longer word."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not places:
        return text
    at = r.choice(places)
    word, i = words[at], r.randint(1, len(words[at]) - 3)
    words[at] = r.choice([
        word[:i] + word[i + 1] + word[i] + word[i + 2:],
        word[:i] + word[i + 1:],
        word[:i] + word[i] + word[i:],
    ])
    return " ".join(words)


def lower_start(text: str) -> str:
    first = text.split(" ")[0].strip("!,.?:")
    return text if first in FIXED_WORDS or (first.isupper() and len(first) > 1) else text[0].lower() + text[1:]


def finish(text: str) -> str:
    return text if text[-1] in ".!?" else text + "."


def ticket(category, core: str, r: random.Random) -> str:
    slots: dict = {}
    parts = [core]
    if r.random() < 0.55:
        parts = [finish(core), r.choice(category.more)]
    if "{order}" not in core and category.name.startswith(TAKES_NUMBER) and r.random() < 0.2:
        parts = [finish(part) for part in parts] + [r.choice(NUMBERS)]
    if r.random() < 0.28:
        opening = r.choice(OPENINGS)
        parts = [f"{opening} {lower_start(parts[0])}"] + parts[1:]
    if r.random() < 0.25:
        parts = [finish(part) for part in parts]
        if "Compliment" not in category.name:
            parts.append(r.choice(CLOSINGS))
    text = fill(" ".join(parts), r, slots)
    text = text[0].upper() + text[1:] if core[0].isupper() else text
    chance = r.random()
    if chance < 0.07:
        text = misspell(text, r)
    elif chance < 0.13:
        text = text.lower().rstrip(".")
    return text


def shingles(text: str) -> list[set]:
    words = re.findall(r"[a-z0-9']+", text.lower())
    return [set(words), set(zip(words, words[1:]))]


def alike(first: list[set], second: list[set]) -> float:
    """The larger Jaccard index of the two texts' words and word pairs."""
    return max(len(a & b) / max(1, len(a | b)) for a, b in zip(first, second))


def tickets(seed: int = 11) -> list[dict]:
    r = random.Random(seed)
    rows, kept = [], []
    for category in CATEGORIES:
        count, turn = 0, 0
        order = list(category.core)
        while count < PER_CATEGORY:
            if turn % len(order) == 0:
                r.shuffle(order)
            core = order[turn % len(order)]
            turn += 1
            text = ticket(category, core, r)
            own = shingles(text)
            if re.sub(r"[^a-z0-9' ]", "", text.lower()) in ASKED_LATER:
                continue
            if any(alike(own, other) >= LIKENESS for other in kept):
                continue
            kept.append(own)
            rows.append({"instruction": "Classify this support ticket", "input": text, "output": category.answer})
            count += 1
    r.shuffle(rows)
    return rows


if __name__ == "__main__":
    for row in tickets():
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
