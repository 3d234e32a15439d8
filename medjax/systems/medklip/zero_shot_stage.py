"""The stage that scores labels of a table by the queries that describe them, without training."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from medjax.data.radgraph.vocabulary import query_of
from medjax.errors import UserError, nearest
from medjax.metrics.figures import Predictions
from medjax.metrics.metric import Metric
from medjax.run.system import Batch, Outputs, System, Variables
from medjax.systems.medklip.books import pack_books
from medjax.systems.medklip.figures import entity_figures
from medjax.systems.medklip.network import init_model, make_model, stage_books
from medjax.systems.medklip.opening import Opened, stage_batches
from medjax.systems.medklip.pretraining_loss import read
from medjax.systems.medklip.zero_shot import Intervals, choose_thresholds, entity_metrics


class Asked(NamedTuple):
    """What is scored by which query."""

    names: tuple[str, ...]
    queries: tuple[str, ...]
    """The name of the query that scores each."""
    columns: tuple[int, ...]
    """Of the table's labels, -1 for a disease that the table does not know."""


def zero_shot_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "zero_shot" (see `medjax.run.system`)."""
    stage, films = config[name], data.films
    added = described(stage)
    books = stage_books(config, stage, data.texts, artefacts, added)
    asked = what_is_asked(name, stage, films.film_labels, [query for query, _ in added])
    model = make_model(config, stage, books)
    batches = stage_batches(config, stage, films, "labels")
    rows = np.array([books.queries.index(query) for query in asked.queries])

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        reading, _ = read(model, variables, batch, key, train=False)
        outputs = {"score": jax.nn.softmax(reading.logits)[:, rows, 1]}
        if "labels" in batch:
            outputs |= {"labels": batch["labels"], "known": batch["known"]}
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        found = zero_shot_metrics(split, outputs, asked, config)
        return found | {"text": Metric(None, reason=books.method)}

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        columns = {f"score/{n}": outputs["score"][:, i] for i, n in enumerate(asked.names)}
        if "labels" in outputs:
            truth = truth_of(outputs, asked)
            kept = [(i, n) for i, n in enumerate(asked.names) if asked.columns[i] >= 0]
            columns |= {f"label/{n}": truth[:, i] for i, n in kept}
        return {**batches.identity(split, positions), **columns}

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        if "labels" not in outputs[split]:
            return {}
        truth = truth_of(outputs[split], asked)
        kept = [i for i, column in enumerate(asked.columns) if column >= 0]
        names = [asked.names[i] for i in kept]
        invented = ", invented films" if films.invented else ""
        title = f"zero-shot reading{invented}, {split} split"
        shown = truth[:, kept], outputs[split]["score"][:, kept], names, metrics, title
        return entity_figures(Predictions(*shown)) if kept else {}

    return System(
        init=partial(init_model, model),
        updates=(),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        splits=batches.splits,
        resident={"entity_book": books.entity},
        artefacts={"books": pack_books(books)},
    )


def described(stage: ConfigDict) -> list[tuple[str, str]]:
    """Return the query that a stage adds: the disease by its description, or by its name.

    A disease that is an entity, or scored by one, needs no query of its own unless it is described.
    """
    if stage.disease is None or (query_of(stage.disease) and stage.description is None):
        return []
    return [(f"asked: {stage.disease}", stage.description or stage.disease)]


def what_is_asked(name: str, stage: ConfigDict, labels: tuple[str, ...], added: list[str]) -> Asked:
    """Return what a stage scores: labels that a query scores, and the disease.

    Raises:
        UserError: a label is not in the table or no entity scores it, or nothing is left.
    """
    for label in stage.labels:
        if label not in labels:
            raise UserError(
                f"{name}.labels: the films have no label {label!r}{nearest(label, labels)}"
            )
    wanted = {label: query_of(label) for label in stage.labels or labels}
    if stage.disease is not None:
        wanted[stage.disease] = added[0] if added else query_of(stage.disease)
    unscored = [label for label in stage.labels if wanted[label] is None]
    if unscored:
        raise UserError(
            f"{name}.labels: no entity scores {unscored[0]!r}; ask for it with "
            f"--config.{name}.disease={unscored[0]!r} and --config.{name}.description=TEXT"
        )
    scored = {label: query for label, query in wanted.items() if query is not None}
    if not scored:
        raise UserError(
            f"stage {name} has nothing to score: no label of the films is known to an entity; ask "
            f"for a disease with --config.{name}.disease=NAME"
        )
    columns = tuple(labels.index(label) if label in labels else -1 for label in scored)
    return Asked(tuple(scored), tuple(scored.values()), columns)


def truth_of(outputs: Outputs, asked: Asked) -> np.ndarray:
    """Return float64 [film, asked] of 1, 0, NaN where it is not known."""
    labels = np.where(outputs["known"], outputs["labels"].astype(np.float64), np.nan)
    columns = [labels[:, c] if c >= 0 else np.full(len(labels), np.nan) for c in asked.columns]
    return np.stack(columns, 1)


def zero_shot_metrics(
    split: str, outputs: Mapping[str, Outputs], asked: Asked, config: ConfigDict
) -> dict[str, Metric]:
    """Return the metrics of every label that is asked for, with those of the films that have it."""
    if "labels" not in outputs[split]:
        return {"labels": Metric(None, reason="the films have no labels")}
    options, thresholds = config.evaluation, None
    if options.f1_threshold_split == "validation" and "labels" in outputs.get("validation", {}):
        other = outputs["validation"]
        thresholds = choose_thresholds(truth_of(other, asked), other["score"])
    return entity_metrics(
        truth_of(outputs[split], asked),
        outputs[split]["score"],
        asked.names,
        thresholds,
        options.f1_threshold_rule,
        Intervals(options.resamples, config.seed),
    )
