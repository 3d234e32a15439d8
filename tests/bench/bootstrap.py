"""The vectorised bootstrap beside a loop over scikit-learn, the two alternated in one run.

    python -m tests.bench.bootstrap [--examples=11000] [--resamples=1000] [--loop_resamples=20]

Both give AUROC and average precision of every resample on one core. The loop gets fewer resamples
and is scaled up: its cost is proportional to them. A label of 15 % prevalence is timed each round;
what a full table costs is that times its number of labels. Prints a table, then one line of JSON.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from medjax.metrics.bootstrap import bootstrap


def loop(labels: np.ndarray, scores: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """What the loop does: draw rows, call scikit-learn twice, again and again."""
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        rows = generator.integers(0, len(labels), len(labels))
        truth, risk = labels[rows], scores[rows]
        values.append((roc_auc_score(truth, risk), average_precision_score(truth, risk)))
    return np.array(values)


def cpu_seconds(work: Callable[..., object], *arguments: object) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=11_000)
    parser.add_argument("--labels", type=int, default=25)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--loop_resamples", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    generator = np.random.default_rng(0)
    ours, theirs = [], []
    for seed in range(options.rounds):
        labels = (generator.random(options.examples) < 0.15).astype(int)
        scores = generator.normal(size=options.examples) + labels
        rng = np.random.default_rng(seed)
        ours.append(cpu_seconds(bootstrap, labels, scores, options.resamples, rng))
        short = cpu_seconds(loop, labels, scores, options.loop_resamples, seed)
        theirs.append(short * options.resamples / options.loop_resamples)

    result = {
        "examples": options.examples,
        "resamples": options.resamples,
        "labels": options.labels,
        "ours_cpu_seconds": options.labels * statistics.median(ours),
        "scikit_learn_loop_cpu_seconds": options.labels * statistics.median(theirs),
        "ratio": statistics.median(t / o for t, o in zip(theirs, ours, strict=True)),
        "ratios": [t / o for t, o in zip(theirs, ours, strict=True)],
        "cores": os.cpu_count(),
    }
    print(f"{options.labels} labels, {options.examples} examples, {options.resamples} resamples")
    print(f"  vectorised          {result['ours_cpu_seconds']:8.1f} CPU-s")
    print(f"  scikit-learn loop   {result['scikit_learn_loop_cpu_seconds']:8.1f} CPU-s (scaled)")
    print(f"  ratio               {result['ratio']:8.1f}")
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()
