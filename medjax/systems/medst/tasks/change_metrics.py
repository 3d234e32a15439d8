"""Whether findings were rightly said to improve, to stay or to worsen.

All is worked out on tables with one row a labelled pair of films and finding: `subject_id`,
`finding`, `label` and `decided` (CODES; `decided` -1: nothing was). Intervals draw patients with
all their rows, the same ones for every finding.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medjax.metrics.bootstrap import generator_for, resample
from medjax.metrics.comparison import Estimate
from medjax.metrics.metric import Metric
from medjax.metrics.tables import Table
from medjax.systems.medst.tasks.temporal_images import CODES, FINDINGS

MEASURES = ("accuracy", "balanced_accuracy")
"""The second is the mean of the accuracies of the labels that occur."""
MEAN = "mean"
"""Of the findings that have decided pairs."""


def change_estimates(
    rows: pd.DataFrame, resamples: int, seed: int
) -> dict[str, dict[str, Estimate]]:
    """Return {measure: {finding, then MEAN: estimate}} of the decided rows; {} of none.

    Tables of equal rows but for `decided` are resampled alike.
    """
    rows = rows[rows["decided"] >= 0]
    if rows.empty:
        return {}
    counts = np.ones((1, len(rows)), np.intp)
    if resamples:
        people = np.unique(rows["subject_id"], return_inverse=True)[1]
        drawn = resample(resamples, len(rows), generator_for(seed, "change"), people)
        counts = np.concatenate([counts, drawn])
    label, finding = rows["label"].to_numpy(), rows["finding"].to_numpy()
    right = label == rows["decided"].to_numpy()
    values: dict[str, dict[str, NDArray]] = {measure: {} for measure in MEASURES}
    for name in dict.fromkeys(finding):
        here = finding == name
        values["accuracy"][name] = share(counts, right, here)
        of_labels = [share(counts, right, here & (label == code)) for code in CODES.values()]
        values["balanced_accuracy"][name] = mean_known(of_labels)
    return {
        measure: {
            name: Estimate(float(array[0]), array[1:])
            for name, array in {**of, MEAN: mean_known(list(of.values()))}.items()
        }
        for measure, of in values.items()
    }


def share(counts: NDArray, right: NDArray, here: NDArray) -> NDArray[np.float64]:
    """Return the share of right rows among those here, [resample]; NaN where there are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (counts @ (right & here)) / (counts @ here)


def mean_known(values: list[NDArray]) -> NDArray[np.float64]:
    """Return the mean of arrays over those that are not NaN at a place."""
    stacked = np.stack(values)
    known = ~np.isnan(stacked)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, stacked, 0).sum(0) / known.sum(0)


def as_metric(estimate: Estimate, n: int) -> Metric:
    """Return an estimate with its interval."""
    known = estimate.resampled[~np.isnan(estimate.resampled)]
    if not len(known):
        return Metric(estimate.value, n=n)
    low, high = estimate._replace(resampled=known).interval()
    return Metric(estimate.value, low, high, n)


def change_metrics(rows: pd.DataFrame, resamples: int, seed: int) -> dict[str, Metric]:
    """Return accuracy/<finding>, balanced_accuracy/<finding> and their means over findings."""
    found = change_estimates(rows, resamples, seed)
    if not found:
        return {f"accuracy/{MEAN}": Metric(None, reason="there are too few labelled pairs")}
    count = rows[rows["decided"] >= 0]["finding"].value_counts()
    return {
        f"{measure}/{name}": as_metric(estimate, int(count.get(name, count.sum())))
        for measure, estimates in found.items()
        for name, estimate in estimates.items()
    }


def confusion_of(label: NDArray, decided: NDArray) -> NDArray[np.intp]:
    """Return counts [true, decided] over CODES."""
    side = len(CODES)
    cells = np.asarray(label, int) * side + np.asarray(decided, int)
    return np.bincount(cells, minlength=side * side).reshape(side, side)


def change_table(metrics: Mapping[str, Metric], title: str) -> Table:
    """Return the table of a split: a row a finding."""
    rows = []
    for name in (*FINDINGS, MEAN):
        values = [metrics.get(f"{measure}/{name}") for measure in MEASURES]
        if values[0] is not None:
            rows.append((name.replace("_", " "), values[0].n, *values))
    return Table(title, ("Finding", "n", "Accuracy", "Balanced accuracy"), tuple(rows))
