"""Writing what is prepared: the table of stays and one set a task."""

from collections.abc import Iterator
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
from medjax.data.mimic_iv.study import Cohort
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
