"""The stage that tells films with pneumonia by prompts alone (RSNA's challenge)."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from medjax.errors import UserError, nearest
from medjax.losses.alignment import unit
from medjax.metrics.bootstrap import bootstrap, generator_for, percentile_interval
from medjax.metrics.calibration import wilson_interval
from medjax.metrics.figures import Predictions, roc_curves
from medjax.metrics.metric import Metric
from medjax.metrics.thresholds import count, f1_metric
from medjax.run.system import Batch, Outputs, System, Variables
from medjax.systems.medst.networks.of_stage import (
    film_embeddings,
    init_network,
    make_network,
    text_embeddings,
    tokens_in,
)
from medjax.systems.medst.opening import Opened, film_batches, text_reader
from medjax.systems.medst.tasks.zero_shot import Scores, score_zero_shot


def zero_shot_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "zero_shot" (see `medjax.run.system`)."""
    stage, films = config[name], data.labelled(config[name].films)
    label = scored_label(name, stage, films.names)
    batches = film_batches(config, stage, films)
    reader = text_reader(config, stage, data, artefacts)
    prompts = reader.read([*stage.positive_prompts, *stage.negative_prompts])
    model = make_network(config, stage, len(reader.wordpiece.ids))
    column = films.names.index(label) if label in films.names else -1
    affirming = len(stage.positive_prompts)
    title = f"Zero-shot {label}{', invented films' * data.invented}"

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        del key
        images = film_embeddings(model, variables, batch["image"])
        texts = text_embeddings(model, variables, tokens_in(batch, "prompt"))
        parts = {"positive": texts[:affirming], "negative": texts[affirming:]}
        found = {n: images @ unit(t.mean(0)) for n, t in parts.items()}
        if column >= 0 and "labels" in batch:
            found |= {n: batch[n][:, column] for n in ("labels", "known")}
        return found

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        del final
        return zero_shot_metrics(outputs[split], label, config)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        scores = scores_of(outputs)
        columns: dict[str, Any] = {f"{n}/{label}": x for n, x in scores._asdict().items()}
        columns[f"score/{label}"] = scores.margin
        return {**batches.identity(split, positions), **columns}

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        truth, margin = known_films(outputs[split])
        if not 0 < truth.sum() < len(truth):
            return {}
        shown = {f"auroc/{label}": metrics[f"auroc_score/{label}"]}
        columns = truth[:, None], margin[:, None], [label], shown, f"{title}, {split} split"
        return {"roc": roc_curves(Predictions(*columns))}

    return System(
        init=lambda key, batch: init_network(config, model, key),
        updates=(),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        splits=batches.splits,
        resident={f"prompt_{n}": x for n, x in zip(("ids", "mask", "words"), prompts)},
        artefacts={"vocabulary": reader.vocabulary},
    )


def scored_label(name: str, stage: ConfigDict, known: tuple[str, ...]) -> str:
    """Return the label that a stage scores; of films without labels it is only named.

    Raises:
        UserError: the films have other labels.
    """
    if known and stage.label not in known:
        raise UserError(
            f"{name}.label: the films have no label {stage.label!r}{nearest(stage.label, known)}"
        )
    return stage.label


def scores_of(outputs: Outputs) -> Scores:
    """Return the scores of films."""
    return Scores(*(outputs[n].astype(np.float64) for n in ("positive", "negative")))


def known_films(outputs: Outputs) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return labels and margins of the films whose label is known."""
    if "labels" not in outputs:
        return np.zeros(0, np.intp), np.zeros(0)
    known = outputs["known"].astype(bool)
    return outputs["labels"][known].astype(np.intp), scores_of(outputs).margin[known]


def zero_shot_metrics(outputs: Outputs, label: str, config: ConfigDict) -> dict[str, Metric]:
    """Return accuracy, f1 and auroc; the latter is the one that `evaluation.zero_shot_auc` names.

    Both stand beside: auroc_score, of the margins, and auroc_hard, of the decisions.
    """
    truth, margin = known_films(outputs)
    n, positives = len(truth), int(truth.sum())
    if not 0 < positives < n:
        reason = "there are not films with and without the label"
        return {f"auroc/{label}": Metric(None, n=n, positives=positives, reason=reason)}
    kept = outputs["known"].astype(bool)
    scores = Scores(*(x[kept] for x in scores_of(outputs)))
    found, resamples, seed = (
        score_zero_shot(truth, scores),
        config.evaluation.resamples,
        config.seed,
    )
    said = margin > 0
    low, high = wilson_interval(round(found.accuracy * n), n)
    metrics = {
        "accuracy": Metric(found.accuracy, float(low), float(high), n, positives),
        "f1": f1_metric(count(truth, said), resamples, seed, label),
    }
    for kind, value, ranked in (
        ("score", found.auroc, margin),
        ("hard", found.auroc_hard, said.astype(np.float64)),
    ):
        bounds: tuple[float | None, float | None] = (None, None)
        if resamples:
            drawn = bootstrap(truth, ranked, resamples, generator_for(seed, label))
            bounds = percentile_interval(drawn.auroc)
        metrics[f"auroc_{kind}"] = Metric(value, *bounds, n, positives)
    metrics["auroc"] = metrics[f"auroc_{config.evaluation.zero_shot_auc}"]
    return {f"{name}/{label}": metric for name, metric in metrics.items()}
