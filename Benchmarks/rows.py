"""What is trained and tokenized: instruction rows of words the random model knows, and English of the peers' documentation."""

import ast
import glob
import importlib.util
import json
import os
import random
import sys

INSTRUCTION = 40


def write_instructions(path, vocabulary, count=256):
    """Prompts that begin with one instruction of 40 tokens; rows of 50 to 120 tokens, half of what is their own the answer."""
    source = random.Random(11)
    instruction = [source.randrange(2, vocabulary) for _ in range(INSTRUCTION)]
    with open(path, "w") as file:
        for _ in range(count):
            # One token more ends the row.
            own = [source.randrange(2, vocabulary) for _ in range(source.randint(49, 119) - INSTRUCTION)]
            prompt, answer = instruction + own[:len(own) // 2], own[len(own) // 2:]
            words = [" ".join(f"w{token}" for token in part) for part in (prompt, answer)]
            file.write(json.dumps({"prompt": words[0], "completion": " " + words[1]}) + "\n")


def write_text(path, size):
    """Paragraphs of the doc strings of installed packages, each once: the same text wherever the same versions are installed."""
    if os.path.exists(path):
        return
    seen = set()
    with open(path + ".part", "w") as file:
        for package in ("transformers", "torch", "sklearn", "datasets", "trl", "peft", "accelerate"):
            for paragraph in paragraphs(package):
                if paragraph in seen:
                    continue
                seen.add(paragraph)
                file.write(paragraph + "\n")
                if file.tell() >= size:
                    break
    os.replace(path + ".part", path)


def paragraphs(package):
    """Prose of a package: paragraphs of at least a hundred characters, most of them letters."""
    found = importlib.util.find_spec(package)
    folders = found.submodule_search_locations if found else []
    for folder in folders:
        for path in sorted(glob.glob(os.path.join(folder, "**", "*.py"), recursive=True)):
            try:
                with open(path, encoding="utf-8") as file:
                    tree = ast.parse(file.read())
            except (SyntaxError, UnicodeDecodeError, ValueError):
                continue
            for node in ast.walk(tree):
                if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                    continue
                for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                    line = " ".join(paragraph.split())
                    if len(line) >= 100 and sum(c.isalpha() or c == " " for c in line) >= 0.8 * len(line):
                        yield line


if __name__ == "__main__":
    write_text(sys.argv[1], int(sys.argv[2]))
