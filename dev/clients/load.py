"""Many mixed requests at once, a third of which leave, against a server that cannot keep up: only 200 and 429, free blocks back, memory
flat, and a stop that loses nothing.

usage: load.py MODEL [REQUESTS] [AT-ONCE]
"""

import asyncio
import collections
import json
import random
import sys
import time

from serving import Checks, Server, idle

check = Checks()
model = sys.argv[1]
total = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
at_once = int(sys.argv[3]) if len(sys.argv) > 3 else 200
words = "the quick brown fox jumps over a lazy dog while seven wizards pack my box".split()


def request(dice):
    """A path and a body of any kind."""
    text = " ".join(dice.choice(words) for _ in range(dice.choice([2, 10, 40, 150])))
    common = {"model": "tiny", "stream": dice.random() < 0.5}
    tokens = dice.choice([1, 4, 12, 40])
    kind = dice.randrange(8)
    if kind < 3:
        body = {**common, "messages": [{"role": "user", "content": text}], "max_tokens": tokens}
        if kind == 1:
            body["n"] = dice.choice([1, 2, 3])
        if kind == 2:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "a", "schema": {
                "type": "object", "properties": {"a": {"enum": [dice.randrange(50), "b"]}}, "required": ["a"],
                "additionalProperties": False}}}
        return "/v1/chat/completions", body
    if kind < 5:
        return "/v1/completions", {**common, "prompt": text, "max_tokens": tokens, "logprobs": dice.choice([None, 2]),
                                   "stop": [" the"], "echo": dice.random() < 0.3}
    if kind == 5:
        return "/v1/responses", {**common, "input": text, "max_output_tokens": tokens + 1}
    if kind == 6:
        return "/v1/embeddings", {"model": "tiny", "input": text}
    return "/tokenize", {"prompt": text}


async def ask(host, port, dice, statuses, leaves):
    path, body = request(dice)
    data = json.dumps(body).encode()
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        statuses["refused"] += 1
        return
    try:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        if leaves:
            await asyncio.sleep(dice.random() * 0.2)
            if dice.random() < 0.5:
                await asyncio.wait_for(reader.read(100), 60)
            statuses["left"] += 1
            return
        line = await asyncio.wait_for(reader.readline(), 120)
        status = int(line.split()[1])
        statuses[status] += 1
        length, chunked = 0, False
        while (line := await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            length = int(value) if name.lower() == "content-length" else length
            chunked = chunked or "chunked" in value
        if chunked:
            rest = await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 120)
            if path != "/v1/responses" and b"data: [DONE]" not in rest:
                statuses["cut"] += 1
            if b'"error":{' in rest:
                statuses["stream error"] += 1
        else:
            json.loads(await reader.readexactly(length))
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, IndexError) as error:
        statuses["left" if leaves else repr(error)] += 1
    finally:
        writer.close()


async def storm(host, port, count, seed, leaving=0.3):
    statuses = collections.Counter()
    places = asyncio.Semaphore(at_once)

    async def one(place):
        dice = random.Random(seed * 1_000_003 + place)
        async with places:
            await ask(host, port, dice, statuses, dice.random() < leaving)

    await asyncio.gather(*(one(place) for place in range(count)))
    return statuses


async def fill(host, port):
    """Writes to every block of the cache once: its memory is taken at the start but becomes resident as it is used."""
    dice, statuses = random.Random(3), collections.Counter()
    for _ in range(120):
        body = json.dumps({"model": "tiny", "prompt": [dice.randrange(3, 6000) for _ in range(1000)], "max_tokens": 1}).encode()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
                     + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        statuses[int((await asyncio.wait_for(reader.readline(), 120)).split()[1])] += 1
        await reader.read()
        writer.close()
    return statuses


def main():
    flags = ["--served-model-name", "tiny", "--quiet", "--max-num-seqs", "16", "--max-waiting-requests", "24",
             "--kv-cache-memory-bytes", "33554432", "--max-model-len", "1024"]
    with Server(model, *flags) as server:
        host, port = server.url.removeprefix("http://").split(":")
        filled = asyncio.run(fill(host, int(port)))
        check(set(filled) == {200}, f"prompts that fill the cache are answered: {dict(filled)}")
        warm = asyncio.run(storm(host, int(port), total // 5, seed=1))
        check(idle(server.url), "idle after the first part")
        before = server.resident()
        start = time.monotonic()
        statuses = warm + asyncio.run(storm(host, int(port), total - total // 5, seed=2))
        print(dict(statuses), f"{(total - total // 5) / (time.monotonic() - start):.0f} requests/s")
        check(set(statuses) <= {200, 429, "left"}, f"only 200, 429 and those who left: {dict(statuses)}")
        check(statuses[429] > 0, "there was overload")
        check(statuses[200] > total * 0.1, "requests were answered")
        check(idle(server.url), "all blocks are free again")
        after = server.resident()
        print(f"resident {before >> 20} MiB after the first fifth, {after >> 20} MiB at the end")
        check(after < before * 1.1, "memory is flat")
        sent = asyncio.run(stopping(server, host, int(port)))
        check(set(sent) <= {200, 429, 503, "refused"}, f"a stop loses no admitted request: {dict(sent)}")
        check(sent[200] > 0, "requests were running when the server was stopped")
        check(server.process.wait(60) == 0, "a stop is a success")
    return check.report()


async def stopping(server, host, port):
    """Requests under way when the signal comes; none leaves."""
    statuses = collections.Counter()
    asks = [asyncio.create_task(ask(host, port, random.Random(place), statuses, False)) for place in range(20)]
    await asyncio.sleep(0.05)
    server.process.terminate()
    await asyncio.gather(*asks)
    return statuses


if __name__ == "__main__":
    sys.exit(main())
