"""MedFuse's train step beside the same networks in PyTorch, the two alternated in one process.

    python -m tests.bench.train_step [--size=published|demo] [--row=ehr|fusion|mmtm|daft]
        [--threads=2] [--rounds=5]

Ours is the run layer's own step (loss, gradients, Adam, the guard against NaN), jitted, its state
donated; PyTorch runs eagerly (torch.compile is left out: on two shared cores it had not compiled
the demo's network after nearly three minutes). Both get the same weights,
batch, processors and optimiser; dropout (of one feature vector a row) is off in both, so that the
losses of the first three steps can be compared: where they differ nothing is timed. "mmtm" makes
three optimiser steps a batch on both sides. Compilation is
timed apart. Processor seconds tell more than wall seconds on a busy machine; ratios are medians
over the rounds of PyTorch / ours, above 1 where ours is faster. Prints a table, then JSON.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from medjax.nn.resnet import RESNETS
from medjax.run.step import init_state, make_train_step
from medjax.run.system import System
from medjax.run.words import load_config
from medjax.systems.medfuse.base import TwoEncoders
from medjax.systems.medfuse.convert import to_published
from medjax.systems.medfuse.network import make_model
from medjax.systems.medfuse.updates import make_updates

CHANNELS, LABELS, CHECKED_STEPS = 76, 25, 3
Step = Callable[[], float]
"""Makes one step on a fixed batch and returns its loss."""


class Row(NamedTuple):
    """What is timed: a stage of a run's config on a batch of so many hours."""

    name: str
    hours: int
    word: str = "medfuse"

    @property
    def stage(self) -> str:
        """The stage that is timed."""
        return "ehr" if self.name == "ehr" else "fusion"


FUSIONS = (Row("fusion", 48), Row("mmtm", 48, "mmtm"), Row("daft", 48, "daft"))
ROWS = {
    "published": (Row("ehr", 48), Row("ehr", 192), *FUSIONS),
    "demo": (Row("ehr", 48), *FUSIONS),
}


class Ours(NamedTuple):
    """Our side of a row."""

    step: Step
    weights: Mapping[str, np.ndarray]
    """The initial weights under their published names."""
    compile_seconds: dict[str, float]


