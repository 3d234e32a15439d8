"""The set `cohort` and its table.

Beside the set stands `cohort.parquet` with all but the tensors, one row a participant, so that
presence and phenotypes cost no pass over the images. A modality that a participant lacks is zeros.
"""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_datasets as tfds

from medjax import files
from medjax.data.manifest import describe_set
from medjax.data.ml4h_cohort.person import Part, Person
from medjax.data.ml4h_cohort.phenotypes import Phenotypes
from medjax.data.ml4h_cohort.tensormaps import ECG_LEADS
from medjax.data.prepared import SetSpec, write_stream
from medjax.errors import UserError

NAME = "cohort"
VERSION = "1.0.0"
MODALITIES = ("ecg", "mri")
DESCRIPTION = "Median beat of the resting ECG and long-axis cine of the heart, by participant."
LICENSE = "UK Biobank material transfer agreement"


class CohortForm(NamedTuple):
    """Shapes and types of what is stored."""

    ecg: tuple[int, int]
    """(time, channel)"""
    mri: tuple[int, int, int]
    """(height, width, frame)"""
    storage: str = "float32"
    """Of the MRI; the ECG is float32."""


class Written(NamedTuple):
    """What the manifest tells of the written set."""

    entry: dict[str, Any]
    counts: list[dict[str, Any]]


def write_cohort(
    out: Path,
    persons: Iterable[Person],
    split_of: Mapping[str, str],
    splits: Sequence[str],
    form: CohortForm,
    phenotypes: Phenotypes,
    max_bad_records: int = 0,
) -> Written:
    """Write the set and its table; participants with neither modality are left out.

    Raises:
        UserError: more than `max_bad_records` participants with damaged files, or nobody left.
    """
    rows: list[dict[str, Any]] = []
    reasons = {name: collections.Counter[str]() for name in MODALITIES}
    damaged: list[str] = []
    read = 0

    def examples() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        nonlocal read
        for person in persons:
            read += 1
            parts = {name: getattr(person, name) for name in MODALITIES}
            _count(parts, reasons, damaged, max_bad_records)
            if all(part.tensor is None for part in parts.values()):
                continue
            split = split_of[person.sample_id]
            row = _row(person, phenotypes)
            rows.append({"split": split, **row})
            yield split, person.sample_id, {**row, **_tensors(parts, form)}
        if not rows:
            raise UserError(f"no participant could be used{_most(reasons)}")

    summary = write_stream(out, _spec(form, phenotypes.names), splits, examples())
    _write_table(out / f"{NAME}.parquet", rows)
    entry = describe_set(
        summary,
        phenotypes.names,
        ecg_leads=list(ECG_LEADS),
        ecg_shape=list(form.ecg),
        mri_shape=list(form.mri),
        storage=form.storage,
        participants_with=_presence(rows, splits),
    )
    return Written(entry, _counts(reasons, read, len(rows)))


def _count(
    parts: Mapping[str, Part],
    reasons: Mapping[str, collections.Counter[str]],
    damaged: list[str],
    budget: int,
) -> None:
    """Count why modalities are missing; refuse more damaged files than the budget."""
    for name, part in parts.items():
        if part.tensor is None:
            reasons[name][part.reason] += 1
    damages = [part.damage for part in parts.values() if part.damage]
    damaged += damages[:1]
    if len(damaged) > budget:
        raise UserError(
            f"{damaged[0]} (participants with damaged files: {len(damaged)}; "
            "--max_bad_records=N leaves out up to N)"
        )


def _row(person: Person, phenotypes: Phenotypes) -> dict[str, Any]:
    row = {
        "sample_id": person.sample_id,
        "has_ecg": person.ecg.tensor is not None,
        "has_mri": person.mri.tensor is not None,
    }
    return row | ({"phenotypes": phenotypes.of(person.sample_id)} if phenotypes.names else {})


def _tensors(parts: Mapping[str, Part], form: CohortForm) -> dict[str, np.ndarray]:
    """Both modalities as they are stored."""
    ecg, mri = (parts[name].tensor for name in MODALITIES)
    return {
        "ecg": np.zeros(form.ecg, np.float32) if ecg is None else ecg,
        "mri": (np.zeros(form.mri) if mri is None else mri).astype(form.storage),
    }


def _spec(form: CohortForm, names: Sequence[str]) -> SetSpec:
    """The set in the terms of tensorflow-datasets."""
    scalar, tensor = tfds.features.Scalar, tfds.features.Tensor
    stored = {"encoding": tfds.features.Encoding.BYTES}
    features = {
        "sample_id": tfds.features.Text(),
        "has_ecg": scalar(np.bool_),
        "has_mri": scalar(np.bool_),
        "ecg": tensor(shape=form.ecg, dtype=np.float32, **stored),
        "mri": tensor(shape=form.mri, dtype=np.dtype(form.storage), **stored),
    }
    if names:
        features["phenotypes"] = tensor(shape=(len(names),), dtype=np.float32)
    return SetSpec(NAME, VERSION, features, DESCRIPTION, "", LICENSE)


def _presence(rows: Sequence[Mapping[str, Any]], splits: Sequence[str]) -> dict[str, Any]:
    """Split -> participants with ECG alone, MRI alone, and both."""
    kinds = collections.Counter((row["split"], row["has_ecg"], row["has_mri"]) for row in rows)
    return {
        split: {
            "ecg_alone": kinds[split, True, False],
            "mri_alone": kinds[split, False, True],
            "both": kinds[split, True, True],
        }
        for split in splits
    }


def _counts(
    reasons: Mapping[str, collections.Counter[str]], read: int, kept: int
) -> list[dict[str, Any]]:
    """One rule a modality and reason, in the order of their names; then who is left."""
    counts = []
    for name, counter in reasons.items():
        left = read
        for reason, number in sorted(counter.items()):
            counts.append({"rule": name, "in": left, "out": left - number, "reason": reason})
            left -= number
    reason = "neither ECG nor MRI could be used" if kept < read else "all could be used"
    return [*counts, {"rule": "participant", "in": read, "out": kept, "reason": reason}]


def _most(reasons: Mapping[str, collections.Counter[str]]) -> str:
    """The commonest reasons, for the error that nobody is left."""
    told = [counter.most_common(1)[0][0] for counter in reasons.values() if counter]
    return f" ({'; '.join(told)})" if told else ""


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write all but the tensors, in the order of the set."""
    ordered = sorted(rows, key=lambda row: (row["split"], row["sample_id"]))
    lists = {"phenotypes": pa.list_(pa.float32())}
    columns = {name: pa.array([row[name] for row in ordered], lists.get(name)) for name in rows[0]}
    files.write_atomic(path, lambda temporary: pq.write_table(pa.table(columns), temporary))
