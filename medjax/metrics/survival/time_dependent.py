"""Discrimination and calibration at a horizon, where some rows were censored before it.

Rows censored before the horizon say nothing about it; those whose outcome is known weigh by the
inverse of their probability of not having been censored (IPCW), estimated from the same rows by
Kaplan and Meier. All take counts [..., n] of how often each row stands, for the bootstrap.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.survival.curve import survival, timeline


class Known(NamedTuple):
    """Weights of the rows whose outcome at a horizon is known, in the order of the rows given."""

    cases: NDArray[np.float64]
    """[..., n] of those with an event up to the horizon, 0 elsewhere."""
    controls: NDArray[np.float64]
    """[..., n] of those still without one, 0 elsewhere."""


class Uncensored:
    """Probabilities of not having been censored, for any horizon."""

    def __init__(self, event: ArrayLike, time: ArrayLike, counts: ArrayLike | None = None) -> None:
        """Estimate them from rows with times [n]; counts: [..., n], None: every row once."""
        time = np.asarray(time, np.float64)
        line = timeline(event, time)
        self.counts = np.ones(len(time)) if counts is None else np.asarray(counts, np.float64)
        after = survival(line, self.counts[..., line.order], of="censoring")
        self._steps = np.concatenate([np.ones((*after.shape[:-1], 1)), after], axis=-1)
        self._line, self._time = line, time
        just_before = self._steps[..., line.place(np.nextafter(time, -np.inf))]
        self._events = np.where(event, self._weights(just_before), 0.0)

    def _weights(self, uncensored: NDArray[np.float64]) -> NDArray[np.float64]:
        """Counts over probabilities; a row that a resample lacks has no weight in it."""
        present = self.counts > 0
        return np.where(present, self.counts, 0.0) / np.where(present, uncensored, 1.0)

    def at(self, horizon: float) -> Known:
        """Return the weights of rows with events up to the horizon, and of those without."""
        late = self._time > horizon
        still = self._weights(np.where(late, self._steps[..., [self._line.place(horizon)]], 1.0))
        return Known(np.where(late, 0.0, self._events), np.where(late, still, 0.0))


def dynamic_auc(known: Known, risk: ArrayLike) -> NDArray[np.float64]:
    """Return the cumulative/dynamic AUC [...] of risks [n]: events up to the horizon against rows
    without one; equal risks count one half. NaN without cases or controls. Uno et al. 2007.
    """
    risk = np.asarray(risk, np.float64)
    order = np.argsort(risk, kind="stable")
    starts = np.flatnonzero(np.diff(risk[order], prepend=-np.inf))
    cases, controls = (np.add.reduceat(x[..., order], starts, axis=-1) for x in known)
    below = np.cumsum(controls, axis=-1) - controls / 2
    pairs = cases.sum(-1) * controls.sum(-1)
    return (cases * below).sum(-1) / np.where(pairs > 0, pairs, np.nan)


def brier_score(known: Known, survival_at: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return the mean squared error [...] of predicted survival [n] at the horizon.

    Graf et al. 1999. counts: [..., n] as given to `Uncensored`.
    """
    predicted = np.asarray(survival_at, np.float64)
    error = known.cases * predicted**2 + known.controls * (1 - predicted) ** 2
    return error.sum(-1) / np.asarray(counts).sum(-1)


def integrated_brier_score(
    uncensored: Uncensored, times: ArrayLike, survival_at: ArrayLike
) -> NDArray[np.float64]:
    """Return the mean [...] of the Brier score over times [k], by trapezoids.

    survival_at: [n, k] predicted survival at each of the rising times.
    """
    times, predicted = np.asarray(times, np.float64), np.asarray(survival_at, np.float64)
    scores = [
        brier_score(uncensored.at(time), predicted[:, i], uncensored.counts)
        for i, time in enumerate(times)
    ]
    return np.trapezoid(scores, times, axis=0) / (times[-1] - times[0])
