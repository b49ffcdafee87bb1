"""What a run left in its folder, without what a clock says; and whether checkpoints are whole, told independently of Attune."""

import json
import zlib


def without_times(value):
    if isinstance(value, dict):
        return {
            k: without_times(v) for k, v in value.items() if not k.endswith("runtime") and not k.endswith("_per_second")
        }
    if isinstance(value, list):
        return [without_times(v) for v in value]
    return value


TIMED = {"trainer_state.json", "training_state.json"}
LOG = "trainer_log.jsonl"


def outcome(folder):
    """Every file under the folder by its path: its bytes, or its JSON where times must be left out."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = str(path.relative_to(folder))
        if path.name in TIMED:
            files[name] = json.dumps(without_times(json.loads(path.read_bytes())), sort_keys=True)
        elif path.name == LOG:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            files[name] = json.dumps([{k: v for k, v in line.items() if not k.endswith("_time")} for line in lines])
        elif path.name == "manifest.json":
            listed = json.loads(path.read_bytes())["files"]
            files[name] = json.dumps({k: v for k, v in listed.items() if k not in TIMED}, sort_keys=True)
        else:
            files[name] = path.read_bytes()
    return files


def difference(mine, other):
    return [n for n in sorted(set(mine) | set(other)) if mine.get(n) != other.get(n)]


def checkpoints(folder):
    if not folder.is_dir():
        return []
    names = [p for p in folder.iterdir() if p.name.startswith("checkpoint-")]
    return sorted(names, key=lambda p: int(p.name.removeprefix("checkpoint-")))


def is_whole(checkpoint):
    try:
        listed = json.loads((checkpoint / "manifest.json").read_bytes())["files"]
        for name, expected in listed.items():
            data = (checkpoint / name).read_bytes()
            if len(data) != expected["bytes"] or zlib.crc32(data) != expected["crc32"]:
                return False
        return "trainable.safetensors" in listed
    except (OSError, ValueError, KeyError):
        return False
