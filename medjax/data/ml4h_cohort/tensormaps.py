"""What the cross-modal networks read of a participant's HD5 file: one ECG beat, one beating heart.

The published tensormaps are `ecg_rest_median_raw_10` and `lax_4ch_heart_center`
(Radhakrishnan et al., Nat Commun 14:2436, 2023). Where ours differ by default the options say so.
"""

from typing import Literal, NamedTuple

import h5py
import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.ml4h_file import GROUP as ECG_GROUP
from medjax.data.ecg.ml4h_file import READING, read_lead
from medjax.data.hd5 import dataset, member, numbers, text

ECG_LEADS = ("I", "II", "III", "V1", "V2", "V3", "V4", "V5", "V6", "aVF", "aVL", "aVR")
"""Channels in their order, which is not the usual one."""
ECG_STEP = 10.0
"""Stored units in one unit of the network's input."""
POOR = "poor data quality"

MRI_GROUP = "ukb_cardiac_mri"
CINE = "cine_segmented_lax_4ch"
VISIT = "2"
"""The imaging visit of UK Biobank, at which the cine is taken."""
HEART_LABELS = (*range(1, 13), 14)
"""Of the annotation: walls, septa, cavities and the aorta; 13 is the thoracic cavity, 15 a breast
implant."""
NORM_FLOOR = 1e-7
MOST_VOXELS = 1 << 27


class Rejected(RecordFault):
    """A participant whom a rule of a tensormap leaves out; nothing is wrong with the file."""


class EcgOptions(NamedTuple):
    """How the ECG is read."""

    instance: Literal["visit"] | int = "visit"
    """Number of the examination; "visit": that of the MRI's visit where there is one, else the
    lowest."""
    missing_lead: Literal["reject", "zeros"] = "reject"
    require_text: bool = False
    """Leave out an ECG without the machine's reading, as published."""
    no_poor: bool = False
    """Leave out an ECG whose reading says "Poor data quality"; such a reading must exist then."""
    samples: int = 600


class MriOptions(NamedTuple):
    """How the MRI is read."""

    anchor: Literal["center", "top_left"] = "center"
    """Where the box of the heart lies in the tensor; "top_left" as published."""
    normalize_region: Literal["box", "padded"] = "box"
    """What mean and deviation are taken of: the pixels of the heart's box, or, as published, the
    whole tensor with its padding."""
    height: int = 96
    width: int = 96
    frames: int = 50


class Heart(NamedTuple):
    """The box of the heart, cut out of the cine."""

    tensor: np.ndarray
    """float64 [height, width, frame], zeros around the box."""
    box: tuple[slice, slice]
    """Rows and columns of the tensor that hold pixels of the cine."""


def ecg_tensor(file: h5py.File, options: EcgOptions) -> np.ndarray:
    """Return the median beat as the network reads it: float32 [time, channel].

    Raises:
        Rejected: no ECG, a missing lead, no reading, or poor quality, as the options say.
        RecordFault: the file is damaged or leads elsewhere.
    """
    return median_beat(file, options) / np.float32(ECG_STEP)


def median_beat(file: h5py.File, options: EcgOptions) -> np.ndarray:
    """Return the median beat in the units of the recorder: float32 [time, channel].

    Leads are cut, or filled up with zeros, at their end. Raises as `ecg_tensor`.
    """
    group = member(file, ECG_GROUP)
    if not isinstance(group, h5py.Group):
        raise Rejected("no resting ECG in the file")
    key = _examination(group, options.instance)
    _check_reading(group, key, options)
    rows = {lead: read_lead(group, f"median_{lead}", key) for lead in ECG_LEADS}
    missing = [lead for lead, row in rows.items() if row is None]
    if len(missing) == len(rows):
        raise Rejected("no median beat of this examination in the file")
    if missing and options.missing_lead == "reject":
        raise Rejected("a lead is missing", missing[0])
    beat = np.zeros((options.samples, len(ECG_LEADS)), np.float32)
    for channel, row in enumerate(rows.values()):
        known = np.zeros(0) if row is None else row[: options.samples]
        beat[: len(known), channel] = known
    return beat


