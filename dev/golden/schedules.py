"""Golden values for ScheduleTests: learning rates of every schedule, step by step, from transformers.

    python dev/golden/schedules.py Tests/AttuneTrainingTests/Fixtures/schedules.json

Needs torch and transformers.
"""

import json
import sys

import torch
from transformers import get_scheduler

CASES = [
    ("linear", {}),
    ("cosine", {}),
    ("cosine", {"num_cycles": 1.25}),
    ("cosine_with_restarts", {}),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("polynomial", {}),
    ("polynomial", {"lr_end": 1e-5, "power": 2.0}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("inverse_sqrt", {}),
    ("inverse_sqrt", {"timescale": 7}),
    ("cosine_with_min_lr", {"min_lr": 1e-5}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 1.0}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", {"min_lr": 1e-5, "warmup_lr_rate": 0.2}),
    ("warmup_stable_decay", {"num_decay_steps": 6}),
    ("warmup_stable_decay", {"num_decay_steps": 6, "num_stable_steps": 4, "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", {"num_decay_steps": 9, "warmup_type": "cosine", "decay_type": "linear", "min_lr_ratio": 0.2}),
    ("warmup_stable_decay", {"num_decay_steps": 9, "warmup_type": "1-sqrt", "decay_type": "1-sqrt"}),
]
RATE = 2e-4


def rates(kind, options, warmup, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler = get_scheduler(
        kind, optimizer, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=dict(options)
    )
    values = []
    for _ in range(total):
        values.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return values


def main(path):
    cases = []
    for kind, options in CASES:
        for warmup, total in [(0, 11), (4, 23)]:
            values = rates(kind, options, warmup, total)
            cases.append(dict(kind=kind, options=options, warmup=warmup, total=total, rates=values))
    with open(path, "w") as file:
        file.write('{"learning_rate": %r, "cases": [\n' % RATE)
        file.write(",\n".join(json.dumps(case) for case in cases))
        file.write("\n]}\n")


main(sys.argv[1])