def make_batch(rows: int, hours: int, pixels: int) -> dict[str, np.ndarray]:
    """Return a random batch, its lengths spread over the upper half, every row with a film."""
    generator = np.random.default_rng(0)
    length = generator.integers(hours // 2, hours + 1, rows).astype(np.int32)
    length[0] = hours
    series = generator.normal(size=(rows, hours, CHANNELS)).astype(np.float32)
    series[np.arange(hours) >= length[:, None]] = 0
    return {
        "series": series,
        "length": length,
        "image": generator.integers(0, 256, (rows, pixels, pixels)).astype(np.uint8),
        "has_image": np.ones(rows, bool),
        "mask": np.ones(rows, bool),
        "labels": (generator.random((rows, LABELS)) < 0.2).astype(np.float32),
    }


def ours(model: TwoEncoders, stage: ConfigDict, batch: dict[str, np.ndarray]) -> Ours:
    """Compile the run layer's train step for a batch."""
    unused = ("init", "plan", "collate", "table", "predict", "evaluate")
    system = System(**dict.fromkeys(unused), updates=make_updates(stage, model, total_steps=1))
    inputs = {name: batch[name] for name in ("series", "length", "has_image", "mask")}
    inputs["image"] = np.zeros((*batch["image"].shape, 3), np.float32)
    variables = jax.jit(lambda key: model.init(key, **inputs, train=False))(jax.random.key(0))
    names = {"backbone": model.backbone, "stage_sizes": model.stage_sizes, "layers": model.layers}
    weights = to_published(jax.device_get(variables), **names)
    state = init_state(system, variables, jax.random.key(1))
    start = time.perf_counter(), time.process_time()
    compiled = jax.jit(make_train_step(system), donate_argnums=0).lower(state, batch).compile()
    seconds = {
        "wall": time.perf_counter() - start[0],
        "cpu": time.process_time() - start[1],
    }
    on_device = jax.device_put(batch)

    def step() -> float:
        nonlocal state
        state, scalars = compiled(state, on_device)
        return float(scalars["loss"])

    return Ours(step, weights, seconds)


def theirs(
    model: TwoEncoders,
    stage: ConfigDict,
    batch: dict[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
) -> Step:
    """Return PyTorch's step from the same weights."""
    from tests.bench import torch_medfuse

    sizes = model.stage_sizes or RESNETS[model.backbone].stage_sizes
    twin = torch_medfuse.MedFuse(
        model.fusion, CHANNELS, model.dim, model.layers, LABELS, sizes, model.width
    )
    options = stage.optimizer
    betas = (options.b1, options.b2)
    return torch_medfuse.make_step(twin, weights, batch, options.learning_rate, betas)


def check_equal(row: Row, first: Step, second: Step) -> list[float]:
    """Make the first steps of both; exit where their losses differ.

    The first loss checks the networks, the later ones gradients and optimiser: Adam's first
    updates keep only the signs of gradients, so rounding shows there more.
    """
    losses = []
    for tolerance in (1e-5, *[2e-3] * (CHECKED_STEPS - 1)):
        a, b = first(), second()
        if not abs(a - b) <= tolerance * abs(b):
            raise SystemExit(f"{row}: loss {a} is not PyTorch's {b}; nothing was timed")
        losses.append(a)
    return losses


def seconds_of(step: Step, steps: int) -> tuple[float, float]:
    """Return (wall, processor) seconds a step."""
    start = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start[0]) / steps, (time.process_time() - start[1]) / steps


def time_row(size: str, row: Row, rounds: int) -> dict[str, Any]:
    """Check and time one row."""
    # No set is opened: the recipe only wants to be told of a folder.
    config = load_config("configs/medfuse.py", (size, row.word), {"data.dir": "."})
    stage = config[row.stage]
    stage.model.dropout = 0.0
    batch = make_batch(stage.train.global_batch_size, row.hours, config.data.image.crop)
    model = make_model(stage, LABELS, "float32")
    mine = ours(model, stage, batch)
    other = theirs(model, stage, batch, mine.weights)
    losses = check_equal(row, mine.step, other)
    steps = max(1, round(0.5 / seconds_of(mine.step, 1)[0]))
    pairs = [(seconds_of(mine.step, steps), seconds_of(other, steps)) for _ in range(rounds)]
    result: dict[str, Any] = {
        "stage": row.name,
        "shape": [*batch["series"].shape[:2], *batch["image"].shape[1:]],
        "losses": losses,
        "compile_seconds": mine.compile_seconds,
        "steps_a_turn": steps,
    }
    for index, clock in enumerate(("wall", "cpu")):
        times = [(a[index], b[index]) for a, b in pairs]
        result[clock] = {
            "ours_seconds": statistics.median(a for a, _ in times),
            "pytorch_seconds": statistics.median(b for _, b in times),
            "ratio": statistics.median(b / a for a, b in times),
            "ratios": [b / a for a, b in times],
        }
    return result


def print_table(results: list[dict[str, Any]]) -> None:
    """Print seconds a step of both sides, their ratios and our compilation."""
    print(f"{'':24} {'seconds of CPU a step':>32} {'wall':>7} {'compile':>9}")
    heads = ("ours", "PyTorch eager", "ratio", "ratio", "CPU-s")
    print(f"{'stage, batch x hours':24} {heads[0]:>8} {heads[1]:>15} ", end="")
    print(f"{heads[2]:>7} {heads[3]:>7} {heads[4]:>9}")
    for r in results:
        rows, hours, pixels = r["shape"][:3]
        name = f"{r['stage']}, {rows} x {hours}"
        if r["stage"] != "ehr":
            name += f", {pixels} px"
        cpu, wall = r["cpu"], r["wall"]
        print(f"{name:24} {cpu['ours_seconds']:8.3f} {cpu['pytorch_seconds']:15.3f} ", end="")
        print(f"{cpu['ratio']:7.2f} {wall['ratio']:7.2f} {r['compile_seconds']['cpu']:9.1f}")


def prepare(threads: int) -> None:
    """Give both sides the same processors; exit where PyTorch is missing."""
    try:
        import torch
    except ImportError:
        sys.exit("this bench compares with PyTorch, which is missing: pip install medjax[bench]")
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def main() -> None:
    processors = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(ROWS), default="demo")
    parser.add_argument("--threads", type=int, default=len(processors))
    parser.add_argument("--rounds", type=int, default=5)
    names = ("ehr", "fusion", "mmtm", "daft")
    parser.add_argument("--row", choices=names, help="rows of this name only")
    options = parser.parse_args()

    # Before either makes its threads: JAX sizes its pool by the processors that it may use.
    os.sched_setaffinity(0, processors[: options.threads])
    prepare(options.threads)
    rows = [row for row in ROWS[options.size] if options.row in (None, row.name)]
    results = [time_row(options.size, row, options.rounds) for row in rows]
    print(f"{options.size}, {options.threads} threads, {options.rounds} rounds")
    print_table(results)
    print(json.dumps({"size": options.size, "threads": options.threads, "rows": results}))


if __name__ == "__main__":
    main()
