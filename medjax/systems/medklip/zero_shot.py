"""Zero-shot classification: a disease is scored by the query that describes it.

MedKLIP, section 4.3. Thresholds for F1 and accuracy are chosen on the validation split; chosen on
the scored split itself, as published, they make an oracle and are named so.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from medjax.data.radgraph.vocabulary import ENTITIES
from medjax.metrics.calibration import wilson_interval
from medjax.metrics.classification import average, classification_metrics
from medjax.metrics.metric import Metric
from medjax.metrics.thresholds import Rule, best_f1, count, decide, f1_metric

PRESENT = 1
"""The logit of two that says present."""


def existence_scores(logits: np.ndarray) -> np.ndarray:
    """Return the probability of presence [...] of existence logits [..., 2]."""
    logits = np.asarray(logits)
    difference = logits[..., PRESENT] - logits[..., 1 - PRESENT]
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-difference))


def query_numbers(entities: Sequence[str]) -> np.ndarray:
    """Return the numbers of the queries of some entities."""
    return np.array([ENTITIES.index(entity) for entity in entities], np.int64)


def choose_thresholds(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the threshold of highest F1 for every label, NaN where there is no positive.

    labels: [n, L] of 0 and 1, NaN where not known; scores: [n, L].
    """
    thresholds = np.full(labels.shape[1], np.nan)
    for i, column in enumerate(np.asarray(labels, np.float64).T):
        known = ~np.isnan(column)
        if (column[known] == 1).any():
            thresholds[i] = best_f1(column[known], scores[known, i]).threshold
    return thresholds


class Intervals(NamedTuple):
    """How intervals are drawn; none by default."""

    resamples: int = 0
    seed: int = 0


def entity_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str],
    thresholds: np.ndarray | None = None,
    rule: Rule = "at_least",
    intervals: Intervals | None = None,
) -> dict[str, Metric]:
    """Return the metrics of every entity, as <metric>/<entity>, and their means, <metric>/macro.

    Beside auroc, auprc and calibration_error: prevalence, constant_accuracy (of the answer that is
    always the commoner one), accuracy and f1 at the thresholds, and max_f1, the F1 at the best
    threshold of these very scores.

    Args:
        labels: [n, L] of 0 and 1, NaN where not known.
        scores: [n, L] probabilities.
        names: of the L entities.
        thresholds: [L], NaN where none could be chosen: 0.5 is used; None: those of `max_f1`, and
            f1 is left out.
        rule: whether a score at the threshold is positive.
        intervals: 95 % intervals by bootstrap.
    """
    resamples, seed = intervals or Intervals()
    metrics = classification_metrics(labels, scores, names, resamples=resamples, seed=seed)
    own = choose_thresholds(labels, scores)
    used = own if thresholds is None else thresholds
    used = np.where(np.isnan(used), 0.5, used)
    by_metric: dict[str, list[Metric]] = {}
    for i, name in enumerate(names):
        known = ~np.isnan(np.asarray(labels[:, i], np.float64))
        truth, score = labels[known, i], scores[known, i]
        found = _decisions(truth, score, float(used[i]), rule, resamples, seed, name)
        if thresholds is None:
            found.pop("f1")
        if not np.isnan(own[i]):
            best = count(truth, decide(score, own[i]))
            found["max_f1"] = f1_metric(best, resamples, seed, name)
        else:
            found["max_f1"] = Metric(None, n=len(truth), positives=0, reason="no positive example")
        for metric, value in found.items():
            metrics[f"{metric}/{name}"] = value
            by_metric.setdefault(metric, []).append(value)
    return metrics | {f"{metric}/macro": average(values) for metric, values in by_metric.items()}


def _decisions(
    truth: np.ndarray,
    score: np.ndarray,
    threshold: float,
    rule: Rule,
    resamples: int,
    seed: int,
    name: str,
) -> dict[str, Metric]:
    """What follows from one threshold, and from none."""
    n, positives = len(truth), int(truth.sum())
    if not n:
        empty = Metric(None, n=0, positives=0, reason="no examples")
        return dict.fromkeys(("prevalence", "constant_accuracy", "accuracy", "f1"), empty)
    counts = count(truth, decide(score, threshold, rule))
    right = counts.true_positives + counts.true_negatives
    shares = {
        "prevalence": positives,
        "constant_accuracy": max(positives, n - positives),
        "accuracy": right,
    }
    found = {}
    for metric, number in shares.items():
        found[metric] = Metric(number / n, n=n, positives=positives)
        if resamples:
            low, high = wilson_interval(number, n)
            found[metric] = found[metric]._replace(low=float(low), high=float(high))
    return {**found, "f1": f1_metric(counts, resamples, seed, name)}


def roc_points_of(
    labels: np.ndarray, scores: np.ndarray, names: Sequence[str]
) -> Mapping[str, Mapping[str, list[float]]]:
    """Return the ROC curve of every entity that has both classes, for metrics.json.

    Points at every distinct score, those on a straight line left out (scikit-learn's roc_curve).
    """
    from sklearn.metrics import roc_curve

    curves = {}
    for i, name in enumerate(names):
        known = ~np.isnan(np.asarray(labels[:, i], np.float64))
        truth = labels[known, i]
        if 0 < truth.sum() < len(truth):
            false, true, _ = roc_curve(truth, scores[known, i])
            curves[name] = {"fpr": false.tolist(), "tpr": true.tolist()}
    return curves
