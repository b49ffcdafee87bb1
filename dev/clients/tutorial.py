"""The tutorial's last step as written there: a model tuned with its prompt form is served as ./merged_model and asked through
`client.chat.completions.create`. The answer must be the one the training form gets from `attune generate --instruction`, and for
the rows of a file, in most cases the row's output.

usage: tutorial.py MODEL ROWS.jsonl      (rows of instruction, input, output; a model tuned on such rows)
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import openai
from serving import Checks, Server, program

check = Checks()
model, rows = pathlib.Path(sys.argv[1]).resolve(), [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]


def generated(folder, *arguments):
    run = subprocess.run(
        [program, "generate", "--model", "./merged_model", "--dtype", "float16", "--quiet", "--json", *arguments], cwd=folder,
        capture_output=True, text=True, check=True)
    return [json.loads(line)["text"] for line in run.stdout.splitlines()]


def main():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(model, pathlib.Path(folder) / "merged_model")
        (pathlib.Path(folder) / "rows.jsonl").write_text("".join(
            json.dumps({"instruction": row["instruction"], "input": row["input"]}) + "\n" for row in rows))
        expected = generated(folder, "--prompts", "rows.jsonl")
        package = generated(folder, "--instruction", "Classify this support ticket", "--input", "My package is lost")
        with Server("--model", "./merged_model", "--dtype", "float16", "--quiet", cwd=folder) as server:
            client = openai.OpenAI(base_url=server.url + "/v1", api_key="unused")

            response = client.chat.completions.create(
                model="./merged_model",
                messages=[{"role": "user", "content": "Classify this support ticket: My package is lost"}],
                temperature=0.1,
            )
            print(response.choices[0].message.content)
            check(response.choices[0].finish_reason == "stop", "the tutorial's answer ends by itself")

            def asked(text):
                return client.chat.completions.create(
                    model="./merged_model", messages=[{"role": "user", "content": text}], temperature=0, max_tokens=256,
                ).choices[0].message.content

            greedy = asked("Classify this support ticket: My package is lost")
            check(greedy == package[0], f"the answer of the training form: {greedy!r} for {package[0]!r}")
            same = right = 0
            for row, answer in zip(rows, expected):
                got = asked(f"{row['instruction']}: {row['input']}")
                same += got == answer
                right += got.strip() == row["output"].strip()
            check(same == len(rows), f"{same} of {len(rows)} as attune generate")
            check(right > 0.8 * len(rows), f"{right} of {len(rows)} as the examples")
            print(f"{same} of {len(rows)} as attune generate, {right} as the row's output")
            # The batch form of the tutorial: the prompts written out.
            some = rows[:32]
            form = "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
            written = client.completions.create(
                model="./merged_model", max_tokens=256, temperature=0, prompt=[form.format(**row) for row in some])
            check([choice.text for choice in written.choices] == expected[: len(some)], "prompts written out")
            check(server.stop() == 0, "a stop is a success")
    return check.report()


if __name__ == "__main__":
    sys.exit(main())
