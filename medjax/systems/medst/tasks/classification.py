"""The stage that learns labels of films: a probe on the frozen encoder, or all of it fine-tuned."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.data.mgca_splits import subset
from medjax.errors import UserError, nearest
from medjax.losses import masked_mean, sigmoid_cross_entropy
from medjax.metrics.calibration import wilson_interval
from medjax.metrics.classification import classification_metrics
from medjax.metrics.confusion_figure import confusion_figure
from medjax.metrics.figures import Predictions, roc_curves
from medjax.metrics.metric import Metric
from medjax.precision import at_least_float32
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, Batch, Outputs, System, Update, Variables
from medjax.systems.medst.data.labelled import (
    FilmBatches,
    Labelled,
    select_labels,
    uncertain_as,
)
from medjax.systems.medst.networks.backbones import backbone_of
from medjax.systems.medst.networks.image_encoder import ImageEncoder
from medjax.systems.medst.networks.of_stage import groups_of, mutable_of, normalised
from medjax.systems.medst.networks.probe import Probe
from medjax.systems.medst.opening import SHOWN, Opened, film_batches


class Classifier(nn.Module):
    """Films [batch, height, width, 3] -> logits [batch, classes]; `encoder` is the pre-training's.

    Of the encoder the network alone is used, without its heads.
    """

    encoder: ImageEncoder
    probe: Probe
    frozen: bool = True
    """Whether the encoder is run as in evaluation and gets no gradient."""

    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> jax.Array:
        """mask: bool [batch], rows in BatchNorm's statistics."""
        seen = self.encoder.features(images, mask=mask, train=train and not self.frozen).image
        if self.frozen:
            seen = jax.lax.stop_gradient(seen)
        return self.probe(seen, mask, train=train)


