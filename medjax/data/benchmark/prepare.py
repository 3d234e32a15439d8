"""Episodes and listfiles of the published benchmark (mimic3-benchmarks, MedFuse), all tasks."""

import argparse
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from medjax.data.benchmark.examples import Folder, write_task
from medjax.data.benchmark.lists import Listed, list_paths, read_lists, series_path, task_folder
from medjax.data.benchmark.series import SeriesFile, read_sample
from medjax.data.benchmark.stays import TABLE, find_stays, read_stays
from medjax.data.manifest import describe_run, describe_set, print_manifest, write_manifest
from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.diagnoses import load_phenotypes
from medjax.data.mimic_iv.normalizer import published_normalizer
from medjax.data.mimic_iv.sets import task_spec, write_stays
from medjax.data.mimic_iv.tasks import BENCHMARK_TASKS, Task, benchmark_task, label_names
from medjax.data.subject_split import HASH_RULE, hash_split
from medjax.data.workers import Crew
from medjax.errors import UsageError, UserError, nearest

NORMALIZERS = ("fit_train", "ph_ts1.0")
Lists = dict[str, list[Listed]]
"""Task -> its stays."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--tasks", default="", help="tasks, separated by commas (all there are)")
    parser.add_argument(
        "--normalizer",
        choices=NORMALIZERS,
        default="fit_train",
        help="statistics of the train split, or those published",
    )


def prepare(args: argparse.Namespace) -> None:
    """Write one set a task, stays.parquet where root/all_stays.csv is there, and the manifest.

    Raises:
        UserError: a list or a listed file is missing or malformed, or a subject in two splits.
        UsageError: an unknown task, or --unlabelled.
    """
    if args.unlabelled:
        raise UsageError("listfiles hold labels; leave out --unlabelled")
    tasks = tasks_of(args.tasks, args.raw)
    phenotypes = load_phenotypes().names
    lists = {task.name: read_lists(args.raw, task.name, phenotypes) for task in tasks}
    counts = _limit(lists, args.limit)
    check_files(args.raw, lists)
    split_of, rule = split_subjects(lists, args.split)
    table = read_stays(args.raw)
    stays = find_stays([one for of_task in lists.values() for one in of_task], table)
    files = sum(map(len, lists.values()))
    if args.dry_run:
        print(f"dry run: {files:,} series of {len(tasks)} tasks; nothing written")
        return
    folder = Folder(args.raw, stays, split_of)
    sets, normalizers = _write_tasks(args, folder, tasks, lists, phenotypes)
    if table is not None:
        known = table[table.subject_id.isin(list(split_of))].reset_index(drop=True)
        known = known.assign(split=[split_of[subject] for subject in known.subject_id])
        write_stays(args.out / "stays.parquet", known, labelled=True)
    manifest = {
        **describe_run(args, _inputs(args.raw, tasks)),
        "counts": counts,
        "sets": sets,
        "split_rule": rule,
        "normalizer": normalizers,
        "fields": {"normalizer": args.normalizer},
    }
    write_manifest(args.out, manifest)
    print_manifest(manifest)


def _write_tasks(
    args: argparse.Namespace,
    folder: Folder,
    tasks: tuple[Task, ...],
    lists: Lists,
    phenotypes: tuple[str, ...],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the sets; return what the manifest says of them and of their normalisers, by task."""
    channels = load_channels()
    sets, normalizers = {}, {}
    read, total = functools.partial(read_sample, channels), sum(map(len, lists.values()))
    with (
        Crew(read, args.workers, lambda file: str(file.path)) as crew,
        tqdm(total=total, unit=" series", disable=None) as progress,
    ):

        def read_all(files: Iterable[SeriesFile]) -> Iterator[np.ndarray]:
            for data in crew.map(files):
                progress.update()
                yield data

        for task in tasks:
            labels = label_names(task.name, phenotypes)
            spec = task_spec(task, labels, channels)
            summary, moments = write_task(args.out, folder, task, lists[task.name], spec, read_all)
            hourly = {"hourly": task.hourly, "window_hours": task.hours}
            sets[task.name] = describe_set(summary, labels, **hourly)
            fitted = args.normalizer == "fit_train" and moments.count
            normalizer = moments.fitted() if fitted else published_normalizer()
            normalizers[task.name] = normalizer.to_dict(channels.header())
    return sets, normalizers


def tasks_of(text: str, raw: Path) -> tuple[Task, ...]:
    """Return the tasks of --tasks, or all that have a folder.

    Raises:
        UsageError: an unknown task.
        UserError: no folder of a task.
    """
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    for name in names:
        if name not in BENCHMARK_TASKS:
            known = ", ".join(BENCHMARK_TASKS)
            hint = nearest(name, BENCHMARK_TASKS)
            raise UsageError(f"--tasks: unknown task {name!r}{hint} (tasks: {known})")
    names = names or [name for name in BENCHMARK_TASKS if task_folder(raw, name).is_dir()]
    if not names:
        folders = ", ".join(task_folder(raw, name).name for name in BENCHMARK_TASKS)
        raise UserError(f"{raw}: none of the folders {folders}; name the one that holds them")
    return tuple(benchmark_task(name) for name in BENCHMARK_TASKS if name in names)


def _limit(lists: Lists, limit: int | None) -> list[dict[str, Any]]:
    """Keep the first subjects of every list; return what the manifest counts of each task."""
    subjects = sorted({one.subject_id for of_task in lists.values() for one in of_task})
    kept = set(subjects[:limit])
    counts = []
    for task, listed in lists.items():
        lists[task] = [one for one in listed if one.subject_id in kept]
        reason = "stays in the lists" if limit is None else f"beyond {limit} subjects (--limit)"
        counts.append({"rule": task, "in": len(listed), "out": len(lists[task]), "reason": reason})
    return counts


def check_files(raw: Path, lists: Lists) -> None:
    """Refuse lists that name series which are not there, before anything is read.

    Raises:
        UserError: with the first and their number.
    """
    for task, listed in lists.items():
        paths = (series_path(raw, task, one) for one in listed)
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise UserError(
                f"{missing[0]}: no such file, though it is listed ({len(missing):,} listed files "
                "are missing); run the benchmark's extraction of this task again"
            )


def split_subjects(lists: Lists, wanted: str) -> tuple[dict[int, str], str]:
    """Return subject -> split, of the lists or a hash, and the rule.

    Raises:
        UserError: a subject stands in two splits.
    """
    split_of: dict[int, str] = {}
    mixed = {
        one.subject_id
        for of_task in lists.values()
        for one in of_task
        if split_of.setdefault(one.subject_id, one.split) != one.split
    }
    if wanted == "hash":
        by_hash = {subject: hash_split(str(subject)) for subject in split_of}
        return by_hash, HASH_RULE.format("subject id")
    if mixed:
        raise UserError(
            f"{len(mixed)} subjects stand in more than one split of the lists; use lists of one "
            "extraction, or --split=hash"
        )
    return split_of, "the lists"


def _inputs(raw: Path, tasks: tuple[Task, ...]) -> dict[str, Path]:
    """The tables that were read, by name."""
    inputs = {
        f"{path.parent.name}/{path.name}": path
        for task in tasks
        for path in list_paths(raw, task.name).values()
    }
    table = raw / TABLE
    return inputs | ({TABLE.as_posix(): table} if table.is_file() else {})
