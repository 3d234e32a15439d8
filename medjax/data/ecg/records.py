"""Reading prepared ECG recordings: what is known of all of them, and their signals by position."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medjax.data.manifest import read_manifest
from medjax.data.prepared import Examples, open_set
from medjax.errors import UserError, nearest


class Records(NamedTuple):
    """The recordings of one split; position i is row i of every column."""

    record_id: np.ndarray
    """Text [n]."""
    subject_id: np.ndarray
    """Text [n]."""
    age: np.ndarray
    """Float32 [n], years; NaN unknown."""
    sex: np.ndarray
    """Text [n]: "female", "male" or ""."""
    fold: np.ndarray
    """Int32 [n]; 0: none."""
    event: np.ndarray
    """Float32 [n]: 1 event, 0 censored, NaN unknown."""
    duration: np.ndarray
    """Float32 [n], days; NaN unknown."""
    labels: np.ndarray
    """Float32 [n, labels]; NaN unknown."""
    statements: tuple[dict[str, float], ...]
    """SCP code -> confidence in per cent, in the order of the source."""
    report: tuple[str, ...]
    length: np.ndarray
    """Int32 [n]: samples that a recording has; zeros follow."""
    recorded: np.ndarray
    """Bool [n, lead]: false for a lead that is zero for want of data."""
    examples: Examples

    def raw(self, positions: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples as stored, int16 (or float32) [k, lead, samples], and their scale,
        float32 [k, lead].
        """
        read = [self.examples[int(i)] for i in positions]
        return np.stack([r["signal"] for r in read]), np.stack([r["scale"] for r in read])

    def signals(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return signals in the unit of the set: float32 [k, lead, samples]."""
        values, scale = self.raw(positions)
        return values.astype(np.float32) * scale[:, :, None]


class EcgSet(NamedTuple):
    """An open set of recordings."""

    name: str
    splits: Mapping[str, Records]
    leads: tuple[str, ...]
    sampling_rate: float
    """Hz."""
    samples: int
    unit: str
    label_names: tuple[str, ...]
    digest: str


def open_ecg(root: Path, name: str) -> EcgSet:
    """Open the set `name` ("rhythm" or "median") of a prepared folder.

    Raises:
        UserError: nothing prepared there, no such set, or a damaged one.
    """
    sets = read_manifest(root)["sets"]
    if name not in sets:
        raise UserError(
            f"{root}: no set {name!r}{nearest(name, sets)} (it holds {', '.join(sets)}); prepare "
            "it into another folder or choose that one"
        )
    entry = sets[name]
    if "sampling_rate" not in entry:
        raise UserError(f"{root}: the set {name!r} holds no ECG recordings; name another folder")
    prepared = open_set(root, name, ("signal", "scale"))
    table = _read_table(root / f"{name}.parquet")
    splits = {}
    for split, examples in prepared.splits.items():
        rows = table.filter(pc.equal(table["split"], split))
        if len(rows) != len(examples):
            raise UserError(f"{root}: {name}.parquet is not of this set; prepare it again")
        splits[split] = _records(rows, examples, len(entry["labels"]), len(entry["leads"]))
    return EcgSet(
        name,
        splits,
        tuple(entry["leads"]),
        float(entry["sampling_rate"]),
        int(entry["samples"]),
        entry["unit"],
        tuple(entry["labels"]),
        prepared.digest,
    )


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as e:
        raise UserError(
            f"{path}: unreadable ({str(e).splitlines()[0]}); prepare the recordings again"
        ) from e


def _records(rows: pa.Table, examples: Examples, labels: int, leads: int) -> Records:
    """The columns of one split."""

    def column(name: str) -> Any:
        return rows[name].to_pylist()

    def matrix(name: str, dtype: Any, width: int) -> np.ndarray:
        known = column(name) if name in rows.column_names else []
        return np.array(known, dtype).reshape(len(rows), width)

    return Records(
        record_id=np.array(column("record_id"), str),
        subject_id=np.array(column("subject_id"), str),
        age=np.array(column("age"), np.float32),
        sex=np.array(column("sex"), str),
        fold=np.array(column("fold"), np.int32),
        event=np.array(column("event"), np.float32),
        duration=np.array(column("duration"), np.float32),
        labels=matrix("labels", np.float32, labels),
        statements=tuple(json.loads(text) for text in column("statements")),
        report=tuple(column("report")),
        length=np.array(column("length"), np.int32),
        recorded=matrix("recorded", bool, leads),
        examples=examples,
    )
