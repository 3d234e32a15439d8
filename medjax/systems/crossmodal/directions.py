"""Where a phenotype points in the latent space: from who has little of it to who has much.

A label of 0 and 1 is split between the two, a number at its median. How far the two groups lie
apart is told on participants whom the direction was not made of.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_ind
from sklearn.model_selection import StratifiedKFold

from medjax.metrics.metric import Metric
from medjax.metrics.regression import is_binary
from medjax.systems.crossmodal.latents import Latents
from medjax.systems.crossmodal.probing import Labels

FOLDS = 5


def is_high(values: NDArray) -> NDArray[np.bool_]:
    """Tell who has much of a phenotype: [n] known values, 1 of 0 and 1, or above the median."""
    if not len(values) or is_binary(values):
        return values == 1
    return values > np.median(values)


def direction(vectors: NDArray, high: NDArray) -> NDArray[np.float64]:
    """Return the unit vector [width] from the mean of the others to the mean of high [n].

    Zeros where the means are one point.
    """
    x = np.asarray(vectors, np.float64)
    step = x[high].mean(0) - x[~high].mean(0)
    return step / max(float(np.linalg.norm(step)), 1e-12)


def separation(vectors: NDArray, high: NDArray, seed: int = 0) -> tuple[float, float]:
    """Return Welch's t, and its p, of the two groups' places along the direction.

    Each participant is projected on the direction that the other folds make.

    Raises:
        ValueError: fewer than `FOLDS` in either group.
    """
    if min(high.sum(), (~high).sum()) < FOLDS:
        raise ValueError(f"fewer than {FOLDS} participants have much, or little, of it")
    x, place = np.asarray(vectors, np.float64), np.zeros(len(high))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, high):
        middle = x[train].mean(0)
        place[test] = (x[test] - middle) @ direction(x[train], high[train])
    result = ttest_ind(place[high], place[~high], equal_var=False)
    return float(result.statistic), float(result.pvalue)


def angle(first: NDArray, second: NDArray) -> float:
    """Return the angle between two directions, degrees from 0 to 180."""
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


def direction_metrics(latents: Latents, labels: Labels, seed: int = 0) -> dict[str, Metric]:
    """Return how far each phenotype separates, and how alike modalities point.

    "direction/<modality>/t/<phenotype>" is Welch's t of held-out participants;
    "direction/<first>_to_<second>/angle/<phenotype>" the angle in degrees between the directions of
    two modalities: 90 for latents that share nothing.
    """
    found: dict[str, Metric] = {}
    made: dict[str, dict[str, NDArray]] = {}
    place = {sample_id: row for row, sample_id in enumerate(labels.sample_id.tolist())}
    for modality in latents.vectors:
        ids, vectors = latents.of(modality)
        there = np.array([i in place for i in ids.tolist()], bool)
        values = labels.values[[place[i] for i in ids[there].tolist()]]
        for name, column in zip(labels.names, values.T):
            known = ~np.isnan(column)
            high, x = is_high(column[known]), vectors[there][known]
            key = f"direction/{modality}/t/{name}"
            try:
                t, _ = separation(x, high, seed)
            except ValueError as error:
                found[key] = Metric(None, n=len(x), reason=str(error))
                continue
            found[key] = Metric(t, n=len(x), positives=int(high.sum()))
            made.setdefault(name, {})[modality] = direction(x, high)
    return found | _angles(made)


def _angles(made: Mapping[str, Mapping[str, NDArray]]) -> dict[str, Metric]:
    """{phenotype: {modality: direction}} -> angles between the first modality and the others."""
    found = {}
    for name, of in made.items():
        first, *others = of
        for other in others:
            if of[first].shape == of[other].shape:
                degrees = angle(of[first], of[other])
                found[f"direction/{first}_to_{other}/angle/{name}"] = Metric(degrees)
    return found
