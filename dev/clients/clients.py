"""The real clients against `attune serve`: openai (sync, async, streaming, .parse, tools), openai-agents in both API modes, and the
tutorial's own lines.

usage: clients.py MODEL      (make_model.py writes one with random weights; ATTUNE names the program)
"""

import asyncio
import enum
import json
import os
import pathlib
import shutil
import sys
import tempfile
import warnings

import agents
import openai
import pydantic
from serving import Checks, Server

warnings.filterwarnings("ignore")
check = Checks()
model = pathlib.Path(sys.argv[1]).resolve()


class Label(enum.Enum):
    spam = "spam"
    ham = "ham"


class Verdict(pydantic.BaseModel):
    label: Label
    sure: bool


weather = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Oslo"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
# Random weights find no end by themselves: five tokens, then the end.
ends = {"min_tokens": 5, "logit_bias": {"2": 100}}
hello = [{"role": "user", "content": "Hello there"}]


def the_tutorial(client):
    response = client.chat.completions.create(
        model="./merged_model",
        messages=[{"role": "user", "content": "Classify this support ticket: My package is lost"}],
        temperature=0.1,
    )
    check(isinstance(response.choices[0].message.content, str), "the tutorial's lines")


def chat(client):
    name = "./merged_model"
    check([entry.id for entry in client.models.list()] == [name], "models.list")
    whole = client.chat.completions.create(model=name, messages=hello, max_tokens=20, seed=3, temperature=1)
    check(whole.usage.completion_tokens <= 20 and whole.choices[0].finish_reason in ("length", "stop"), "chat")
    stream = client.chat.completions.create(
        model=name, messages=hello, max_tokens=20, seed=3, temperature=1, stream=True,
        stream_options={"include_usage": True})
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
    check(text == whole.choices[0].message.content, "streamed text equals whole text")
    check(usage == whole.usage, "streamed usage equals whole usage")
    logged = client.chat.completions.create(
        model=name, messages=hello, max_tokens=5, logprobs=True, top_logprobs=4, temperature=0)
    content = logged.choices[0].logprobs.content
    check(all(len(entry.top_logprobs) == 4 and entry.logprob <= 0 for entry in content), "logprobs")
    many = client.chat.completions.create(model=name, messages=hello, max_tokens=5, n=3)
    check([choice.index for choice in many.choices] == [0, 1, 2], "n")
    raw = client.chat.completions.with_raw_response.create(model=name, messages=hello, max_tokens=2)
    check(raw.headers["x-request-id"].startswith("req-") and raw.parse().choices, "raw responses")
    parsed = client.chat.completions.parse(
        model=name, messages=hello, response_format=Verdict, max_tokens=80, temperature=0)
    check(isinstance(parsed.choices[0].message.parsed, Verdict), ".parse")
    with client.chat.completions.stream(
        model=name, messages=hello, response_format=Verdict, max_tokens=80, temperature=0
    ) as events:
        for _ in events:
            pass
        check(isinstance(events.get_final_completion().choices[0].message.parsed, Verdict), "streamed .parse")


def tools(client):
    name = "./merged_model"
    common = dict(model=name, messages=hello, tools=[weather], max_tokens=100)
    whole = client.chat.completions.create(**common, tool_choice="required", parallel_tool_calls=False)
    call = whole.choices[0].message.tool_calls[0]
    check(json.loads(call.function.arguments)["city"] in ("Paris", "Oslo"), "tools")
    check(whole.choices[0].finish_reason == "tool_calls", "finish reason of calls")
    with client.chat.completions.stream(**common, tool_choice="required", parallel_tool_calls=False) as events:
        pieces = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
        final = events.get_final_completion()
    check(len(pieces) > 0, "argument deltas")
    check(final.choices[0].message.tool_calls[0].function.parsed_arguments["city"] in ("Paris", "Oslo"), "streamed tools")
    named = client.chat.completions.create(
        **common, tool_choice={"type": "function", "function": {"name": "get_weather"}})
    check(named.choices[0].message.tool_calls[0].function.name == "get_weather", "named tool")
    answered = client.chat.completions.create(
        model=name, tools=[weather], max_tokens=5,
        messages=hello + [whole.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "cold"}])
    check(answered.choices[0].message is not None, "a tool's result is taken back")
    free = client.chat.completions.create(**common)
    check(free.choices[0].finish_reason in ("stop", "length", "tool_calls"), "offered tools")


