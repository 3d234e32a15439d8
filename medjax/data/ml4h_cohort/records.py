"""Reading a prepared cohort: who has what, phenotypes, and the tensors by position."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medjax.data.ecg.records import Records, open_ecg
from medjax.data.manifest import read_manifest
from medjax.data.ml4h_cohort.tensormaps import ECG_LEADS, ECG_STEP, MriOptions
from medjax.data.ml4h_cohort.write import NAME
from medjax.data.prepared import Examples, open_set
from medjax.errors import UserError

MEDIAN = "median"
UNITS_IN = {"mV": 200.0, "arbitrary": 0.2}
"""Unit of an ECG set -> the recorder's steps of 5 microvolt in it, which ml4h keeps. The unnamed
unit of the 12SL beats of PTB-XL+ is about a microvolt."""
RATE = 500.0
"""Hz of a median beat."""
Reader = Callable[[Sequence[int] | np.ndarray], np.ndarray]


class Participants(NamedTuple):
    """The participants of one split; position i is row i of every column."""

    sample_id: np.ndarray
    """Text [n]."""
    has_ecg: np.ndarray
    """Bool [n]."""
    has_mri: np.ndarray
    """Bool [n]."""
    phenotypes: np.ndarray
    """Float32 [n, phenotypes]; NaN where not known."""
    ecg: Reader
    """Positions [k] -> float32 [k, time, channel], zeros where there is none."""
    mri: Reader
    """Positions [k] -> float32 [k, height, width, frame], zeros where there is none."""


class Cohort(NamedTuple):
    """An open cohort."""

    splits: Mapping[str, Participants]
    phenotype_names: tuple[str, ...]
    ecg_shape: tuple[int, int]
    """(time, channel)"""
    mri_shape: tuple[int, int, int]
    """(height, width, frame)"""
    fields: Mapping[str, Any]
    """Published-or-ours choices of the preparation, as "mri_anchor"."""
    digest: str


def open_cohort(root: Path) -> Cohort:
    """Open a folder of `prepare ml4h_cohort`, or the median beats of any ECG source as a cohort
    without MRI.

    Raises:
        UserError: nothing prepared there, neither set, or a damaged one.
    """
    manifest = read_manifest(root)
    if NAME not in manifest["sets"]:
        if MEDIAN in manifest["sets"]:
            return _ecg_alone(root)
        raise UserError(
            f"{root}: no set {NAME!r} nor {MEDIAN!r} (it holds {', '.join(manifest['sets'])}); "
            "prepare one by `python -m medjax.prepare ml4h_cohort --raw=DIR --out=DIR`"
        )
    entry = manifest["sets"][NAME]
    ecg, mri = (open_set(root, NAME, (field,)) for field in ("ecg", "mri"))
    table = _read_table(root / f"{NAME}.parquet")
    splits = {}
    for split, examples in ecg.splits.items():
        rows = table.filter(pc.equal(table["split"], split))
        if len(rows) != len(examples):
            raise UserError(f"{root}: {NAME}.parquet is not of this set; prepare it again")
        readers = partial(_read, examples, "ecg"), partial(_read, mri.splits[split], "mri")
        splits[split] = _participants(rows, len(entry["labels"]), *readers)
    height, width, frames = entry["mri_shape"]
    return Cohort(
        splits,
        tuple(entry["labels"]),
        (entry["ecg_shape"][0], len(ECG_LEADS)),
        (height, width, frames),
        manifest["fields"],
        ecg.digest,
    )


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as e:
        raise UserError(
            f"{path}: unreadable ({str(e).splitlines()[0]}); prepare the cohort again"
        ) from e


def _participants(rows: pa.Table, phenotypes: int, ecg: Reader, mri: Reader) -> Participants:
    known = rows["phenotypes"].to_pylist() if phenotypes else []
    return Participants(
        np.array(rows["sample_id"].to_pylist(), str),
        np.array(rows["has_ecg"].to_pylist(), bool),
        np.array(rows["has_mri"].to_pylist(), bool),
        np.array(known, np.float32).reshape(len(rows), phenotypes),
        ecg,
        mri,
    )


def _read(examples: Examples, name: str, positions: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.stack([examples[int(i)][name] for i in positions]).astype(np.float32)


def _ecg_alone(root: Path) -> Cohort:
    """The median beats of an ECG set, in the units and the channel order of ml4h."""
    ecg = open_ecg(root, MEDIAN)
    missing = [lead for lead in ECG_LEADS if lead not in ecg.leads]
    if missing or ecg.sampling_rate != RATE:
        raise UserError(
            f"{root}: median beats need 12 leads at {RATE:g} Hz (there are {len(ecg.leads)} at "
            f"{ecg.sampling_rate:g}); prepare them with --leads=12 --sampling_rate={RATE:g}"
        )
    if ecg.unit not in UNITS_IN:
        raise UserError(
            f"{root}: median beats in an unknown unit ({ecg.unit}); prepare them with --unit=mV, "
            "uV or V"
        )
    order = np.array([ecg.leads.index(lead) for lead in ECG_LEADS])
    options = MriOptions()
    mri_shape = (options.height, options.width, options.frames)
    splits = {
        split: Participants(
            records.record_id,
            np.asarray(records.recorded.all(axis=1)),
            np.zeros(len(records.record_id), bool),
            records.labels,
            partial(_beats, records, order, UNITS_IN[ecg.unit] / ECG_STEP),
            partial(_no_mri, mri_shape),
        )
        for split, records in ecg.splits.items()
    }
    shape = (ecg.samples, len(ECG_LEADS))
    return Cohort(splits, ecg.label_names, shape, mri_shape, {}, ecg.digest)


def _beats(
    records: Records, order: np.ndarray, scale: float, positions: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Beats [k, time, channel] of recordings, scaled; those that lack a lead are zeros."""
    beats = records.signals(positions)[:, order].transpose(0, 2, 1)
    usable = records.recorded[np.asarray(positions)].all(axis=1)
    return beats * (usable[:, None, None] * np.float32(scale))


def _no_mri(shape: tuple[int, int, int], positions: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.zeros((len(positions), *shape), np.float32)
