"""One process, measured."""

import json
import os
import statistics
import subprocess
import tempfile
import time


def run(command, threads):
    """What a process printed about itself, and, where it tells its steps, when they came.

    A side prints one object of JSON, after `RESULT ` where libraries print too; training runs print
    {"event": "step", "num_input_tokens_seen": …} after every step. The first step warms up and is not counted.
    """
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="false")
    result, steps = {}, []
    with tempfile.TemporaryFile("w+") as errors:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        for line in process.stdout:
            elapsed = time.monotonic() - start
            if not line.startswith(("RESULT {", "{")):
                continue
            try:
                entry = json.loads(line.removeprefix("RESULT "))
            except ValueError:
                continue
            if entry.get("event") == "step":
                steps.append((elapsed, entry["num_input_tokens_seen"]))
            else:
                result.update(entry)
        if process.wait() != 0:
            errors.seek(0)
            raise RuntimeError(" ".join(command) + "\n" + errors.read()[-2000:])
    if len(steps) > 1:
        durations = [after[0] - before[0] for before, after in zip(steps, steps[1:])]
        result["tokens_per_second"] = (steps[-1][1] - steps[0][1]) / (steps[-1][0] - steps[0][0])
        # Up to where the first step would begin were it as fast as the others.
        result["start_seconds"] = steps[0][0] - statistics.median(durations)
    return result
