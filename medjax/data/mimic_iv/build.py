"""From spilled records to the discretised samples of every task, by ranges of patients."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax import files
from medjax.data.mimic_iv.channels import Channels
from medjax.data.mimic_iv.discretize import discretize
from medjax.data.mimic_iv.episodes import TimeSeries, series_of_stays, series_points
from medjax.data.mimic_iv.events import CohortIndex
from medjax.data.mimic_iv.hourly import Course, check_predicted
from medjax.data.mimic_iv.normalizer import RunningMoments
from medjax.data.mimic_iv.record_files import checksum_of, noted_checksums, read_records
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.spill import TABLES, Encoder
from medjax.data.mimic_iv.tasks import OWN, Excluded, Sample, Task, sample


@dataclass(frozen=True)
class Bucket:
    """All that is needed to build one range of patients; can be sent to another process."""

    number: int
    folder: Path
    stays: pd.DataFrame
    """Its stays, with the columns `diagnosed`, `lived_hours` and `split` beside the cohort's."""
    first: int
    """Row of its first stay in the whole cohort."""
    channels: Channels
    rules: Rules
    tasks: tuple[Task, ...]


class StaySample(NamedTuple):
    """What a task reads of one stay, discretised."""

    row: int
    """Row of the stay in the cohort."""
    period: float
    """Hours from admission to the end."""
    first: float
    """Hour of the first row of the series."""
    data: np.ndarray
    """float32 [steps, columns]."""


class Built(NamedTuple):
    """What building a bucket counted."""

    excluded: dict[str, Counter[str]]
    """Task -> reason -> stays."""
    moments: dict[str, RunningMoments]
    """Task -> sums over its train samples."""


def sample_path(folder: Path, task: str, number: int) -> Path:
    """Return the path of a bucket's samples of a task."""
    return folder / f"{task}-{number:04d}.npz"


def bucket_series(bucket: Bucket) -> Iterator[tuple[int, TimeSeries]]:
    """Yield (row of the stay in the whole cohort, series) of the stays that have any value."""
    dtype = Encoder(bucket.channels, bucket.rules).dtype()
    records = read_records(bucket.folder, bucket.number, dtype)
    records["stay"] -= bucket.first
    points = series_points(records, CohortIndex.of(bucket.stays))
    for row, series in series_of_stays(points, len(bucket.channels.names)):
        yield row + bucket.first, series


def build_bucket(bucket: Bucket) -> Built:
    """Write the samples of one bucket; take them from a killed run that had the same records."""
    path = bucket.folder / f"built-{bucket.number:04d}.json"
    records = noted_checksums(bucket.folder, TABLES, bucket.number)
    with contextlib.suppress(OSError, ValueError, KeyError):
        note = json.loads(path.read_text())
        if (note["records"], note["samples"]) == (records, _samples_on_disk(bucket)):
            excluded = {task: Counter(counts) for task, counts in note["excluded"].items()}
            moments = {task: RunningMoments.of(sums) for task, sums in note["moments"].items()}
            return Built(excluded, moments)
    built = _build(bucket)
    note = {
        "records": records,
        "samples": _samples_on_disk(bucket),
        "excluded": built.excluded,
        "moments": {task: moments.to_dict() for task, moments in built.moments.items()},
    }
    files.write_json(path, note)
    return built


def _samples_on_disk(bucket: Bucket) -> dict[str, list[int]]:
    """Return size and checksum of the bucket's file of each task."""
    paths = {
        task.name: sample_path(bucket.folder, task.name, bucket.number) for task in bucket.tasks
    }
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    return {name: [sizes[name], checksum_of(path, sizes[name])] for name, path in paths.items()}


def _build(bucket: Bucket) -> Built:
    """Write the samples of one bucket, for each task a file.

    The file holds `row` int64 [samples] (row of the stay in the cohort), `period` and `first`
    float64 [samples] (hours: the end, the first row of the series), `steps` int64 [samples] and
    `data` float32 [sum of steps, columns].
    """
    width = len(bucket.channels.header())
    names = [task.name for task in bucket.tasks]
    excluded: dict[str, Counter[str]] = {name: Counter() for name in names}
    moments = {name: RunningMoments(width) for name in names}
    built: dict[str, list[StaySample]] = {name: [] for name in names}
    stays = list(bucket.stays.itertuples(index=False))
    silent = len(stays)
    for row, series in bucket_series(bucket):
        silent -= 1
        made: dict[float, np.ndarray] = {}  # by period: most tasks read the whole stay
        for task in bucket.tasks:
            try:
                read, period = _read(task, series, stays[row - bucket.first], bucket.rules)
            except Excluded as e:
                excluded[task.name][str(e)] += 1
                continue
            if period not in made:
                made[period] = discretize(read.hours, read.values, bucket.channels, period)
            if stays[row - bucket.first].split == "train":
                moments[task.name].add(made[period])
            data = made[period].astype(np.float32)
            built[task.name].append(StaySample(row, period, float(read.hours[0]), data))
    for name, samples in built.items():
        excluded[name]["no event at all"] += silent
        _save(sample_path(bucket.folder, name, bucket.number), samples, width)
    return Built(excluded, moments)


def _read(task: Task, series: TimeSeries, stay: Any, rules: Rules) -> Sample:
    """Return what a task reads of a stay; Excluded when it is not part of the task."""
    los_hours = 24 * stay.los
    if task.name == OWN and not stay.listed:
        raise Excluded("no row in --labels")
    read = sample(task, series, los_hours, stay.diagnosed, rules)
    first, died = float(read.series.hours[0]), bool(stay.mortality)
    check_predicted(task, Course(first, los_hours, stay.lived_hours, died))
    return read


def _save(path: Path, samples: list[StaySample], width: int) -> None:
    """Write samples as arrays without pickles."""
    data = [sample.data for sample in samples]
    np.savez(
        path,
        row=np.array([sample.row for sample in samples], np.int64),
        period=np.array([sample.period for sample in samples], np.float64),
        first=np.array([sample.first for sample in samples], np.float64),
        steps=np.array([len(part) for part in data], np.int64),
        data=np.concatenate(data) if data else np.zeros((0, width), np.float32),
    )


def build_all(buckets: list[Bucket], workers: int) -> Iterator[Built]:
    """Build all buckets, in processes where `workers` > 1, and yield what they counted in order."""
    if workers <= 1 or len(buckets) <= 1:
        yield from map(build_bucket, buckets)
        return
    with ProcessPoolExecutor(min(workers, len(buckets)), get_context("spawn")) as pool:
        yield from pool.map(build_bucket, buckets)


def read_samples(folder: Path, task: str, buckets: int) -> Iterator[StaySample]:
    """Yield the samples of a task, by stay."""
    for number in range(buckets):
        with np.load(sample_path(folder, task, number), allow_pickle=False) as file:
            held: dict[str, Any] = dict(file)
        ends = np.cumsum(held["steps"])
        columns = (held[name].tolist() for name in ("row", "period", "first", "steps"))
        for row, period, first, steps, end in zip(*columns, ends):
            yield StaySample(row, period, first, held["data"][end - steps : end])
