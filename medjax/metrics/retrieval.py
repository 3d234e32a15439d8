"""Retrieval between two modalities, and whether the space that it happens in has collapsed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medjax.metrics.calibration import wilson_interval
from medjax.metrics.metric import Metric

BLOCK = 1024
"""Queries whose similarities to the whole gallery are held at once."""


def ranks(
    queries: NDArray, gallery: NDArray, query_group: NDArray, gallery_group: NDArray
) -> NDArray[np.float64]:
    """Return the rank [queries] of each query's best right answer, 1 first.

    Candidates as near as that answer share their places: their mean rank is given, so that a space
    in which all points are one has the rank of chance, not the first.

    Args:
        queries, gallery: [n, features], [m, features]; compared by cosine.
        query_group, gallery_group: [n], [m]; equal ids are right answers. Every query has one.
    """
    queries, gallery = _unit(queries), _unit(gallery)
    result = []
    for start in range(0, len(queries), BLOCK):
        rows = slice(start, start + BLOCK)
        # Rounded, so that what differs by float rounding alone counts as equal.
        similarity = np.round(queries[rows] @ gallery.T, 6)
        right = query_group[rows, None] == gallery_group[None, :]
        best = np.where(right, similarity, -np.inf).max(1, keepdims=True)
        above = (similarity > best).sum(1)
        beside = ((similarity == best) & ~right).sum(1)
        result.append(1 + above + beside / 2)
    return np.concatenate(result)


def retrieval_metrics(
    first: NDArray,
    second: NDArray,
    group: NDArray,
    names: tuple[str, str],
    at: Sequence[int] = (1, 5, 10),
    intervals: bool = False,
) -> dict[str, Metric]:
    """Return recall at k, the mean reciprocal rank and the median rank, in both directions.

    Rows of one `group` hold the same second thing (the same text); it stands in the gallery once,
    and is a query once: its right answers are all the first things that have it. Of fewer than two
    groups nothing can be told.

    Args:
        first, second: [n, features], row i of both belonging together.
        group: [n] whole numbers.
        names: how the two are called: "retrieval/ecg_to_text/recall@1".
        at: the k of recall at k; those above the number of candidates are left out.
        intervals: give recall at k a 95 % interval over queries (Wilson's; the candidates stay).
    """
    groups, one_of_each = np.unique(group, return_index=True)
    directions = {
        f"{names[0]}_to_{names[1]}": (first, second[one_of_each], group, groups),
        f"{names[1]}_to_{names[0]}": (second[one_of_each], first, groups, group),
    }
    metrics: dict[str, Metric] = {}
    for direction, (queries, gallery, query_group, gallery_group) in directions.items():
        prefix = f"retrieval/{direction}"
        if len(groups) < 2:
            metrics[f"{prefix}/median_rank"] = Metric(None, reason="there is only one candidate")
            continue
        rank = ranks(queries, gallery, query_group, gallery_group)
        metrics[f"{prefix}/mean_reciprocal_rank"] = Metric(float((1 / rank).mean()), n=len(rank))
        metrics[f"{prefix}/median_rank"] = Metric(float(np.median(rank)), n=len(rank))
        # The place of a right answer if the order were left to chance.
        known, right = np.unique(gallery_group, return_counts=True)
        chance = (len(gallery) + 1) / (1 + right[np.searchsorted(known, query_group)])
        metrics[f"{prefix}/median_rank_by_chance"] = Metric(float(np.median(chance)), n=len(rank))
        for k in at:
            if k < len(gallery):
                metrics[f"{prefix}/recall@{k}"] = _recall(rank, k, intervals)
    return metrics


def _recall(rank: NDArray, k: int, interval: bool) -> Metric:
    found, n = int((rank <= k).sum()), len(rank)
    low, high = (float(x) for x in wilson_interval(found, n)) if interval else (None, None)
    return Metric(found / n, low, high, n)


def cosines(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Return the cosine between the rows of two [n, features] arrays, [n]."""
    return (_unit(first) * _unit(second)).sum(1)


def mean_cosine(x: NDArray) -> float:
    """Return the mean cosine between different rows of [n, features]; 1: all are one direction."""
    total = np.square(_unit(x).sum(0)).sum()
    return float((total - len(x)) / (len(x) * (len(x) - 1)))


def effective_rank(x: NDArray) -> float:
    """Return how many dimensions the rows of [n, features] fill, 1 to `features`.

    The exponential of the entropy of the singular values of the centred rows (Roy and Vetterli,
    2007); 0 where all rows are one point.
    """
    centred = np.asarray(x, np.float64) - np.mean(x, axis=0, dtype=np.float64)
    values = np.linalg.svd(centred, compute_uv=False)
    if values.sum() < 1e-9:
        return 0.0
    p = values[values > 0] / values.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def _unit(x: NDArray) -> NDArray[np.float64]:
    x = np.asarray(x, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