def the_rest(client):
    name = "./merged_model"
    text = client.completions.create(model=name, prompt="Once upon a time", max_tokens=5, echo=True, logprobs=2)
    check(text.choices[0].text.startswith("Once upon a time"), "completions")
    check(len(text.choices[0].logprobs.tokens) == text.usage.total_tokens, "completion logprobs")
    pieces = [chunk.choices[0].text for chunk in client.completions.create(
        model=name, prompt="Once", max_tokens=5, stream=True)]
    check(len(pieces) > 0, "streamed completions")
    vectors = client.embeddings.create(model=name, input=["a", "b"])
    check(len(vectors.data) == 2 and abs(sum(x * x for x in vectors.data[0].embedding) - 1) < 1e-3, "embeddings")


def responses(client):
    name = "./merged_model"
    whole = client.responses.create(model=name, input="Hello", max_output_tokens=20, instructions="Be brief")
    check(isinstance(whole.output_text, str) and whole.usage.output_tokens <= 20, "responses")
    with client.responses.stream(
        model=name, input="Hello", max_output_tokens=20, temperature=0, extra_body=ends
    ) as events:
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        final = events.get_final_response()
    check(text == final.output_text, "streamed responses")
    parsed = client.responses.parse(
        model=name, input="Hello", text_format=Verdict, max_output_tokens=80, temperature=0)
    check(isinstance(parsed.output_parsed, Verdict), "responses.parse")
    flat = {"type": "function", "name": "get_weather", "strict": True,
            "parameters": weather["function"]["parameters"]}
    called = client.responses.create(
        model=name, input="Hello", tools=[flat], tool_choice="required", max_output_tokens=100)
    call = next(item for item in called.output if item.type == "function_call")
    check(json.loads(call.arguments)["city"] in ("Paris", "Oslo"), "responses with tools")
    again = client.responses.create(
        model=name, max_output_tokens=5, tools=[flat],
        input=[{"role": "user", "content": "Hello"}, call.model_dump(exclude_none=True),
               {"type": "function_call_output", "call_id": call.call_id, "output": "cold"}])
    check(again.status in ("completed", "incomplete"), "a tool's output is taken back")


def errors(client, url):
    def failed(kind, name, call, **members):
        try:
            call()
        except kind as error:
            check(all(getattr(error, key) == value for key, value in members.items()), name)
        else:
            check(False, name)

    create = client.chat.completions.create
    name = "./merged_model"
    failed(openai.BadRequestError, "400", lambda: create(model=name, messages=hello, temperature=9), param="temperature")
    failed(openai.NotFoundError, "404", lambda: create(model="other", messages=hello), code="model_not_found")
    failed(openai.BadRequestError, "context", lambda: create(
        model=name, messages=[{"role": "user", "content": "word " * 20000}]), code="context_length_exceeded")
    wrong = openai.OpenAI(base_url=url + "/v1", api_key="wrong", max_retries=0)
    failed(openai.AuthenticationError, "401", wrong.models.list, code="invalid_api_key")


async def asynchronous(url, key):
    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key=key)
    name = "./merged_model"
    answers = await asyncio.gather(*(client.chat.completions.create(
        model=name, messages=hello, max_tokens=10, temperature=0) for _ in range(20)))
    check(len({answer.choices[0].message.content for answer in answers}) == 1, "async, twenty at once")
    stream = await client.chat.completions.create(model=name, messages=hello, max_tokens=500, stream=True)
    async for _ in stream:
        break
    await stream.close()
    check((await client.models.list()).data, "the server goes on after an abandoned stream")
    await client.close()


