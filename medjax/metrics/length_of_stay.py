"""How well the remaining length of an ICU stay is predicted, in the bins of the benchmark.

Ten bins: each of the first eight days, the second week, longer. A predicted bin stands for the
mean of the benchmark's training stays in it, so that errors in hours can be given too
(Harutyunyan et al. 2019, Scientific Data 6:96). Rows of one stay are not independent: intervals
come from resamples of whole stays.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.bootstrap import count_draws, generator_for, percentile_interval
from medjax.metrics.metric import Metric

BIN_STARTS = 24.0 * np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 14])
"""Hours at which the bins begin; negative hours belong to the first."""
BIN_MEANS = np.array(
    (11.450379, 35.070846, 59.206531, 83.382723, 107.487817)
    + (131.579534, 155.643957, 179.660558, 254.306624, 585.325890)
)
"""Mean remaining hours of the benchmark's training data in each bin."""
BINS = len(BIN_STARTS)
BIN_NAMES = ("<1", "1-2", "2-3", "3-4", "4-5", "5-6", "6-7", "7-8", "8-14", ">14")
"""In days."""
SMALLEST_STAY = 0.1
"""Hours added to the denominator of the percentage error."""
_CHUNK_CELLS = 1 << 22


class Sums(NamedTuple):
    """Sums over the rows of a stay, or of any set of stays: all metrics follow from them."""

    confusion: NDArray
    """[..., BINS, BINS] rows by true and predicted bin."""
    absolute: NDArray
    """[...] absolute errors in hours."""
    squared: NDArray
    """[...] squared errors in hours."""
    relative: NDArray
    """[...] absolute errors as shares of the truth."""


def bin_of(hours: ArrayLike) -> NDArray[np.int64]:
    """Return the bin of each number of remaining hours; a boundary belongs to the later bin."""
    places = np.searchsorted(BIN_STARTS, np.asarray(hours, np.float64), side="right") - 1
    return np.maximum(places, 0).astype(np.int64)


def linear_kappa(confusion: ArrayLike) -> NDArray[np.float64]:
    """Cohen's kappa with linear weights of confusion matrices [..., bins, bins].

    One minus the mean distance of the bins over that of chance with the same margins (Cohen 1968);
    NaN where chance has no distance, all rows being of one bin.
    """
    counts = np.asarray(confusion, np.float64)
    places = np.arange(counts.shape[-1])
    distance = np.abs(places[:, None] - places)
    true, predicted = counts.sum(-1), counts.sum(-2)
    observed = (counts * distance).sum((-2, -1)) * true.sum(-1)
    expected = np.einsum("...i,...j,ij->...", true, predicted, distance)
    return 1 - observed / np.where(expected > 0, expected, np.nan)


def confusion(remaining: ArrayLike, predicted: ArrayLike) -> NDArray[np.int64]:
    """Count remaining hours [n] by their bin and the predicted one: [BINS, BINS]."""
    cell = bin_of(remaining) * BINS + np.asarray(predicted)
    return np.bincount(cell, minlength=BINS * BINS).reshape(BINS, BINS)


def sums_by_stay(
    remaining: NDArray[np.float64], predicted: NDArray[np.int64], stay: NDArray[np.intp]
) -> Sums:
    """Return the sums of every stay: remaining hours, predicted bins and stays (from 0) are [n]."""
    stays = int(stay.max()) + 1
    cell = (stay * BINS + bin_of(remaining)) * BINS + predicted
    counts = np.bincount(cell, minlength=stays * BINS * BINS).reshape(stays, BINS, BINS)
    error = np.abs(remaining - BIN_MEANS[predicted])
    share = error / (remaining + SMALLEST_STAY)
    columns = (np.bincount(stay, values, stays) for values in (error, error**2, share))
    return Sums(counts.astype(np.float64), *columns)


def scores(sums: Sums) -> dict[str, NDArray[np.float64]]:
    """Return the metrics [...] of sums: kappa, mad and mse in hours, mape in percent."""
    rows = sums.confusion.sum((-2, -1))
    return {
        "kappa": linear_kappa(sums.confusion),
        "mad": sums.absolute / rows,
        "mse": sums.squared / rows,
        "mape": 100 * sums.relative / rows,
    }


def length_of_stay_metrics(
    remaining: ArrayLike,
    probabilities: ArrayLike,
    stay: ArrayLike,
    *,
    resamples: int = 0,
    seed: int = 0,
) -> dict[str, Metric]:
    """Metrics of predicted bins of the remaining stay, as the benchmark defines them.

    The prediction of a row is its most probable bin, in hours the bin's mean.

    Args:
        remaining: [n] hours of stay that remain.
        probabilities: [n, BINS].
        stay: [n] which stay a row belongs to.
        resamples: bootstrap resamples of stays for 95 % intervals; 0 gives none.
        seed: of the resamples.

    Returns:
        kappa (linear), mad (mean absolute difference, hours), mse (hours squared), mape (mean
        absolute percentage error, the truth made 0.1 h longer).
    """
    hours = np.asarray(remaining, np.float64)
    if not len(hours):
        return dict.fromkeys(("kappa", "mad", "mse", "mape"), Metric(None, reason="no examples"))
    if not np.isfinite(probabilities).all():
        reason = "some probabilities are not finite"
        return dict.fromkeys(("kappa", "mad", "mse", "mape"), Metric(None, reason=reason))
    place = np.unique(stay, return_inverse=True)[1]
    sums = sums_by_stay(hours, np.argmax(probabilities, axis=1), place)
    total = scores(Sums(*(part.sum(0) for part in sums)))
    drawn = _resampled(sums, resamples, seed) if resamples else {}
    return {
        name: _metric(float(value), drawn.get(name), len(hours)) for name, value in total.items()
    }


def _metric(value: float, drawn: NDArray | None, rows: int) -> Metric:
    if np.isnan(value):
        return Metric(None, n=rows, reason="all true and predicted stays are in one bin")
    if drawn is None or np.isnan(drawn).all():
        return Metric(value, n=rows)
    return Metric(value, *percentile_interval(drawn[~np.isnan(drawn)]), n=rows)


def _resampled(sums: Sums, resamples: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Metrics of resamples of stays, each [resamples]."""
    generator = generator_for(seed, "Length of stay")
    stays = len(sums.absolute)
    block = max(1, _CHUNK_CELLS // stays)
    parts = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        counts = count_draws(generator.integers(0, stays, (size, stays)), stays).astype(np.float64)
        parts.append(scores(Sums(*(np.tensordot(counts, part, 1) for part in sums))))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
