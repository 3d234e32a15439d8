"""How well scores rank positives above negatives: AUROC, average precision and their curves.

Everything here follows from one pass over the examples in order of falling score. Only the scores
at which positives stand matter: between two of them a threshold gains false positives alone, so
the ROC curve runs straight and the average precision does not change. Counts may be weights, so
that a bootstrap resample is the same ranking with another count per example: one sort serves them
all.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Ranking(NamedTuple):
    """Examples in order of falling score; equal scores form one tie, entered at one threshold."""

    order: NDArray[np.intp]
    """[n] positions of the examples by falling score."""
    positives: NDArray[np.intp]
    """[positives] ranks (indices into `order`) of the positive examples."""
    starts: NDArray[np.intp]
    """[ties] first rank of every tie that holds a positive."""
    ends: NDArray[np.intp]
    """[ties] last rank of those ties."""
    last: NDArray[np.intp]
    """[ties] index into `positives` of the last positive of those ties."""


class Curve(NamedTuple):
    """Counts at the thresholds that let in positives, by falling score; one row a weighting."""

    true_positives: NDArray[np.float64]
    """[..., ties] positives at or above the threshold."""
    false_positives_before: NDArray[np.float64]
    """[..., ties] negatives strictly above it."""
    false_positives: NDArray[np.float64]
    """[..., ties] negatives at or above it."""
    positives: NDArray[np.float64]
    """[...] all positives."""
    negatives: NDArray[np.float64]
    """[...] all negatives."""


def rank(labels: ArrayLike, scores: ArrayLike) -> Ranking:
    """Sort examples by falling score. labels [n] of 0 and 1, scores [n] finite."""
    truth = np.asarray(labels).astype(bool)
    values = np.asarray(scores, np.float64)
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    positives = np.flatnonzero(truth[order])
    tie_ends = np.append(np.flatnonzero(np.diff(falling)), len(values) - 1)
    ties, first = np.unique(np.searchsorted(tie_ends, positives), return_index=True)
    return Ranking(
        order=order,
        positives=positives,
        starts=np.where(ties > 0, tie_ends[ties - 1] + 1, 0),
        ends=tie_ends[ties],
        last=np.append(first[1:], len(positives)) - 1,
    )


def trace(ranking: Ranking, weights: NDArray) -> Curve:
    """Count what each threshold lets in. weights [..., n] stand in ranked order."""
    total = np.cumsum(weights, axis=-1)
    reached = np.cumsum(weights[..., ranking.positives], axis=-1)[..., ranking.last]
    reached_before = np.zeros_like(reached)
    reached_before[..., 1:] = reached[..., :-1]
    total_before = np.where(ranking.starts > 0, total[..., ranking.starts - 1], 0)
    return Curve(
        true_positives=reached.astype(np.float64),
        false_positives_before=(total_before - reached_before).astype(np.float64),
        false_positives=(total[..., ranking.ends] - reached).astype(np.float64),
        positives=reached[..., -1].astype(np.float64),
        negatives=(total[..., -1] - reached[..., -1]).astype(np.float64),
    )


def curve(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Curve:
    """Return the counts of one set of scores [n]; weights [n] default to one each."""
    ranking = rank(labels, scores)
    counts = np.ones(len(ranking.order)) if weights is None else np.asarray(weights)
    return trace(ranking, counts[ranking.order])


def area_under_roc(counts: Curve) -> NDArray[np.float64]:
    """AUROC [...]: the share of (positive, negative) pairs in right order, equal scores half.

    Both classes must be present. Hanley & McNeil 1982.
    """
    gained = np.diff(counts.true_positives, axis=-1, prepend=0)
    above = (counts.false_positives_before + counts.false_positives) / 2
    inverted = np.sum(gained * above, axis=-1)
    return 1 - inverted / (counts.positives * counts.negatives)


def mean_precision(counts: Curve) -> NDArray[np.float64]:
    """Average precision [...] by the step rule: sum of precision times the recall gained.

    No interpolation between thresholds; positives must be present.
    """
    gained = np.diff(counts.true_positives, axis=-1, prepend=0)
    entered = counts.true_positives + counts.false_positives
    precision = counts.true_positives / np.where(entered > 0, entered, 1)
    return np.sum(gained * precision, axis=-1) / counts.positives


def auroc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """AUROC of scores [n] for labels [n] of 0 and 1 that hold both classes."""
    return float(area_under_roc(curve(labels, scores, weights)))


def average_precision(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Average precision (AUPRC by the step rule) of scores [n] for labels [n] with positives."""
    return float(mean_precision(curve(labels, scores, weights)))


def roc_points(counts: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of the ROC curve: false-positive rate and true-positive rate, from (0, 0) to (1, 1).

    A tie of positives and negatives is a sloping edge; corners on a straight line are left out.
    """
    before = np.stack([counts.false_positives_before, np.append(0, counts.true_positives[:-1])])
    after = np.stack([counts.false_positives, counts.true_positives])
    inner = np.stack([before, after], axis=-1).reshape(2, -1)
    false, true = np.hstack([np.zeros((2, 1)), inner, [[counts.negatives], [counts.positives]]])
    return false / counts.negatives, true / counts.positives


def precision_recall_points(counts: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision at every threshold that lets in positives, by rising recall."""
    entered = counts.true_positives + counts.false_positives
    return counts.true_positives / counts.positives, counts.true_positives / entered
