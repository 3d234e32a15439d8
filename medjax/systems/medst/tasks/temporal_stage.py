"""The stage that scores MS-CXR-T's pairs of films as published: each film is seen alone."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from numpy.typing import NDArray

from medjax.metrics.confusion_figure import confusion_figure
from medjax.metrics.metric import Metric
from medjax.run.system import Batch, Outputs, System, Variables
from medjax.systems.medst.networks.of_stage import film_embeddings, init_network, make_network
from medjax.systems.medst.opening import ALL, Opened, all_films, film_batches, text_reader
from medjax.systems.medst.tasks.change_metrics import change_metrics, change_table, confusion_of
from medjax.systems.medst.tasks.temporal_images import (
    CODES,
    FINDINGS,
    accuracy_percentages,
    can_be_folded,
    held_out_decisions,
    read_pairs,
)


def temporal_images_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "temporal_images" (see `medjax.run.system`)."""
    stage, pairs = config[name], data.temporal.table()
    reader = text_reader(config, stage, data, artefacts)
    batches = film_batches(config, stage, all_films(data.temporal.films))
    model = make_network(config, stage, len(reader.wordpiece.ids))
    options = config.evaluation
    title = f"Change since the previous film{', invented' * data.invented}"

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        del key
        return {"embedding": film_embeddings(model, variables, batch["image"])}

    def decided(outputs: Outputs) -> pd.DataFrame:
        return decisions(pairs, embeddings_of(batches, outputs), stage, options)

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        del final
        seen = embeddings_of(batches, outputs[split])
        found = published_metrics(pairs, seen, stage, options.temporal_image_folds)
        return found | change_metrics(decided(outputs[split]), options.resamples, config.seed)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        """One row a labelled pair of a finding, decided by a machine that has not seen it."""
        del split, positions
        frame = decided(outputs)
        return {str(column): frame[column].to_numpy() for column in frame}

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        frame, folds = decided(outputs[split]), stage.folds[-1]
        frame = frame[frame["decided"] >= 0]
        counts = confusion_of(frame["label"].to_numpy(), frame["decided"].to_numpy())
        head = f"{title}: support vector machine on both films' embeddings, {folds} folds"
        axes = ("decided", "true")
        return {"confusion": confusion_figure(counts, tuple(CODES), head, *axes)}

    return System(
        init=lambda key, batch: init_network(config, model, key),
        updates=(),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        tables=lambda split, metrics: {"findings": change_table(metrics, title)},
        splits=batches.splits,
        artefacts={"vocabulary": reader.vocabulary},
    )


def embeddings_of(batches: Any, outputs: Outputs) -> dict[str, NDArray]:
    """Return {dicom_id: embedding} of what was predicted."""
    ids = batches.identity(ALL, outputs["position"])["dicom_id"]
    return dict(zip(ids.tolist(), outputs["embedding"]))


def decisions(
    table: pd.DataFrame, seen: Mapping[str, NDArray], stage: ConfigDict, options: ConfigDict
) -> pd.DataFrame:
    """Return one row a labelled pair: ids, finding, split, label, and what was decided (CODES).

    Every pair is decided by a machine that was fitted on the other folds, of the largest number of
    folds and the first seed; -1 where a finding has too few pairs for that.
    """
    splits = dict(zip(zip(table["dicom_id"], table["previous_dicom_id"]), table["split"]))
    folds, seed = stage.folds[-1], stage.seeds[0]
    parts = []
    for finding, pairs in read_pairs(table, seed).items():
        decided, unit = np.full(len(pairs.label), -1), options.temporal_image_folds
        if can_be_folded(pairs, folds, seed, unit):
            decided = held_out_decisions(pairs, seen, folds, seed, unit)
        columns = {
            "dicom_id": pairs.current,
            "previous_dicom_id": pairs.previous,
            "subject_id": pairs.subject,
            "split": [splits[pair] for pair in zip(pairs.current, pairs.previous)],
            "finding": [finding] * len(decided),
            "label": pairs.label,
            "decided": decided,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def published_metrics(
    table: pd.DataFrame, seen: Mapping[str, NDArray], stage: ConfigDict, unit: str
) -> dict[str, Metric]:
    """Return the published numbers: accuracy_cv<folds>/<finding>, means over seeds.

    Of several seeds there is also the spread, accuracy_cv<folds>_std/<finding>.
    """
    pairs, found = read_pairs(table), {}
    shuffled = [(seed, read_pairs(table, seed)) for seed in stage.seeds]
    for folds in stage.folds:
        short = [
            finding
            for finding in FINDINGS
            if not all(can_be_folded(of[finding], folds, seed, unit) for seed, of in shuffled)
        ]
        if short:
            reason = f"too few pairs of {', '.join(short)} for {folds} folds"
            found[f"accuracy_cv{folds}/mean"] = Metric(None, reason=reason)
            continue
        runs = np.stack(
            [accuracy_percentages(table, seen, folds, seed, unit) / 100 for seed in stage.seeds]
        )
        for finding, values in zip((*FINDINGS, "mean"), runs.T, strict=True):
            count = len(pairs[finding].label) if finding in pairs else len(table)
            found[f"accuracy_cv{folds}/{finding}"] = Metric(float(values.mean()), n=count)
            if len(values) > 1:
                found[f"accuracy_cv{folds}_std/{finding}"] = Metric(float(values.std()), n=count)
    return found
