"""The set of one task, from its lists and series files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.benchmark.lists import Listed, series_path
from medjax.data.benchmark.series import SeriesFile
from medjax.data.benchmark.stays import Stay
from medjax.data.mimic_iv.normalizer import RunningMoments
from medjax.data.mimic_iv.sets import SPLITS
from medjax.data.mimic_iv.tasks import DECOMPENSATION, Task
from medjax.data.prepared import SetSpec, SetSummary, write_set

ReadAll = Callable[[Iterable[SeriesFile]], Iterator[np.ndarray]]
"""Series files -> each discretised, float64 [steps, columns], in their order."""


class Folder(NamedTuple):
    """A folder of the benchmark and what is known of its stays."""

    raw: Path
    stays: Mapping[str, Stay]
    """Series file -> stay."""
    split_of: Mapping[int, str]
    """Subject -> split."""


def write_task(
    out: Path,
    folder: Folder,
    task: Task,
    listed: Sequence[Listed],
    spec: SetSpec,
    read_all: ReadAll,
) -> tuple[SetSummary, RunningMoments]:
    """Write the set of a task; return its summary and sums over its train split."""
    moments = RunningMoments(spec.features["series"].shape[1])

    def examples(split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        part = [one for one in listed if folder.split_of[one.subject_id] == split]
        files = (
            SeriesFile(series_path(folder.raw, task.name, one), period_of(folder, task, one))
            for one in part
        )
        for one, data in zip(part, read_all(files)):
            if split == "train":
                moments.add(data)
            stay = folder.stays[one.file]
            example = {
                "stay_id": stay.stay_id,
                "subject_id": one.subject_id,
                "episode": one.file,
                "series": data.astype(np.float32),
                "period_length": period_of(folder, task, one),
                "age": np.float32(stay.age),
                "gender": stay.gender,
            }
            yield str(stay.stay_id), example | one.labels

    summary = write_set(out, spec, {split: examples(split) for split in SPLITS})
    return summary, moments


def period_of(folder: Folder, task: Task, one: Listed) -> float:
    """Return the hours that a task reads of a stay.

    The list of decompensation does not tell the end of the stay, which the table of stays does.
    """
    los_hours = folder.stays[one.file].los_hours
    whole = task.name == DECOMPENSATION and not np.isnan(los_hours)
    return round(los_hours if whole else one.period, 6)
