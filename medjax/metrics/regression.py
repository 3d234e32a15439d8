"""How much of a label predictions tell, and whether one set of predictions tells more.

A label is a number, scored by R^2, or 0 or 1, scored by the AUROC. All predictions are scored on
the same resamples of participants, as in `medjax.metrics.comparison`.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.comparison import Estimate, draw_patients, paired_bootstrap


def is_binary(labels: ArrayLike) -> bool:
    """Tell whether the known labels [n] are all 0 or 1; NaN is not known."""
    values = np.asarray(labels, np.float64)
    known = values[~np.isnan(values)]
    return bool(len(known)) and bool(np.isin(known, (0, 1)).all())


def r_squared(
    truth: ArrayLike, prediction: ArrayLike, counts: NDArray | None = None
) -> NDArray[np.float64]:
    """Return 1 - squared error / squared deviation of the truth from its mean.

    Args:
        truth, prediction: [n]
        counts: [..., n], how often each counts; None for once each.

    Returns:
        [...]; NaN where the truth does not vary.
    """
    y = np.asarray(truth, np.float64)
    error = y - np.asarray(prediction, np.float64)
    counts = np.ones(len(y)) if counts is None else counts
    y = y - y.mean()  # Sums of squares of numbers far from 0 would lose their digits.
    total = counts.sum(-1)
    spread = counts @ np.square(y) - np.square(counts @ y) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 1 - (counts @ np.square(error)) / spread
    return np.where(spread > 1e-12 * total * np.square(y).max(initial=0), value, np.nan)


def paired_scores(
    labels: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    participants: ArrayLike,
    resamples: int,
    generator: np.random.Generator,
) -> dict[str, Estimate]:
    """Return each set of predictions' AUROC (labels of 0 and 1) or R^2 (numbers).

    Args:
        labels: [n], all known, not all the same.
        predictions: {name: [n]}
        participants: ids [n]; a resample draws participants, with all their rows.
        resamples: 0 gives none.
        generator: draws the participants.

    Raises:
        ValueError: labels that are all the same.
    """
    truth = np.asarray(labels, np.float64)
    scores = {name: np.asarray(values, np.float64) for name, values in predictions.items()}
    if is_binary(truth):
        stacked = {name: values[None, :, None] for name, values in scores.items()}
        of_all = paired_bootstrap(truth[:, None], stacked, participants, resamples, generator)
        return {name: performance.auroc for name, performance in of_all.items()}
    if np.ptp(truth) == 0:
        raise ValueError("labels that are all the same: nothing can be told apart")
    # Any two classes serve: a resample needs both, so that its truth varies.
    upper = (truth > np.median(truth)) | (truth == truth.max())
    blocks = list(draw_patients(participants, upper[:, None].astype(float), resamples, generator))
    empty = np.zeros(0)
    return {
        name: Estimate(
            float(r_squared(truth, values)),
            np.concatenate([empty, *(r_squared(truth, values, counts) for counts in blocks)]),
        )
        for name, values in scores.items()
    }
