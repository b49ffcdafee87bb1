"""Prints the tables of Tests/AttuneGenerationTests/SamplingOracle.swift.

Probabilities after transformers' logits processors, in the order `generate` applies them:
repetition penalty, temperature, top-k, top-p, min-p. Run with transformers 5 and torch 2.
"""

import random

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


def main():
    generator = random.Random(7)
    print("/// Probabilities computed by transformers; made by dev/golden/sampling.py.")
    print("struct SamplingCase {")
    print("    var logits: [Float]")
    print("    var seen: [Int32]")
    print("    var temperature: Float")
    print("    var topK: Int")
    print("    var topP: Float")
    print("    var minP: Float")
    print("    var penalty: Float")
    print("    var probabilities: [Double]")
    print()
    print("    static let all: [SamplingCase] = [")
    settings = [
        (1.0, 0, 1.0, 0.0, 1.0),
        (0.7, 0, 1.0, 0.0, 1.0),
        (1.0, 3, 1.0, 0.0, 1.0),
        (1.0, 0, 0.6, 0.0, 1.0),
        (1.0, 0, 1.0, 0.1, 1.0),
        (1.0, 0, 1.0, 0.0, 1.3),
        (0.8, 6, 0.9, 0.05, 1.2),
        (1.5, 4, 0.5, 0.3, 0.8),
        (0.3, 0, 0.95, 0.0, 1.1),
        (2.0, 5, 0.05, 0.0, 1.0),
    ]
    for temperature, top_k, top_p, min_p, penalty in settings:
        for _ in range(2):
            logits = [round(generator.gauss(0, 2), 2) for _ in range(10)]
            if top_k:  # a tie at the border of top-k stays whole
                ordered = sorted(logits, reverse=True)
                logits[logits.index(ordered[top_k])] = ordered[top_k - 1]
            seen = generator.sample(range(10), 3)
            scores = torch.tensor([logits])
            ids = torch.tensor([seen])
            if penalty != 1.0:
                scores = RepetitionPenaltyLogitsProcessor(penalty)(ids, scores)
            if temperature != 1.0:
                scores = TemperatureLogitsWarper(temperature)(ids, scores)
            if top_k:
                scores = TopKLogitsWarper(top_k)(ids, scores)
            if top_p < 1.0:
                scores = TopPLogitsWarper(top_p)(ids, scores)
            if min_p > 0:
                scores = MinPLogitsWarper(min_p)(ids, scores)
            probabilities = torch.softmax(scores.double(), dim=-1)[0].tolist()
            values = ", ".join(f"{p:.7f}" if p > 0 else "0" for p in probabilities)
            print("        SamplingCase(")
            print(f"            logits: {logits}, seen: {seen},")
            print(f"            temperature: {temperature}, topK: {top_k}, topP: {top_p}, minP: {min_p}, penalty: {penalty},")
            print("            probabilities: [")
            print(f"                {values},")
            print("            ]),")
    print("    ]")
    print("}")


main()
