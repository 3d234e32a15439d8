"""Percentile bootstrap of metrics of binary labels: rows drawn with replacement, all at once.

A resample is a count per example. Sorting the examples once by score turns the AUROC, the average
precision and the calibration error of every resample into sums of its counts over ranges of ranks.
"""

import zlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.errors import UserError
from medjax.metrics.calibration import ranked_gaps
from medjax.metrics.ranking import area_under_roc, mean_precision, rank, trace

OneClass = Literal["redraw", "fail"]
"""What to do with a resample of one class only, for which no metric is defined."""

_CHUNK_CELLS = 1 << 17
"""Counts held at once: small enough for the processor's cache. Part of the meaning of a seed."""


class Resampled(NamedTuple):
    """Metrics of every resample."""

    auroc: NDArray[np.float64]
    """[resamples]"""
    auprc: NDArray[np.float64]
    """[resamples]"""
    calibration_error: NDArray[np.float64]
    """[resamples], or [0] where no bins were asked for."""


def generator_for(seed: int, name: str) -> np.random.Generator:
    """The generator of one label: its draws do not depend on which other labels there are."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode("utf-8"))]))


def count_draws(draws: NDArray[np.integer], examples: int) -> NDArray[np.intp]:
    """Count how often each example was drawn: [resamples, draws] rows -> [resamples, examples]."""
    resamples = len(draws)
    cells = draws + examples * np.arange(resamples, dtype=np.int64)[:, None]
    counts = np.bincount(cells.ravel(), minlength=resamples * examples)
    return counts.reshape(resamples, examples)


def resample(
    size: int,
    examples: int,
    generator: np.random.Generator,
    clusters: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """Draw `size` resamples and count in each how often every example stands: [size, examples].

    clusters: [examples] numbers from 0 of what is drawn instead, each with all its examples.
    """
    units = examples if clusters is None else int(clusters.max()) + 1
    counts = count_draws(generator.integers(0, units, (size, units)), units)
    return counts if clusters is None else counts[:, clusters]


def _lacks_a_class(counts: NDArray[np.intp], positives: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which resamples [resamples] hold negatives only or positives only."""
    drawn = counts[:, positives].sum(axis=-1)
    return (drawn == 0) | (drawn == counts.sum(axis=-1))


def draw_counts(
    positives: NDArray[np.intp],
    examples: int,
    resamples: int,
    generator: np.random.Generator,
    one_class: OneClass = "redraw",
    clusters: NDArray[np.intp] | None = None,
) -> Iterator[NDArray[np.intp]]:
    """Yield blocks of counts [block, examples] until `resamples` of them were drawn.

    positives: places of the positive examples, neither none nor all of them.
    one_class: "redraw" draws a resample of one class again (the resample is then one given that
    both classes occur); "fail" raises UserError, as the published code stops there.
    clusters: as in `resample`.
    """
    block = max(1, _CHUNK_CELLS // examples)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        counts = resample(size, examples, generator, clusters)
        while (missing := _lacks_a_class(counts, positives)).any():
            if one_class == "fail":
                raise UserError(
                    f"a bootstrap resample of {examples} examples with {len(positives)} positives"
                    " holds one class only; set bootstrap_one_class to 'redraw' or evaluate on"
                    " more examples"
                )
            counts[missing] = resample(int(missing.sum()), examples, generator, clusters)
        yield counts


def bootstrap(
    labels: ArrayLike,
    scores: ArrayLike,
    resamples: int,
    generator: np.random.Generator,
    one_class: OneClass = "redraw",
    bins: int = 0,
    clusters: NDArray | None = None,
) -> Resampled:
    """Metrics of `resamples` resamples of scores [n] for labels [n] that hold both classes.

    Which example stands at which rank does not matter to a uniform draw, so ranks are drawn; with
    `clusters` [n] (any numbers) whole clusters are, for examples that are not independent.
    `bins` above 0 asks for the calibration error too; the scores are then probabilities.
    """
    ranking = rank(labels, scores)
    examples = len(ranking.order)
    gaps = ranked_gaps(labels, scores, ranking.order, bins) if bins else None
    if clusters is not None:
        clusters = np.unique(clusters, return_inverse=True)[1][ranking.order]
    parts = []
    for counts in draw_counts(
        ranking.positives, examples, resamples, generator, one_class, clusters
    ):
        curve = trace(ranking, counts)
        error = gaps.error(counts) if gaps else np.zeros(0)
        parts.append((area_under_roc(curve), mean_precision(curve), error))
    return Resampled(*(np.concatenate(values) for values in zip(*parts)))


def bootstrap_of_draws(
    labels: ArrayLike, scores: ArrayLike, draws: NDArray[np.integer]
) -> Resampled:
    """Metrics of given resamples: draws [resamples, draws] are row numbers into labels [n]."""
    ranking = rank(labels, scores)
    counts = trace(ranking, count_draws(draws, len(ranking.order))[:, ranking.order])
    return Resampled(area_under_roc(counts), mean_precision(counts), np.zeros(0))


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Bounds that hold the middle `level` of resampled values [resamples], interpolated linearly.

    Efron & Tibshirani 1993, chapter 13.
    """
    tail = 50 * (1 - level)
    low, high = np.percentile(np.asarray(values), [tail, 100 - tail])
    return float(low), float(high)


def centred_interval(
    values: NDArray[np.float64], estimate: float, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bounds of resampled values [resamples], moved so that their mean is `estimate`.

    For a metric >= 0 that resampling inflates: drawing twice adds noise to every bin, which a
    calibration error counts as miscalibration. The lower bound is at least 0.
    """
    shift = estimate - float(np.mean(values))
    low, high = percentile_interval(values, level)
    return max(low + shift, 0.0), high + shift
