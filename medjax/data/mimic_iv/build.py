"""From spilled records to the discretised samples of every task, by ranges of patients."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.mimic_iv.channels import Channels
from medjax.data.mimic_iv.discretize import discretize
from medjax.data.mimic_iv.episodes import TimeSeries, series_of_stays, series_points
from medjax.data.mimic_iv.events import CohortIndex
from medjax.data.mimic_iv.normalizer import RunningMoments
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.spill import Encoder, spill_path
from medjax.data.mimic_iv.tasks import Excluded, sample


@dataclass(frozen=True)
class Bucket:
    """All that is needed to build one range of patients; can be sent to another process."""

    number: int
    folder: Path
    stays: pd.DataFrame
    """Its stays, with the columns `diagnosed` and `split` beside those of the cohort."""
    first: int
    """Row of its first stay in the whole cohort."""
    channels: Channels
    rules: Rules
    tasks: tuple[str, ...]


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
    spilled = spill_path(bucket.folder, bucket.number)
    records = np.fromfile(spilled, Encoder(bucket.channels, bucket.rules).dtype())
    records["stay"] -= bucket.first
    points = series_points(records, CohortIndex.of(bucket.stays))
    for row, series in series_of_stays(points, len(bucket.channels.names)):
        yield row + bucket.first, series


def build_bucket(bucket: Bucket) -> Built:
    """Write the samples of one bucket, for each task a file.

    The file holds `row` int64 [samples] (row of the stay in the cohort), `period` float64
    [samples], `steps` int64 [samples] and `data` float32 [sum of steps, 76].
    """
    channels, stays = bucket.channels, bucket.stays
    width = len(channels.header())
    excluded: dict[str, Counter[str]] = {task: Counter() for task in bucket.tasks}
    moments = {task: RunningMoments(width) for task in bucket.tasks}
    built: dict[str, list[tuple[int, float, np.ndarray]]] = {task: [] for task in bucket.tasks}
    los, diagnosed, split = stays.los.to_numpy(), stays.diagnosed.to_numpy(), stays.split.to_list()
    silent = len(stays)
    for global_row, series in bucket_series(bucket):
        row = global_row - bucket.first
        silent -= 1
        for task in bucket.tasks:
            try:
                read, period = sample(task, series, 24 * los[row], diagnosed[row], bucket.rules)
            except Excluded as e:
                excluded[task][str(e)] += 1
                continue
            data = discretize(read.hours, read.values, channels, period)
            if split[row] == "train":
                moments[task].add(data)
            built[task].append((global_row, period, data.astype(np.float32)))
    for task, samples in built.items():
        excluded[task]["no event at all"] += silent
        _save(sample_path(bucket.folder, task, bucket.number), samples, width)
    return Built(excluded, moments)


def _save(path: Path, samples: list[tuple[int, float, np.ndarray]], width: int) -> None:
    """Write samples as arrays without pickles."""
    data = [data for _, _, data in samples]
    np.savez(
        path,
        row=np.array([row for row, _, _ in samples], np.int64),
        period=np.array([period for _, period, _ in samples], np.float64),
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


def read_samples(folder: Path, task: str, buckets: int) -> Iterator[tuple[int, float, np.ndarray]]:
    """Yield (row of the stay in the cohort, period, data float32 [steps, 76]) of a task."""
    for number in range(buckets):
        with np.load(sample_path(folder, task, number), allow_pickle=False) as file:
            held: dict[str, Any] = dict(file)
        ends = np.cumsum(held["steps"])
        for row, period, end, steps in zip(held["row"], held["period"], ends, held["steps"]):
            yield int(row), float(period), held["data"][end - steps : end]
