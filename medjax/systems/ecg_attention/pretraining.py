"""The pre-training stage: reconstruct masked ECGs, align them with text, name superclasses."""

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.data.ecg.leads import LEADS, leads_of
from medjax.data.ecg.records import EcgSet
from medjax.errors import UserError
from medjax.metrics.metric import Metric
from medjax.run.optim import make_optimizer
from medjax.run.system import Batch, Outputs, System, Update, Variables
from medjax.systems.ecg_attention import pretraining_evaluation as evaluation
from medjax.systems.ecg_attention.augmentation import Augmentation
from medjax.systems.ecg_attention.batches import Batches, Sizes, identity_columns
from medjax.systems.ecg_attention.data import Data
from medjax.systems.ecg_attention.distortion import Distortion
from medjax.systems.ecg_attention.items import InputOptions, Items, make_items
from medjax.systems.ecg_attention.model import make_network
from medjax.systems.ecg_attention.pretraining_loss import Weights, make_loss, text_of
from medjax.systems.ecg_attention.pretraining_network import PretrainingNetwork
from medjax.systems.ecg_attention.reconstruction import errors_of
from medjax.systems.ecg_attention.texts import Texts

PICTURED_LEADS = ("I", "II")
"""What the network sees for the pictures of masked recordings."""


def pretrain_stage(
    config: ConfigDict, name: str, data: Data, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "pretrain" (see `medjax.run.system`)."""
    stage, ecg = config[name], data.recordings(name)
    leads = leads_of(config.data.leads)
    masks, inputs = augmentation(stage.augment), InputOptions(**stage.input)
    batches = stage_batches(config, stage, ecg, masks.wants_peaks)
    weights = Weights(*(stage.loss[f"{part}_weight"] for part in Weights._fields))
    labels = tuple(artefacts["labels"]) if artefacts else class_names(name, ecg, weights)
    network = make_pretraining_network(stage, config.precision, weights, len(labels))
    texts = data.texts  # Weights predict without them.
    if network.alignment_loss == "none":
        texts = None
    elif artefacts is None:
        texts = data.texts_of(name)

    def items(batch: Batch, key: jax.Array | None, masks: Augmentation | None) -> Items:
        batch = batches.with_samples(batch)
        steps = stage.model.time_steps
        return make_items(batch, steps, inputs, masks, key, ecg.sampling_rate, leads)

    def init(key: jax.Array, batch: Batch) -> Variables:
        shown = items(batch, None, None)
        arguments = (shown.signal, shown.visible, text_of(batch), batch["mask"])
        keys = dict(zip(("params", "latent"), jax.random.split(key)))
        return network.init(keys, *arguments, train=False, method="read")

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        kept = config.evaluation.reconstructions
        return predictions(network, variables, batch, items(batch, None, None), key, kept, leads)

    def collate(split: str, epoch: int, plan: Any, rows: slice) -> dict[str, Any]:
        batch = batches.collate(split, epoch, plan, rows)
        return (
            batch
            if texts is None
            else {**batch, **text_rows(texts, split, plan.indices[rows], rows)}
        )

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        ids = identity_columns(ecg.splits[split], positions)
        return {**ids, **evaluation.columns(outputs, labels)}

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        resamples = config.evaluation.resamples if final else 0
        names = class_titles(labels, stage.loss.auroc_class_names)
        metrics = evaluation.metrics(outputs[split], leads, names, final, resamples, config.seed)
        if final and jax.process_index() == 0:  # At every epoch metrics.jsonl has it.
            for sentence in evaluation.warnings(metrics, network.alignment_loss):
                print(f"medjax: stage {name}, {split} split: {sentence}", file=sys.stderr)
        return metrics

    optimizer_steps = 1
    if "train" in batches.splits:
        optimizer_steps = len(batches.plan("train", 0)) * stage.train.epochs
    update = Update(
        name="pretrain",
        loss=make_loss(network, weights, partial(items, masks=masks)),
        role=lambda path: "train" if weights.reconstruction or path[0] != "decoder" else "unused",
        optimizer=make_optimizer(stage.optimizer, optimizer_steps),
    )
    title = "reconstruction" + (", invented patients" if data.invented else "")
    return System(
        init=init,
        updates=(update,) if "train" in batches.splits else (),
        plan=batches.plan,
        collate=collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=lambda split, outputs, metrics: evaluation.figures(
            outputs[split], leads, ecg.sampling_rate, f"{title}, {split} split"
        ),
        tables=lambda split, metrics: evaluation.tables(metrics, f"{title}, {split} split"),
        joinable=evaluation.only_kept,
        splits=batches.splits,
        resident=batches.resident() | ({} if texts is None else {"texts": texts.vectors}),
        artefacts={"labels": list(labels)},
    )


def stage_batches(
    config: ConfigDict, stage: ConfigDict, ecg: EcgSet, wants_peaks: bool = False
) -> Batches:
    """Return the batches of a stage that reads recordings as the pre-training does."""
    sizes = Sizes(
        stage.train.global_batch_size, stage.train.evaluation_batch_size, stage.model.time_steps
    )
    return Batches(
        ecg,
        leads_of(config.data.leads),
        sizes,
        InputOptions(**stage.input),
        config.seed,
        config.data.residence,
        wants_peaks,
    )


def augmentation(options: ConfigDict) -> Augmentation:
    """Return the masks that an `augment` section describes."""
    fields = {**options, "distortion": Distortion(**options.distortion)}
    return Augmentation(**fields)


def class_names(name: str, ecg: EcgSet, weights: Weights) -> tuple[str, ...]:
    """Return the names of the classes that the classifier learns, () without classifier.

    Raises:
        UserError: the recordings have no labels.
    """
    if weights.superclass and not ecg.label_names:
        raise UserError(
            f"stage {name} is to learn superclasses and the recordings have no labels: prepare "
            f"them with labels, or give --config.{name}.loss.superclass_weight=0"
        )
    return ecg.label_names if weights.superclass else ()


PUBLISHED_TITLES = ("NORM", "MI", "STTC", "HYP", "CD")


def class_titles(labels: tuple[str, ...], names: str) -> tuple[str, ...]:
    """Return how the AUROC of each class is called; "unsorted" misnames them, as published."""
    swapped = names == "unsorted" and sorted(labels) == sorted(PUBLISHED_TITLES)
    return PUBLISHED_TITLES if swapped else labels


def make_pretraining_network(
    stage: ConfigDict, precision: str, weights: Weights, classes: int
) -> PretrainingNetwork:
    """Return the network of a stage with the parts that its loss weighs."""
    network = make_network(stage.model, precision)
    return PretrainingNetwork(
        encoder=network.encoder,
        decoder=network.decoder,
        norm_output=network.norm_output,
        latent_dim=stage.model.latent_dim,
        alignment_loss=stage.loss.alignment_loss if weights.alignment else "none",
        classes=classes,
    )


def text_rows(texts: Texts, split: str, indices: np.ndarray, rows: slice) -> dict[str, np.ndarray]:
    """Return which text the rows of a batch have: int32 [rows], -1 for none."""
    group = np.full(rows.stop - rows.start, -1, np.int32)
    group[: len(indices)] = texts.group[split][indices]
    return {"text_group": group}


def predictions(
    network: PretrainingNetwork,
    variables: Variables,
    batch: Batch,
    items: Items,
    key: jax.Array,
    kept: int,
    leads: tuple[str, ...] = LEADS,
) -> dict[str, jax.Array]:
    """Return z, errors, projections and class probabilities of a batch, and pictures of some.

    "target", "reconstruction" and "from_two_leads" are for the first `kept` recordings of a split
    (`evaluation.only_kept`); the last, from leads I and II alone, for the first few of those.
    """
    valid, text = batch["mask"], text_of(batch)
    of_whole, of_few = jax.random.split(key)

    def read(signal: jax.Array, visible: jax.Array, text: Any, valid: Any, key: jax.Array) -> Any:
        rngs = {"latent": key}
        arguments = (signal, visible, text, valid)
        return network.apply(variables, *arguments, train=False, rngs=rngs, method="read")

    output = read(items.signal, items.visible, text, valid, of_whole)
    outputs = {"z": output.encoding.z, **errors_of(items, output.reconstruction)}
    few = slice(0, evaluation.PICTURES)
    shown = np.isin(leads, PICTURED_LEADS)[:, None]
    signal, visible = (jnp.where(shown, x[few], 0) for x in (items.signal, items.visible))
    masked = read(signal, visible, None, valid[few], of_few).reconstruction
    outputs |= {
        "kept": batch["number"] < kept,
        "target": items.target,
        "reconstruction": output.reconstruction,
        "visible": items.visible,
        "from_two_leads": jnp.zeros_like(items.target).at[few].set(masked),
    }
    if output.ecg_projection is not None and output.text_projection is not None:
        outputs |= {
            "ecg_projection": output.ecg_projection,
            "text_projection": output.text_projection,
            "text_group": batch["text_group"],
        }
    if output.class_logits is not None:
        outputs["probability"] = jax.nn.sigmoid(output.class_logits)
        if "labels" in batch:
            outputs["labels"] = batch["labels"]
    return outputs
