"""MIMIC-IV (1.0 to 3.x, csv or csv.gz): ICU stays for in-hospital mortality and phenotyping."""

import argparse
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_datasets as tfds
from tqdm import tqdm

from medjax import files
from medjax.data.manifest import MANIFEST, print_manifest, write_manifest
from medjax.data.mimic_iv import report
from medjax.data.mimic_iv.build import Bucket, Built, bucket_series, build_all, read_samples
from medjax.data.mimic_iv.channels import Channels, load_channels
from medjax.data.mimic_iv.cohort import Admissions, read_admissions, select_cohort
from medjax.data.mimic_iv.diagnoses import (
    Phenotypes,
    diagnoses_of_stays,
    load_phenotypes,
    phenotype_labels,
    read_diagnoses,
)
from medjax.data.mimic_iv.events import CohortIndex, open_event_table
from medjax.data.mimic_iv.layout import StayTables, write_layout
from medjax.data.mimic_iv.normalizer import Normalizer, RunningMoments, published_normalizer
from medjax.data.mimic_iv.rules import CHOICES, Rules
from medjax.data.mimic_iv.spill import TABLES, bucket_of_stays, spill_events
from medjax.data.mimic_iv.split import Split, split_subjects
from medjax.data.mimic_iv.tasks import MORTALITY, PHENOTYPING, TASKS
from medjax.data.prepared import SetSpec, SetSummary, write_set
from medjax.errors import UsageError, UserError, nearest

