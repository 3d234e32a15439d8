"""Resting ECGs in the HD5 files of ml4h: one file a participant.

Below `/ukb_ecg_rest` there are `median_<lead>` and `strip_<lead>`, each with one dataset an
instance, and the machine's reading `ecg_rest_text`. The file is from outside: only hard links are
followed, datasets whose bytes lie in other files are refused, and shapes are checked before
anything is read.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.leads import LEADS

GROUP = "ukb_ecg_rest"
MOST_SAMPLES = 1_000_000
MOST_TEXT = 100_000
MOST_DEPTH = 4


class RestingEcg(NamedTuple):
    """The leads of one kind that a file holds."""

    leads: tuple[str, ...]
    samples: np.ndarray
    """[lead, samples]; empty where the file has none of this kind."""
    text: str
    """The machine's reading, or ""."""


def read_resting(path: Path, kind: str, instance: int | None = None) -> RestingEcg:
    """Read the leads "median" or "strip" of one file.

    Args:
        path: the file.
        kind: which leads.
        instance: number of the examination; None for the first by name.

    Raises:
        RecordFault: not HDF5, damaged, links or storage that lead out of the file, or leads that
            are no equally long rows of numbers.
    """
    try:
        with h5py.File(path, "r") as file:
            group = _inside(file, GROUP)
            if not isinstance(group, h5py.Group):
                return RestingEcg((), np.zeros((0, 0)), "")
            rows = {lead: _lead(group, f"{kind}_{lead}", instance) for lead in LEADS}
            text = _text(group, instance)
    except RecordFault:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as e:
        raise RecordFault("not a readable HD5 file; fetch it again") from e
    there = {lead: row for lead, row in rows.items() if row is not None}
    if len({len(row) for row in there.values()}) > 1:
        raise RecordFault(f"{kind} leads of unequal length; leave it out")
    samples = np.stack(list(there.values())) if there else np.zeros((0, 0))
    return RestingEcg(tuple(there), samples, text)


def _inside(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """A member of a group, without following links; None where there is none."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise RecordFault("a link to elsewhere; copy the data itself", f"{group.name}/{name}")
    return group[name]


def _dataset(group: h5py.Group, name: str, instance: int | None) -> h5py.Dataset | None:
    """The dataset of an instance, or the first; a group may stand for several dates."""
    found = _inside(group, name)
    wanted = None if instance is None else f"instance_{instance}"
    for _ in range(MOST_DEPTH):
        if not isinstance(found, h5py.Group):
            break
        keys = [key for key in sorted(found) if wanted in (None, key)]
        found, wanted = _inside(found, keys[0]) if keys else None, None
    if isinstance(found, h5py.Group):
        raise RecordFault("groups in groups; leave it out", f"{group.name}/{name}")
    if found is not None and (found.external or found.is_virtual):
        raise RecordFault("lies in another file; copy the data itself", str(found.name))
    return found


def _lead(group: h5py.Group, name: str, instance: int | None) -> np.ndarray | None:
    """One lead [samples]; None where it is missing."""
    data = _dataset(group, name, instance)
    if data is None:
        return None
    if data.ndim != 1 or not 0 < data.shape[0] <= MOST_SAMPLES or data.dtype.kind not in "fiu":
        raise RecordFault("not a row of numbers; leave it out", str(data.name))
    values = data[()]
    return values.astype(np.float64) if values.dtype.kind != "i" else values.astype(np.int64)


def _text(group: h5py.Group, instance: int | None) -> str:
    """The machine's reading."""
    data = _dataset(group, "ecg_rest_text", instance)
    if data is None or data.size != 1 or h5py.check_string_dtype(data.dtype) is None:
        return ""
    value = np.asarray(data[()]).reshape(-1)[0]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text[:MOST_TEXT]
