"""Fine-tuning stages: a classifier of the films' labels, and a segmentation of one finding."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.errors import UserError, nearest
from medjax.losses import sigmoid_cross_entropy
from medjax.losses.segmentation import dice_cross_entropy
from medjax.metrics.metric import Metric
from medjax.metrics.segmentation import mask_metrics, mean_metric, scores_of_counts
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, Batch, Outputs, System, Update, Variables
from medjax.systems.medklip.batches import Batches
from medjax.systems.medklip.classifier import Classifier
from medjax.systems.medklip.encoder import standardise
from medjax.systems.medklip.loss import mean_over
from medjax.systems.medklip.opening import Opened, stage_batches
from medjax.systems.medklip.schedule import stage_rates
from medjax.systems.medklip.segmentation import ResUNet
from medjax.systems.medklip.subsets import nested_subset
from medjax.systems.medklip.zero_shot import Intervals, choose_thresholds, entity_metrics


def apply(
    model: Any, variables: Variables, batch: Batch, key: jax.Array, *, train: bool
) -> tuple[Any, Mapping[str, Any]]:
    """Run a network on a batch of films; return what it gives and the moved statistics."""
    return model.apply(
        variables,
        standardise(batch["image"]),
        batch["mask"],
        train=train,
        rngs={"dropout": key},
        mutable=[name for name in variables if name != "params"],
    )


def init(model: Any, key: jax.Array, batch: Batch) -> Variables:
    """Return fresh variables for films of this shape."""
    return model.init({"params": key}, standardise(jnp.asarray(batch["image"])), train=False)


def common(config: ConfigDict, stage: ConfigDict) -> dict[str, Any]:
    """Return what both networks take of a stage's options."""
    options = stage.model
    return {
        "backbone": options.backbone,
        "width": options.width,
        "groups": options.groups if options.batch_statistics == "per_group" else 1,
        "checkpoint": options.gradient_checkpointing,
        "dtype": jnp.dtype(config.precision),
    }


def subset_of(stage: ConfigDict, data: Opened) -> dict[str, np.ndarray]:
    """Return the training films of a stage, by its fraction and seed."""
    if "train" not in data.films.splits:
        return {}
    films = len(data.films.splits["train"].dicom_id)
    options = stage.train
    return {"train": nested_subset(films, options.train_fraction, options.train_fraction_seed)}


def updates(stage: ConfigDict, batches: Batches, loss: Any) -> tuple[Update, ...]:
    """Return the one optimiser step on a batch, none without a train split."""
    if "train" not in batches.splits:
        return ()
    steps = len(batches.plan("train", 0))
    rate = stage_rates(stage, steps).used
    optimizer = make_optimizer(stage.optimizer, steps * stage.train.epochs, rate)
    return (Update("finetune", loss, lambda path: "train", optimizer),)


