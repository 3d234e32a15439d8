"""Scores of predicted masks, image by image."""

from typing import NamedTuple

import numpy as np

from medjax.metrics.bootstrap import generator_for, percentile_interval, resample
from medjax.metrics.metric import Metric


class MaskScores(NamedTuple):
    """Of every image of a set."""

    dice: np.ndarray
    """2 |p and t| / (|p| + |t|); of an image without mask 1 where nothing is predicted, else 0."""
    union: np.ndarray
    """(|p and t| + 1) / (|p or t| + 1): two empty masks give 1."""
    positive: np.ndarray
    """bool, whether the image has a mask."""


def mask_scores(probabilities: np.ndarray, masks: np.ndarray, threshold: float = 0.5) -> MaskScores:
    """Score masks [image, ...] of probabilities above a threshold against true masks (0, 1)."""
    rows = len(probabilities)
    predicted = (np.asarray(probabilities) > threshold).reshape(rows, -1)
    true = (np.asarray(masks) > 0).reshape(rows, -1)
    return scores_of_counts((predicted & true).sum(1), predicted.sum(1), true.sum(1))


def scores_of_counts(both: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> MaskScores:
    """Score images by their numbers of pixels: predicted and true, predicted, true."""
    both, predicted, true = (np.asarray(x, np.float64) for x in (both, predicted, true))
    positive = true > 0
    sizes = predicted + true
    dice = np.where(positive, 2 * both / np.maximum(sizes, 1), predicted == 0)
    return MaskScores(dice, (both + 1) / (sizes - both + 1), positive)


def mask_metrics(scores: MaskScores, finding: str, resamples: int, seed: int) -> dict[str, Metric]:
    """Return dice (of all films, of those with and without the finding) and iou, means over films.

    resamples: of films, for the intervals; 0: none.
    """
    parts = {
        f"dice/{finding}": scores.dice,
        f"dice_positive/{finding}": scores.dice[scores.positive],
        f"dice_negative/{finding}": scores.dice[~scores.positive],
        f"iou/{finding}": scores.union,
    }
    return {name: mean_metric(name, values, resamples, seed) for name, values in parts.items()}


def mean_metric(name: str, values: np.ndarray, resamples: int, seed: int) -> Metric:
    """Return a mean over films with its interval."""
    n = len(values)
    if not n:
        return Metric(None, n=0, reason="no such film")
    values = values.astype(np.float64)
    low = high = None
    if resamples:
        drawn = resample(resamples, n, generator_for(seed, name))
        low, high = map(float, percentile_interval(drawn @ values / n))
    return Metric(float(values.mean()), low, high, n)
