"""Zero-shot grounding: where a query's attention lies, against where the finding is.

MedKLIP, section 4.3: the attention of one query, averaged over the layers, each patch spread over
its pixels. A pointing hit is a maximum that lies inside the finding; the map above a threshold is
compared with the finding by IoU and Dice.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from medjax.data.boxes import nearest_mask
from medjax.metrics.bootstrap import generator_for, percentile_interval, resample
from medjax.metrics.metric import Metric

PUBLISHED_THRESHOLD = 0.008
"""For 14 x 14 patches."""
THRESHOLD_OF_UNIFORM = 1.568
"""The same, as a multiple of the attention that is spread evenly over the patches."""
SEARCHED = np.arange(1.0, 6.01, 0.25)
"""Multiples of even attention among which a threshold is searched."""
EmptyMask = Literal["skip", "miss"]
"""What a film counts whose finding has no pixel."""


class GroundingScores(NamedTuple):
    """Of the films that were scored."""

    hit: np.ndarray
    """bool [scored]: the maximum lies inside the finding."""
    chance: np.ndarray
    """[scored] share of the patches that touch the finding: how often a random one hits."""
    iou: np.ndarray
    """[scored]"""
    dice: np.ndarray
    """[scored]"""
    skipped: int
    """Films without a pixel of the finding."""


def attention_map(layers: Sequence[np.ndarray], query: int, grid: tuple[int, int]) -> np.ndarray:
    """Average the attention of one query over layers: [n, queries, patches] each -> [n, *grid]."""
    wanted = np.stack([np.asarray(layer)[:, query] for layer in layers])
    return wanted.mean(0).reshape(-1, *grid)


def default_threshold(grid: Sequence[int]) -> float:
    """Return the threshold of attention for a grid of patches; 0.008 for 14 x 14."""
    return THRESHOLD_OF_UNIFORM / float(np.prod(grid))


def grounding_scores(
    maps: np.ndarray,
    masks: Iterable[np.ndarray],
    threshold: float,
    empty_mask: EmptyMask = "skip",
) -> GroundingScores:
    """Score maps [n, rows, columns] against the masks [height, width] of the same films."""
    rows: list[tuple[bool, float, float, float]] = []
    skipped = 0
    for attention, mask in zip(maps, masks, strict=True):
        inside = np.asarray(mask).astype(bool)
        if not inside.any() and empty_mask == "skip":
            skipped += 1
            continue
        spread = nearest_mask(attention, inside.shape)
        found = spread > threshold
        both, either = np.sum(found & inside), np.sum(found | inside)
        total = found.sum() + inside.sum()
        touched = nearest_mask(np.arange(attention.size).reshape(attention.shape), inside.shape)
        rows.append(
            (
                bool(inside[spread == attention.max()].any()),
                len(np.unique(touched[inside])) / attention.size,
                float(both / either) if either else 0.0,
                float(2 * both / total) if total else 0.0,
            )
        )
    hit, chance, iou, dice = np.array(rows, np.float64).reshape(-1, 4).T
    return GroundingScores(hit.astype(bool), chance, iou, dice, skipped)


def search_threshold(maps: np.ndarray, masks: Sequence[np.ndarray]) -> float:
    """Return the threshold of highest mean Dice among multiples of even attention.

    The lowest of equals; `default_threshold` where no mask has a pixel.
    """
    even = 1 / float(np.prod(maps.shape[1:]))
    scores = [grounding_scores(maps, masks, even * multiple).dice for multiple in SEARCHED]
    if not len(scores[0]):
        return default_threshold(maps.shape[1:])
    return float(even * SEARCHED[int(np.argmax([dice.mean() for dice in scores]))])


def grounding_metrics(
    scores: GroundingScores, name: str, resamples: int = 0, seed: int = 0
) -> dict[str, Metric]:
    """Return pointing, pointing_chance, iou and dice of a finding, as <metric>/<name>."""
    values = {
        "pointing": scores.hit.astype(np.float64),
        "pointing_chance": scores.chance,
        "iou": scores.iou,
        "dice": scores.dice,
    }
    n = len(scores.hit)
    if not n:
        empty = Metric(None, n=0, reason="no film with a place of this finding")
        return {f"{metric}/{name}": empty for metric in values}
    left_out = f"{scores.skipped} films without a pixel of the finding left out"
    reason = left_out if scores.skipped else None
    found = {}
    for metric, of_films in values.items():
        low = high = None
        if resamples:
            drawn = resample(resamples, n, generator_for(seed, name))
            low, high = map(float, percentile_interval(drawn @ of_films / n))
        value = float(of_films.mean())
        found[f"{metric}/{name}"] = Metric(value, low, high, n, reason=reason)
    return found
