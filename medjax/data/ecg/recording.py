"""One ECG recording on its way from a file to a prepared set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.ecg.fault import MissingFile, RecordFault
from medjax.data.ecg.leads import LEADS, arrange
from medjax.data.ecg.resample import resample, resampled_length

INT16_TOP = 32767
OLDEST = 130.0
"""Years; nobody was older."""
MOST_RATIO = 100
"""Between the rate of a record and that of its set, either way."""
SHORTEST = 0.2
"""Seconds; the cleaning filters need about as much, and a heart beat more."""
SEX = {
    **dict.fromkeys(("female", "f", "woman", "w"), "female"),
    **dict.fromkeys(("male", "m", "man"), "male"),
}


class Form(NamedTuple):
    """What all recordings of a set have in common."""

    sampling_rate: float
    """Hz."""
    samples: int
    leads: tuple[str, ...] = LEADS
    storage: str = "int16"
    """"int16" with a scale a lead, or "float32"."""


class Signal(NamedTuple):
    """The samples of a recording in the form of its set."""

    values: np.ndarray
    """[lead, samples], samples at most those of the form: int16, or float32."""
    scale: np.ndarray
    """Float32 [lead]: what one unit of `values` is in the unit of the set."""
    recorded: np.ndarray
    """Bool [lead]: false for a lead that is zero for want of data."""
    notes: tuple[str, ...]
    """What was done or seen; the manifest counts the recordings of each."""


class Recording(NamedTuple):
    """A recording that can be written; what is not known stands as its default."""

    record_id: str
    subject_id: str
    signal: Signal
    split: str | None = None
    """A published split; None for a hash of the subject."""
    fold: int = 0
    age: float = np.nan
    """Years."""
    sex: str = ""
    """"female", "male" or ""."""
    event: float = np.nan
    """1 event, 0 censored."""
    duration: float = np.nan
    """Days."""
    labels: Sequence[float] = ()
    """One a label of the set, NaN where not known."""
    statements: Mapping[str, float] = {}
    """SCP code -> confidence in per cent, in the order of the source."""
    report: str = ""


class Dropped(NamedTuple):
    """A recording that is left out."""

    record_id: str
    reason: str
    """The same words for all recordings with this fault: the manifest counts by them."""
    damaged: bool = True
    """Whether it counts against --max_bad_records; a record that is only not there does not."""
    detail: str = ""
    """The whole sentence, shown for the first when there are too many."""


def drop(record_id: str, file: Path, fault: RecordFault) -> Dropped:
    """Leave a recording out for a fault of its file; one that is not there is not damaged."""
    damaged = not isinstance(fault, MissingFile)
    place = f"{file}, {fault.where}" if fault.where else f"{file}"
    return Dropped(record_id, str(fault), damaged, f"{place}: {fault}")


def conform(
    signal: np.ndarray,
    names: Sequence[str],
    rate: float,
    form: Form,
    scale: np.ndarray | float = 1.0,
) -> Signal:
    """Bring a record into the form of its set.

    Leads are ordered by name, a longer record is cut at its end, gaps are bridged, and another rate
    is resampled. Whole numbers that fit into int16 and need none of this stay as they are, so
    nothing is lost; all else is rounded to 1/32767 of the largest value of its lead.

    Args:
        signal: [given leads, samples], integers in steps of `scale` or floats; NaN for a gap.
        names: the leads as the file names them.
        rate: Hz.
        form: what to bring it to.
        scale: unit of the set per unit of `signal`, for each given lead or for all.

    Raises:
        RecordFault: no lead is there, one is there twice, it is too short or of gaps alone, or
            the rate is impossible.
    """
    if not form.sampling_rate / MOST_RATIO < rate < form.sampling_rate * MOST_RATIO:
        raise RecordFault("a sampling rate that no ECG has")
    wanted = int(np.ceil(form.samples * rate / form.sampling_rate))
    notes = ["longer: cut"] if signal.shape[1] > wanted else []
    signal = signal[:, :wanted]
    length = resampled_length(signal.shape[1], rate, form.sampling_rate)
    if length < max(min(SHORTEST * form.sampling_rate, form.samples), 1):
        raise RecordFault(f"shorter than {SHORTEST:g} s")
    steps = np.broadcast_to(np.asarray(scale, np.float64), (len(names),))
    values, recorded, computed = arrange(signal, names, form.leads)
    if signal.dtype.kind == "i" and rate == form.sampling_rate and not computed:
        steps = arrange(steps[:, None], names, form.leads)[0][:, 0]
    else:
        values, recorded, computed = arrange(signal * steps[:, None], names, form.leads)
        steps = np.ones(len(form.leads))
        values, recorded, more = _without_gaps(values, recorded)
        notes += more
    if rate != form.sampling_rate:
        values = resample(values, rate, form.sampling_rate)[:, : form.samples]
        notes.append(f"resampled from {rate:g} Hz")
    if computed:
        notes.append(f"computed from I and II: {', '.join(computed)}")
    notes += _lead_notes(values, recorded, form)
    return Signal(*_stored(values, steps, form.storage), recorded, tuple(notes))


def _lead_notes(values: np.ndarray, recorded: np.ndarray, form: Form) -> list[str]:
    """Say which leads are missing or flat, and whether the record is short."""
    flat = recorded & (values.max(axis=1) == values.min(axis=1))
    notes = [f"missing lead {name}" for name in np.array(form.leads)[~recorded]]
    notes += [f"flat lead {name}" for name in np.array(form.leads)[flat]]
    return notes + ["shorter: zeros follow"] * (values.shape[1] < form.samples)


def _without_gaps(
    values: np.ndarray, recorded: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Bridge the gaps of every lead; a lead of gaps alone is zero and not recorded."""
    known = np.isfinite(values)
    some = known.any(axis=1)
    recorded = recorded & some
    if not recorded.any():
        raise RecordFault("gaps alone, no known sample")
    notes = ["gaps bridged"] if (some & ~known.all(axis=1)).any() else []
    return _bridged(values, known), recorded, notes


def _bridged(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Bridge what is not known of each lead by straight lines; a lead of gaps alone is zero."""
    if known.all():
        return values
    places = np.arange(values.shape[1])
    filled = [
        np.interp(places, places[there], lead[there]) if there.any() else np.zeros(len(places))
        for lead, there in zip(values, known)
    ]
    return np.stack(filled)


def _stored(values: np.ndarray, steps: np.ndarray, storage: str) -> tuple[np.ndarray, np.ndarray]:
    """Return [lead, samples] as it is stored and its scale [lead]."""
    if storage == "float32":
        return (values * steps[:, None]).astype(np.float32), np.ones(len(values), np.float32)
    top = np.abs(values).max(axis=1)
    if values.dtype.kind == "i" and (top <= INT16_TOP).all():
        return values.astype(np.int16), steps.astype(np.float32)
    unit = np.where(top > 0, top / INT16_TOP, 1.0)
    return np.rint(values / unit[:, None]).astype(np.int16), (unit * steps).astype(np.float32)


def standard_sex(text: Any) -> str:
    """Return "female", "male" or, for anything else, ""."""
    return SEX.get(str(text).strip().lower(), "")


def standard_age(text: str) -> float:
    """Return years, or NaN where there is no number from 0 to `OLDEST`."""
    try:
        age = float(text)
    except ValueError:
        return np.nan
    return age if 0 <= age <= OLDEST else np.nan
