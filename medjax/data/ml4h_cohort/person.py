"""One participant on the way from an HD5 file to the prepared cohort."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.data.hd5 import open_hd5
from medjax.data.ml4h_cohort.tensormaps import (
    EcgOptions,
    MriOptions,
    Rejected,
    ecg_tensor,
    mri_tensor,
)


class Part(NamedTuple):
    """One modality of a participant."""

    tensor: np.ndarray | None
    """None where there is none that could be used."""
    reason: str = ""
    """Why not, in the same words for all with this fault: the manifest counts by them."""
    damage: str = ""
    """The whole sentence, when the file is damaged or leads elsewhere."""


class Person(NamedTuple):
    """A participant."""

    sample_id: str
    ecg: Part
    """[time, channel]"""
    mri: Part
    """[height, width, frame]"""


def read_person(
    name: str,
    root: Path,
    ecg: EcgOptions,
    mri: MriOptions,
    modalities: Collection[str] = ("ecg", "mri"),
) -> Person:
    """Read `modalities` of `<sample_id>.hd5`; what cannot be used is told, not raised."""
    readers = {"ecg": partial(ecg_tensor, options=ecg), "mri": partial(mri_tensor, options=mri)}
    parts = dict.fromkeys(readers, Part(None, "not asked for"))
    parts |= {modality: _part(root / name, readers[modality]) for modality in modalities}
    return Person(sample_id_of(name), **parts)


def sample_id_of(name: str) -> str:
    """The participant of a file: its name without folder and ending."""
    return Path(name).stem


def _part(path: Path, read: Callable[[h5py.File], np.ndarray]) -> Part:
    try:
        with open_hd5(path) as file:
            tensor = read(file)
    except RecordFault as fault:
        place = f"{path}, {fault.where}" if fault.where else f"{path}"
        damage = "" if isinstance(fault, Rejected) else f"{place}: {fault}"
        return Part(None, str(fault), damage)
    # The published rules let NaN in ECGs and infinities pass; no network can use them.
    if not np.isfinite(tensor).all():
        return Part(None, "NaN or infinite values")
    return Part(tensor)
