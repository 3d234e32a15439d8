"""Resting ECGs in the HD5 files of ml4h: one file a participant.

Below `/ukb_ecg_rest` there are `median_<lead>` and `strip_<lead>`, each with one dataset an
instance, and the machine's reading `ecg_rest_text`.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.leads import LEADS
from medjax.data.hd5 import dataset, member, numbers, open_hd5, text

GROUP = "ukb_ecg_rest"
READING = "ecg_rest_text"
MOST_SAMPLES = 1_000_000


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
    key = None if instance is None else f"instance_{instance}"
    with open_hd5(path) as file:
        group = member(file, GROUP)
        if not isinstance(group, h5py.Group):
            return RestingEcg((), np.zeros((0, 0)), "")
        rows = {lead: read_lead(group, f"{kind}_{lead}", key) for lead in LEADS}
        reading = text(dataset(group, READING, key=key))
    there = {lead: row for lead, row in rows.items() if row is not None}
    if len({len(row) for row in there.values()}) > 1:
        raise RecordFault(f"{kind} leads of unequal length; leave it out")
    samples = np.stack(list(there.values())) if there else np.zeros((0, 0))
    return RestingEcg(tuple(there), samples, reading)


def read_lead(group: h5py.Group, name: str, key: str | None) -> np.ndarray | None:
    """One lead [samples], float64 or int64; None where it is missing."""
    data = dataset(group, name, key=key)
    if data is None:
        return None
    values = numbers(data, "a row of numbers", 1, MOST_SAMPLES)
    return values.astype(np.float64) if values.dtype.kind != "i" else values.astype(np.int64)
