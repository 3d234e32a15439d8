"""The paper's hypotheses as comparisons of the stages of one run, on the same patients.

`config.comparisons` names them: (question, stage, the stage it is held against). Every stage is
scored on the stays that all of them predicted, which is those with a film where one of them reads
films only; its AUROC and AUPRC are means over the replicas (seeds), their intervals and those of
the differences come from one bootstrap over the patients.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.metrics.comparison import Estimate, Performance, difference, paired_bootstrap
from medjax.metrics.forest import Block, Row, forest_plot
from medjax.metrics.metric import Metric
from medjax.metrics.tables import Table
from medjax.run.system import Comparison

NAME = "hypotheses"
FUSIONS = {
    "uni_ehr": "series alone",
    "uni_cxr": "film alone",
    "uni_ehr_lstm": "series alone, fusion LSTM",
    "lstm": "LSTM over series and film",
    "joint": "series and film concatenated",
    "unified": "series and film concatenated",
    "early": "concatenated, encoders frozen",
}
"""How the table and the plot call a fusion; another one goes by its own name."""
METRICS = {"auroc": "AUROC", "auprc": "AUPRC"}
INTERVALS = "95 % intervals from a paired bootstrap over the patients."


class Predicted(NamedTuple):
    """What some stages predicted for the same stays."""

    labels: np.ndarray
    """float64 [stays, labels]"""
    scores: Mapping[str, np.ndarray]
    """{stage: [replicas, stays, labels]}"""
    patients: np.ndarray
    """int64 [stays]"""


def compare(
    config: ConfigDict, predictions: Callable[[str, str], Mapping[str, pd.DataFrame]]
) -> dict[str, Comparison]:
    """Return the comparison "hypotheses", {} where the config asks for none or no label is known.

    predictions: (stage, split) -> {replica: predictions table}.
    """
    comparisons = config.comparisons
    if not comparisons:
        return {}
    models = tuple(dict.fromkeys(stage for _, *pair in comparisons for stage in pair))
    split = config[models[0]].train.final_splits[-1]
    predicted = align({model: predictions(model, split) for model in models})
    if not predicted.labels.shape[1]:
        return {}
    entries = measure(predicted, comparisons, config.evaluation.resamples, config.seed)
    titles = {model: describe(model, config) for model in models}
    seeds = len(predicted.scores[models[0]])
    title = (
        f"{split.capitalize()} split, {len(predicted.labels)} stays of "
        f"{len(np.unique(predicted.patients))} patients"
        + (f", means over {seeds} seeds" if seeds > 1 else "")
    )
    return {
        NAME: Comparison(
            metrics={split: entries},
            table=_table(entries, comparisons, titles, title),
            figure=_figure(entries, comparisons, titles, title),
        )
    }


def align(tables: Mapping[str, Mapping[str, pd.DataFrame]]) -> Predicted:
    """Return labels and scores of the stays that every replica of every stage predicted.

    tables: {stage: {replica: its predictions}}, by column `stay_id`. Without a label column the
    labels are [stays, 0].
    """
    frames = [frame for replicas in tables.values() for frame in replicas.values()]
    stays = frames[0]["stay_id"].to_numpy()
    for frame in frames[1:]:
        stays = np.intersect1d(stays, frame["stay_id"].to_numpy())
    indexed = {
        stage: [frame.set_index("stay_id").loc[stays] for frame in replicas.values()]
        for stage, replicas in tables.items()
    }
    first = next(iter(indexed.values()))[0]
    columns = [str(column) for column in first.columns]
    names = [column.removeprefix("label/") for column in columns if column.startswith("label/")]
    return Predicted(
        labels=first[[f"label/{name}" for name in names]].to_numpy(np.float64),
        scores={
            stage: np.stack([r[[f"probability/{n}" for n in names]].to_numpy() for r in replicas])
            for stage, replicas in indexed.items()
        },
        patients=first["subject_id"].to_numpy(),
    )


def measure(
    predicted: Predicted,
    comparisons: Sequence[tuple[str, str, str]],
    resamples: int,
    seed: int,
) -> dict[str, Metric]:
    """Return `auroc/<stage>` and `auroc/<stage> - <other>` of all comparisons, and of AUPRC.

    With 0 resamples there are no intervals.
    """
    counts = Metric(None, n=len(predicted.labels), positives=int(np.nansum(predicted.labels)))
    names = [*predicted.scores, *(f"{stage} - {other}" for _, stage, other in comparisons)]
    known = [column[~np.isnan(column)] for column in predicted.labels.T]
    if not any(len(np.unique(column)) == 2 for column in known):
        undefined = counts._replace(reason="one class only")
        return {f"{metric}/{name}": undefined for metric in METRICS for name in names}
    generator = np.random.default_rng((seed, len(predicted.labels)))
    models = paired_bootstrap(
        predicted.labels, predicted.scores, predicted.patients, resamples, generator
    )
    entries: dict[str, Metric] = {}
    for metric in METRICS:
        of_model = {model: _estimate(value, metric) for model, value in models.items()}
        pairs = {
            f"{stage} - {other}": difference(of_model[stage], of_model[other])
            for _, stage, other in comparisons
        }
        for name, estimate in (of_model | pairs).items():
            low, high = estimate.interval() if resamples else (None, None)
            entries[f"{metric}/{name}"] = counts._replace(value=estimate.value, low=low, high=high)
    return entries


def _estimate(performance: Performance, metric: str) -> Estimate:
    return getattr(performance, metric)


def describe(stage: str, config: ConfigDict) -> str:
    """Return what a stage is, for the table and the plot: "joint: concatenated, from scratch"."""
    fusion = config[stage].model.fusion
    start = "pre-trained" if config[stage].init_from else "from scratch"
    return f"{stage}: {FUSIONS.get(fusion, fusion)}, {start}"


def verdict(first: Metric, second: Metric, gap: Metric, names: tuple[str, str]) -> str:
    """Say in words what a difference shows: which one ranks better, and by how clear a margin."""
    if gap.low is None or gap.high is None:
        return gap.reason or "no interval"
    if gap.low <= 0 <= gap.high:
        return "no difference shown"
    better, worse = (first, second) if gap.low > 0 else (second, first)
    apart = better.low is not None and worse.high is not None and better.low > worse.high
    winner = names[0] if gap.low > 0 else names[1]
    return f"{winner} better" + (", intervals apart" if apart else "")


def _table(
    entries: Mapping[str, Metric],
    comparisons: Sequence[tuple[str, str, str]],
    titles: Mapping[str, str],
    title: str,
) -> Table:
    """Models first, then their differences with a verdict on the AUROC."""
    rows: list[tuple] = [
        ("", text, entries[f"auroc/{model}"], entries[f"auprc/{model}"], "")
        for model, text in titles.items()
    ]
    for question, stage, other in comparisons:
        pair = f"{stage} - {other}"
        words = verdict(
            entries[f"auroc/{stage}"],
            entries[f"auroc/{other}"],
            entries[f"auroc/{pair}"],
            (stage, other),
        )
        rows.append((question, pair, entries[f"auroc/{pair}"], entries[f"auprc/{pair}"], words))
    columns = ("question", "model or difference", "AUROC", "AUPRC", "verdict on the AUROC")
    return Table(f"Hypotheses. {title}. {INTERVALS}", columns, tuple(rows))


def _figure(
    entries: Mapping[str, Metric],
    comparisons: Sequence[tuple[str, str, str]],
    titles: Mapping[str, str],
    title: str,
) -> Figure:
    def row(label: str, name: str) -> Row:
        return Row(label, [entries[f"{metric}/{name}"] for metric in METRICS])

    differences: list[Row] = []
    for question in dict.fromkeys(question for question, _, _ in comparisons):
        differences.append(Row(question))
        differences += [
            row(f"{stage} - {other}", f"{stage} - {other}")
            for asked, stage, other in comparisons
            if asked == question
        ]
    return forest_plot(
        f"MedFuse's hypotheses. {title}",
        INTERVALS,
        [METRICS[metric] for metric in METRICS],
        [
            Block("Models", [row(text, model) for model, text in titles.items()]),
            Block("Differences", differences, reference=0.0),
        ],
    )
