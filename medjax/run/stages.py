"""The stages of a run, in order, and what they say together."""

import importlib
import json
import resource
import sys
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from ml_collections import ConfigDict

from medjax.errors import UsageError, UserError, nearest
from medjax.files import write_json
from medjax.run import sharding
from medjax.run.compare import compare_stages, write_summaries
from medjax.run.config import initial_weights
from medjax.run.init_from import Place, find_source
from medjax.run.replicas import (
    Replica,
    copies_of,
    replicas,
    trained_together,
    with_summaries,
)
from medjax.run.report.comparison import write_comparisons
from medjax.run.report.tables import results_table
from medjax.run.source_name import parse_source
from medjax.run.stage import Stage, say
from medjax.run.stage_training import train_and_evaluate

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
    if mode == "train":
        check_starts(config, workdir, copies)
    data = module.open_data(config, workdir)
    mesh = sharding.make_mesh()
    groups = []
    for stage in config.stages:
        own = copies_of(config, stage)
        for group in trained_together(config, own):
            groups.append(
                [Stage(c, stage, workdir, mesh, module, data, pictures=c == own[0]) for c in group]
            )
    runs = list(chain.from_iterable(groups))
    if mode == "predict":
        for run in with_weights(runs, workdir):
            say(f"stage {run.label}")
            run.predict()
        return {}
    if mode == "train":
        results, keep = train_groups(groups, workdir), True
    else:
        results, keep = evaluate_runs(with_weights(runs, workdir), workdir)
    complete = len(results) == len(runs)
    results = with_summaries(results, config.stages, copies)
    if keep and jax.process_index() == 0:
        if complete:
            results |= compare_stages(module, config, workdir, say)
            write_summaries(module, config, results, workdir)
        write_comparisons(results, config.stages, workdir / "tables")
        write_json(workdir / "results.json", results)
    print_results(results)
    return results


def train_groups(groups: Sequence[Sequence[Stage]], workdir: Path) -> Results:
    """Train and score what is not finished, group by group; return the results of all.

    Seconds of stages that train together are counted from their common start.
    """
    results: Results = {}
    timing = read_json(workdir / "timing.json")
    for group in groups:
        for run in group:
            if (run.folder / "results.json").is_file():
                results[run.label] = read_json(run.folder / "results.json")
        left = [run for run in group if run.label not in results]
        if not left:
            continue
        say(f"stage {' and '.join(run.label for run in left)}")
        start = time.perf_counter()
        for run, (metrics, seconds) in zip(left, train_and_evaluate(left), strict=True):
            results[run.label] = metrics
            timing[run.label] = {**seconds, "seconds": time.perf_counter() - start, **memory()}
            if jax.process_index() == 0:
                write_json(run.folder / "results.json", metrics)
                write_json(workdir / "timing.json", timing)
    return results


def evaluate_runs(runs: Sequence[Stage], workdir: Path) -> tuple[Results, bool]:
    """Score stages that have weights; return the results and whether all are of whole trainings."""
    results: Results = {}
    whole = True
    timing = read_json(workdir / "timing.json")
    for run in runs:
        say(f"stage {run.label}")
        start = time.perf_counter()
        results[run.label], seconds = run.evaluate()
        finished = run.folder / "results.json"
        trained_here = bool(run.checkpoints.steps())
        # Results mark a stage as finished: evaluating a half-trained one must not write them.
        keep = finished.is_file() or not trained_here
        whole &= keep
        if not trained_here:
            timing[run.label] = {**seconds, "seconds": time.perf_counter() - start, **memory()}
        if keep and jax.process_index() == 0:
            write_json(finished, results[run.label])
            write_json(workdir / "timing.json", timing)
    return results, whole


def check_starts(config: ConfigDict, workdir: Path, copies: Sequence[Replica]) -> None:
    """Raise UserError where a stage starts from a folder without weights, before any is run."""
    order = list(config.stages)
    for field, text in initial_weights(config):
        stage, source = field.partition(".")[0], parse_source(text).name
        if source in order and order.index(source) >= order.index(stage):
            raise UserError(
                f"{field}: stage {source} does not come before {stage} in config.stages "
                f"({', '.join(order)}); change their order"
            )
        for copy in copies:
            find_source(text, Place(workdir, tuple(config.stages), stage, copy.name))


def with_weights(runs: Sequence[Stage], workdir: Path) -> list[Stage]:
    """Return the stages that can be evaluated; the others are named and left out."""
    known = [run for run in runs if run.checkpoints.steps() or names_weights(run)]
    if not known:
        raise UserError(
            f"{workdir} holds no checkpoint: train first, or name trained weights with "
            f"--config.{runs[-1].name}.init_from=RUN_FOLDER"
        )
    for run in runs:
        if run not in known:
            say(f"stage {run.label} has no weights and is left out")
    return known


def names_weights(run: Stage) -> bool:
    """Tell whether `init_from` names weights from elsewhere for the whole network, or its parts."""
    given: Any = run.options.init_from
    if not given or isinstance(given, str):
        return bool(given)
    return not any(parse_source(entry[1]).name in run.place.stages for entry in given)


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
