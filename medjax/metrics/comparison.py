"""Paired comparison of models on the same patients: differences with bootstrap intervals.

Every resample draws patients with replacement, with all their examples, and is the same for all
models, so that what makes a resample hard is hard for all of them and cancels in a difference
(Efron & Tibshirani 1993, chapter 8). Models trained from several seeds count with the mean of the
metric over their replicas.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.bootstrap import count_draws, percentile_interval
from medjax.metrics.ranking import Ranking, area_under_roc, mean_precision, rank, trace

_CHUNK_CELLS = 1 << 17
"""Counts held at once. Part of the meaning of a seed."""


class Estimate(NamedTuple):
    """A number of a model and what it would have been for other patients."""

    value: float
    resampled: NDArray[np.float64]
    """[resamples]"""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the percentile interval of the resamples."""
        return percentile_interval(self.resampled, level)


class Performance(NamedTuple):
    """How a model ranks the examples of a split, as a mean over labels and replicas."""

    auroc: Estimate
    auprc: Estimate


class _Column(NamedTuple):
    """One label of one replica of a model, ranked."""

    known: NDArray[np.intp]
    """Examples whose label is known."""
    ranking: Ranking


def draw_patients(
    patients: ArrayLike, labels: NDArray, resamples: int, generator: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Yield blocks of counts [block, n] of examples, drawn by patient, `resamples` in all.

    patients: [n] ids, equal for examples of one patient.
    labels: [n, L] of 0, 1 or NaN. A resample in which no label has both classes is drawn again.
    """
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    people = int(owner.max()) + 1
    block = max(1, _CHUNK_CELLS // len(owner))
    for start in range(0, resamples, block):
        counts = _draw(owner, people, min(block, resamples - start), generator)
        while (lacking := ~_has_both_classes(counts, labels)).any():
            counts[lacking] = _draw(owner, people, int(lacking.sum()), generator)
        yield counts


def _draw(
    owner: NDArray[np.intp], people: int, size: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    return count_draws(generator.integers(0, people, (size, people)), people)[:, owner]


def _has_both_classes(counts: NDArray[np.intp], labels: NDArray) -> NDArray[np.bool_]:
    """Which resamples [block] hold positives and negatives of some label."""
    positives, negatives = counts @ (labels == 1), counts @ (labels == 0)
    return ((positives > 0) & (negatives > 0)).any(axis=-1)


def paired_bootstrap(
    labels: ArrayLike,
    scores: Mapping[str, ArrayLike],
    patients: ArrayLike,
    resamples: int,
    generator: np.random.Generator,
) -> dict[str, Performance]:
    """Return each model's AUROC and AUPRC, over the same resamples of the patients.

    Args:
        labels: [n, L] of 0 and 1, or NaN where not known.
        scores: {model: [replicas, n, L]}; the number of replicas may differ.
        patients: [n] ids.
        resamples: 0 gives none.
        generator: draws the patients.

    Both are means over the labels that have both classes (in a resample: those that have them
    there), then over replicas.

    Raises:
        ValueError: no label has both classes, or shapes disagree.
    """
    truth = np.asarray(labels, np.float64)
    everything = np.ones((1, len(truth)), np.intp)
    if not _has_both_classes(everything, truth).all():
        raise ValueError("no label has both classes: nothing can be ranked")
    columns = {model: _ranked(truth, np.asarray(values)) for model, values in scores.items()}
    blocks = draw_patients(patients, truth, resamples, generator)
    parts: dict[str, list[NDArray]] = {model: [] for model in columns}
    for counts in (everything, *blocks):
        for model, replicas in columns.items():
            parts[model].append(np.mean([_measure(one, counts) for one in replicas], axis=0))
    return {model: _performance(np.concatenate(part, axis=1)) for model, part in parts.items()}


def _ranked(labels: NDArray, scores: NDArray) -> list[list[_Column]]:
    """Rank every label of every replica [replicas, n, L]; labels of one class are left out."""
    if scores.ndim != 3 or scores.shape[1:] != labels.shape:
        raise ValueError(f"scores {scores.shape} must be [replicas, *labels {labels.shape}]")
    replicas = []
    for values in scores:
        columns = []
        for i, truth in enumerate(labels.T):
            known = np.flatnonzero(~np.isnan(truth))
            if len(np.unique(truth[known])) == 2:
                columns.append(_Column(known, rank(truth[known], values[known, i])))
        replicas.append(columns)
    return replicas


def _measure(columns: list[_Column], counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return [2, block]: AUROC and AUPRC of each resample, the mean over its labels."""
    values = np.empty((2, len(columns), len(counts)))
    for i, (known, ranking) in enumerate(columns):
        curves = trace(ranking, counts[:, known[ranking.order]])
        with np.errstate(invalid="ignore", divide="ignore"):
            values[:, i] = area_under_roc(curves), mean_precision(curves)
        values[:, i, (curves.positives == 0) | (curves.negatives == 0)] = np.nan
    return np.nanmean(values, axis=1)


def _performance(values: NDArray[np.float64]) -> Performance:
    """values: [2, 1 + resamples], the sample itself first."""
    return Performance(*(Estimate(float(row[0]), row[1:]) for row in values))


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Return first - second; both must be of the same resamples."""
    return Estimate(first.value - second.value, first.resampled - second.resampled)
