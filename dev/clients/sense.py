"""Whether calls make sense: held-out dialogues (dialogues.py) asked of a model tuned on others, through openai (whole, streamed, both
APIs) and openai-agents with the recorded results.

usage: sense.py MODEL TEST.jsonl
"""

import asyncio
import json
import sys

import agents
import agents.extensions.handoff_filters
import openai
from serving import Checks, Server

check = Checks()
model, file = sys.argv[1], sys.argv[2]
name = "tools"
rows = [json.loads(line) for line in open(file, encoding="utf-8")]


def parts(row):
    """Messages before the call, the call, and the recorded result."""
    place = next(place for place, message in enumerate(row["messages"]) if "tool_calls" in message)
    result = row["messages"][place + 1]["content"] if place + 1 < len(row["messages"]) else None
    return row["messages"][:place], row["messages"][place]["tool_calls"][0]["function"], result


def is_handoff(row):
    return row["tools"][0]["function"]["name"].startswith("transfer_to_")


def share(count, all, floor, what):
    check(count >= floor * all, f"{what}: {count} of {all}, fewer than {floor:.0%}")
    print(f"{what}: {count} of {all}")


def calls(client):
    """The model decides (`auto`): is it the recorded call?"""
    called = named = right = grounded = streamed = cut = 0
    for row in rows:
        before, call, _ = parts(row)
        request = dict(model=name, messages=before, tools=row["tools"], temperature=0, max_tokens=100)
        choice = client.chat.completions.create(**request).choices[0]
        # A call that runs into max_tokens is cut anywhere in its arguments, as OpenAI's are; it says so.
        is_cut = choice.finish_reason == "length"
        cut += is_cut
        if choice.message.tool_calls and not is_cut:
            function = choice.message.tool_calls[0].function
            arguments = json.loads(function.arguments)
            check(choice.finish_reason == "tool_calls", "the reason of a call")
            schema = next(t["function"] for t in row["tools"] if t["function"]["name"] == function.name)["parameters"]
            check(set(schema["required"]) <= set(arguments) <= set(schema["properties"]), "arguments fit the schema")
            called += 1
            named += function.name == call["name"]
            right += function.name == call["name"] and arguments == call["arguments"]
            said = " ".join(message["content"] for message in before).lower()
            grounded += all(
                str(value).lower() in said or "enum" in schema["properties"][key] for key, value in arguments.items())
        with client.chat.completions.stream(**request) as stream:
            for _ in stream:
                pass
            try:
                final = stream.get_final_completion().choices[0].message
            except openai.LengthFinishReasonError as error:
                final = error.completion.choices[0].message
        same = [(c.function.name, c.function.arguments) for c in final.tool_calls or []] == \
            [(c.function.name, c.function.arguments) for c in choice.message.tool_calls or []]
        streamed += same and (final.content or "") == (choice.message.content or "")
    share(streamed, len(rows), 1, "streamed answers equal the whole ones")
    share(called, len(rows), 0.8, f"held-out requests answered with a whole call ({cut} answers cut)")
    share(named, len(rows), 0.7, "calls of the recorded function")
    share(grounded, len(rows), 0.3, "calls whose arguments were said")
    share(right, len(rows), 0.25, "calls with exactly the recorded arguments")


def responses(client):
    """The other API gives the same calls."""
    same = 0
    some = rows[:30]
    for row in some:
        before, _, _ = parts(row)
        chat = client.chat.completions.create(
            model=name, messages=before, tools=row["tools"], temperature=0, max_tokens=100).choices[0].message
        flat = [{"type": "function", "strict": False, **tool["function"]} for tool in row["tools"]]
        answer = client.responses.create(model=name, input=before, tools=flat, temperature=0, max_output_tokens=100)
        found = [(item.name, item.arguments) for item in answer.output if item.type == "function_call"]
        same += found == [(c.function.name, c.function.arguments) for c in chat.tool_calls or []]
    share(same, len(some), 1, "responses calls what chat calls")


def tool(function, asked, result):
    async def invoke(_, arguments):
        asked.append((function["name"], json.loads(arguments)))
        return result

    return agents.FunctionTool(
        name=function["name"], description=function["description"], params_json_schema=function["parameters"],
        on_invoke_tool=invoke, strict_json_schema=False)


async def loop(client, kind):
    """An agent with the recorded functions: it calls, reads the result and answers in words."""
    spoken = (agents.OpenAIResponsesModel if kind == "responses" else agents.OpenAIChatCompletionsModel)(
        model=name, openai_client=client)
    settings = agents.ModelSettings(temperature=0, max_tokens=100)
    done = right = 0
    some = [row for row in rows if not is_handoff(row) and parts(row)[0][-1]["role"] == "user"][:30]
    for row in some:
        before, call, result = parts(row)
        asked = []
        agent = agents.Agent(
            name="helper", model=spoken, model_settings=settings,
            tools=[tool(entry["function"], asked, result) for entry in row["tools"]])
        try:
            answer = await agents.Runner.run(agent, before, max_turns=4)
        except (agents.MaxTurnsExceeded, agents.ModelBehaviorError):  # the latter for an answer that is cut
            continue
        done += bool(asked) and bool(answer.final_output.strip())
        right += bool(asked) and asked[0][0] == call["name"]
    share(done, len(some), 0.7, f"agents, {kind}: called, read the result and answered")
    share(right, len(some), 0.7, f"agents, {kind}: the recorded function first")


async def handoffs(client, kind):
    """A triage agent hands the request to the agent it belongs to, which answers."""
    spoken = (agents.OpenAIResponsesModel if kind == "responses" else agents.OpenAIChatCompletionsModel)(
        model=name, openai_client=client)
    settings = agents.ModelSettings(temperature=0, max_tokens=200)
    right = 0
    some = [row for row in rows if is_handoff(row)]
    for row in some:
        before, call, _ = parts(row)
        topics = [entry["function"]["name"][len("transfer_to_"):].replace("_", " ") for entry in row["tools"]]
        others = [
            agents.handoff(
                agents.Agent(name=topic, model=spoken, model_settings=settings),
                input_filter=agents.extensions.handoff_filters.remove_all_tools) for topic in topics]
        triage = agents.Agent(name="triage", model=spoken, model_settings=settings, handoffs=others)
        answer = await agents.Runner.run(triage, before, max_turns=4)
        right += answer.last_agent.name == call["name"][len("transfer_to_"):].replace("_", " ")
    share(right, len(some), 0.6, f"agents, {kind}: handed to the right agent")


async def the_agents(url):
    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0, timeout=3600)
    for kind in ("chat", "responses"):
        await loop(client, kind)
        await handoffs(client, kind)
    await client.close()


def main():
    agents.set_tracing_disabled(True)
    with Server(model, "--served-model-name", name, "--quiet") as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0)
        calls(client)
        responses(client)
        asyncio.run(the_agents(server.url))
        check(server.stop() == 0, "a stop is a success")
    return check.report()


if __name__ == "__main__":
    sys.exit(main())