def classification_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "classification" (see `medjax.run.system`)."""
    stage, films = config[name], labelled_films(name, config[name], data)
    names = tuple(artefacts["labels"]) if artefacts else learned_labels(name, films)
    exclusive = bool(artefacts["exclusive"]) if artefacts else are_exclusive(films)
    known = films.names == names
    batches = film_batches(config, stage, films, fraction_of(stage, films))
    model = make_classifier(config, stage, len(names))
    title = f"{SHOWN[stage.films]}{', invented films' * data.invented}"

    def apply(variables: Variables, batch: Batch, key: jax.Array, train: bool) -> tuple[Any, Any]:
        return model.apply(
            variables,
            normalised(batch["image"]),
            batch["mask"],
            train=train,
            rngs={"dropout": key},
            mutable=mutable_of(variables),
        )

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        logits, mutable = apply(variables, batch, key, True)
        entropy = cross_entropies(logits, batch["labels"], batch["known"], exclusive)
        return masked_mean(entropy, batch["mask"]), Aux(mutable, {})

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        logits, _ = apply(variables, batch, key, False)
        logits = at_least_float32(logits)
        told = jax.nn.softmax(logits) if exclusive else jax.nn.sigmoid(logits)
        outputs = {"probability": told}
        if known:
            entropy = cross_entropies(logits, batch["labels"], batch["known"], exclusive)
            outputs |= {n: batch[n] for n in ("labels", "known")} | {"entropy": entropy}
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        resamples = config.evaluation.resamples if final else 0
        return classification_results(outputs[split], names, exclusive, resamples, config.seed)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        told = outputs["probability"]
        columns = {f"probability/{label}": told[:, i] for i, label in enumerate(names)}
        return {**batches.identity(split, positions), **columns}

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        here, head = outputs[split], f"{title}, {name.replace('_', ' ')}, {split} split"
        if "labels" not in here:
            return {}
        if exclusive:
            counts = np.zeros((len(names), len(names)), np.intp)
            np.add.at(counts, (here["labels"].argmax(1), here["probability"].argmax(1)), 1)
            return {"confusion": confusion_figure(counts, names, head, "predicted", "true")}
        truth = np.where(here["known"], here["labels"].astype(np.float64), np.nan)
        shown = Predictions(truth, here["probability"], names, metrics, head)
        return {"roc": roc_curves(shown)}

    return System(
        init=partial(init_classifier, config, model),
        updates=classification_updates(name, stage, batches, loss),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        splits=batches.splits,
        artefacts={"labels": list(names), "exclusive": exclusive},
    )


def labelled_films(name: str, stage: ConfigDict, data: Opened) -> Labelled:
    """Return the films of a stage with the labels that it names.

    Raises:
        UserError: they have others.
    """
    rules = uncertain_as(stage.uncertain_positive, stage.uncertain_negative)
    films = data.labelled(stage.films, rules)
    for label in stage.labels if films.names else ():
        if label not in films.names:
            close = nearest(label, films.names)
            raise UserError(f"{name}.labels: the films have no label {label!r}{close}")
    return select_labels(films, stage.labels)


def learned_labels(name: str, films: Labelled) -> tuple[str, ...]:
    """Return the labels of films.

    Raises:
        UserError: they have none.
    """
    if not films.names:
        raise UserError(f"stage {name} learns labels of films and the prepared films have none")
    return films.names


def are_exclusive(films: Labelled) -> bool:
    """Whether every film has exactly one of several labels: the labels are then classes."""
    every = np.concatenate([part.labels for part in films.splits.values()])
    return every.shape[1] > 1 and bool((every.sum(1) == 1).all())


def fraction_of(stage: ConfigDict, films: Labelled) -> dict[str, np.ndarray]:
    """Return the training films of a stage, {} for all: a random share, drawn as published."""
    share = stage.train.train_fraction
    if share >= 1 or "train" not in films.splits:
        return {}
    drawn = subset(len(films.splits["train"].dicom_id), share, stage.train.train_fraction_seed)
    return {"train": drawn if len(drawn) else np.zeros(1, np.intp)}


def make_classifier(config: ConfigDict, stage: ConfigDict, classes: int) -> Classifier:
    """Return the network of a stage."""
    options, dtype = stage.model, jnp.dtype(config.precision)
    groups = groups_of(stage, options.batch_statistics)
    encoder = ImageEncoder(
        backbone_of(options.backbone, config.data.image.crop),
        options.width,
        experts=False,
        groups=groups,
        dtype=dtype,
        resnet_side=options.resnet_side,
    )
    probe = Probe(classes, options.hidden, options.dropout, groups, dtype)
    return Classifier(encoder, probe, not stage.train.backbone_trainable)


def init_classifier(
    config: ConfigDict, model: Classifier, key: jax.Array, batch: Batch
) -> Variables:
    """Return fresh variables."""
    del batch
    side = config.data.image.crop
    return model.init({"params": key}, jnp.zeros((1, side, side, 3)), train=False)


def cross_entropies(
    logits: jax.Array, labels: jax.Array, known: jax.Array, exclusive: bool
) -> jax.Array:
    """Return the cross entropy [batch] of classes, or the mean over the known labels."""
    logits = at_least_float32(logits)
    if exclusive:
        return -(labels * jax.nn.log_softmax(logits)).sum(-1)
    entropy = jnp.where(known, sigmoid_cross_entropy(logits, labels), 0)
    return entropy.sum(-1) / jnp.maximum(known.sum(-1), 1)


def classification_updates(
    name: str, stage: ConfigDict, batches: FilmBatches, loss: Any
) -> tuple[Update, ...]:
    """Return the one optimiser step on a batch, none without a train split."""
    if "train" not in batches.splits:
        return ()
    steps = len(batches.plan("train", 0)) * stage.train.epochs
    frozen = not stage.train.backbone_trainable

    def role(path: tuple[str, ...]) -> str:
        return "frozen" if frozen and path[0] == "encoder" else "train"

    return (Update(name, loss, role, make_optimizer(stage.optimizer, steps)),)


def classification_results(
    outputs: Outputs, names: tuple[str, ...], exclusive: bool, resamples: int, seed: int
) -> dict[str, Metric]:
    """Return loss and AUROC of labels; of classes also accuracy, the share that is right."""
    if "labels" not in outputs:
        return {"loss": Metric(None, reason="the films have not the labels that were learned")}
    n = len(outputs["labels"])
    found = {"loss": Metric(float(outputs["entropy"].astype(np.float64).mean()), n=n)}
    truth = np.where(outputs["known"], outputs["labels"].astype(np.float64), np.nan)
    told = np.clip(outputs["probability"], 0, 1)
    of_labels = classification_metrics(truth, told, names, resamples=resamples, seed=seed)
    wanted = ("auroc/",) if exclusive else ("auroc/", "auprc/", "accuracy/")
    found |= {name: metric for name, metric in of_labels.items() if name.startswith(wanted)}
    if exclusive:
        right = int((outputs["labels"].argmax(1) == told.argmax(1)).sum())
        found["accuracy"] = Metric(right / n, n=n)
        if resamples:
            low, high = map(float, wilson_interval(right, n))
            found["accuracy"] = Metric(right / n, low, high, n)
    return found
