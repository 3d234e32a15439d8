"""Mean average precision of detected boxes of one kind, as COCO defines it, with intervals.

Lin et al. 2014; the precision at 101 levels of recall, each the best at that recall or beyond.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medjax.metrics.bootstrap import generator_for, percentile_interval, resample
from medjax.metrics.metric import Metric

OVERLAPS = tuple(round(0.4 + 0.05 * step, 2) for step in range(8))
"""Intersections over union, of each of which there is an average precision (RSNA's challenge)."""
RECALLS = np.linspace(0, 1, 101)
MOST = 100
"""Detections of a film that count, the most confident."""
MAPS = ("standard", "films_with_both")
"""Of all films, or (published) of those alone that have boxes and detections: false alarms on films
without boxes and films on which nothing was found are then in no number."""


class FilmBoxes(NamedTuple):
    """Boxes of a film as corners x1, y1, x2, y2, of any unit."""

    true: np.ndarray
    """[box, 4]"""
    found: np.ndarray
    """[detection, 4]"""
    confidence: np.ndarray
    """[detection]"""


class Ranked(NamedTuple):
    """The detections of a set of films, the most confident first."""

    film: np.ndarray
    """int64 [detection]"""
    hit: np.ndarray
    """bool [overlap, detection]: whether it stands for a true box."""
    boxes: np.ndarray
    """int64 [film]: the number of true boxes."""


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return intersection over union [n, m] of boxes [n, 4] and others [m, 4], as corners."""
    boxes, others = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.maximum(high - low, 0).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (boxes, others)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.divide(both, union, out=np.zeros_like(union), where=union > 0)


def hits(film: FilmBoxes, levels: Sequence[float] = OVERLAPS) -> np.ndarray:
    """Tell which detections stand for a true box, bool [level, detection].

    The most confident detection chooses first, and takes the box that it overlaps most of those
    that none has taken yet, if by as much as the level.
    """
    share = overlaps(film.found, film.true)
    found = np.zeros((len(levels), len(film.found)), bool)
    if not share.size:
        return found
    for row, level in zip(found, levels):
        free = share.copy()
        for detection in np.argsort(-film.confidence, kind="stable"):
            box = int(free[detection].argmax())
            if free[detection, box] >= level:
                row[detection] = True
                free[:, box] = -1
    return found


def rank(
    films: Sequence[FilmBoxes], levels: Sequence[float] = OVERLAPS, most: int = MOST
) -> Ranked:
    """Rank the detections of films; of equal confidence the earlier film comes first."""
    numbers, confidences, found = [], [], [np.zeros((len(levels), 0), bool)]
    for number, film in enumerate(films):
        kept = np.argsort(-film.confidence, kind="stable")[:most]
        film = film._replace(found=film.found[kept], confidence=film.confidence[kept])
        numbers += [number] * len(kept)
        confidences += film.confidence.tolist()
        found.append(hits(film, levels))
    order = np.argsort(-np.asarray(confidences, np.float64), kind="stable")
    boxes = np.array([len(film.true) for film in films], np.int64)
    return Ranked(np.asarray(numbers, np.int64)[order], np.concatenate(found, 1)[:, order], boxes)


def average_precision(ranked: Ranked, counts: np.ndarray | None = None) -> np.ndarray:
    """Return the average precision of each overlap, float64 [overlap]; NaN without a true box.

    counts: [film], how often each film stands in the set; None: once.
    """
    counts = np.ones(len(ranked.boxes)) if counts is None else np.asarray(counts, np.float64)
    boxes = counts @ ranked.boxes
    if not boxes:
        return np.full(len(ranked.hit), np.nan)
    return np.array([_area(r, p) for r, p in zip(*precision_recall(ranked, counts))])


def precision_recall(
    ranked: Ranked, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision after every detection, [overlap, detection] each.

    The precision is the best at that recall or beyond; there must be a true box.
    """
    counts = np.ones(len(ranked.boxes)) if counts is None else np.asarray(counts, np.float64)
    weights = counts[ranked.film]
    right = np.cumsum(weights * ranked.hit, 1)
    said = np.cumsum(weights)
    precision = right / np.maximum(said, 1e-300)
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    return right / (counts @ ranked.boxes), best


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    at = np.searchsorted(recall, RECALLS - 1e-12, side="left")
    return float(np.append(precision, 0)[at].mean())


def detection_metrics(
    films: Sequence[FilmBoxes], resamples: int, seed: int, headline: str = MAPS[0]
) -> dict[str, Metric]:
    """Return map, the mean over OVERLAPS, in both ways, and the average precision of each overlap.

    map is map_standard or map_published, as the headline says; the others are of all films.

    Args:
        films: of a set, at least one.
        resamples: of films, for the intervals; 0: none.
        seed: of the resampling.
        headline: of MAPS.
    """
    with_both = [film for film in films if len(film.true) and len(film.found)]
    found = map_metrics(films, resamples, seed)
    metrics = {f"ap/iou={level:.2f}": found[i + 1] for i, level in enumerate(OVERLAPS)}
    metrics["map_standard"] = found[0]
    reason = "no film has both boxes and detections"
    metrics["map_published"] = (
        map_metrics(with_both, resamples, seed)[0]
        if with_both
        else Metric(None, n=0, reason=reason)
    )
    metrics["map"] = metrics["map_standard" if headline == MAPS[0] else "map_published"]
    return metrics


def map_metrics(films: Sequence[FilmBoxes], resamples: int, seed: int) -> list[Metric]:
    """Return the mean over OVERLAPS, then the average precision of each, of the same resamples."""
    ranked = rank(films)
    n, boxes = len(films), int(ranked.boxes.sum())
    if not boxes:
        return [Metric(None, n=n, positives=0, reason="no film has a box")] * (1 + len(OVERLAPS))
    values = average_precision(ranked)
    drawn = np.zeros((0, len(OVERLAPS)))
    if resamples:
        counts = resample(resamples, n, generator_for(seed, "map"))
        drawn = np.array([average_precision(ranked, row) for row in counts])
        drawn = drawn[~np.isnan(drawn).any(1)]  # resamples without any box

    def metric(value: float, of: np.ndarray) -> Metric:
        low, high = percentile_interval(of) if len(of) else (None, None)
        return Metric(float(value), low, high, n, boxes)

    each = [metric(value, of) for value, of in zip(values, drawn.T)]
    return [metric(values.mean(), drawn.mean(1)), *each]
