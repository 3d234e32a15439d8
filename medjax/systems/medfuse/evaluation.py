"""Metrics, plots and tables of MedFuse's predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.metrics.classification import classification_metrics
from medjax.metrics.figures import Predictions, classification_figures
from medjax.metrics.metric import Metric
from medjax.run.system import Outputs

PHENOTYPE_TYPES = "AAAMCCAMMCMCCCAACMAAAAAAA"
"""Of the 25 phenotypes in the order of their names: acute, mixed, chronic (benchmark's table)."""


def label_groups(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the phenotypes of each type, {} for other tasks."""
    if len(names) != 25:
        return {}
    types = {"acute": "A", "mixed": "M", "chronic": "C"}
    return {
        f"type={word}": tuple(i for i, letter in enumerate(PHENOTYPE_TYPES) if letter == initial)
        for word, initial in types.items()
    }


def evaluate(
    outputs: Outputs, names: Sequence[str], config: ConfigDict, final: bool
) -> dict[str, Metric]:
    """Return the metrics of one split; intervals at the end, or always as published."""
    if "labels" not in outputs:
        return {"labels": Metric(None, reason="the data has no labels")}
    options = config.evaluation
    wanted = final or options.bootstrap_when == "always"
    labels, probabilities = outputs["labels"], outputs["probability"]
    metrics = classification_metrics(
        labels,
        probabilities,
        names,
        groups=label_groups(names),
        resamples=options.resamples if wanted else 0,
        seed=config.seed,
        one_class=options.bootstrap_one_class,
    )
    loss = float(outputs["loss"].astype(np.float64).mean())
    return {**metrics, "loss": Metric(loss, n=len(labels))}


def table(ids: Mapping[str, np.ndarray], outputs: Outputs, names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of the predictions table: ids, probability and label by name."""
    columns: dict[str, Any] = dict(ids)
    for i, name in enumerate(names):
        columns[f"probability/{name}"] = outputs["probability"][:, i]
    if "labels" in outputs:
        for i, name in enumerate(names):
            columns[f"label/{name}"] = outputs["labels"][:, i].astype(np.int8)
    return columns


def draw(
    outputs: Outputs, names: Sequence[str], metrics: Mapping[str, Metric], title: str
) -> dict[str, Figure]:
    """Return the figures of one split: ROC, precision-recall, calibration, AUROC by label."""
    if "labels" not in outputs:
        return {}
    predictions = Predictions(outputs["labels"], outputs["probability"], names, metrics, title)
    return classification_figures(predictions, label_groups(names))
