"""What the stages of a run say together: of change by two ways, of sentences by two encoders."""

from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.metrics.comparison import difference
from medjax.metrics.forest import Block, Row, forest_plot
from medjax.metrics.metric import Metric
from medjax.metrics.tables import Cell, Table
from medjax.run.system import Comparison
from medjax.systems.medst.opening import ALL
from medjax.systems.medst.tasks.change_metrics import (
    MEAN,
    MEASURES,
    as_metric,
    change_estimates,
)
from medjax.systems.medst.tasks.sentence_figure import sentence_figure
from medjax.systems.medst.tasks.sentence_similarity import SUBSET
from medjax.systems.medst.tasks.sentence_stage import order_metric, ranking
from medjax.systems.medst.tasks.temporal_images import CODES, FINDINGS

Predictions = Callable[[str, str], Mapping[str, pd.DataFrame]]
ALONE, TOGETHER = "each film alone", "both films together"
"""The published scoring, and the encoder of pairs."""


def compare(config: ConfigDict, predictions: Predictions) -> dict[str, Comparison]:
    """Return "temporal" and "word_order", as far as the run has the stages for them.

    predictions: (stage, split) -> {replica: predictions table}; of replicas the first counts.
    """
    found = {}
    kinds = {name: config[name].kind for name in config.stages}
    published = next((n for n, kind in kinds.items() if kind == "temporal_images"), None)
    pairwise = next((n for n, kind in kinds.items() if kind == "pairwise"), None)
    if published and pairwise and "test" in config[pairwise].train.final_splits:
        alone, together = (
            next(iter(predictions(*source).values()))
            for source in ((published, ALL), (pairwise, "test"))
        )
        rows = same_pairs(alone, together)
        if len(rows):
            found["temporal"] = compare_changes(rows, config.evaluation.resamples, config.seed)
    readers = [n for n, kind in kinds.items() if kind == "temporal_sentences"]
    if len(readers) > 1:
        tables = {n: next(iter(predictions(n, ALL).values())) for n in readers}
        found["word_order"] = compare_readers(tables, config.evaluation.resamples, config.seed)
    return found


def same_pairs(alone: pd.DataFrame, together: pd.DataFrame) -> pd.DataFrame:
    """Return the labelled pairs that both ways decided, with the columns ALONE and TOGETHER.

    alone: predictions of a stage of kind "temporal_images"; together: of one of kind "pairwise".
    """
    ids = ["dicom_id", "previous_dicom_id"]
    parts = []
    for finding in FINDINGS:
        told = together[[f"{change}/{finding}" for change in CODES]].to_numpy()
        parts.append(together[ids].assign(finding=finding, **{TOGETHER: told.argmax(1)}))
    decided = alone[alone["decided"] >= 0].rename(columns={"decided": ALONE})
    return decided.merge(pd.concat(parts), on=[*ids, "finding"])


def compare_changes(rows: pd.DataFrame, resamples: int, seed: int) -> Comparison:
    """Compare both ways on the same pairs and the same resamples of their patients."""
    of = {
        way: change_estimates(rows.assign(decided=rows[way]), resamples, seed)
        for way in (ALONE, TOGETHER)
    }
    count = rows["finding"].value_counts()
    names = [name for name in (*FINDINGS, MEAN) if name in of[ALONE][MEASURES[0]]]
    metrics: dict[str, Metric] = {}
    for measure in MEASURES:
        for name in names:
            n = int(count.get(name, len(rows)))
            first, second = of[ALONE][measure][name], of[TOGETHER][measure][name]
            metrics[f"{measure}/alone/{name}"] = as_metric(first, n)
            metrics[f"{measure}/together/{name}"] = as_metric(second, n)
            gain = as_metric(difference(second, first), n)
            metrics[f"{measure}_gain/{name}"] = gain
    title = "Change since the previous film, pairs of the test split"
    return Comparison(
        {"test": metrics},
        changes_table(metrics, names, title),
        changes_figure(metrics, names, title),
    )


COLUMNS = {"alone": ALONE, "together": TOGETHER}


def changes_table(metrics: Mapping[str, Metric], names: list[str], title: str) -> Table:
    """Return a row a finding: both ways by accuracy, and what the second gains."""
    rows = []
    for name in names:
        cells = [metrics[f"accuracy/{way}/{name}"] for way in COLUMNS]
        gain = metrics[f"accuracy_gain/{name}"]
        rows.append((name.replace("_", " "), gain.n, *cells, gain))
    heads = tuple(way.capitalize() for way in COLUMNS.values())
    return Table(f"{title}: accuracy", ("Finding", "n", *heads, "Gain"), tuple(rows))


def changes_figure(metrics: Mapping[str, Metric], names: list[str], title: str) -> Figure:
    """Draw both ways and the gain, a row a finding."""

    def rows(prefixes: tuple[str, ...]) -> list[Row]:
        return [
            Row(name.replace("_", " "), [metrics[f"{prefix}/{name}"] for prefix in prefixes])
            for name in names
        ]

    blocks = [
        Block(label, rows(tuple(f"{measure}/{way}" for measure in MEASURES)))
        for way, label in COLUMNS.items()
    ]
    gains = rows(tuple(f"{measure}_gain" for measure in MEASURES))
    blocks.append(Block(f"gain of {TOGETHER}", gains, reference=0.0))
    legend = (
        f"{ALONE}: support vector machines on embeddings, as published, on other patients; "
        f"{TOGETHER}: encoder of pairs. 95 % intervals over patients."
    )
    panels = [measure.replace("_", " ") for measure in MEASURES]
    return forest_plot(title, legend, panels, blocks)


def compare_readers(tables: Mapping[str, pd.DataFrame], resamples: int, seed: int) -> Comparison:
    """Set text encoders side by side: which one tells pairs of equal words by their order?"""
    first = next(iter(tables.values()))
    scored = (first["subset"] == SUBSET).to_numpy()
    same, alike = first["same"].to_numpy(), first["same_words"].to_numpy(bool)
    cosines = {name: table["cosine"].to_numpy() for name, table in tables.items()}
    metrics: dict[str, Metric] = {}
    rows: list[tuple[Cell, ...]] = []
    for name, values in cosines.items():
        found = {
            "auroc": ranking(same[scored], values[scored], resamples, seed),
            "auroc_same_words": ranking(same[alike], values[alike], resamples, seed),
            # How far apart pairs are that differ in the order of their words alone.
            **order_metric(1 - values[alike], resamples, seed),
        }
        metrics |= {f"{metric}/{name}": value for metric, value in found.items()}
        rows.append((name.replace("_", " "), int(scored.sum()), int(alike.sum()), *found.values()))
    title = "Paraphrases told from contradictions"
    heads = ("AUROC", "AUROC, equal words", "1 - cosine, equal words")
    columns = ("Encoder", "Pairs", "Of equal words", *heads)
    figure = sentence_figure(cosines, same, alike, title)
    return Comparison({ALL: metrics}, Table(title, columns, tuple(rows)), figure)
