"""Writing what is prepared: the table of stays and one set a task."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_datasets as tfds

from medjax import files
from medjax.data.mimic_iv.build import read_samples
from medjax.data.mimic_iv.channels import Channels
from medjax.data.mimic_iv.hourly import Course, hourly_labels
from medjax.data.mimic_iv.study import Cohort
from medjax.data.mimic_iv.tasks import DECOMPENSATION, MULTITASK, OWN, SINGLE_LABELS, Task
from medjax.data.prepared import SetSpec, SetSummary, write_set

VERSION = "1.0.0"
SPLITS = ("train", "validation", "test")
CITATION = (
    "Johnson et al. 2023, MIMIC-IV, Scientific Data 10:1; Harutyunyan et al. 2019, Multitask "
    "learning and benchmarking with clinical time series data, Scientific Data 6:96; "
    "Hayat et al. 2022, MedFuse, arXiv:2207.07027"
)


def write_stays(path: Path, stays: pd.DataFrame, labelled: bool) -> None:
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


def write_task(
    out: Path, work: Path, buckets: int, task: Task, cohort: Cohort, channels: Channels
) -> SetSummary:
    """Write the prepared set of one task."""
    labelled = bool(cohort.label_names[task.name])
    spec = task_spec(task, cohort.label_names[task.name], channels)
    splits = SPLITS if labelled else ("all",)
    examples = {s: _examples(work, buckets, task, s, cohort, labelled) for s in splits}
    return write_set(out, spec, examples)


def task_spec(task: Task, label_names: Sequence[str], channels: Channels) -> SetSpec:
    """Return the set of a task; without label features when there are no names."""
    features = {
        "stay_id": tfds.features.Scalar(np.int64),
        "subject_id": tfds.features.Scalar(np.int64),
        "episode": tfds.features.Text(),
        "series": tfds.features.Tensor(
            shape=(None, len(channels.header())), dtype=np.float32, encoding="bytes"
        ),
        "period_length": tfds.features.Tensor(shape=(), dtype=np.float64, encoding="bytes"),
        "age": tfds.features.Scalar(np.float32),
        "gender": tfds.features.Text(),
    }
    return SetSpec(
        name=task.name,
        version=VERSION,
        features=features | (_label_features(task, len(label_names)) if label_names else {}),
        description=f"ICU stays for {task.name}: hourly series of {len(channels.names)} variables, "
        "not normalised.",
        citation=CITATION,
        license="that of the raw data",
    )


def _label_features(task: Task, labels: int) -> dict[str, Any]:
    """Return the features of a task's labels (see `hourly.hourly_labels`)."""
    tensor = tfds.features.Tensor
    if not task.hourly:
        kind = np.int8 if task.name == OWN else np.uint8
        return {"labels": tensor(shape=(labels,), dtype=kind)}
    hours = tensor(shape=(None,), dtype=np.int32)
    remaining = tensor(shape=(None,), dtype=np.float64, encoding="bytes")
    dies = tensor(shape=(None,), dtype=np.int8)
    if task.name == MULTITASK:
        return {
            "hours": hours,
            "remaining": remaining,
            "decompensation": dies,
            "mortality": tfds.features.Scalar(np.int8),
            "phenotypes": tensor(shape=(labels - len(SINGLE_LABELS),), dtype=np.int8),
        }
    return {"hours": hours, "labels": dies if task.name == DECOMPENSATION else remaining}


def _examples(
    work: Path, buckets: int, task: Task, split: str, cohort: Cohort, labelled: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the (key, example) pairs of one split of a task."""
    columns = ["stay_id", "subject_id", "episode", "age", "gender", "split"]
    columns += ["los", "lived_hours", "mortality"]
    stays = {name: cohort.stays[name].to_list() for name in columns}
    for row, period, first, data in read_samples(work, task.name, buckets):
        stay = {name: values[row] for name, values in stays.items()}
        if stay["split"] != split:
            continue
        example = {
            "stay_id": stay["stay_id"],
            "subject_id": stay["subject_id"],
            "episode": f"{stay['subject_id']}_episode{stay['episode']}_timeseries.csv",
            "series": data,
            "period_length": period,
            "age": np.float32(stay["age"]),
            "gender": stay["gender"] or "",
        }
        if labelled and task.hourly:
            course = Course(first, 24 * stay["los"], stay["lived_hours"], bool(stay["mortality"]))
            example |= hourly_labels(task.name, course, cohort.labels[MULTITASK][row])
        elif labelled:
            kind = np.int8 if task.name == OWN else np.uint8
            example["labels"] = cohort.labels[task.name][row].astype(kind)
        yield str(stay["stay_id"]), example
