"""The pre-training stage: films, their reports and their order in time, brought together."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from medjax.metrics.metric import Metric
from medjax.metrics.retrieval import retrieval_metrics
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, Batch, Outputs, System, Update, Variables, identity
from medjax.systems.medst.data.batches import Batches
from medjax.systems.medst.networks.model import Aligned
from medjax.systems.medst.networks.of_stage import (
    films_in,
    groups_of,
    init_network,
    make_network,
    mutable_of,
    tokens_in,
)
from medjax.systems.medst.opening import Opened, pretraining_batches, text_reader
from medjax.systems.medst.pretraining.begin import make_begin, may_lack
from medjax.systems.medst.pretraining.loss import (
    Losses,
    PretrainingOptions,
    Rows,
    medst_losses,
    mgca_losses,
    retrieval_accuracy,
    total,
)
from medjax.systems.medst.pretraining.schedule import published_cycle
from medjax.systems.medst.pretraining.updates import make_update, project, with_waiting_prototypes

TOP = (1, 5)
"""Of the accuracies among the rows of a batch."""


def pretrain_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "pretrain" (see `medjax.run.system`)."""
    stage = config[name]
    reader = text_reader(config, stage, data, artefacts)
    batches = pretraining_batches(config, stage, data, reader)
    model = make_network(config, stage, len(reader.wordpiece.ids))
    scored = make_scored(stage)

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        out: Any
        out, mutable = model.apply(
            variables,
            films_in(batch),
            tokens_in(batch),
            batch["mask"],
            train=True,
            rngs={"dropout": key},
            mutable=mutable_of(variables),
        )
        found = scored(out, batch)
        return found.pop("loss"), Aux(mutable, found)

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        del key
        out: Any = model.apply(
            variables, films_in(batch), tokens_in(batch), batch["mask"], train=False
        )
        rows = batch["mask"].shape
        losses = {name: jnp.broadcast_to(x, rows) for name, x in scored(out, batch).items()}
        return {"image": out.image, "text": out.text, "study": batch["study"], **losses}

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        return pretraining_metrics(outputs[split], final and config.evaluation.resamples > 0)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        cosine = (outputs["image"] * outputs["text"]).sum(1)
        return {**batches.identity(split, positions), "cosine": cosine}

    return System(
        init=lambda key, batch: init_network(config, model, key),
        updates=pretraining_updates(stage, data, batches, loss),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        splits=batches.splits,
        begin=make_begin(config, stage),
        may_lack=may_lack,
        project=project if stage.model.method == "mgca" else identity,
        artefacts={"vocabulary": reader.vocabulary},
    )


def loss_options(stage: ConfigDict) -> PretrainingOptions:
    """Return the temperatures and forms of a stage's losses."""
    loss = stage.loss
    return PretrainingOptions(
        temperature=loss.softmax_temperature,
        groups=groups_of(stage, loss.negatives),
        bidirectional=loss.bidirectional,
        temporal_temperature=loss.temporal_temperature,
        similarity=loss.similarity,
        regression=loss.regression,
        huber_delta=loss.huber_delta,
        variance_lambda=loss.variance_lambda,
        prototype_temperature=loss.prototype_temperature,
        epsilon=loss.epsilon,
        sinkhorn_iterations=loss.sinkhorn_iterations,
        sinkhorn_groups=groups_of(stage, loss.sinkhorn_scope),
    )


def make_scored(stage: ConfigDict) -> Callable[[Aligned, Batch], dict[str, jax.Array]]:
    """Return (what a network gave, batch) -> scalars by name.

    These are "loss", its three parts as they enter it, and accuracy_1 and accuracy_5, in percent,
    of finding a film's report in its batch and back.
    """
    options = loss_options(stage)
    losses_of = {"medst": medst_losses, "mgca": mgca_losses}[stage.model.method]
    third = "lambda_temporal" if stage.model.method == "medst" else "lambda_proto"
    weights = stage.loss.lambda_ita, stage.loss.lambda_local, stage.loss[third]
    included = stage.loss.same_study_negatives == "included"

    def scored(out: Aligned, batch: Batch) -> dict[str, jax.Array]:
        rows = Rows(
            study=None if included else batch["study"],
            mask=batch["mask"],
            sequence=batch["sequence"],
            step=batch["step"],
        )
        losses: Losses = losses_of(out, rows, options)
        found = {"loss": total(losses, weights)}
        found |= {f"loss_{n}": w * x for w, (n, x) in zip(weights, losses.items(), strict=True)}
        for top in TOP:
            found[f"accuracy_{top}"] = retrieval_accuracy(out.image, out.text, rows, 1.0, top)
        return found

    return scored


def pretraining_updates(
    stage: ConfigDict, data: Opened, batches: Batches, loss: Callable
) -> tuple[Update, ...]:
    """Return the one optimiser step on a batch, none without a train split."""
    if "train" not in batches.splits:
        return ()
    of_epoch = len(batches.plan("train", 0))
    optimizer = make_rated(stage, of_epoch, len(data.films.splits["train"].chunks))
    return (make_update(loss, optimizer, stage.model.freeze_text),)


def make_rated(stage: ConfigDict, steps: int, chunks: int) -> optax.GradientTransformation:
    """Return the optimiser of a stage whose epochs have that many steps; chunks: of the data."""
    options, epochs = stage.optimizer, stage.train.epochs
    counted = steps
    if options.schedule_steps == "before_sampler":
        counted = max(chunks // max(stage.train.chunks, 1), 1)
    rate = published_cycle(
        options.learning_rate,
        counted * epochs,
        options.warmup_fraction,
        options.least_learning_rate,
    )
    make = partial(make_optimizer, options, steps * epochs)
    if stage.model.method == "mgca":
        return with_waiting_prototypes(make, rate, steps * options.freeze_prototype_epochs)
    return make(rate)


def pretraining_metrics(outputs: Outputs, final: bool) -> dict[str, Metric]:
    """Return the losses of a split, means over its rows; in the end what retrieval finds."""
    names = [name for name in outputs if name.startswith(("loss", "accuracy_"))]
    rows = len(outputs["study"])
    found = {n: Metric(float(outputs[n].astype(np.float64).mean()), n=rows) for n in names}
    if not final:
        return found
    _, study = np.unique(outputs["study"], return_inverse=True)
    return found | retrieval_metrics(
        outputs["image"], outputs["text"], study, ("film", "report"), intervals=True
    )
