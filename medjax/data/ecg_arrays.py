"""ECGs in one .npy array [records, leads, samples], with outcomes as an array or a table."""

import argparse
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import NamedTuple

import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.options import add_ecg_arguments
from medjax.data.ecg.plain import (
    add_plain_arguments,
    lead_names,
    numbered,
    one_line,
    scale_of,
    set_of,
)
from medjax.data.ecg.prepare_sets import Plan, prepare_sets
from medjax.data.ecg.recording import Dropped, Form, Recording, conform, drop
from medjax.data.ecg.write import EcgDescription, Source, split_rule
from medjax.errors import UserError

SOURCE = Source("Electrocardiograms of one array, with outcomes.", "", "that of the data")
OUTCOMES = "y_status_duration.npy"
MOST_LEADS = 64
UNREADABLE = (OSError, ValueError, EOFError, MemoryError, OverflowError, SyntaxError, TokenError)
"""What numpy raises on a damaged header."""


class Outcomes(NamedTuple):
    """What is known of the rows of an array, in their order."""

    subject_id: list[str]
    event: np.ndarray
    """Float [rows]: 1, 0, or NaN for not known."""
    duration: np.ndarray
    """Float [rows], days."""


class _Job(NamedTuple):
    row: int
    record_id: str
    subject_id: str
    event: float
    duration: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--array", default="ecg_data.npy", help="file of the signals in --raw")
    parser.add_argument(
        "--outcomes",
        default=OUTCOMES,
        help="file in --raw of [records, 3]: status, duration in days, subject; used where there",
    )
    add_plain_arguments(parser)
    add_ecg_arguments(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the set and the manifest."""
    path = args.raw / args.array
    array = open_array(path)
    names = lead_names(args.lead_names, array.shape[1])
    if names is None:
        raise UserError(
            f"{path}: shape {array.shape} should be [records, leads, samples] with 12 or 8 leads; "
            "transpose it, or name the leads by --lead_names"
        )
    outcomes = _outcomes(args, len(array))
    scale, unit = scale_of(args.unit)
    name, form = set_of(args, array.shape[2])
    read = partial(read_row, path=path, names=names, rate=args.recorded_at, form=form, scale=scale)
    jobs = [_Job(*fields) for fields in zip(range(len(array)), numbered(len(array)), *outcomes)]
    description = EcgDescription(name, form, SOURCE, unit)
    plan = Plan(description, jobs, read, lambda job: f"row {job.row}")
    inputs = {args.outcomes: args.raw / args.outcomes} if _has_outcomes(args) else {}
    prepare_sets(args, [plan], inputs, [], split_rule(args, None))


def open_array(path: Path) -> np.ndarray:
    """Map [records, leads, samples] of numbers from a .npy file, without reading it.

    Raises:
        UserError: no such file, not a .npy file, objects in it, shorter than it declares, or of
            another shape.
    """
    array = _load(path)
    if array.ndim != 3 or 0 in array.shape or array.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: {array.dtype} of shape {array.shape}; give numbers of shape [records, leads, "
            "samples]"
        )
    if array.shape[1] > MOST_LEADS:
        raise UserError(
            f"{path}: {array.shape[1]} leads; the order is [records, leads, samples], transpose it"
        )
    return array


def read_outcomes(path: Path, rows: int) -> Outcomes:
    """Read [rows, 3] of status (0 or 1), duration in days and subject.

    Raises:
        UserError: unreadable, another shape, or the first row (counted from 0) that holds
            another status, a negative duration or no whole number for its subject.
    """
    table = np.array(_load(path))
    if table.ndim != 2 or table.shape[1] != 3 or table.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: {table.dtype} of shape {table.shape}; give [records, 3]: status, duration in "
            "days, subject"
        )
    if len(table) != rows:
        raise UserError(f"{path}: {len(table):,} rows for {rows:,} records; they must be equal")
    status, days, subject = table.T
    wrong = {
        "the status is not 0 or 1": ~np.isin(status, (0, 1)),
        "the duration is no number from 0 on": ~(np.isfinite(days) & (days >= 0)),
        "the subject is no whole number": ~(np.isfinite(subject) & (np.abs(subject) < 2**53))
        | (np.nan_to_num(subject) % 1 != 0),
    }
    for what, where in wrong.items():
        if where.any():
            raise UserError(f"{path}, row {int(np.flatnonzero(where)[0])}: {what}; correct it")
    ids = [str(int(number)) for number in subject.tolist()]
    return Outcomes(ids, status.astype(np.float64), days.astype(np.float64))


def read_row(
    job: _Job, path: Path, names: tuple[str, ...], rate: float, form: Form, scale: float
) -> Recording | Dropped:
    """Read one record of the array."""
    signal = np.array(np.load(path, mmap_mode="r", allow_pickle=False)[job.row])
    if signal.dtype.kind == "f":
        signal = np.where(np.isfinite(signal), signal, np.nan)
    try:
        conformed = conform(signal, names, rate, form, scale)
    except RecordFault as fault:
        return drop(job.record_id, path, RecordFault(str(fault), f"row {job.row}"))
    return Recording(
        job.record_id, job.subject_id, conformed, event=job.event, duration=job.duration
    )


def _load(path: Path) -> np.ndarray:
    """Map a .npy file that holds no objects; what it declares is checked against its size."""
    try:
        with open(path, "rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise UserError(f"{path}: not a .npy file; save it with numpy.save")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name one in --raw") from None
    except UNREADABLE as e:
        raise UserError(
            f"{path}: not a readable .npy array of numbers ({one_line(e)}); save it again"
        ) from e


def _has_outcomes(args: argparse.Namespace) -> bool:
    """Whether there is an array of outcomes; one that was named must be there."""
    return args.outcomes != OUTCOMES or (args.raw / OUTCOMES).is_file()


def _outcomes(args: argparse.Namespace, rows: int) -> Outcomes:
    if _has_outcomes(args):
        return read_outcomes(args.raw / args.outcomes, rows)
    unknown = np.full(rows, np.nan)
    return Outcomes(numbered(rows), unknown, unknown)
