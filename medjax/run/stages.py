"""The stages of a run, in order, and what they say together."""

import importlib
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from ml_collections import ConfigDict

from medjax.errors import UsageError, UserError, nearest
from medjax.files import write_json
from medjax.run import sharding
from medjax.run.checkpoint import Checkpoints
from medjax.run.compare import compare_stages
from medjax.run.config import initial_weights
from medjax.run.init_from import Place, find_source
from medjax.run.replicas import Replica, replicas, with_summaries
from medjax.run.report.comparison import write_comparisons
from medjax.run.report.tables import results_table
from medjax.run.stage import Stage, say

Results = dict[str, dict[str, dict[str, Any]]]


def print_results(results: Results) -> None:
    """Print the results table of a finished run; of replicas what they say together."""
    copied = {label.partition("/")[0] for label in results if "/" in label}
    shown = {
        f"{stage}, mean of its replicas" if stage in copied else stage: value
        for stage, value in results.items()
        if "/" not in stage
    }
    say(results_table(shown))


def system_module(name: str) -> ModuleType:
    """Import `medjax.systems.<name>.system`; systems are found by the name of their folder."""
    folder = Path(__file__).parent.parent / "systems"
    known = sorted(p.parent.name for p in folder.glob("*/system.py"))
    if name not in known:
        raise UsageError(
            f"config.system {name!r} is none of {', '.join(known)}{nearest(name, known)}"
        )
    return importlib.import_module(f"medjax.systems.{name}.system")


def run_stages(
    config: ConfigDict, workdir: Path, mode: str, module: ModuleType | None = None
) -> Results:
    """Run every stage in `mode` ("train", "evaluate" or "predict"); return and write the results.

    A stage that is finished is read, not run again, so a resumed run continues in the right one.
    `module` stands in for the system that the config names.
    """
    with jax.default_matmul_precision(config.matmul_precision):
        return _run_stages(config, workdir, mode, module or system_module(config.system))


def _run_stages(config: ConfigDict, workdir: Path, mode: str, module: ModuleType) -> Results:
    for stage in config.stages:
        if stage not in config:
            raise UsageError(f"config.stages names {stage!r}, which the config does not define")
    copies = replicas(config)
    todo = [(stage, copy) for stage in config.stages for copy in copies]
    if mode == "train":
        check_starts(config, workdir, copies)
    data = module.open_data(config, workdir)
    mesh = sharding.make_mesh()
    results: Results = {}
    keep_all = mode != "predict"
    timing = read_json(workdir / "timing.json")
    for stage, copy in todo if mode == "train" else with_weights(todo, workdir):
        label = copy.label(stage)
        finished = workdir / label / "results.json"
        if mode == "train" and finished.is_file():
            results[label] = read_json(finished)
            continue
        say(f"stage {label}")
        start = time.perf_counter()
        run = Stage(copy, stage, workdir, mesh, module, data, pictures=copy == copies[0])
        if mode == "predict":
            run.predict()
            continue
        results[label], seconds = run.train_and_evaluate() if mode == "train" else run.evaluate()
        trained_here = bool(run.checkpoints.steps())
        # Results mark a stage as finished: evaluating a half-trained one must not write them.
        keep = mode == "train" or finished.is_file() or not trained_here
        keep_all &= keep
        if mode == "train" or not trained_here:
            timing[label] = {**seconds, "seconds": time.perf_counter() - start, **memory()}
        if keep and jax.process_index() == 0:
            write_json(finished, results[label])
            write_json(workdir / "timing.json", timing)
    complete = len(results) == len(todo)
    results = with_summaries(results, config.stages, copies)
    if keep_all and jax.process_index() == 0:
        if complete:
            results |= compare_stages(module, config, workdir, copies, say)
        write_comparisons(results, config.stages, workdir / "tables")
        write_json(workdir / "results.json", results)
    if mode != "predict":
        print_results(results)
    return results


def check_starts(config: ConfigDict, workdir: Path, copies: Sequence[Replica]) -> None:
    """Raise UserError where a stage starts from a folder without weights, before any is run."""
    for field, text in initial_weights(config):
        stage = field.partition(".")[0]
        for copy in copies:
            find_source(text, Place(workdir, tuple(config.stages), stage, copy.name))


def with_weights(todo: Sequence[tuple[str, Replica]], workdir: Path) -> list[tuple[str, Replica]]:
    """Return the stages that can be evaluated; the others are named and left out."""
    known = [
        (stage, copy)
        for stage, copy in todo
        if Checkpoints(workdir / copy.label(stage) / "checkpoints").steps()
        or isinstance(copy.config[stage].init_from, str)
    ]
    if not known:
        last = todo[-1][0]
        raise UserError(
            f"{workdir} holds no checkpoint: train first, or name trained weights with "
            f"--config.{last}.init_from=RUN_FOLDER"
        )
    for stage, copy in todo:
        if (stage, copy) not in known:
            say(f"stage {copy.label(stage)} has no weights and is left out")
    return known


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file of this run, {} when it is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def memory() -> dict[str, float]:
    """Return the peak memory so far, in GB, of the process and of the first device."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"host_peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9}
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        peak["device_peak_gb"] = stats["peak_bytes_in_use"] / 1e9
    return peak