def classification_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "finetune_classification"."""
    stage, films = config[name], data.films
    labels = tuple(artefacts["labels"]) if artefacts else chosen_labels(name, stage, data)
    columns = [films.film_labels.index(label) for label in labels if label in films.film_labels]
    known = len(columns) == len(labels)
    batches = stage_batches(config, stage, films, "labels", subset=subset_of(stage, data))
    model = Classifier(stages=3, outputs=len(labels), **common(config, stage))

    def collate(split: str, epoch: int, plan: Any, rows: slice) -> dict[str, Any]:
        batch = batches.collate(split, epoch, plan, rows)
        kept = {k: v for k, v in batch.items() if k not in ("labels", "known")}
        if known and "labels" in batch:
            kept |= {key: batch[key][:, columns] for key in ("labels", "known")}
        return kept

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        (logits, _), mutable = apply(model, variables, batch, key, train=True)
        entropy = sigmoid_cross_entropy(logits, batch["labels"])
        return mean_over((entropy, batch["known"]), batch["mask"]), Aux(mutable, {})

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        (logits, _), _ = apply(model, variables, batch, key, train=False)
        outputs = {"probability": jax.nn.sigmoid(logits)}
        if "labels" in batch:
            entropy = sigmoid_cross_entropy(logits, batch["labels"])
            outputs |= {"labels": batch["labels"], "known": batch["known"], "entropy": entropy}
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        return classification_results(split, outputs, labels, config, final)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        told = outputs["probability"]
        columns = {f"probability/{label}": told[:, i] for i, label in enumerate(labels)}
        return {**batches.identity(split, positions), **columns}

    return System(
        init=partial(init, model),
        updates=updates(stage, batches, loss),
        plan=batches.plan,
        collate=collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        splits=batches.splits,
        artefacts={"labels": list(labels)},
    )


def chosen_labels(name: str, stage: ConfigDict, data: Opened) -> tuple[str, ...]:
    """Return the labels of a stage: those it names, or all of the table.

    Raises:
        UserError: a label is not there, or the films have none.
    """
    known = data.films.film_labels
    for label in stage.labels:
        if label not in known:
            raise UserError(
                f"{name}.labels: the films have no label {label!r}{nearest(label, known)}"
            )
    if not known:
        raise UserError(f"stage {name} learns labels of films and the prepared films have none")
    return tuple(stage.labels) or known


def classification_results(
    split: str,
    outputs: Mapping[str, Outputs],
    labels: tuple[str, ...],
    config: ConfigDict,
    final: bool,
) -> dict[str, Metric]:
    """Return the mean cross entropy, "loss", and the metrics of every label."""
    if "labels" not in outputs[split]:
        return {"labels": Metric(None, reason="the films have no labels of these names")}

    def truth(o: Outputs) -> np.ndarray:
        return np.where(o["known"], o["labels"].astype(np.float64), np.nan)

    here = outputs[split]
    values, known = here["entropy"].astype(np.float64), here["known"].astype(bool)
    found = {"loss": Metric(float(values[known].mean()) if known.any() else None, n=len(known))}
    if not known.any():
        found["loss"] = Metric(None, n=len(known), reason="no label is known")
    thresholds, options = None, config.evaluation
    if options.f1_threshold_split == "validation" and "labels" in outputs.get("validation", {}):
        other = outputs["validation"]
        thresholds = choose_thresholds(truth(other), other["probability"])
    intervals = Intervals(options.resamples if final else 0, config.seed)
    scores = here["probability"]
    rule = options.f1_threshold_rule
    return found | entity_metrics(truth(here), scores, labels, thresholds, rule, intervals)


def segmentation_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "finetune_segmentation"."""
    stage, films = config[name], data.films
    finding = artefacts["finding"] if artefacts else chosen_finding(name, stage, data)
    targets: Any = "region" if finding in films.region_labels else "none"
    subset = subset_of(stage, data)
    batches = stage_batches(config, stage, films, targets, finding, subset)
    model = ResUNet(dropout=stage.model.dropout, **common(config, stage))

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        logits, mutable = apply(model, variables, batch, key, train=True)
        region = batch["region"].astype(jnp.float32)[..., None]
        scope = stage.loss.dice_scope
        return dice_cross_entropy(logits, region, batch["mask"], scope), Aux(mutable, {})

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        logits, _ = apply(model, variables, batch, key, train=False)
        found = logits[..., 0] > 0
        outputs = {"found": found.sum((1, 2))}
        if "region" in batch:
            true = batch["region"] > 0
            each = jax.vmap(lambda x, t: dice_cross_entropy(x[None], t[None]))
            outputs |= {
                "both": (found & true).sum((1, 2)),
                "true": true.sum((1, 2)),
                "loss": each(logits[..., 0], true.astype(jnp.float32)),
            }
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        resamples = config.evaluation.resamples if final else 0
        return segmentation_results(outputs[split], finding, resamples, config.seed)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        return {**batches.identity(split, positions), f"pixels/{finding}": outputs["found"]}

    return System(
        init=partial(init, model),
        updates=updates(stage, batches, loss),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        splits=batches.splits,
        artefacts={"finding": finding},
    )


def chosen_finding(name: str, stage: ConfigDict, data: Opened) -> str:
    """Return the finding that a stage segments.

    Raises:
        UserError: it has no places, or there are several and none is named.
    """
    known, wanted = data.films.region_labels, stage.finding
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None or wanted not in known:
        told = f" ({', '.join(known)})" if known else ""
        raise UserError(
            f"{name}.finding: name one finding of which the films have masks{told}"
            + (nearest(wanted, known) if wanted else "")
        )
    return wanted


def segmentation_results(
    outputs: Outputs, finding: str, resamples: int, seed: int
) -> dict[str, Metric]:
    """Return loss, dice (of all films, of those with and without the finding) and iou."""
    if "true" not in outputs:
        return {f"dice/{finding}": Metric(None, reason="the films have no places of the finding")}
    scores = scores_of_counts(outputs["both"], outputs["found"], outputs["true"])
    loss = mean_metric("loss", outputs["loss"], resamples, seed)
    return {"loss": loss} | mask_metrics(scores, finding, resamples, seed)
