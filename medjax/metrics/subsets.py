"""Metrics of parts of a split: the stays that have an image, the patients of an age.

A subset is named `<what>=<which>`; its metrics stand between the metric and the label, as in
`auroc/age=40-60/Shock`. Subsets of subsets are joined by a slash: `set=paired/age=40-60`.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.classification import RANKING_METRICS, classification_metrics
from medjax.metrics.metric import Metric

Subsets = Mapping[str, NDArray[np.bool_]]
"""{name: bool [n]}"""


def range_subsets(name: str, values: ArrayLike, edges: Sequence[float]) -> dict[str, NDArray]:
    """Cut examples by a value [n] into `{"age=18-40": bool [n], ...}`.

    A range holds its lower edge but not its upper one; the last one takes everything above. A
    value below the first edge, or NaN, belongs to none.
    """
    value = np.asarray(values, np.float64)
    return {
        f"{name}={low:g}-{high:g}": (value >= low) & ((value < high) | (high == edges[-1]))
        for low, high in itertools.pairwise(edges)
    }


def crossed(subsets: Subsets, others: Subsets) -> dict[str, NDArray[np.bool_]]:
    """Every subset, followed by its parts in each of the other subsets."""
    result: dict[str, NDArray[np.bool_]] = {}
    for name, members in subsets.items():
        result[name] = members
        result |= {f"{name}/{other}": members & inside for other, inside in others.items()}
    return result


def subset_metrics(
    labels: NDArray,
    probabilities: NDArray,
    names: Sequence[str],
    subsets: Subsets,
    whole: Mapping[str, Metric],
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    **options: Any,
) -> dict[str, Metric]:
    """AUROC and AUPRC of every subset, as `<metric>/<subset>/<label, group or macro>`.

    labels, probabilities: [n, L]; names: of the L labels.
    whole: the metrics of all examples, which a subset of all of them takes over.
    groups, options: as for `classification_metrics`. A subset's label draws its bootstrap from the
        seed and the label's name, as the whole does.

    An empty subset's metrics are undefined and say so.
    """
    kept = [*names, *(groups or {}), "macro"]
    result: dict[str, Metric] = {}
    for subset, members in subsets.items():
        metrics = whole
        if not members.all():
            metrics = classification_metrics(
                labels[members], probabilities[members], names, groups=groups, **options
            )
        for metric in RANKING_METRICS:
            result |= {f"{metric}/{subset}/{name}": metrics[f"{metric}/{name}"] for name in kept}
    return result


def subsets_of(metrics: Mapping[str, object]) -> list[str]:
    """Return the subsets that metrics were computed of, in their order; "" is the whole split."""
    names = (f"/{name.removeprefix('auroc/')}" for name in metrics if name.startswith("auroc/"))
    return [name.removesuffix("/macro")[1:] for name in names if name.endswith("/macro")]
