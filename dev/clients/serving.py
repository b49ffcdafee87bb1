"""Starts `attune serve` for a script and stops it again."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.request

root = pathlib.Path(__file__).resolve().parents[2]
program = os.environ.get("ATTUNE", str(root / ".build/release/attune"))


class Server:
    """`with Server(MODEL, "--flag", …) as server:` gives `server.url`, `server.process` and `server.lines`."""

    def __init__(self, *arguments, cwd=None, env=None):
        self.arguments = [program, "serve", *arguments, "--port", "0"]
        self.cwd = cwd
        self.env = {**os.environ, **(env or {})}
        self.lines = []

    def __enter__(self):
        self.process = subprocess.Popen(
            self.arguments, cwd=self.cwd, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        line = self.process.stdout.readline()
        match = re.search(r"(http://\S+)/v1", line)
        if not match:
            self.process.wait()
            raise SystemExit("the server did not start:\n" + "\n".join(self.lines))
        self.url = match.group(1)
        return self

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=90)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def resident(self):
        """Bytes of memory in use."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


class Checks:
    """Counts what held."""

    def __init__(self):
        self.count = 0
        self.failed = []

    def __call__(self, condition, name):
        self.count += 1
        if not condition:
            self.failed.append(name)
            print("FAILED", name, flush=True)

    def report(self):
        print(f"{self.count - len(self.failed)} of {self.count} checks hold")
        return 1 if self.failed else 0


def metrics(url):
    """The plain gauges and counters by name."""
    text = urllib.request.urlopen(url + "/metrics").read().decode()
    return {match[1]: float(match[2]) for match in re.finditer(r"^attune:(\w+)\{[^}]*\} (\S+)$", text, re.M)}


def idle(url):
    """Waits until nothing runs or waits and no block of the cache is held; whether that came within a minute."""
    for _ in range(600):
        values = metrics(url)
        if values["num_requests_running"] == values["num_requests_waiting"] == values["kv_cache_usage_perc"] == 0:
            return True
        time.sleep(0.1)
    return False