def _examination(group: h5py.Group, wanted: Literal["visit"] | int) -> str | None:
    """The key of the examination below each lead; None where leads have none."""
    if wanted != "visit":
        return f"instance_{wanted}"
    keys: set[str] = set()
    for lead in ECG_LEADS:
        found = member(group, f"median_{lead}")
        keys |= set(found) if isinstance(found, h5py.Group) else set()
    at_visit = f"instance_{VISIT}"
    return at_visit if at_visit in keys else min(keys, key=_by_number, default=None)


def _by_number(key: str) -> tuple[float, str]:
    number = key.removeprefix("instance_")
    return (int(number) if number.isdecimal() else np.inf), key


def _check_reading(group: h5py.Group, key: str | None, options: EcgOptions) -> None:
    """Refuse an ECG by the machine's reading, of its own examination or, without one, the first."""
    if not (options.require_text or options.no_poor):
        return
    reading = dataset(group, READING, key=key)
    if reading is None:
        reading = dataset(group, READING)
    if reading is None:
        raise Rejected("no machine reading of the ECG")
    if options.no_poor and POOR in text(reading).lower():
        raise Rejected("poor data quality by the reading of the ECG")


def mri_tensor(file: h5py.File, options: MriOptions) -> np.ndarray:
    """Return the beating heart as the network reads it: z-scores, float32 [height, width, frame].

    Raises:
        Rejected: no cine or annotation, too few frames, NaN, no heart, or a heart that reaches
            beyond the image.
        RecordFault: the file is damaged or leads elsewhere.
    """
    return normalize(heart_of(file, options), options.normalize_region)


def heart_of(file: h5py.File, options: MriOptions) -> Heart:
    """Cut the heart out of the cine, by its annotation in the first frame; raises as `mri_tensor`.

    The annotation may be larger than the image; frames beyond the wanted ones are left out.
    """
    cine, mask = _cine_and_mask(file, options.frames)
    heart = np.isin(mask, HEART_LABELS)
    if not heart.any():
        raise Rejected("no heart in the annotation of the first frame")
    rows, columns = (np.flatnonzero(heart.any(axis=axis)) for axis in (1, 0))
    if rows[-1] >= cine.shape[0] or columns[-1] >= cine.shape[1]:
        raise Rejected("a heart that reaches beyond the image")
    cut = cine[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, : options.frames]
    source_y, y = _place(cut.shape[0], options.height, options.anchor)
    source_x, x = _place(cut.shape[1], options.width, options.anchor)
    tensor = np.zeros((options.height, options.width, options.frames))
    tensor[y, x] = cut[source_y, source_x]
    return Heart(tensor, (y, x))


def _cine_and_mask(file: h5py.File, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the cine [height, width, frame] and the labels [height, width] of its first frame."""
    cine = dataset(file, MRI_GROUP, CINE, VISIT)
    if cine is None:
        raise Rejected("no long-axis cine in the file")
    mask = dataset(file, MRI_GROUP, f"{CINE}_annotated_1")
    if mask is None:
        raise Rejected("no annotation of the first frame of the cine")
    values = numbers(cine, "a stack of images", 3, MOST_VOXELS)
    labels = numbers(mask, "an image of labels", 2, MOST_VOXELS)
    if values.shape[2] < frames:
        raise Rejected("too few frames in the cine")
    if np.isnan(values).any() or np.isnan(labels).any():
        raise Rejected("NaN in the cine or its annotation")
    return values, labels


def _place(size: int, wanted: int, anchor: str) -> tuple[slice, slice]:
    """What to take of an edge of `size` pixels, and where to put it in one of `wanted`."""
    kept = min(size, wanted)
    start, place = (0, 0) if anchor == "top_left" else ((size - kept) // 2, (wanted - kept) // 2)
    return slice(start, start + kept), slice(place, place + kept)


def normalize(heart: Heart, region: str) -> np.ndarray:
    """Return z-scores [height, width, frame], float32, of the region "box" or "padded".

    With "box" what lies around the heart's box stays 0.
    """
    if region == "padded":
        return _z_scores(heart.tensor)
    scores = np.zeros(heart.tensor.shape, np.float32)
    scores[heart.box] = _z_scores(heart.tensor[heart.box])
    return scores


def _z_scores(values: np.ndarray) -> np.ndarray:
    return ((values - values.mean()) / (values.std() + NORM_FLOOR)).astype(np.float32)
