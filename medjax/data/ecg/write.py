"""The set of ECG recordings: its features, its table of what is known, and their writing.

Beside the set `<name>` stands `<name>.parquet` with all but the signals, one row a recording, so
that ages, labels and outcomes cost no pass over the signals.
"""

import argparse
import collections
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_datasets as tfds

from medjax import files
from medjax.data.ecg.recording import Dropped, Form, Recording
from medjax.data.manifest import describe_set
from medjax.data.prepared import SetSpec, write_stream
from medjax.data.subject_split import HASH_RULE, hash_split
from medjax.errors import UserError

VERSION = "1.0.0"
STORAGE_RULES = {
    "int16": "signal times scale is the unit; whole numbers of the file as they are, all else to "
    "1/32767 of the largest value of the lead",
    "float32": "signal is the unit, scale is 1",
}
SPLITS = ("train", "validation", "test")


class Source(NamedTuple):
    """What a set says of where it comes from."""

    description: str
    citation: str
    license: str


class EcgDescription(NamedTuple):
    """What a set of recordings holds."""

    name: str
    """"rhythm" or "median"."""
    form: Form
    source: Source
    unit: str = "mV"
    labels: tuple[str, ...] = ()


class Written(NamedTuple):
    """What the manifest tells of a written set."""

    entry: dict[str, Any]
    counts: list[dict[str, Any]]


def write_ecg(
    args: argparse.Namespace,
    description: EcgDescription,
    recordings: Iterable[Recording | Dropped],
) -> Written:
    """Write the set `description.name` and its table under `args.out`, from any order.

    Each recording goes to its published split, or by a hash of its subject where it has none or
    `args.split` is "hash"; with `args.unlabelled` all go to the split "all".

    Raises:
        UserError: more than `args.max_bad_records` damaged recordings, an id twice in a split, a
            subject in two splits, or no recording at all.
    """
    dropped: list[Dropped] = []
    rows: list[dict[str, Any]] = []
    notes: collections.Counter[str] = collections.Counter()
    split_of: dict[str, str] = {}

    def examples() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for recording in recordings:
            if isinstance(recording, Dropped):
                dropped.append(recording)
                _check_budget(dropped, args.max_bad_records)
                continue
            split = _split(recording, args)
            if split_of.setdefault(recording.subject_id, split) != split:
                raise UserError(
                    "a subject has recordings in more than one split; split by subject, for "
                    "example with --split=hash"
                )
            notes.update(recording.signal.notes)
            row = _row(recording, description)
            rows.append({"split": split, **row})
            yield split, recording.record_id, {**row, **_samples(recording, description.form)}
        if not rows:
            raise UserError(f"{args.raw}: no recording could be used{_most(dropped)}")

    splits = ("all",) if args.unlabelled else SPLITS
    summary = write_stream(args.out, _spec(description), splits, examples())
    _write_table(args.out / f"{description.name}.parquet", rows)
    form = description.form
    entry = describe_set(
        summary,
        description.labels,
        leads=list(form.leads),
        sampling_rate=form.sampling_rate,
        samples=form.samples,
        storage=form.storage,
        storage_rule=STORAGE_RULES[form.storage],
        unit=description.unit,
        recordings_with=dict(sorted(notes.items())),
    )
    return Written(entry, _counts(dropped, len(rows)))


def split_rule(args: argparse.Namespace, published: str | None, subject: str = "subject") -> str:
    """Say by what rule `write_ecg` splits; `published` names the source's own splits, if any."""
    if args.unlabelled:
        return "one split for prediction"
    if published and args.split == "published":
        return published
    return HASH_RULE.format(subject)


def _split(recording: Recording, args: argparse.Namespace) -> str:
    if args.unlabelled:
        return "all"
    if recording.split is None or args.split == "hash":
        return hash_split(recording.subject_id)
    return recording.split


def _check_budget(dropped: Sequence[Dropped], budget: int) -> None:
    damaged = [d for d in dropped if d.damaged]
    if len(damaged) > budget:
        first = damaged[0]
        raise UserError(
            f"{first.detail or first.reason} (damaged recordings: {len(damaged)}; "
            "--max_bad_records=N leaves out up to N)"
        )


def _most(dropped: Sequence[Dropped]) -> str:
    """The commonest reason, for the error that nothing is left."""
    reasons = collections.Counter(d.reason for d in dropped)
    return f" ({reasons.most_common(1)[0][0]})" if reasons else ""


def _counts(dropped: Sequence[Dropped], kept: int) -> list[dict[str, Any]]:
    """One rule a reason, in the order of their names."""
    left = kept + len(dropped)
    if not dropped:
        return [{"rule": "recording", "in": left, "out": left, "reason": "all could be used"}]
    counts = []
    for reason, number in sorted(collections.Counter(d.reason for d in dropped).items()):
        counts.append({"rule": "recording", "in": left, "out": left - number, "reason": reason})
        left -= number
    return counts


def _spec(description: EcgDescription) -> SetSpec:
    """The set in the terms of tensorflow-datasets."""
    text, scalar, tensor = tfds.features.Text, tfds.features.Scalar, tfds.features.Tensor
    form = description.form
    shape = (len(form.leads), form.samples)
    features = {
        "record_id": text(),
        "subject_id": text(),
        "age": scalar(np.float32),
        "sex": text(),
        "fold": scalar(np.int32),
        "event": scalar(np.float32),
        "duration": scalar(np.float32),
        "statements": text(),
        "report": text(),
        "length": scalar(np.int32),
        "recorded": tensor(shape=shape[:1], dtype=np.bool_),
        "scale": tensor(shape=shape[:1], dtype=np.float32),
        "signal": tensor(
            shape=shape, dtype=np.dtype(form.storage), encoding=tfds.features.Encoding.BYTES
        ),
    }
    if description.labels:
        features["labels"] = tensor(shape=(len(description.labels),), dtype=np.float32)
    return SetSpec(description.name, VERSION, features, *description.source)


def _row(recording: Recording, description: EcgDescription) -> dict[str, Any]:
    """What is known of a recording beside its samples."""
    row = {
        "record_id": recording.record_id,
        "subject_id": recording.subject_id,
        "age": np.float32(recording.age),
        "sex": recording.sex,
        "fold": recording.fold,
        "event": np.float32(recording.event),
        "duration": np.float32(recording.duration),
        "statements": json.dumps(dict(recording.statements), ensure_ascii=False),
        "report": recording.report,
        "length": recording.signal.values.shape[1],
        "recorded": np.asarray(recording.signal.recorded, bool),
    }
    if description.labels:
        known = recording.labels if len(recording.labels) else [np.nan] * len(description.labels)
        row["labels"] = np.asarray(known, np.float32)
    return row


def _samples(recording: Recording, form: Form) -> dict[str, np.ndarray]:
    """Signal and scale, with zeros after the end of a shorter recording."""
    values = recording.signal.values
    missing = form.samples - values.shape[1]
    signal = np.pad(values, ((0, 0), (0, missing))) if missing else values
    return {"signal": np.ascontiguousarray(signal), "scale": recording.signal.scale}


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write all but the signals, in the order of the set."""
    ordered = sorted(rows, key=lambda row: (row["split"], row["record_id"]))
    lists = {"labels": pa.list_(pa.float32()), "recorded": pa.list_(pa.bool_())}
    columns = {
        name: pa.array([row[name] for row in ordered], lists.get(name)) for name in ordered[0]
    }
    table = pa.table(columns)
    files.write_atomic(path, lambda temporary: pq.write_table(table, temporary))
