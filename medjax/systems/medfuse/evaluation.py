"""Metrics, plots and tables of MedFuse's predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.data.mimic_iv.diagnoses import load_phenotypes
from medjax.metrics.classification import classification_metrics
from medjax.metrics.figures import Predictions, classification_figures
from medjax.metrics.metric import Metric
from medjax.metrics.subsets import crossed, range_subsets, subset_metrics
from medjax.metrics.tables import Table, result_tables
from medjax.run.system import Outputs
from medjax.systems.medfuse.data import NO_FILM, Stays
from medjax.systems.medfuse.published import BEST_HEAD

PHENOTYPE_TYPES = "AAAMCCAMMCMCCCAACMAAAAAAA"
"""Of the 25 phenotypes in the order of their names: acute, mixed, chronic (benchmark's table)."""


def label_groups(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the places of the phenotypes of each type, {} where no label is a phenotype."""
    type_of = dict(zip(load_phenotypes().names, PHENOTYPE_TYPES, strict=True))
    groups = {
        f"type={word}": tuple(i for i, name in enumerate(names) if type_of.get(name) == initial)
        for word, initial in (("acute", "A"), ("mixed", "M"), ("chronic", "C"))
    }
    return {group: members for group, members in groups.items() if members}


def subsets(
    stays: Stays, positions: np.ndarray, age_groups: Sequence[float]
) -> dict[str, np.ndarray]:
    """Return the parts of the scored stays [n], as {name: bool [n]}.

    `set=paired` are the stays that have a film, `set=partial` all of them, where some have none;
    each is cut into age groups, `set=paired/age=40-60`.
    """
    paired = stays.film[positions] != NO_FILM
    sets = {"set=paired": paired} if paired.any() else {}
    if not paired.all():
        sets["set=partial"] = np.ones(len(positions), bool)
    return crossed(sets, range_subsets("age", stays.age[positions], age_groups))


def evaluate(
    outputs: Outputs,
    names: Sequence[str],
    config: ConfigDict,
    final: bool,
    parts: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Metric]:
    """Return the metrics of one split; intervals at the end, or always as published.

    A network with further heads has the AUROC and AUPRC of each too, "HEAD.auroc/macro", and during
    training the best mean AUROC of all. `parts` are the subsets that are scored as well.
    """
    if "labels" not in outputs:
        return {"labels": Metric(None, reason="the data has no labels")}
    metrics: dict[str, Metric] = {}
    heads = {"": outputs["probability"], **head_probabilities(outputs)}
    for head, probabilities in heads.items():
        of_head = _metrics(outputs["labels"], probabilities, names, config, final, parts or {})
        if not head:
            metrics |= of_head
            continue
        for name, metric in of_head.items():
            if name.startswith(("auroc/", "auprc/")):
                metrics[f"{head}.{name}"] = metric
    if len(heads) > 1 and not final:  # A choice by what is reported would flatter it.
        metrics[BEST_HEAD] = max(
            (metric for name, metric in metrics.items() if name.endswith("auroc/macro")),
            key=lambda metric: -np.inf if metric.value is None else metric.value,
        )
    loss = float(outputs["loss"].astype(np.float64).mean())
    return {**metrics, "loss": Metric(loss, n=len(outputs["labels"]))}


def _metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    config: ConfigDict,
    final: bool,
    parts: Mapping[str, np.ndarray],
) -> dict[str, Metric]:
    evaluation = config.evaluation
    wanted = final or evaluation.bootstrap_when == "always"
    options: dict[str, Any] = {
        "groups": label_groups(names),
        "resamples": evaluation.resamples if wanted else 0,
        "seed": config.seed,
        "one_class": evaluation.bootstrap_one_class,
    }
    whole = classification_metrics(labels, probabilities, names, **options)
    return whole | subset_metrics(labels, probabilities, names, parts, whole, **options)


def head_probabilities(outputs: Outputs) -> dict[str, np.ndarray]:
    """Return the probabilities [examples, labels] of every further head, by its name."""
    ending = ".probability"
    return {
        key.removesuffix(ending): outputs[key] for key in sorted(outputs) if key.endswith(ending)
    }


def table(ids: Mapping[str, np.ndarray], outputs: Outputs, names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of the predictions table: ids, probability and label by name."""
    columns: dict[str, Any] = dict(ids)
    for head, probabilities in {"": outputs["probability"], **head_probabilities(outputs)}.items():
        prefix = f"{head}." if head else ""
        for i, name in enumerate(names):
            columns[f"{prefix}probability/{name}"] = probabilities[:, i]
    if "labels" in outputs:
        for i, name in enumerate(names):
            label = outputs["labels"][:, i]
            columns[f"label/{name}"] = label if np.isnan(label).any() else label.astype(np.int8)
    return columns


def draw(
    outputs: Outputs, names: Sequence[str], metrics: Mapping[str, Metric], title: str
) -> dict[str, Figure]:
    """Return the figures of one split: curves, calibration, AUROC by label and by age group."""
    if "labels" not in outputs:
        return {}
    predictions = Predictions(outputs["labels"], outputs["probability"], names, metrics, title)
    return classification_figures(predictions, label_groups(names))


def tables(names: Sequence[str], metrics: Mapping[str, Metric], title: str) -> Mapping[str, Table]:
    """Return the tables of one split: by label, by set of stays, by age group."""
    if "auroc/macro" not in metrics:
        return {}
    return result_tables(metrics, names, title, label_groups(names))
