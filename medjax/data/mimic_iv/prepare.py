"""MIMIC-IV (1.0 to 3.x, csv or csv.gz): ICU stays for mortality, phenotyping and more."""

import argparse
import shutil
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import medjax
from medjax.data.arguments import positive_number
from medjax.data.manifest import MANIFEST, describe_options, print_manifest, write_manifest
from medjax.data.mimic_iv import report
from medjax.data.mimic_iv.build import Bucket, Built, bucket_series, build_all
from medjax.data.mimic_iv.channels import Channels, load_channels
from medjax.data.mimic_iv.events import CohortIndex, open_event_table
from medjax.data.mimic_iv.layout import StayTables, write_layout
from medjax.data.mimic_iv.normalizer import Normalizer, RunningMoments, published_normalizer
from medjax.data.mimic_iv.own_channels import read_channels
from medjax.data.mimic_iv.own_labels import read_own_labels
from medjax.data.mimic_iv.record_files import open_work
from medjax.data.mimic_iv.rules import CHOICES, Rules
from medjax.data.mimic_iv.sets import write_stays, write_task
from medjax.data.mimic_iv.spill import BLOCKS_AT_ONCE, TABLES, bucket_of_stays, spill_events
from medjax.data.mimic_iv.stream import BLOCK_BYTES
from medjax.data.mimic_iv.study import Cohort, load_cohort
from medjax.data.mimic_iv.tasks import (
    BENCHMARK_TASKS,
    DEFAULT_TASKS,
    MORTALITY_HOURS,
    OWN,
    PHENOTYPING,
    Task,
    benchmark_task,
)
from medjax.errors import UsageError, nearest

