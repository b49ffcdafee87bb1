"""Bodies of every route with wrong parts, damaged bytes, and what is no HTTP at all: no answer is a 5xx, the server lives on, and no
block stays held. Standard library only; seeded.

usage: fuzz.py MODEL [ROUNDS] [SEED]
"""

import collections
import copy
import http.client
import json
import random
import socket
import sys

from serving import Checks, Server, idle

check = Checks()
model = sys.argv[1]
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
dice = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
schema = {"type": "object", "properties": {"a": {"enum": [1, "b"]}, "c": {"type": "array", "items": {"type": "integer"}, "maxItems": 3}},
          "required": ["a"], "additionalProperties": False}
function = {"name": "f", "description": "d", "parameters": schema}
bodies = {
    "/v1/chat/completions": {
        "model": "m", "messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "x"}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "y"}],
        "max_tokens": 2, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "n": 1, "seed": 3, "stop": ["a"],
        "logit_bias": {"5": 1}, "logprobs": True, "top_logprobs": 2, "presence_penalty": 0.1, "frequency_penalty": 0.1,
        "repetition_penalty": 1.1, "stream": False, "tools": [{"type": "function", "function": function}],
        "tool_choice": "auto", "parallel_tool_calls": False, "chat_template_kwargs": {"enable_thinking": True}},
    "/v1/completions": {
        "model": "m", "prompt": ["x", "y"], "max_tokens": 2, "echo": True, "logprobs": 1, "best_of": 1, "min_tokens": 1,
        "stop_token_ids": [7], "guided_choice": ["aa", "b"], "stream": True, "stream_options": {"include_usage": True}},
    "/v1/responses": {
        "model": "m", "input": [{"role": "user", "content": "x"}, {"type": "function_call", "call_id": "c", "name": "f",
                                "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "z"}],
        "instructions": "i", "max_output_tokens": 2, "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}},
        "tools": [{"type": "function", **function}], "tool_choice": "none", "include": ["message.output_text.logprobs"]},
    "/v1/embeddings": {"model": "m", "input": ["x", [5, 6]], "encoding_format": "base64"},
    "/tokenize": {"model": "m", "messages": [{"role": "user", "content": "x"}], "add_generation_prompt": True},
    "/detokenize": {"model": "m", "tokens": [1, 2, 3]},
}
wrong = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -2**63 - 1, 1e-320, 1e308, 0.5, "", "x", "\0", "\ud800", "é" * 200,
    "x" * 5000, [], {}, [[]], [None], {"type": "object"}, {"a": {"b": {}}}, {"$ref": "#"}, "(((", "a{1,99999}", "<|im_end|>", "../../etc",
]
noise = [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\nxxxxxxx",
    b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n{}\r\n0\r\n\r\n",
    b"GET /health HTTP/1.1\r\nhost: x\r\n bad: folded\r\n\r\n", b"GET /health HTTP/1.1\r\nho st: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    bytes(range(256)) * 20, b"GET /%00 HTTP/1.1\r\nhost: x\r\n\r\n", "GET /é HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
]


def places(value, path=()):
    """Where a value can be changed."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield path + (key,)
        yield from places(member, path + (key,))


def mutated(body):
    body = copy.deepcopy(body)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        path = dice.choice(list(places(body)))
        holder = body
        for key in path[:-1]:
            holder = holder[key]
        action = dice.randrange(4)
        if action == 0:
            del holder[path[-1]]
        elif action == 1 and isinstance(holder, list):
            holder.extend(copy.deepcopy(holder))
        else:
            holder[path[-1]] = copy.deepcopy(dice.choice(wrong))
        if not list(places(body)):
            break
    data = json.dumps(body).encode()
    if dice.random() < 0.25:
        bytes_ = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            place = dice.randrange(len(bytes_))
            bytes_[place:place + dice.randrange(4)] = bytes(dice.randrange(256) for _ in range(dice.randrange(4)))
        data = bytes(bytes_) or b"{"
    return data


def main():
    statuses = collections.Counter()
    with Server(model, "--served-model-name", "m", "--quiet", "--max-model-len", "512") as server:
        host, port = server.url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=120)
        for place in range(rounds):
            path = dice.choice(list(bodies))
            data = mutated(bodies[path])
            connection.request("POST", path, data, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            statuses[answer.status] += 1
            bad = answer.status >= 500 or b'"server_error"' in text or answer.status == 400 and b'"error"' not in text
            check(not bad, f"{path} {data[:300]!r}: {answer.status} {text[:200]!r}")
            if place % 100 == 0:
                with socket.create_connection((host, int(port)), timeout=10) as raw:
                    raw.sendall(dice.choice(noise))
                    raw.shutdown(socket.SHUT_WR)
                    line = raw.makefile("rb").readline()
                    check(not line.startswith(b"HTTP/1.1 5") or b" 505 " in line, f"no HTTP: {line!r}")
        for message in noise:
            with socket.create_connection((host, int(port)), timeout=60) as raw:
                raw.sendall(message)
                raw.shutdown(socket.SHUT_WR)
                line = raw.makefile("rb").readline()
                statuses["no HTTP: " + (line.split()[1].decode() if line.startswith(b"HTTP/") else "closed")] += 1
                check(not line.startswith(b"HTTP/1.1 5") or b" 505 " in line, f"{message[:60]!r}: {line!r}")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.request("GET", "/health")
        check(connection.getresponse().status == 200, "the server lives on")
        check(idle(server.url), "all blocks are free")
        check(statuses[200] > rounds * 0.02 and statuses[400] > rounds * 0.3, "some requests are right, many are not")
        check(server.stop() == 0, "a stop is a success")
    print(dict(statuses))
    return check.report()


if __name__ == "__main__":
    sys.exit(main())
