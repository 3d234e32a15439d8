"""Whether predicted probabilities are the observed frequencies."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15


class Reliability(NamedTuple):
    """Predicted against observed risk in bins of equal width over [0, 1]."""

    predicted: NDArray[np.float64]
    """[bins] mean probability in the bin; NaN where the bin is empty."""
    observed: NDArray[np.float64]
    """[bins] share of positives in the bin; NaN where the bin is empty."""
    examples: NDArray[np.intp]
    """[bins] examples in the bin."""


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> Reliability:
    """Bin examples [n] by probability; a probability of 1 belongs to the last bin."""
    risk = np.asarray(probabilities, np.float64)
    place = np.minimum((risk * bins).astype(np.intp), bins - 1)
    examples = np.bincount(place, minlength=bins)
    filled = np.where(examples > 0, examples, np.nan)
    truth = np.asarray(labels, np.float64)
    return Reliability(
        predicted=np.bincount(place, risk, bins) / filled,
        observed=np.bincount(place, truth, bins) / filled,
        examples=examples,
    )


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error of examples [n]: mean |observed - predicted| over the bins.

    Bins of equal width weigh by their examples. Naeini et al. 2015, for the positive class.
    """
    table = reliability(labels, probabilities, bins)
    gap = np.abs(table.observed - table.predicted)
    return float(np.nansum(gap * table.examples) / np.sum(table.examples))


class RankedGaps(NamedTuple):
    """What the calibration error of weighted examples needs, in the order of falling risk."""

    gaps: NDArray[np.float64]
    """[n] label - probability of every rank."""
    starts: NDArray[np.intp]
    """[filled bins] first rank of every bin that holds an example."""

    def error(self, counts: NDArray) -> NDArray[np.float64]:
        """Calibration error [...] of examples that stand counts [..., n] times at their rank."""
        sums = np.add.reduceat(counts * self.gaps, self.starts, axis=-1)
        return np.abs(sums).sum(axis=-1) / counts.sum(axis=-1)


def ranked_gaps(
    labels: ArrayLike, probabilities: ArrayLike, order: NDArray[np.intp], bins: int = BINS
) -> RankedGaps:
    """Sort examples [n] by `order`, their positions by falling probability."""
    risk = np.asarray(probabilities, np.float64)[order]
    place = np.minimum((risk * bins).astype(np.intp), bins - 1)
    starts = np.flatnonzero(np.diff(place, prepend=bins))
    return RankedGaps(np.asarray(labels, np.float64)[order] - risk, starts)


def wilson_interval(positives: ArrayLike, examples: ArrayLike) -> tuple[NDArray, NDArray]:
    """Bounds of the 95 % score interval of a share positives / examples, elementwise.

    Unlike the normal approximation it stays in [0, 1] and does not shrink to a point at 0 or all.
    NaN where there are no examples. Wilson 1927.
    """
    n = np.where(np.asarray(examples) > 0, examples, np.nan)
    share, z2 = np.asarray(positives) / n, 1.959963984540054**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return centre - half, centre + half
