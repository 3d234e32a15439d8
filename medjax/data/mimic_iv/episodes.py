"""From records to the series of one stay: rows of charted times, columns of channels."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from medjax.data.mimic_iv.events import CohortIndex

POINT = np.dtype([("stay", "<i4"), ("seconds", "<i8"), ("channel", "u1"), ("value", "<f8")])
"""One value of a series: row of the stay, seconds since ICU admission, channel, value."""


class TimeSeries(NamedTuple):
    """The charted values of one stay."""

    hours: np.ndarray
    """float64 [rows], ascending: hours since ICU admission, negative before it."""
    values: np.ndarray
    """float64 [rows, 17]: numbers, or category indices; NaN where nothing was charted."""


def series_points(records: np.ndarray, index: CohortIndex) -> np.ndarray:
    """Join the records of some subjects (all of theirs) to their stays.

    Of several values of one channel at one time the last is kept, in the order of numbers (or of
    texts first, where records carry them). A time belongs to a stay when one of its records does,
    or when it lies within the stay; all values of the subject at that time then count.

    Returns:
        POINT records sorted by stay, time and channel; independent of the order of `records`.
    """
    if not len(records):
        return np.zeros(0, POINT)
    subject = np.searchsorted(index.subjects, index.subject_of)[records["stay"]]
    keys = [records["value"], records["channel"], records["time"], subject]
    if "text" in (records.dtype.names or ()):
        keys.insert(1, records["text"])
    order = np.lexsort(keys)
    records, subject = records[order], subject[order]
    new_time = np.ones(len(records), bool)
    new_time[1:] = (subject[1:] != subject[:-1]) | (records["time"][1:] != records["time"][:-1])
    row = np.cumsum(new_time) - 1
    last = np.ones(len(records), bool)
    last[:-1] = (row[1:] != row[:-1]) | (records["channel"][1:] != records["channel"][:-1])
    row_subject, row_time = subject[new_time], records["time"][new_time]

    stay_of_pair, row_of_pair = _stay_rows(records["stay"], row, row_subject, row_time, index)
    values, value_row = records[last], row[last]
    first = np.searchsorted(value_row, row_of_pair, "left")
    size = np.searchsorted(value_row, row_of_pair, "right") - first
    at = _ranges(first, size)
    stay = np.repeat(stay_of_pair, size)
    points = np.empty(len(at), POINT)
    points["stay"], points["seconds"] = stay, values["time"][at] - index.start[stay]
    points["channel"], points["value"] = values["channel"][at], values["value"][at]
    return points


def _stay_rows(
    stay: np.ndarray,
    row: np.ndarray,
    row_subject: np.ndarray,
    row_time: np.ndarray,
    index: CohortIndex,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs (stay, row of the table of times), sorted, as two int64 [pairs]."""
    rows = len(row_time)
    own = stay.astype(np.int64) * rows + row
    start, end = index.start, index.end
    subjects = np.unique(row_subject)
    subject_rank = np.searchsorted(index.subjects, index.subject_of)
    here = np.flatnonzero(np.isin(subject_rank, subjects))
    earliest = min(row_time.min(), start[here].min())
    span = max(row_time.max(), end[here].max()) - earliest + 2
    clock = np.searchsorted(subjects, row_subject) * span + row_time - earliest
    base = np.searchsorted(subjects, subject_rank[here]) * span - earliest
    first = np.searchsorted(clock, base + start[here], "left")
    size = np.maximum(np.searchsorted(clock, base + end[here], "right") - first, 0)
    within = np.repeat(here, size) * rows + _ranges(first, size)
    return np.divmod(np.unique(np.concatenate([own, within])), rows)


def _ranges(first: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return first[0], first[0]+1, ... (size[0] of them), then the same for the next, and so on."""
    start = np.cumsum(size) - size
    return np.arange(size.sum()) + np.repeat(first - start, size)


def series_of_stays(points: np.ndarray, channels: int) -> Iterator[tuple[int, TimeSeries]]:
    """Yield (row of the stay, series) for each stay that has points, in order."""
    cuts = np.flatnonzero(np.diff(points["stay"])) + 1
    for part in np.split(points, cuts) if len(points) else ():
        seconds, row = np.unique(part["seconds"], return_inverse=True)
        values = np.full((len(seconds), channels), np.nan)
        values[row, part["channel"]] = part["value"]
        yield int(part["stay"][0]), TimeSeries(seconds / 60.0 / 60.0, values)
