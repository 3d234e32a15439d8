"""The pre-training stage: existence and position of entities, as the reports tell them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.data.radgraph.vocabulary import ENTITIES, RARE_CLASSES
from medjax.errors import UserError
from medjax.metrics.classification import classification_metrics
from medjax.metrics.metric import Metric
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, Batch, Outputs, System, Update, Variables
from medjax.systems.medklip.batches import Batches
from medjax.systems.medklip.books import pack_books
from medjax.systems.medklip.loss import existence_terms, position_logits, position_terms
from medjax.systems.medklip.network import init_model, make_model, stage_books
from medjax.systems.medklip.opening import Opened, stage_batches
from medjax.systems.medklip.pretraining_loss import Weights, make_loss, read
from medjax.systems.medklip.schedule import stage_rates
from medjax.systems.medklip.zero_shot import Intervals, choose_thresholds, entity_metrics

SUMS = ("existence_sum", "existence_count", "position_sum", "position_count")
"""Of every film: the losses' terms and how many there are."""


def pretrain_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "pretrain" (see `medjax.run.system`)."""
    stage, films = config[name], data.films
    if artefacts is None and not films.has_triplets:
        raise UserError(
            f"stage {name} learns from the triplets of reports and there are none: make them with "
            "`python -m medjax.prepare radgraph --raw=PREPARED_FILMS --out=FOLDER` and give "
            "--config.data.triplets_dir=FOLDER"
        )
    books = stage_books(config, stage, data.texts, artefacts)
    batches = stage_batches(config, stage, films, "triplets")
    model, weights = make_model(config, stage, books), loss_weights(stage)

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        reading, _ = read(model, variables, batch, key, train=False)
        outputs = {"score": jax.nn.softmax(reading.logits)[..., 1]}
        if "labels" in batch:
            outputs |= {"labels": batch["labels"], **film_sums(reading, batch, weights)}
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        metrics = loss_metrics(outputs[split])
        metrics |= existence_metrics(split, outputs, config, final)
        return metrics | ({"text": Metric(None, reason=books.method)} if final else {})

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        scores = {f"score/{e}": outputs["score"][:, i] for i, e in enumerate(ENTITIES)}
        return {**batches.identity(split, positions), **scores}

    return System(
        init=partial(init_model, model),
        updates=pretraining_updates(stage, batches, make_loss(model, weights)),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        splits=batches.splits,
        resident={"entity_book": books.entity, "position_book": books.position},
        artefacts={"books": pack_books(books)},
    )


def loss_weights(stage: ConfigDict) -> Weights:
    """Return what of the loss counts how much."""
    loss = stage.loss
    rare = tuple(ENTITIES.index(name) for name in RARE_CLASSES)
    return Weights(
        loss.existence_weight,
        0.0 if loss.no_cl else loss.position_weight,
        rare if loss.exclude_class else (),
        loss.empty_mask_loss,
    )


def pretraining_updates(stage: ConfigDict, batches: Batches, loss: Any) -> tuple[Update, ...]:
    """Return the one optimiser step on a batch, none without a train split."""
    if "train" not in batches.splits:
        return ()
    steps = len(batches.plan("train", 0))
    rates = stage_rates(stage, steps)

    def logged(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        value, aux = loss(variables, batch, key, step)
        rate = jnp.asarray(rates.logged(step), jnp.float32)
        return value, Aux(aux.mutable, {**aux.metrics, "learning_rate": rate})

    optimizer = make_optimizer(stage.optimizer, steps * stage.train.epochs, rates.used)
    return (Update("pretrain", logged, lambda path: "train", optimizer),)


def film_sums(reading: Any, batch: Batch, weights: Weights) -> dict[str, jax.Array]:
    """Return SUMS of a batch, each [batch]: a split's loss is the mean over all its pairs."""
    labels = batch["labels"]
    values, counts = existence_terms(reading.logits, labels, weights.excluded)
    found = {"existence_sum": values.sum(1), "existence_count": counts.sum(1)}
    logits = position_logits(reading.position, batch["position_book"], batch["position_index"])
    values, counts = position_terms(logits, labels, weights.excluded)
    return found | {"position_sum": values.sum(1), "position_count": counts.sum(1)}


def loss_metrics(outputs: Outputs) -> dict[str, Metric]:
    """Return existence_loss, position_loss, their sum and accuracy, {} where nothing is known."""
    if "labels" not in outputs:
        return {}
    found = {}
    for part in ("existence", "position"):
        count = int(outputs[f"{part}_count"].sum())
        total = float(outputs[f"{part}_sum"].astype(np.float64).sum())
        found[f"{part}_loss"] = Metric(total / max(count, 1), n=count)
    total = sum(metric.value or 0.0 for metric in found.values())
    labels, score = outputs["labels"], outputs["score"]
    known = (labels >= 0) & (labels <= 1)
    right = ((score > 0.5) == (labels > 0.5))[known]
    accuracy = Metric(float(right.mean()) if right.size else 0.0, n=int(known.sum()))
    return found | {"loss": Metric(total, n=len(labels)), "accuracy": accuracy}


def existence_metrics(
    split: str, outputs: Mapping[str, Outputs], config: ConfigDict, final: bool
) -> dict[str, Metric]:
    """Return metrics of every entity that the reports of a split speak of."""
    if "labels" not in outputs[split]:
        return {}
    told = {name: np.where(o["labels"] < 0, np.nan, o["labels"]) for name, o in outputs.items()}
    spoken = np.flatnonzero((~np.isnan(told[split])).any(0))
    if not len(spoken):
        return {}
    names = [ENTITIES[i] for i in spoken]
    labels, scores = told[split][:, spoken].round(), outputs[split]["score"][:, spoken]
    if not final:
        return classification_metrics(labels, scores, names, resamples=0)
    options = config.evaluation
    thresholds = None
    if options.f1_threshold_split == "validation" and "validation" in outputs:
        other = outputs["validation"]["score"][:, spoken]
        thresholds = choose_thresholds(told["validation"][:, spoken].round(), other)
    intervals = Intervals(options.resamples, config.seed)
    return entity_metrics(labels, scores, names, thresholds, options.f1_threshold_rule, intervals)
