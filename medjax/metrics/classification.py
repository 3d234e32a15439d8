"""Metrics of binary labels, many at once: by label, by group of labels, and averaged."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.bootstrap import (
    OneClass,
    bootstrap,
    centred_interval,
    generator_for,
    percentile_interval,
)
from medjax.metrics.calibration import BINS, calibration_error, wilson_interval
from medjax.metrics.metric import Metric
from medjax.metrics.ranking import auroc, average_precision

RANKING_METRICS: Mapping[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "auroc": auroc,
    "auprc": average_precision,
}
"""Metrics that need both classes; AUPRC is the average precision (step rule)."""


class Bootstrap(NamedTuple):
    """How the intervals are drawn."""

    resamples: int = 0
    """0: no intervals."""
    seed: int = 0
    one_class: OneClass = "redraw"


class _Column(NamedTuple):
    """What is known of one label."""

    labels: NDArray[np.float64]
    """[known] 0 or 1."""
    probabilities: NDArray[np.float64]
    """[known]"""
    clusters: NDArray | None
    """[known] or None, where every example stands for itself."""

    def undefined(self) -> str | None:
        """Why no metric can be given, None where one can."""
        if not len(self.labels):
            return "no examples"
        lost = int(np.sum(~np.isfinite(self.probabilities)))
        return f"{lost} of {len(self.labels)} probabilities are not finite" if lost else None

    def unranked(self) -> str | None:
        """Why positives and negatives cannot be compared, None where they can."""
        positives = int(self.labels.sum())
        if 0 < positives < len(self.labels):
            return None
        return f"one class only: {positives} of {len(self.labels)} examples are positive"


def accuracy(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5) -> float:
    """Share of examples [n] whose label is what `probability >= threshold` says."""
    predicted = np.asarray(probabilities) >= threshold
    return float(np.mean(predicted == np.asarray(labels).astype(bool)))


def classification_metrics(
    labels: ArrayLike,
    probabilities: ArrayLike,
    names: Sequence[str],
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    resamples: int = 0,
    seed: int = 0,
    one_class: OneClass = "redraw",
    threshold: float = 0.5,
    clusters: ArrayLike | None = None,
) -> dict[str, Metric]:
    """Metrics of L labels on n examples, as ``<metric>/<label, group or average>``.

    labels: [n, L] of 0 and 1, or NaN where not known: left out of that label only.
    probabilities: [n, L] in [0, 1].
    groups: positions of the labels of each group; a group's number is the mean over its labels,
        its interval the mean of their bounds.
    resamples: bootstrap resamples for the 95 % intervals; 0 gives none. Each label draws from the
        seed and its own name. The accuracy has the score interval of a share instead, and that of
        the calibration error is centred on its value (see `centred_interval`).
    clusters: [n] numbers of what the bootstrap draws (all rows of a stay together, where there is
        a row for each of its hours); None: the rows. The accuracy then has no interval.
    threshold: probability from which a prediction counts as positive, for the accuracy.

    Metrics are auroc, auprc, accuracy and calibration_error. Averages: ``macro``, the plain mean,
    always; for several labels also ``weighted`` (by positives) and ``micro`` (all decisions in
    one pool) of AUROC and AUPRC. The interval of a mean is the mean of the bounds, so it does not
    narrow with the number of labels; an average over several labels has no `positives`.

    A label with one class only has no AUROC and AUPRC, and says so; averages are over the others.

    Raises ValueError for shapes that disagree, labels other than 0, 1, NaN, and probabilities
    outside [0, 1] (logits, most likely).
    """
    columns = _columns(labels, probabilities, names, clusters)
    draws = Bootstrap(resamples, seed, one_class)
    of_labels = [_label_metrics(c, name, draws) for c, name in zip(columns, names, strict=True)]
    by_metric = {
        metric: [values[metric] for values in of_labels]
        for metric in (*RANKING_METRICS, "calibration_error")
    }
    by_metric["accuracy"] = [_accuracy_metric(c, threshold, resamples > 0) for c in columns]

    result: dict[str, Metric] = {}
    for metric, values in by_metric.items():
        result |= {f"{metric}/{name}": v for name, v in zip(names, values, strict=True)}
        result[f"{metric}/macro"] = average(values)
    for metric in RANKING_METRICS:
        values = by_metric[metric]
        for group, members in (groups or {}).items():
            result[f"{metric}/{group}"] = average([values[i] for i in members])
        if len(names) > 1:
            result[f"{metric}/weighted"] = average(values, [v.positives or 0 for v in values])
    if len(names) > 1:
        truth, risk = (np.concatenate(parts) for parts in zip(*(c[:2] for c in columns)))
        pooled = _label_metrics(_Column(truth, risk, None), "micro", Bootstrap())
        result |= {f"{metric}/micro": pooled[metric] for metric in RANKING_METRICS}
    return result


def _columns(
    labels: ArrayLike,
    probabilities: ArrayLike,
    names: Sequence[str],
    clusters: ArrayLike | None,
) -> list[_Column]:
    truth, risk = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if truth.ndim != 2 or truth.shape != risk.shape or truth.shape[1] != len(names):
        raise ValueError(
            f"labels {truth.shape} and probabilities {risk.shape} must both be"
            f" [examples, {len(names)}], one column a name"
        )
    known = ~np.isnan(truth)
    if not np.isin(truth[known], (0, 1)).all():
        raise ValueError("labels must be 0, 1 or NaN (not known)")
    if np.any((risk < 0) | (risk > 1)):
        raise ValueError("probabilities must lie in [0, 1]; these look like logits")
    of = None if clusters is None else np.asarray(clusters)
    return [
        _Column(truth[k, i], risk[k, i], None if of is None else of[k])
        for i, k in enumerate(known.T)
    ]


def _label_metrics(column: _Column, name: str, draws: Bootstrap) -> dict[str, Metric]:
    """AUROC, AUPRC and calibration error of one label, with intervals from one set of resamples."""
    counts = Metric(None, n=len(column.labels), positives=int(column.labels.sum()))
    undefined = column.undefined()
    if undefined:
        return dict.fromkeys(
            [*RANKING_METRICS, "calibration_error"], counts._replace(reason=undefined)
        )
    rows = column.labels, column.probabilities
    metrics = {"calibration_error": counts._replace(value=calibration_error(*rows))}
    unranked = column.unranked()
    if unranked:
        return metrics | dict.fromkeys(RANKING_METRICS, counts._replace(reason=unranked))
    for metric, function in RANKING_METRICS.items():
        metrics[metric] = counts._replace(value=function(*rows))
    if not draws.resamples:
        return metrics
    generator = generator_for(draws.seed, name)
    resampled = bootstrap(
        *rows, draws.resamples, generator, draws.one_class, BINS, clusters=column.clusters
    )
    for metric in RANKING_METRICS:
        low, high = percentile_interval(getattr(resampled, metric))
        metrics[metric] = metrics[metric]._replace(low=low, high=high)
    error = metrics["calibration_error"]
    low, high = centred_interval(resampled.calibration_error, error.value or 0.0)
    metrics["calibration_error"] = error._replace(low=low, high=high)
    return metrics


def _accuracy_metric(column: _Column, threshold: float, interval: bool) -> Metric:
    """Accuracy of one label, with its score interval."""
    counts = Metric(None, n=len(column.labels), positives=int(column.labels.sum()))
    reason = column.undefined()
    if reason:
        return counts._replace(reason=reason)
    value = accuracy(column.labels, column.probabilities, threshold)
    if not interval or column.clusters is not None:
        return counts._replace(value=value)
    low, high = wilson_interval(value * len(column.labels), len(column.labels))
    return counts._replace(value=value, low=float(low), high=float(high))


def average(metrics: Sequence[Metric], weights: Sequence[float] | None = None) -> Metric:
    """Mean of the defined ones of some metrics and of their bounds, weighted if asked.

    A reason says how many were left out; when none is defined the value is None.
    """
    defined = [i for i, m in enumerate(metrics) if m.value is not None]
    n = max((m.n or 0 for m in metrics), default=0)
    positives = metrics[0].positives if len(metrics) == 1 else None
    left_out = len(metrics) - len(defined)
    if not defined:
        reason = metrics[0].reason if len(metrics) == 1 else f"none of {left_out} labels is defined"
        return Metric(None, n=n, positives=positives, reason=reason)
    shares = np.ones(len(metrics)) if weights is None else np.asarray(weights, np.float64)

    def mean(values: Sequence[float | None]) -> float | None:
        kept = [values[i] for i in defined]
        if any(v is None for v in kept):
            return None
        return float(np.average(np.asarray(kept, np.float64), weights=shares[defined]))

    return Metric(
        value=mean([m.value for m in metrics]),
        low=mean([m.low for m in metrics]),
        high=mean([m.high for m in metrics]),
        n=n,
        positives=positives,
        reason=f"{left_out} of {len(metrics)} labels left out as undefined" if left_out else None,
    )