VERSION = "1.0.0"
SUBJECTS_A_BUCKET = 500
SPLITS = ("train", "validation", "test")
CITATION = (
    "Johnson et al. 2023, MIMIC-IV, Scientific Data 10:1; Harutyunyan et al. 2019, Multitask "
    "learning and benchmarking with clinical time series data, Scientific Data 6:96; "
    "Hayat et al. 2022, MedFuse, arXiv:2207.07027"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this source."""
    parser.add_argument("--tasks", default=",".join(TASKS), help="tasks, separated by commas")
    parser.add_argument(
        "--compat",
        choices=("none", "published"),
        default="none",
        help="what is right, or the published behaviour in every rule below",
    )
    parser.add_argument(
        "--max_error_rate",
        type=float,
        default=0.2,
        help="stop when a larger share of the values cannot be read",
    )
    parser.add_argument(
        "--benchmark_layout",
        action="store_true",
        help="also write OUT/benchmark, the csv files of the published pipeline, four tasks",
    )
    for name, choices in CHOICES.items():
        parser.add_argument(f"--{name}", choices=choices, help="rule; see mimic_iv/rules.py")


def prepare(args: argparse.Namespace) -> None:
    """Read `args.raw` and write the sets, stays.parquet and, last, the manifest to `args.out`.

    Work files lie in a folder of `args.out` that is made afresh by each run and removed at the
    end, so a preparation that was killed leaves nothing that another could mix in.

    Raises:
        UserError: a table or column is missing, or a file is damaged or full of errors.
        UsageError: an option has an unknown value.
    """
    rules, tasks = rules_of(args), tasks_of(args.tasks)
    if args.benchmark_layout and args.unlabelled:
        raise UsageError("--benchmark_layout needs labels; leave out --unlabelled")
    if args.dry_run:
        report.print_forecast(args.raw, args.out, args.workers)
        return
    cohort = load_cohort(args, rules, tasks)
    work = args.out / ".mimic_iv.partial"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        (args.out / MANIFEST).unlink(missing_ok=True)
        manifest = _prepare(args, rules, tasks, cohort, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_manifest(args.out, manifest)
    print_manifest(manifest)


def rules_of(args: argparse.Namespace) -> Rules:
    """Return the rules of `--compat`, with those set by name."""
    base = Rules.published() if args.compat == "published" else Rules.default()
    given = {name: getattr(args, name) for name in CHOICES}
    return base.with_fields({name: value for name, value in given.items() if value is not None})


def tasks_of(text: str) -> tuple[str, ...]:
    """Return the tasks of a comma-separated list, in the order of TASKS."""
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    for name in names:
        if name not in TASKS:
            known = ", ".join(TASKS)
            raise UsageError(f"unknown task {name!r}{nearest(name, TASKS)} (tasks: {known})")
    return tuple(task for task in TASKS if task in names)


@dataclass(frozen=True)
class Cohort:
    """The stays with everything known about them before their events are read."""

    stays: pd.DataFrame
    """As `select_cohort` returns, with `diagnosed` (bool) and `split`."""
    of_stays: pd.DataFrame
    """Their diagnoses; no rows when unlabelled."""
    labels: dict[str, np.ndarray]
    """Task -> uint8 [stays, labels]; {} when unlabelled."""
    label_names: dict[str, tuple[str, ...]]
    phenotypes: Phenotypes
    split: Split
    counts: list[dict[str, Any]]
    dropped: Counter[str]
    inputs: dict[str, dict[str, Any]]


def load_cohort(args: argparse.Namespace, rules: Rules, tasks: tuple[str, ...]) -> Cohort:
    """Read the small tables and decide stays, labels and splits."""
    for name in TABLES:
        open_event_table(args.raw, name).position.close()
    labelled = not args.unlabelled
    inputs: dict[str, dict[str, Any]] = {}
    tables: Admissions = read_admissions(args.raw, labelled, inputs)
    stays, counts = select_cohort(tables, rules)
    if args.limit:
        some = stays[stays.subject_id.isin(np.unique(stays.subject_id)[: args.limit])]
        reason = f"beyond the first {args.limit} subjects (--limit)"
        counts.append({"rule": "limit", "in": len(stays), "out": len(some), "reason": reason})
        stays = some.reset_index(drop=True)
    if stays.empty:
        raise UserError(f"{args.raw}: no stay is left after the inclusion rules; check the tables")
    dropped, phenotypes = Counter(tables.dropped), load_phenotypes()
    labels: dict[str, np.ndarray] = {}
    of_stays = pd.DataFrame()
    diagnosed = np.ones(len(stays), bool)
    subjects = np.unique(stays.subject_id)
    if labelled:
        diagnoses = read_diagnoses(args.raw, stays.hadm_id.to_numpy(), rules, inputs, dropped)
        of_stays = diagnoses_of_stays(diagnoses, stays, phenotypes)
        bits, diagnosed = phenotype_labels(of_stays, stays.stay_id.to_numpy(), phenotypes)
        labels = {
            MORTALITY: stays.mortality.to_numpy(np.uint8)[:, None],
            PHENOTYPING: bits,
        }
        split = split_subjects(subjects, rules.split_source, args.split == "published")
    else:
        split = Split(dict.fromkeys(subjects.tolist(), "all"), "one split, unlabelled")
    stays = stays.assign(
        diagnosed=diagnosed, split=[split.of[subject] for subject in stays.subject_id.tolist()]
    )
    assert (stays.groupby("subject_id").split.nunique() == 1).all(), "a patient in two splits"
    names = {MORTALITY: ("In-hospital mortality",), PHENOTYPING: phenotypes.names}
    names = {task: names[task] if labelled else () for task in tasks}
    return Cohort(stays, of_stays, labels, names, phenotypes, split, counts, dropped, inputs)


def _prepare(
    args: argparse.Namespace, rules: Rules, tasks: tuple[str, ...], cohort: Cohort, work: Path
) -> dict[str, Any]:
    """Read the events, write stays.parquet and the sets; return the manifest."""
    channels, stays = load_channels(), cohort.stays
    index = CohortIndex.of(stays)
    number = max(1, len(index.subjects) // SUBJECTS_A_BUCKET)
    tally = spill_events(args.raw, stays, channels, rules, work, number, args.workers)
    report.check_error_rate(args.raw, tally, args.max_error_rate)
    place = bucket_of_stays(index, number)
    first = np.searchsorted(place, np.arange(number))
    buckets = [
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
    steps = tqdm(build_all(buckets, args.workers), "series", number, leave=False)
    excluded: dict[str, Counter[str]] = {task: Counter() for task in tasks}
    moments = {task: RunningMoments(len(channels.header())) for task in tasks}
    for built in steps:
        _merge(built, excluded, moments)
    for task in TASKS:  # a set of an earlier run would not be that of this manifest
        shutil.rmtree(args.out / task, ignore_errors=True)
    _write_stays(args.out / "stays.parquet", stays, not args.unlabelled)
    summaries = {
        task: _write_task(args.out, work, number, task, cohort, channels) for task in tasks
    }
    if args.benchmark_layout:
        tables = StayTables(stays, cohort.of_stays, cohort.labels[PHENOTYPING], cohort.phenotypes)
        series = (pair for bucket in buckets for pair in bucket_series(bucket))
        write_layout(work / "benchmark", tables, series, channels, rules)
        shutil.rmtree(args.out / "benchmark", ignore_errors=True)
        (work / "benchmark").rename(args.out / "benchmark")
    normalizers = {task: _normalizer(rules, moments[task]) for task in tasks}
    return report.manifest(
        args, rules, cohort, tally, excluded, summaries, normalizers, channels.header()
    )


def _merge(
    built: Built, excluded: dict[str, Counter[str]], moments: dict[str, RunningMoments]
) -> None:
    """Add what one bucket counted."""
    for task in excluded:
        excluded[task].update(built.excluded[task])
        moments[task].merge(built.moments[task])


def _normalizer(rules: Rules, moments: RunningMoments) -> Normalizer:
    """Return the statistics that the rules ask for; the published ones without train samples."""
    if rules.normalizer == "ph_ts1.0" or not moments.count:
        return published_normalizer()
    return moments.fitted()


def _write_stays(path: Path, stays: pd.DataFrame, labelled: bool) -> None:
    """Write the stays of the cohort, mortality -1 when unlabelled."""
    ids = {name: stays[name].to_numpy() for name in ("subject_id", "hadm_id", "stay_id")}
    seconds = {name: stays[name].to_numpy("datetime64[s]") for name in ("intime", "outtime")}
    mortality = stays.mortality.to_numpy(np.int8) if labelled else np.full(len(stays), -1, np.int8)
    table = pa.table(
        ids
        | seconds
        | {
            "los_hours": 24 * stays.los.to_numpy(),
            "age": stays.age.to_numpy(np.float32),
            "gender": pa.array(stays.gender.to_list(), pa.string()),
            "mortality": mortality,
            "split": pa.array(stays.split.to_list(), pa.string()),
        }
    )
    files.write_atomic(path, lambda temporary: pq.write_table(table, temporary))


def _write_task(
    out: Path, work: Path, buckets: int, task: str, cohort: Cohort, channels: Channels
) -> SetSummary:
    """Write the prepared set of one task."""
    names = cohort.label_names[task]
    features = {
        "stay_id": tfds.features.Scalar(np.int64),
        "subject_id": tfds.features.Scalar(np.int64),
        "episode": tfds.features.Text(),
        "series": tfds.features.Tensor(shape=(None, len(channels.header())), dtype=np.float32),
        "period_length": tfds.features.Tensor(shape=(), dtype=np.float64, encoding="bytes"),
        "age": tfds.features.Scalar(np.float32),
        "gender": tfds.features.Text(),
    }
    if names:
        features["labels"] = tfds.features.Tensor(shape=(len(names),), dtype=np.uint8)
    spec = SetSpec(
        name=task,
        version=VERSION,
        features=features,
        description=f"ICU stays for {task}: hourly series of 17 variables, not normalised.",
        citation=CITATION,
        license="that of the raw data",
    )
    splits = SPLITS if names else ("all",)
    examples = {s: _examples(work, buckets, task, s, cohort) for s in splits}
    return write_set(out, spec, examples)


def _examples(
    work: Path, buckets: int, task: str, split: str, cohort: Cohort
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the (key, example) pairs of one split of a task."""
    columns = ["stay_id", "subject_id", "episode", "age", "gender", "split"]
    stays = {name: cohort.stays[name].to_list() for name in columns}
    for row, period, data in read_samples(work, task, buckets):
        if stays["split"][row] != split:
            continue
        example = {
            "stay_id": stays["stay_id"][row],
            "subject_id": stays["subject_id"][row],
            "episode": f"{stays['subject_id'][row]}_episode{stays['episode'][row]}_timeseries.csv",
            "series": data,
            "period_length": period,
            "age": np.float32(stays["age"][row]),
            "gender": stays["gender"][row] or "",
        }
        if cohort.label_names[task]:
            example["labels"] = cohort.labels[task][row]
        yield str(stays["stay_id"][row]), example
