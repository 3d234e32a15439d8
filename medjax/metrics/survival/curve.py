"""Survival without a model: Kaplan and Meier's curve, of the event or of censoring."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_NORMAL = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


class Timeline(NamedTuple):
    """Rows in the order of their times, by distinct time."""

    order: NDArray[np.intp]
    """[n] rows by rising time."""
    event: NDArray[np.bool_]
    """[n] in that order."""
    times: NDArray[np.float64]
    """[times] distinct, rising."""
    starts: NDArray[np.intp]
    """[times] place of the first row of each."""

    def sums(self, values: NDArray) -> NDArray:
        """Sum values [..., n], in the order of the rows, over each distinct time [..., times]."""
        return np.add.reduceat(values, self.starts, axis=-1)

    def place(self, time: ArrayLike) -> NDArray[np.intp]:
        """Return how many distinct times are at most `time` (any shape)."""
        return np.searchsorted(self.times, time, side="right")


def timeline(event: ArrayLike, time: ArrayLike) -> Timeline:
    """Sort rows by time [n]; event: [n] whether it was seen then."""
    time = np.asarray(time, np.float64)
    order = np.argsort(time, kind="stable")
    starts = np.flatnonzero(np.diff(time[order], prepend=-np.inf))
    return Timeline(order, np.asarray(event, bool)[order], time[order][starts], starts)


def survival(line: Timeline, counts: NDArray, *, of: str = "event") -> NDArray[np.float64]:
    """Return Kaplan and Meier's estimate [..., times] just after each distinct time.

    Args:
        line: the rows.
        counts: [..., n] how often each row stands, in the order of the line.
        of: "event", or "censoring": of not being censored. At equal times events come first.
    """
    events, everybody = line.sums(counts * line.event), line.sums(counts)
    at_risk = np.flip(np.cumsum(np.flip(everybody, -1), -1), -1)
    lost = events
    if of == "censoring":
        at_risk, lost = at_risk - events, everybody - events
    return np.cumprod(1 - lost / np.maximum(at_risk, 1), axis=-1)


class Curve(NamedTuple):
    """Kaplan and Meier's estimate with its 95 % bounds, from time 0."""

    time: NDArray[np.float64]
    """[steps] rising, the first one 0."""
    survival: NDArray[np.float64]
    """[steps] from that time on."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """[steps] Greenwood's variance on the scale of log(-log survival), which stays within 0 to 1.
    NaN after survival has fallen to 0."""

    def at(self, time: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
        """Return survival and its bounds at times (any shape); NaN after the last time known."""
        time = np.asarray(time, np.float64)
        place = np.searchsorted(self.time, time, side="right") - 1
        unknown = (time > self.time[-1]) & (self.survival[-1] > 0)
        return tuple(np.where(unknown, np.nan, x[place]) for x in self[1:])  # type: ignore[return-value]


def kaplan_meier(event: ArrayLike, time: ArrayLike) -> Curve:
    """Return the curve of rows with times [n] >= 0, of which event [n] says if it was seen."""
    line = timeline(event, time)
    ones = np.ones(len(line.order))
    estimate = survival(line, ones)
    events, everybody = line.sums(ones * line.event), line.sums(ones)
    at_risk = np.cumsum(everybody[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(events / (at_risk * (at_risk - events)))
        half = _NORMAL * np.sqrt(variance) / np.log(estimate)
        low, high = estimate ** np.exp(-half), estimate ** np.exp(half)
    low, high = (np.where(estimate == 1, 1.0, bound) for bound in (low, high))
    begins = bool(len(line.times)) and line.times[0] <= 0
    steps = (line.times, estimate, low, high)
    if begins:
        return Curve(*steps)
    return Curve(*(np.concatenate(([first], x)) for first, x in zip((0.0, 1.0, 1.0, 1.0), steps)))


def at_risk(time: ArrayLike, at: ArrayLike) -> NDArray[np.intp]:
    """Return how many rows with times [n] are still under observation at each time [k]."""
    ordered = np.sort(np.asarray(time, np.float64))
    return len(ordered) - np.searchsorted(ordered, np.asarray(at, np.float64), side="left")
