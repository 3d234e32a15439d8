"""How well a risk score orders the times to an event."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Concordance(NamedTuple):
    """Counts of pairs; a row that stands several times counts as often."""

    doubled: NDArray[np.int64]
    """[...] twice the pairs in the right order, plus the pairs of equal risk."""
    comparable: NDArray[np.int64]
    """[...] pairs of which is known who had the event first."""

    def c_index(self) -> NDArray[np.float64]:
        """Share [...] of comparable pairs in the right order, NaN where there are none."""
        pairs = np.where(self.comparable > 0, self.comparable, np.nan)
        return self.doubled / (2 * pairs)


def concordance(
    event: ArrayLike, time: ArrayLike, risk: ArrayLike, counts: ArrayLike | None = None
) -> Concordance:
    """Compare risks [n] with times [n]; Harrell et al. 1982.

    A pair is comparable if the earlier time is an event; at equal times if exactly one of them is,
    which then counts as the earlier. The right order is the higher risk at the earlier time; equal
    risks count one half.

    Args:
        event: [n] true where the event was seen at `time`, false where the row was censored.
        time, risk: [n] finite.
        counts: [..., n] whole numbers, how often every row stands; None: once.

    Time grows as n log n: rows join a Fenwick tree over their ranks by risk, latest first, so that
    each event meets those who outlived it.
    """
    event, time = np.asarray(event, bool), np.asarray(time, np.float64)
    counts = np.ones(len(time), np.int64) if counts is None else np.asarray(counts, np.int64)
    ranks = np.unique(np.asarray(risk, np.float64), return_inverse=True)[1] + 1
    shape = counts.shape[:-1]
    columns = np.moveaxis(counts, -1, 0).reshape(len(time), math.prod(shape))
    tree = _Fenwick(int(ranks.max(initial=0)), columns.shape[1])
    doubled, comparable, joined = np.zeros((3, columns.shape[1]), np.int64)
    # Latest first; at equal times the censored join before the events look.
    order = np.lexsort((event, -time))
    starts = np.flatnonzero(np.diff(time[order], prepend=np.inf))
    for group in np.split(order, starts[1:]):
        for row in group[~event[group]]:
            tree.add(ranks[row], columns[row])
            joined += columns[row]
        for row in group[event[group]]:
            below, up_to = tree.total(ranks[row] - 1), tree.total(ranks[row])
            doubled += columns[row] * (below + up_to)
            comparable += columns[row] * joined
        for row in group[event[group]]:
            tree.add(ranks[row], columns[row])
            joined += columns[row]
    return Concordance(doubled.reshape(shape), comparable.reshape(shape))


class _Fenwick:
    """Sums over the first ranks of rows that join one by one, for several columns at once."""

    def __init__(self, ranks: int, columns: int) -> None:
        self._sums = np.zeros((ranks + 1, columns), np.int64)
        self._upward: dict[int, list[int]] = {}
        self._downward: dict[int, list[int]] = {}

    def add(self, rank: int, values: NDArray[np.int64]) -> None:
        """Let a row of this rank (from 1) join."""
        if rank not in self._upward:
            self._upward[rank] = places = []
            place = int(rank)
            while place < len(self._sums):
                places.append(place)
                place += place & -place
        self._sums[self._upward[rank]] += values

    def total(self, rank: int) -> NDArray[np.int64]:
        """Return the sum over ranks 1 to `rank`."""
        if rank not in self._downward:
            self._downward[rank] = places = []
            place = int(rank)
            while place:
                places.append(place)
                place -= place & -place
        return self._sums[self._downward[rank]].sum(axis=0)