async def the_agents(url, key):
    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key=key)
    agents.set_tracing_disabled(True)
    name = "./merged_model"
    asked = []

    @agents.function_tool
    def get_weather(city: Label) -> str:
        """The weather of a city."""
        asked.append(city)
        return "cold"

    kinds = {
        "responses": agents.OpenAIResponsesModel(model=name, openai_client=client),
        "chat": agents.OpenAIChatCompletionsModel(model=name, openai_client=client),
    }
    short = agents.ModelSettings(max_tokens=60, temperature=0)
    ending = agents.ModelSettings(max_tokens=60, temperature=0, extra_body=ends)
    for kind, spoken in kinds.items():
        plain = agents.Agent(name="plain", model=spoken, model_settings=ending, instructions="Be brief")
        result = await agents.Runner.run(plain, "Hello")
        check(isinstance(result.final_output, str), f"agents, {kind}: an answer")
        result = agents.Runner.run_streamed(plain, "Hello")
        events = [event async for event in result.stream_events()]
        check(isinstance(result.final_output, str) and events, f"agents, {kind}: a stream")
        typed = agents.Agent(name="typed", model=spoken, model_settings=short, output_type=Verdict)
        result = await agents.Runner.run(typed, "Hello")
        check(isinstance(result.final_output, Verdict), f"agents, {kind}: structured output")
        result = agents.Runner.run_streamed(typed, "Hello")
        async for _ in result.stream_events():
            pass
        check(isinstance(result.final_output, Verdict), f"agents, {kind}: streamed structured output")
        for streamed in (False, True):
            asked.clear()
            helper = agents.Agent(
                name="helper", model=spoken, tools=[get_weather], tool_use_behavior="stop_on_first_tool",
                model_settings=agents.ModelSettings(max_tokens=100, tool_choice="required", temperature=0))
            if streamed:
                result = agents.Runner.run_streamed(helper, "Hello")
                async for _ in result.stream_events():
                    pass
            else:
                result = await agents.Runner.run(helper, "Hello")
            check(result.final_output == "cold" and asked, f"agents, {kind}: tools, streamed {streamed}")
            asked.clear()
            triage = agents.Agent(
                name="triage", model=spoken, handoffs=[plain],
                model_settings=agents.ModelSettings(max_tokens=100, tool_choice="required", temperature=0))
            if streamed:
                result = agents.Runner.run_streamed(triage, "Hello")
                async for _ in result.stream_events():
                    pass
            else:
                result = await agents.Runner.run(triage, "Hello")
            check(result.last_agent is plain, f"agents, {kind}: handoff, streamed {streamed}")
        # After the call its result goes back to the model, which answers.
        tired = agents.Agent(
            name="tired", model=spoken, tools=[get_weather],
            model_settings=agents.ModelSettings(
                max_tokens=100, tool_choice="required", temperature=0, parallel_tool_calls=False, extra_body=ends))
        result = await agents.Runner.run(tired, "Hello", max_turns=4)
        check(isinstance(result.final_output, str), f"agents, {kind}: a call and its answer")
    await client.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        # The tutorial serves and asks for ./merged_model.
        shutil.copytree(model, pathlib.Path(folder) / "merged_model")
        with Server("./merged_model", "--quiet", "--max-model-len", "256", cwd=folder) as server:
            client = openai.OpenAI(base_url=server.url + "/v1", api_key="unused")
            the_tutorial(client)
            check(server.stop() == 0, "a stop is a success")
        with Server("./merged_model", "--quiet", cwd=folder, env={"ATTUNE_API_KEY": "secret"}) as server:
            client = openai.OpenAI(base_url=server.url + "/v1", api_key="secret", max_retries=0)
            chat(client)
            tools(client)
            the_rest(client)
            responses(client)
            errors(client, server.url)
            asyncio.run(asynchronous(server.url, "secret"))
            asyncio.run(the_agents(server.url, "secret"))
            check(server.stop() == 0, "a stop is a success")
    return check.report()


if __name__ == "__main__":
    os.environ.setdefault("OPENAI_AGENTS_DISABLE_TRACING", "1")
    sys.exit(main())
