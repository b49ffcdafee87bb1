"""Makes conversations with tools of the Schema-Guided Dialogue dataset (CC BY-SA 4.0): recorded service calls become calls of
functions. Standard library only; seeded.

usage: dialogues.py REFERENCE OUT      (writes OUT/train.jsonl and OUT/test.jsonl; rows are {"messages", "tools"})

A row is a user's request, what was asked back and answered, one call, its result and the answer. One of ten rows is of another kind:
the request, agents it may be handed to, and the handoff, in the words of openai-agents. Kept are calls whose arguments stand in the
conversation, so that a model can know them.
"""

import collections
import gzip
import json
import pathlib
import random
import sys

SERVICES = {
    "Banks_1": "bank", "Banks_2": "bank", "Weather_1": "weather", "Travel_1": "sights", "RideSharing_1": "taxi",
    "RideSharing_2": "taxi", "Media_1": "film", "Movies_1": "cinema", "Restaurants_1": "restaurant",
    "Restaurants_2": "restaurant", "Hotels_1": "hotel", "Hotels_4": "hotel", "Homes_1": "flat", "Events_1": "event",
    "Music_1": "music", "Music_2": "music", "Services_1": "hairdresser", "Services_4": "therapist",
}
ROWS, TESTS, LONGEST = 1600, 120, 1500


def function(name, description, properties, required):
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False}}}


def tools(service):
    """The intents of a service as functions."""
    made = []
    for name, intent in service["intents"].items():
        properties = {}
        for slot in intent["required"] + list(intent["optional"]):
            values = service["slots"][slot].get("values")
            properties[slot] = {"type": "string", "description": service["slots"][slot]["description"]}
            if values and len(values) <= 6 and set(values) != {"True", "False"}:
                properties[slot]["enum"] = values
        made.append(function(name, intent["description"], properties, intent["required"]))
    return made


def handoff(topic):
    name = f"{topic} agent"
    return function(f"transfer_to_{topic}_agent", f"Handoff to the {name} agent to handle the request. ", {}, [])


def called(name, arguments):
    return {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": name, "arguments": arguments}}]}


def conversation(turns, schema):
    """The messages up to the answer after the first call and the service called; None where arguments cannot be known."""
    messages, said = [], ""
    for turn in turns:
        if turn["speaker"] == "user":
            messages.append({"role": "user", "content": turn["text"]})
        elif not turn.get("calls"):
            messages.append({"role": "assistant", "content": turn["text"]})
        else:
            call = turn["calls"][0]
            intent = schema[call["service"]]["intents"][call["method"]]
            known = {slot: value for slot, value in call["parameters"].items() if value.lower() in said.lower()}
            if not set(intent["required"]) <= set(known) or not call.get("first_result"):
                return None
            order = intent["required"] + list(intent["optional"])
            messages.append(called(call["method"], {slot: known[slot] for slot in order if slot in known}))
            result = {slot: value for slot, value in list(call["first_result"].items())[:6] if slot not in known}
            messages.append({"role": "tool", "content": json.dumps(result, ensure_ascii=False)})
            messages.append({"role": "assistant", "content": turn["text"]})
            return messages, call["service"]
        said += turn["text"] + "\n"
    return None


def rows(dialogues, schema, dice):
    topics = sorted(set(SERVICES.values()))
    for dialogue in dialogues:
        made = conversation(dialogue["turns"], schema)
        if not made or made[1] not in SERVICES:
            continue
        messages, service = made
        topic = SERVICES[service]
        if dice.random() < 0.1:
            offered = dice.sample([other for other in topics if other != topic], dice.choice([1, 1, 2])) + [topic]
            dice.shuffle(offered)
            messages = [messages[0], called(f"transfer_to_{topic}_agent", {})]
            offered = [handoff(other) for other in offered]
        else:
            offered = tools(schema[service])
            if dice.random() < 0.4:
                used = messages[-3]["tool_calls"][0]["function"]["name"]
                offered = [tool for tool in offered if tool["function"]["name"] == used]
        if dice.random() < 0.3:
            messages = [{"role": "system", "content": f"You help with {topic} requests."}] + messages
        row = {"messages": messages, "tools": offered}
        if len(json.dumps(row)) <= LONGEST:
            yield row


def called_in(row):
    return next(m["tool_calls"][0]["function"]["name"] for m in row["messages"] if "tool_calls" in m)


def chosen(rows, limit):
    """The first rows, of which no function has more than an eighth."""
    made, counts = [], collections.Counter()
    for row in rows:
        name = called_in(row)
        if counts[name] < limit // 8:
            counts[name] += 1
            made.append(row)
        if len(made) == limit:
            break
    return made


def main():
    source, out = pathlib.Path(sys.argv[1]) / "data/dialogues", pathlib.Path(sys.argv[2])
    schema = json.loads((source / "sgd_schema.json").read_bytes())
    with gzip.open(source / "sgd.jsonl.gz", "rb") as file:
        dialogues = [json.loads(line) for line in file]
    dice = random.Random(11)
    dice.shuffle(dialogues)
    out.mkdir(parents=True, exist_ok=True)
    # A service's test dialogues share its schema with the training ones, the sentences are others.
    parts = {"test": dialogues[: len(dialogues) // 10], "train": dialogues[len(dialogues) // 10:]}
    for name, limit in (("train", ROWS), ("test", TESTS)):
        made = chosen(rows(parts[name], schema, dice), limit)
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))
        print(f"{out / name}.jsonl: {len(made)} rows")


if __name__ == "__main__":
    main()
