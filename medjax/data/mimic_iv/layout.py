"""Writing the csv files of the published benchmark, for tools that read that layout.

    root/all_stays.csv, all_diagnoses.csv, diagnosis_counts.csv, phenotype_labels.csv
    root/<train|test>/<subject>/stays.csv, diagnoses.csv, episode<k>.csv, episode<k>_timeseries.csv
    <task>/<train|test>/<subject>_episode<k>_timeseries.csv
    <task>/<train|val|test>_listfile.csv

The validation stays lie in `train`, as published. Every value is what the rules of the preparation
made of it; only the copies of single events (events.csv) are not written.
"""

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.mimic_iv import benchmark
from medjax.data.mimic_iv.channels import Channels, read_json
from medjax.data.mimic_iv.diagnoses import Phenotypes
from medjax.data.mimic_iv.episodes import TimeSeries
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.tasks import BENCHMARK_TASKS, Excluded

LIST_OF = {"train": "train", "validation": "val", "test": "test"}


class StayTables(NamedTuple):
    """What is known of the stays beside their series."""

    stays: pd.DataFrame
    """The cohort with `diagnosed` and `split`."""
    of_stays: pd.DataFrame
    """Their diagnoses, of `diagnoses.diagnoses_of_stays`."""
    labels: np.ndarray
    """uint8 [stays, 25]: phenotypes."""
    phenotypes: Phenotypes


def write_layout(
    folder: Path,
    tables: StayTables,
    series: Iterable[tuple[int, TimeSeries]],
    channels: Channels,
    rules: Rules,
) -> None:
    """Write the layout to a folder that does not exist yet; it appears whole or not at all.

    Args:
        folder: gets `root` and one folder a task; an empty one is replaced.
        tables: stays, diagnoses and labels.
        series: (row of the stay, its series), read once.
        channels: the channels of the series.
        rules: the rules of the preparation.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_files(partial, tables, series, channels, rules)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_files(
    folder: Path,
    tables: StayTables,
    series: Iterable[tuple[int, TimeSeries]],
    channels: Channels,
    rules: Rules,
) -> None:
    """Write all files of the layout."""
    _write_subjects(folder / "root", tables)
    lists: dict[str, list[tuple[str, ...]]] = {task: [] for task in BENCHMARK_TASKS}
    bits = benchmark.diagnosis_bits(tables.of_stays, tables.stays.stay_id.to_numpy(), rules)
    for row, charted in series:
        stay = tables.stays.iloc[row]
        part = "test" if stay.split == "test" else "train"
        stem = folder / "root" / part / str(stay.subject_id) / f"episode{stay.episode}"
        _episode(stay, charted, bits[row], channels).to_csv(f"{stem}.csv", index=False)
        _write_series(Path(f"{stem}_timeseries.csv"), charted, channels)
        for task in BENCHMARK_TASKS:
            phenotypes = tables.labels[row]
            try:
                read, lines = benchmark.stay_lines(task, stay, charted, phenotypes, rules)
            except Excluded:
                continue
            name = folder / _folder_of(task) / part / benchmark.series_name(stay)
            _write_series(name, read, channels)
            lists[task] += lines
    for task, lines in lists.items():
        _write_lists(folder / _folder_of(task), task, lines, tables)


def _folder_of(task: str) -> str:
    """Return the published name of a task."""
    return task.replace("_", "-")


def _write_subjects(root: Path, tables: StayTables) -> None:
    """Write the tables of all stays and those of each subject."""
    root.mkdir(parents=True)
    stays, of_stays = benchmark.all_stays(tables.stays), tables.of_stays
    stays.to_csv(root / "all_stays.csv", index=False)
    benchmark.all_diagnoses(of_stays).to_csv(root / "all_diagnoses.csv", index=False)
    benchmark.diagnosis_counts(of_stays).to_csv(root / "diagnosis_counts.csv", index=False)
    order = np.argsort(tables.stays.stay_id.to_numpy())
    labels = benchmark.phenotype_matrix(tables.labels[order], tables.phenotypes)
    labels.to_csv(root / "phenotype_labels.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    diagnoses = benchmark.diagnoses_by_stay(of_stays, tables.phenotypes)
    by_subject = dict(list(diagnoses.groupby("subject_id")))
    for subject, rows in stays.groupby(tables.stays.subject_id):
        split = tables.stays.split[rows.index[0]]
        home = root / ("test" if split == "test" else "train") / str(subject)
        home.mkdir(parents=True)
        rows.to_csv(home / "stays.csv", index=False)
        by_subject.get(subject, diagnoses[:0]).to_csv(home / "diagnoses.csv", index=False)


def _episode(
    stay: pd.Series, charted: TimeSeries, bits: np.ndarray, channels: Channels
) -> pd.DataFrame:
    """Return episode<k>.csv: one row, or the header alone for a stay without diagnoses."""
    described = benchmark.episode_row(stay.to_dict(), charted, channels)
    names = [*described, *(f"Diagnosis {code}" for code in read_json("diagnosis_columns.json"))]
    rows = [[*described.values(), *bits.tolist()]] if stay.diagnosed else []
    return pd.DataFrame(rows, columns=names)


def _write_series(path: Path, charted: TimeSeries, channels: Channels) -> None:
    """Write one time series."""
    path.parent.mkdir(parents=True, exist_ok=True)
    benchmark.series_table(charted, channels).to_csv(path, index=False)


def _write_lists(folder: Path, task: str, lines: list[tuple[str, ...]], tables: StayTables) -> None:
    """Write the three list files of a task."""
    folder.mkdir(parents=True, exist_ok=True)
    split_of = dict(zip(tables.stays.subject_id.astype(str), tables.stays.split))
    for split, part in LIST_OF.items():
        with open(folder / f"{part}_listfile.csv", "w", encoding="utf-8", newline="") as f:
            writer = csv.writer(f, lineterminator="\n")
            writer.writerow(benchmark.list_columns(task, tables.phenotypes))
            writer.writerows(ln for ln in lines if split_of[ln[0].split("_")[0]] == split)