SUBJECTS_A_BUCKET = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this source."""
    parser.add_argument(
        "--tasks",
        default=",".join(DEFAULT_TASKS),
        help=f"of {', '.join(BENCHMARK_TASKS)}, separated by commas, or all",
    )
    parser.add_argument(
        "--window_hours",
        type=positive_number,
        default=MORTALITY_HOURS,
        help="in-hospital mortality: hours observed, of stays at least that long",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        help="csv of own outcomes: stay_id and columns of 0, 1 or nothing; becomes the set own",
    )
    parser.add_argument(
        "--labels_hours",
        type=positive_number,
        help="own outcomes: hours observed, of stays at least that long (the whole stay)",
    )
    parser.add_argument(
        "--channels", type=Path, help="json of own channels; see mimic_iv/own_channels.py"
    )
    parser.add_argument(
        "--compat",
        choices=("default", "published"),
        default="default",
        help="what is right, or the published behaviour in every rule below",
    )
    parser.add_argument(
        "--max_error_rate",
        type=float,
        default=0.2,
        help="stop when a larger share of the values cannot be read",
    )
    parser.add_argument(
        "--write_benchmark",
        type=Path,
        help="also write the csv files of the published pipeline, five tasks, to this new folder",
    )
    for name, choices in CHOICES.items():
        parser.add_argument(f"--{name}", choices=choices, help="rule; see mimic_iv/rules.py")


def prepare(args: argparse.Namespace) -> None:
    """Read `args.raw` and write the sets, stays.parquet and, last, the manifest to `args.out`.

    Work files lie in a hidden folder of `args.out`, which is removed at the end. The same command
    after a kill goes on from them; other options or raw tables start afresh (`record_files`).

    Raises:
        UserError: a table or column is missing, or a file is damaged or full of errors.
        UsageError: an option has an unknown value.
    """
    rules, tasks = rules_of(args), tasks_of(args.tasks, args.window_hours)
    check_own(args, rules)
    check_layout(args)
    if args.labels:
        tasks = (*tasks, Task(OWN, args.labels_hours))
    own = read_own_labels(args.labels) if args.labels else None
    channels = read_channels(args.channels) if args.channels else load_channels()
    if args.dry_run:
        report.print_forecast(args.raw, args.out, args.workers, len(tasks))
        return
    report.check_space(args.out, report.forecast(args.raw, len(tasks)).disk)
    for name in TABLES:
        open_event_table(args.raw, name).position.close()
    lists = args.split == "published"
    names = tuple(task.name for task in tasks)
    cohort = load_cohort(args.raw, rules, names, not args.unlabelled, lists, args.limit, own)
    work = open_work(args.out, state_of(args, rules, cohort))
    try:
        (args.out / MANIFEST).unlink(missing_ok=True)
        manifest = _prepare(args, rules, tasks, cohort, channels, work)
        write_manifest(args.out, manifest)
    except Exception:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work)
    print_manifest(manifest)


def state_of(args: argparse.Namespace, rules: Rules, cohort: Cohort) -> dict[str, Any]:
    """Return what the work files follow from, beside the event tables."""
    versions = {name: version(name) for name in ("numpy", "pandas", "pyarrow")}
    return {
        "versions": {"medjax": medjax.__version__, **versions},
        **describe_options(args),
        "fields": rules.to_dict(),
        "inputs": cohort.inputs,
        "subjects_a_bucket": SUBJECTS_A_BUCKET,
        "block_bytes": [BLOCK_BYTES, BLOCKS_AT_ONCE],
    }


def rules_of(args: argparse.Namespace) -> Rules:
    """Return the rules of `--compat`, with those set by name."""
    base = Rules.published() if args.compat == "published" else Rules.default()
    given = {name: getattr(args, name) for name in CHOICES}
    return base.with_fields({name: value for name, value in given.items() if value is not None})


def tasks_of(text: str, window_hours: float = MORTALITY_HOURS) -> tuple[Task, ...]:
    """Return the tasks of a comma-separated list, in the order of BENCHMARK_TASKS."""
    names = [name.strip().replace("-", "_") for name in text.split(",")]
    if names == ["all"]:
        names = list(BENCHMARK_TASKS)
    for name in names:
        if name not in BENCHMARK_TASKS:
            known = ", ".join(BENCHMARK_TASKS)
            hint = nearest(name, BENCHMARK_TASKS)
            raise UsageError(f"unknown task {name!r}{hint} (tasks: {known})")
    return tuple(benchmark_task(n, window_hours) for n in BENCHMARK_TASKS if n in names)


def check_own(args: argparse.Namespace, rules: Rules) -> None:
    """Refuse options of own outcomes and channels beside what they exclude."""
    if args.labels and args.unlabelled:
        raise UsageError("--labels and --unlabelled exclude each other; leave out one")
    if args.labels_hours and not args.labels:
        raise UsageError("--labels_hours is of own outcomes; give --labels=CSV too")
    if args.channels and args.write_benchmark:
        raise UsageError("--write_benchmark knows the benchmark's channels only; leave out one")
    if args.channels and rules.normalizer == "ph_ts1.0":
        raise UsageError(
            "the published normaliser knows the benchmark's channels only; give "
            "--normalizer=fit_train beside --channels"
        )


def check_layout(args: argparse.Namespace) -> None:
    """Refuse --write_benchmark beside what the published files cannot say, or over other files."""
    folder = args.write_benchmark
    if folder is None:
        return
    if args.unlabelled:
        raise UsageError("--write_benchmark needs labels; leave out --unlabelled")
    if args.window_hours != MORTALITY_HOURS:
        raise UsageError(
            f"--write_benchmark has a window of 48 hours, not {args.window_hours:g}; leave out one"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--write_benchmark={folder} is not empty; name a new folder")


def _prepare(
    args: argparse.Namespace,
    rules: Rules,
    tasks: tuple[Task, ...],
    cohort: Cohort,
    channels: Channels,
    work: Path,
) -> dict[str, Any]:
    """Read the events, write stays.parquet and the sets; return the manifest."""
    stays = cohort.stays
    index = CohortIndex.of(stays)
    number = max(1, len(index.subjects) // SUBJECTS_A_BUCKET)
    tally = spill_events(args.raw, stays, channels, rules, work, number, args.workers)
    report.check_error_rate(args.raw, tally, args.max_error_rate)
    buckets = _buckets(cohort, index, number, work, channels, rules, tasks)
    built_buckets = build_all(buckets, args.workers)
    steps = tqdm(built_buckets, "series", number, leave=False, disable=None)
    excluded: dict[str, Counter[str]] = {task.name: Counter() for task in tasks}
    moments = {task.name: RunningMoments(len(channels.header())) for task in tasks}
    for built in steps:
        _merge(built, excluded, moments)
    for name in (*BENCHMARK_TASKS, OWN):  # those of an earlier run are not of this manifest
        shutil.rmtree(args.out / name, ignore_errors=True)
    write_stays(args.out / "stays.parquet", stays, not args.unlabelled)
    summaries = [write_task(args.out, work, number, task, cohort, channels) for task in tasks]
    if args.write_benchmark:
        tables = StayTables(stays, cohort.of_stays, cohort.labels[PHENOTYPING], cohort.phenotypes)
        series = (pair for bucket in buckets for pair in bucket_series(bucket))
        write_layout(args.write_benchmark, tables, series, channels, rules)
    normalizers = {task.name: _normalizer(rules, moments[task.name]) for task in tasks}
    sets = dict(zip(tasks, summaries))
    return report.manifest(
        args, rules, cohort, tally, excluded, sets, normalizers, channels.header()
    )


def _buckets(
    cohort: Cohort,
    index: CohortIndex,
    number: int,
    work: Path,
    channels: Channels,
    rules: Rules,
    tasks: tuple[Task, ...],
) -> list[Bucket]:
    """Cut the cohort into ranges of patients, as their events were spilled."""
    stays, place = cohort.stays, bucket_of_stays(index, number)
    first = np.searchsorted(place, np.arange(number))
    return [
        Bucket(
            number=b,
            folder=work,
            stays=stays[place == b].reset_index(drop=True),
            first=int(first[b]),
            channels=channels,
            rules=rules,
            tasks=tasks,
        )
        for b in range(number)
    ]


def _merge(
    built: Built, excluded: dict[str, Counter[str]], moments: dict[str, RunningMoments]
) -> None:
    """Add what one bucket counted."""
    for task in excluded:
        excluded[task].update(built.excluded[task])
        moments[task].merge(built.moments[task])


def _normalizer(rules: Rules, moments: RunningMoments) -> Normalizer:
    """Return the statistics that the rules ask for; the published ones without train samples.

    Own channels have no published ones: without train samples nothing is normalised.
    """
    published = published_normalizer()
    if rules.normalizer == "ph_ts1.0":
        return published
    fitting = moments.count or moments.columns != len(published.means)
    return moments.fitted() if fitting else published
