"""Whether predicted probabilities are the observed frequencies."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Reliability(NamedTuple):
    """Predicted against observed risk in bins of equal width over [0, 1]."""

    predicted: NDArray[np.float64]
    """[bins] mean probability in the bin; NaN where the bin is empty."""
    observed: NDArray[np.float64]
    """[bins] share of positives in the bin; NaN where the bin is empty."""
    examples: NDArray[np.intp]
    """[bins] examples in the bin."""


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> Reliability:
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


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error of examples [n]: mean |observed - predicted| over the bins.

    Bins of equal width weigh by their examples. Naeini et al. 2015, for the positive class.
    """
    table = reliability(labels, probabilities, bins)
    gap = np.abs(table.observed - table.predicted)
    return float(np.nansum(gap * table.examples) / np.sum(table.examples))
