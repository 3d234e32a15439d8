"""The file metrics.json: what a split's evaluation says of every entity, with curves and trend."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.systems.medklip.zero_shot import roc_points_of

SCORE, LABEL = "score/", "label/"
"""How the columns of a predictions table begin that hold scores and labels."""
DIGITS = 6
"""Decimals of the curves."""


def metrics_file(
    results: Mapping[str, Mapping[str, Any]],
    predictions: pd.DataFrame | None = None,
    log: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return metrics.json of one split.

    Keys: `mean` and `entities`, {metric: entry of results.json} of each; `roc`, {entity: {"fpr",
    "tpr"}}, where there is a table of scores and labels; `trend`, the losses and accuracies that
    were logged by step; `other`, what is of no entity. The accuracy stands beside the prevalence
    and the accuracy of the constant answer, without which it says little.

    Args:
        results: {metric: entry}, of one split in results.json.
        predictions: with columns score/<entity> and label/<entity>.
        log: rows of metrics.jsonl.
    """
    entities: dict[str, dict[str, Any]] = {}
    other: dict[str, Any] = {}
    for name, entry in results.items():
        metric, slash, entity = name.partition("/")
        if slash:
            entities.setdefault(entity, {})[metric] = entry
        else:
            other[name] = entry
    content = {
        "mean": entities.pop("macro", {}),
        "entities": entities,
        "roc": {} if predictions is None else roc_of_table(predictions),
        "trend": trend_of(log),
        "other": other,
    }
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def roc_of_table(predictions: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Return the ROC curve of every entity whose scores and labels a table holds."""
    names = [
        column.removeprefix(SCORE)
        for column in predictions.columns
        if column.startswith(SCORE) and LABEL + column.removeprefix(SCORE) in predictions
    ]
    if not names:
        return {}
    labels, scores = (
        predictions[[prefix + name for name in names]].to_numpy(np.float64)
        for prefix in (LABEL, SCORE)
    )
    curves = roc_points_of(labels, scores, names)
    return {
        name: {axis: [round(value, DIGITS) for value in values] for axis, values in curve.items()}
        for name, curve in curves.items()
    }


def trend_of(log: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[Any]]]:
    """Return {"<split>/<name>": {"step", "value"}} of the losses and accuracies of a log."""
    trend: dict[str, dict[str, list[Any]]] = {}
    for row in log:
        for name, value in row.items():
            wanted = name.startswith(("loss", "accuracy")) and isinstance(value, (int, float))
            if wanted and math.isfinite(value):
                line = trend.setdefault(f"{row['split']}/{name}", {"step": [], "value": []})
                line["step"].append(row["step"])
                line["value"].append(value)
    return trend
