"""Sequences of a patient's films in time, and how a batch of them is laid out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.errors import UserError

UNITS = ("study", "image")
LENGTH = 4
"""Films of a whole sequence."""


def make_chunks(
    subject: ArrayLike,
    time: ArrayLike,
    study: ArrayLike,
    view: ArrayLike,
    unit: str = "study",
    length: int = LENGTH,
) -> list[NDArray[np.intp]]:
    """Cut each patient's films into consecutive chunks, none longer than `length`.

    Args:
        subject, time, study, view: [film], of frontal films; patients come in the order of their
            ids, films in that of time, then of the rows.
        unit: "study": one film a study takes part, PA before AP; every further one is a chunk of
            its own. "image": all films take part, as published.
        length: films of a whole chunk; the last one of a patient may be shorter.

    Returns:
        Rows of the films of every chunk.

    Raises:
        UserError: another unit.
    """
    if unit not in UNITS:
        raise UserError(f"sequence_unit {unit!r} is none of {', '.join(UNITS)}")
    subject, time, study, view = (np.asarray(x) for x in (subject, time, study, view))
    order = np.lexsort((np.arange(len(subject)), time, subject))
    chunks: list[NDArray[np.intp]] = []
    starts = np.flatnonzero(np.r_[True, subject[order][1:] != subject[order][:-1]][: len(order)])
    for rows in np.split(order, starts[1:]) if len(order) else []:
        spare: list[int] = []
        if unit == "study":
            rows, spare = _one_of_each(rows, study, view)
        chunks += [rows[i : i + length] for i in range(0, len(rows), length)]
        chunks += [np.array([row]) for row in spare]
    return chunks


def _one_of_each(
    rows: NDArray[np.intp], study: NDArray, view: NDArray
) -> tuple[NDArray[np.intp], list[int]]:
    """Return one row of each study, in the order in which studies begin, and the other rows."""
    of_study: dict[object, list[int]] = {}
    for row in rows.tolist():
        of_study.setdefault(study[row], []).append(row)
    ranked = [
        sorted(group, key=lambda row: (view[row] != "PA", row)) for group in of_study.values()
    ]
    return np.array([group[0] for group in ranked]), [row for group in ranked for row in group[1:]]


class Layout(NamedTuple):
    """How the films of several chunks, joined end to end, stand in a batch."""

    rows: NDArray[np.intp]
    """[row], which film of the joined chunks stands there."""
    lateral: NDArray[np.intp]
    """[row], whose lateral film stands there."""
    sequence: NDArray[np.int32]
    """[row], number of the sequence that the film belongs to, -1: none."""
    step: NDArray[np.int32]
    """[row], its place there."""


def lay_out(lengths: Sequence[int], shortest: int = 2, align_laterals: bool = True) -> Layout:
    """Lay chunks out: those that are sequences first, the others behind.

    Args:
        lengths: films of each chunk.
        shortest: films from which a chunk is a sequence (published: LENGTH).
        align_laterals: whether lateral films follow their frontal ones; as published they keep the
            order of the chunks, and so stand beside the films of other studies.
    """
    ends = np.cumsum(lengths)
    films = [np.arange(end - n, end) for end, n in zip(ends, lengths)]
    whole = [rows for rows in films if len(rows) >= shortest]
    others = [rows for rows in films if len(rows) < shortest]
    order = np.concatenate([*whole, *others, np.zeros(0, np.intp)]).astype(np.intp)
    sequence = np.full(len(order), -1, np.int32)
    step = np.zeros(len(order), np.int32)
    start = 0
    for number, rows in enumerate(whole):
        sequence[start : start + len(rows)] = number
        step[start : start + len(rows)] = np.arange(len(rows))
        start += len(rows)
    lateral = order if align_laterals else np.arange(len(order))
    return Layout(order, lateral, sequence, step)
