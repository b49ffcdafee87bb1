"""How long clients of `attune serve` wait: time to the first token under load, and the longest pause of running streams when long
prompts arrive, beside the time of one chunk of prefill. Standard library only; there is no peer in it.

usage: latency.py [--model FOLDER] [--streams 16] [--long 2048] [--seconds 20] [--chunk 512] [--json FILE]

Without a model it is SmolLM2-135M's shape with random weights. All prompts are random token ids, so nothing is found in the cache; all
requests are greedy streams that never end early.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import tempfile
import threading
import time

root = pathlib.Path(__file__).resolve().parents[1]
dice = random.Random(3)


def write_model(folder):
    """A folder without weights: configuration and a tokenizer of plain words."""
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 576, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 49152,
        "tie_word_embeddings": True, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 1e5,
        "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1, "torch_dtype": "bfloat16"}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {f"w{i}": i for i in range(49152)}, "unk_token": "w0"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "w0", "pad_token": "w1"}')


class Client:
    """One streamed request: when it was sent and when each of its tokens came."""

    def __init__(self, place, prompt, tokens):
        self.place, self.prompt, self.tokens = place, prompt, tokens
        self.sent, self.times = 0.0, []

    def run(self):
        host, port, vocabulary = self.place
        body = json.dumps({
            "model": "m", "prompt": [dice.randrange(2, vocabulary) for _ in range(self.prompt)], "stream": True,
            "max_tokens": self.tokens, "temperature": 0, "ignore_eos": True, "logprobs": 0})
        connection = http.client.HTTPConnection(host, port, timeout=600)
        self.sent = time.perf_counter()
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise SystemExit(response.read().decode())
        for line in response:
            if line.startswith(b'data: {"') and b'"token_logprobs":[]' not in line:
                self.times.append(time.perf_counter())
        connection.close()
        return self

    def start(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    @property
    def first(self):
        return self.times[0] - self.sent

    def gaps(self, begin, end):
        """Pauses between tokens that came within a time."""
        times = [time for time in self.times if begin <= time <= end]
        return [b - a for a, b in zip(times, times[1:])]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(values):
    return {"p50": round(percentile(values, 0.5) * 1e3, 1), "p95": round(percentile(values, 0.95) * 1e3, 1),
            "longest": round(max(values) * 1e3, 1), "of": len(values)}


def measure(place, args):
    result = {}
    Client(place, args.chunk, 2).run()
    # A chunk on an idle server: the first of a prompt, and the last of a long one, whose rows look at all before them.
    def first_token(tokens):
        return statistics.median(Client(place, tokens, 1).run().first for _ in range(5))

    result["chunk_ms"] = round(first_token(args.chunk) * 1e3, 1)
    result["last_chunk_ms"] = round((first_token(args.long) - first_token(args.long - args.chunk)) * 1e3, 1)

    # Streams that run while long prompts come one after the other.
    streams = [Client(place, 32, args.streamed).start() for _ in range(args.streams)]
    while any(len(stream.times) < 4 for stream in streams):
        time.sleep(0.01)
    calm = time.perf_counter()
    time.sleep(args.seconds / 4)
    begin = time.perf_counter()
    long = []
    while time.perf_counter() < begin + args.seconds / 2:
        long.append(Client(place, args.long, 1).run())
    end = time.perf_counter()
    result["gap_calm"] = milliseconds([gap for stream in streams for gap in stream.gaps(calm, begin)])
    result["gap_long_prompts"] = milliseconds([gap for stream in streams for gap in stream.gaps(begin, end)])
    result["long_prompts"] = len(long)
    result["first_token_long"] = milliseconds([client.first for client in long])
    if not all(stream.thread.is_alive() for stream in streams):
        raise SystemExit("the streams ended too early; give a larger --streamed")

    # Short requests that come at random while the streams go on.
    short = []
    begin = time.perf_counter()
    while time.perf_counter() < begin + args.seconds / 2:
        short.append(Client(place, 64, 16).start())
        time.sleep(dice.expovariate(args.rate))
    for client in short:
        client.thread.join()
    result["first_token_under_load"] = milliseconds([client.first for client in short])
    result["streams"] = args.streams
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attune", default=os.environ.get("ATTUNE", str(root / ".build/release/attune")))
    parser.add_argument("--model")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--streamed", type=int, default=3000, help="tokens of a running stream")
    parser.add_argument("--long", type=int, default=2048, help="tokens of a long prompt")
    parser.add_argument("--chunk", type=int, default=512, help="rows of a step, the server's --max-num-batched-tokens")
    parser.add_argument("--rate", type=float, default=3, help="short requests a second")
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        load = []
        if not args.model:
            write_model(pathlib.Path(folder))
            load = ["--load-format", "dummy"]
        model = args.model or folder
        vocabulary = json.loads((pathlib.Path(model) / "config.json").read_text())["vocab_size"]
        server = subprocess.Popen(
            [args.attune, "serve", model, *load, "--served-model-name", "m", "--port", "0", "--quiet", "--dtype",
             args.dtype, "--max-num-batched-tokens", str(args.chunk)], stdout=subprocess.PIPE, text=True)
        try:
            host, port = re.search(r"http://([^:]+):(\d+)/v1", server.stdout.readline()).groups()
            result = measure((host, int(port), vocabulary), args)
        finally:
            server.kill()
            server.wait()
    print(f"{f'one chunk of {args.chunk} tokens':48} {result['chunk_ms']:12.1f} ms")
    print(f"{f'the last chunk of a prompt of {args.long}':48} {result['last_chunk_ms']:12.1f} ms")
    for key, text in [
        ("gap_calm", f"pause of {args.streams} streams, nothing else"),
        ("gap_long_prompts", f"pause while prompts of {args.long} arrive"),
        ("first_token_under_load", "first token of short requests, streams running"),
        ("first_token_long", "first token of the long prompts"),
    ]:
        values = result[key]
        print(f"{text:48} p50 {values['p50']:8.1f}  p95 {values['p95']:8.1f}  longest {values['longest']:8.1f} ms")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
