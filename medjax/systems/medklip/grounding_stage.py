"""The stage that holds the attention of a query against the place of its finding."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.data.radgraph.vocabulary import query_of
from medjax.errors import UserError, nearest
from medjax.metrics.classification import average
from medjax.metrics.metric import Metric
from medjax.run.system import Batch, Outputs, System, Variables
from medjax.systems.medklip.books import pack_books
from medjax.systems.medklip.data import Data
from medjax.systems.medklip.grounding import (
    default_threshold,
    grounding_metrics,
    grounding_scores,
    search_threshold,
)
from medjax.systems.medklip.network import init_model, make_model, stage_books
from medjax.systems.medklip.opening import Opened, stage_batches
from medjax.systems.medklip.overlays import overlay_pages
from medjax.systems.medklip.pretraining_loss import read


def grounding_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "grounding" (see `medjax.run.system`)."""
    stage, films = config[name], data.films
    books = stage_books(config, stage, data.texts, artefacts)
    findings = what_is_placed(name, stage, films, artefacts)
    model = make_model(config, stage, books)
    batches = stage_batches(config, stage, films, "none")
    rows = np.array([books.queries.index(query) for query in findings.values()])

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        reading, _ = read(model, variables, batch, key, train=False)
        return {
            "attention": reading.attention.mean(0)[:, rows],
            "score": jax.nn.softmax(reading.logits)[:, rows, 1],
        }

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        return of_findings(films, split, outputs, list(findings), config, stage)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        """Beside the score of each finding, the patch that its query looks at most."""
        columns = dict(batches.identity(split, positions))
        for index, finding in enumerate(findings):
            columns[f"score/{finding}"] = outputs["score"][:, index]
            columns[f"patch/{finding}"] = outputs["attention"][:, index].argmax(1)
        return columns

    def pages(variables: Variables, split: str, outputs: Outputs) -> Iterator[tuple[str, Figure]]:
        del variables
        title = f"{', invented films' if films.invented else ''}, {split} split"
        size, count = config.data.image.size, stage.overlays
        return overlay_pages(films, split, list(findings), outputs, size, count, title)

    return System(
        init=partial(init_model, model),
        updates=(),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        pages=pages,
        splits=batches.splits,
        resident={"entity_book": books.entity},
        artefacts={"books": pack_books(books), "findings": findings},
    )


def what_is_placed(
    name: str, stage: ConfigDict, films: Data, artefacts: Mapping[str, Any] | None
) -> dict[str, str]:
    """Return {finding with places: the query that looks for it}.

    Films without places keep the findings of the weights, to be predicted.

    Raises:
        UserError: a label has no places or no query, or nothing is left.
    """
    check_places(name, stage, films)
    found = {label: query_of(label) for label in stage.labels or films.region_labels}
    placed = {label: query for label, query in found.items() if query is not None}
    if not placed and artefacts and artefacts.get("findings"):
        return dict(artefacts["findings"])
    if not placed:
        raise UserError(
            f"stage {name} needs films with places of findings (masks or boxes): prepare them with "
            "`python -m medjax.prepare cxr_table --masks=CSV ...` or leave the stage out"
        )
    return placed


def check_places(name: str, stage: ConfigDict, films: Data) -> None:
    """Raise UserError where a stage names a finding of which the films have no places."""
    known = films.region_labels
    for label in stage.labels:
        if label not in known:
            raise UserError(
                f"{name}.labels: the films have no places of {label!r}{nearest(label, known)}"
            )


def of_findings(
    films: Data,
    split: str,
    outputs: Mapping[str, Outputs],
    findings: Sequence[str],
    config: ConfigDict,
    stage: ConfigDict,
) -> dict[str, Metric]:
    """Return pointing, pointing_chance, iou, dice and threshold of every finding, and means."""
    metrics: dict[str, Metric] = {}
    for index, finding in enumerate(findings):
        maps, masks = films_with(films, split, finding, outputs[split], index)
        threshold = default_threshold(maps.shape[1:])
        if stage.threshold == "searched" and "validation" in outputs:
            other = films_with(films, "validation", finding, outputs["validation"], index)
            threshold = search_threshold(*other)
        scores = grounding_scores(maps, masks, threshold, stage.empty_mask)
        metrics |= grounding_metrics(scores, finding, config.evaluation.resamples, config.seed)
        metrics[f"threshold/{finding}"] = Metric(threshold)
    for name in ("pointing", "pointing_chance", "iou", "dice"):
        metrics[f"{name}/macro"] = average([metrics[f"{name}/{f}"] for f in findings])
    return metrics


def films_with(
    films: Data, split: str, finding: str, outputs: Outputs, index: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return attention [film, row, column] and masks of the films that have a finding's place."""
    regions = films.regions(split, finding)
    row_of = {int(position): row for row, position in enumerate(outputs["position"])}
    pairs = [(row_of[int(p)], i) for i, p in enumerate(regions.position) if int(p) in row_of]
    patches = outputs["attention"].shape[-1]
    side = round(patches**0.5)
    rows = np.array([row for row, _ in pairs], np.int64)
    maps = outputs["attention"][rows, index].reshape(-1, side, patches // side)
    return maps, [regions.mask(i) for _, i in pairs]
