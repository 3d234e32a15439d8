"""Thresholds of scores: the one of highest F1, and what follows from a threshold."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.bootstrap import generator_for, percentile_interval
from medjax.metrics.metric import Metric
from medjax.metrics.ranking import curve

Rule = Literal["at_least", "above"]
"""Whether a score that equals the threshold is positive."""


class BestF1(NamedTuple):
    """The highest F1 that a threshold gives, and the lowest such threshold."""

    f1: float
    threshold: float


class Counts(NamedTuple):
    """Examples by what was said of them and what they are."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


def best_f1(labels: ArrayLike, scores: ArrayLike) -> BestF1:
    """Return the highest F1 over all thresholds, a score at the threshold being positive.

    labels: [n] of 0 and 1 with positives; scores: [n].
    """
    values = np.asarray(scores, np.float64)
    counts = curve(labels, values)
    precision = counts.true_positives / (counts.true_positives + counts.false_positives)
    recall = counts.true_positives / counts.positives
    f1 = 2 * recall * precision / (recall + precision)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    thresholds = np.unique(values[np.asarray(labels).astype(bool)])[::-1]
    return BestF1(float(f1[best]), float(thresholds[best]))


def decide(scores: ArrayLike, threshold: float, rule: Rule = "at_least") -> NDArray[np.bool_]:
    """Return which scores are positive."""
    values = np.asarray(scores)
    return values >= threshold if rule == "at_least" else values > threshold


def count(labels: ArrayLike, positive: ArrayLike) -> Counts:
    """Count decisions [n] against labels [n] of 0 and 1."""
    truth, said = np.asarray(labels).astype(bool), np.asarray(positive).astype(bool)
    pairs = ((truth & said), (~truth & said), (truth & ~said), (~truth & ~said))
    return Counts(*(int(pair.sum()) for pair in pairs))


def f1_metric(counts: Counts, resamples: int = 0, seed: int = 0, name: str = "") -> Metric:
    """Return the F1 of some counts, with its bootstrap interval where `resamples` asks for one.

    Undefined where nothing is positive and nothing was called so.
    """
    n, positives = sum(counts), counts.true_positives + counts.false_negatives
    relevant = 2 * counts.true_positives + counts.false_positives + counts.false_negatives
    if not relevant:
        reason = f"none of {n} examples is positive or called so"
        return Metric(None, n=n, positives=positives, reason=reason)
    value = 2 * counts.true_positives / relevant
    if not resamples:
        return Metric(value, n=n, positives=positives)
    # Rows drawn with replacement fall into the four cells as a multinomial draw.
    drawn = generator_for(seed, name).multinomial(n, np.array(counts) / n, resamples)
    twice = 2 * drawn[:, 0]
    low, high = percentile_interval(twice / np.maximum(twice + drawn[:, 1] + drawn[:, 2], 1))
    return Metric(value, float(low), float(high), n, positives)
