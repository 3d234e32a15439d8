"""Steps of replicas one after another beside the same in one compiled step, alternated.

    python -m tests.bench.replicas [--config=configs/ecg_attention.py:demo --stage=risk]
        [--seeds=5] [--rounds=5] [--steps=3]

Without a config: the toy system of the run layer's tests. Every replica has its own weights and
its own first batch; both ways start from the same states, and their losses after the first step
must agree, or nothing is timed. Batches are made beforehand; putting them on the device counts.
Compilation is timed apart. Processor seconds tell more than wall seconds on a busy machine; the
ratio is the median over the rounds of loop / vmap, above 1 where vmap is faster. Prints a table,
then JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from medjax.run import lanes, sharding
from medjax.run.evaluate import Predictor
from medjax.run.replicas import replicas
from medjax.run.report.metrics_log import MetricsLog
from medjax.run.signals import Signals
from medjax.run.stage import Stage
from medjax.run.stages import system_module
from medjax.run.step import TrainState
from medjax.run.system import Batch, System
from medjax.run.training import Lane, Training
from medjax.run.words import load_config
from tests.run import toy

Built = tuple[Stage, System, Predictor]


def read_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="", help="PATH[:words]")
    parser.add_argument("--stage", default="only")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of every replica in a round")
    return parser.parse_args()


def open_config(arguments: argparse.Namespace) -> tuple[ConfigDict, ModuleType]:
    """Return the config, its stage starting from fresh weights, and the system's module."""
    if not arguments.config:
        config, module = toy.config(), toy
    else:
        path, _, words = arguments.config.partition(":")
        loaded = load_config(path, tuple(words.split(",")) if words else ())
        config = loaded.copy_and_resolve_references()
        module = system_module(config.system)
    with config.unlocked():
        config.replicas = ConfigDict(
            {"seeds": tuple(range(1, arguments.seeds + 1)), "folds": 0, "run": "vmap"}
        )
        config.stages = (arguments.stage,)
        config[arguments.stage].init_from = None
    return config, module


def build(config: ConfigDict, module: ModuleType, stage: str, folder: Path) -> list[Built]:
    """Return every replica's stage, system and predictor."""
    data, mesh = module.open_data(config, folder), sharding.make_mesh()
    runs = [Stage(copy, stage, folder, mesh, module, data) for copy in replicas(config)]
    systems = [run.build() for run in runs]
    residents = sharding.place_residents([system.resident for system in systems], mesh)
    return [
        (run, system, run.predictor(system, resident))
        for run, system, resident in zip(runs, systems, residents, strict=True)
    ]


def make_training(built: Sequence[Built]) -> Training:
    """Return a training of these replicas that saves and logs nothing."""
    run = built[0][0]
    made = Training(
        stage=run.name,
        lanes=tuple(
            Lane(run.label, system, predictor, run.checkpoints, MetricsLog(run.folder))
            for run, system, predictor in built
        ),
        options=run.options.train,
        mesh=run.mesh,
        parameters=run.config.sharding.parameters,
        threads=1,
        workers=0,
        signals=Signals(),
        say=lambda text: None,
    )
    made.resident = lanes.join_residents(made)
    return made


def start(training: Training, built: Sequence[Built]) -> TrainState:
    """Return the replicas' fresh states as one."""
    states = [run.initial_state(system, predictor) for run, system, predictor in built]
    return lanes.join(training, [lanes.place_state(training, state) for state in states])


def first_batch(system: System) -> Batch:
    """Return the first batch of the first epoch."""
    plan = system.plan("train", 0)[0]
    return system.collate("train", 0, plan, slice(0, plan.size))


class Side:
    """One way to make a step of every replica."""

    def __init__(self, groups: Sequence[Sequence[Built]]) -> None:
        self.trainings = [make_training(group) for group in groups]
        self.states = [start(t, group) for t, group in zip(self.trainings, groups, strict=True)]
        self.batches = [
            {lane: first_batch(lane.system) for lane in training.lanes}
            for training in self.trainings
        ]

    def step(self) -> np.ndarray:
        """Make one step of every replica; return the losses."""
        losses = []
        for i, training in enumerate(self.trainings):
            self.states[i], scalars = lanes.step_lanes(training, self.states[i], self.batches[i])
            losses.append(np.atleast_1d(np.asarray(scalars["loss"])))
        return np.concatenate(losses)

    def share_compiled(self) -> None:
        """Let trainings of one replica each use the first one's compiled step."""
        for training in self.trainings:
            training.compiled = self.trainings[0].compiled


def timed(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return (result, processor seconds, wall seconds)."""
    wall, processor = time.perf_counter(), time.process_time()
    result = action()
    return result, time.process_time() - processor, time.perf_counter() - wall


def measure(sides: dict[str, Side], rounds: int, steps: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds a step of one replica, a number a round."""
    seconds: dict[str, dict[str, list[float]]] = {n: {"cpu": [], "wall": []} for n in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            losses, processor, wall = timed(lambda s=side: [s.step() for _ in range(steps)])
            made = sum(len(step) for step in losses)
            seconds[name]["cpu"].append(processor / made)
            seconds[name]["wall"].append(wall / made)
    return seconds


def main() -> None:
    """Run the benchmark."""
    arguments = read_arguments()
    config, module = open_config(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        jax.default_matmul_precision(config.matmul_precision),
    ):
        built = build(config, module, arguments.stage, Path(folder))
        sides = {"loop": Side([[one] for one in built]), "vmap": Side([built])}
        sides["loop"].share_compiled()
        firsts, compiling = {}, {}
        for name, side in sides.items():
            firsts[name], compiling[name], _ = timed(side.step)
        np.testing.assert_allclose(firsts["loop"], firsts["vmap"], rtol=1e-3, atol=1e-5)
        seconds = measure(sides, arguments.rounds, arguments.steps)
    pairs = zip(seconds["loop"]["cpu"], seconds["vmap"]["cpu"], strict=True)
    ratio = statistics.median(one / other for one, other in pairs)
    rows = arguments.config or "toy"
    print(
        f"{rows}, stage {arguments.stage}, {arguments.seeds} replicas, batch "
        f"{config[arguments.stage].train.global_batch_size}, {jax.default_backend()}"
    )
    print(f"{'':6}{'first step, CPU s':>20}{'CPU ms a step':>16}{'wall ms a step':>16}")
    for name, times in seconds.items():
        cpu, wall = (1e3 * statistics.median(times[kind]) for kind in ("cpu", "wall"))
        print(f"{name:6}{compiling[name]:20.1f}{cpu:16.2f}{wall:16.2f}")
    print(f"CPU seconds, loop / vmap: {ratio:.2f}")
    print(json.dumps({"seconds": seconds, "first_step_cpu": compiling, "ratio": ratio}))


if __name__ == "__main__":
    main()
