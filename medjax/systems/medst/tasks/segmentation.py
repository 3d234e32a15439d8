"""The stage that learns the place of a finding as a mask, on the frozen encoder."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from medjax.data.batching import EVALUATION
from medjax.losses.segmentation import focal_dice, focal_loss
from medjax.metrics.metric import Metric
from medjax.metrics.segmentation import MaskScores, mask_metrics, scores_of_counts
from medjax.precision import at_least_float32
from medjax.run.optim import make_optimizer
from medjax.run.system import Aux, Batch, BatchPlan, Outputs, System, Update, Variables
from medjax.systems.medst.data.labelled import FilmBatches
from medjax.systems.medst.data.masks import Turn
from medjax.systems.medst.data.regions import (
    MaskBatches,
    chosen_finding,
    places_of,
    training_films,
)
from medjax.systems.medst.networks.backbones import backbone_of
from medjax.systems.medst.networks.of_stage import groups_of, mutable_of, normalised
from medjax.systems.medst.networks.segmentation import Setr
from medjax.systems.medst.networks.unet import UNet
from medjax.systems.medst.opening import SHOWN, Opened, sizes_of
from medjax.systems.medst.tasks.overlays import MaskOverlay, choose_films, mask_page


def segmentation_stage(
    config: ConfigDict, name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "segmentation" (see `medjax.run.system`)."""
    stage, options = config[name], config[name].loss
    finding = artefacts["finding"] if artefacts else stage.finding
    batches = mask_batches(config, name, data, finding)
    model = make_segmenter(config, stage)
    title = f"{finding}, {SHOWN[stage.films]}{', invented films' * data.invented}"

    def apply(variables: Variables, batch: Batch, train: bool) -> tuple[jax.Array, Any]:
        logits, mutable = model.apply(
            variables,
            normalised(batch["image"]),
            batch["mask"],
            train=train,
            mutable=mutable_of(variables),
        )
        return at_least_float32(logits[..., 0]), mutable

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del key, step
        logits, mutable = apply(variables, batch, True)
        true, rows = batch["region"].astype(jnp.float32), batch["mask"]
        weights = options.focal_weight, options.focal_gamma, options.dice_smooth
        return focal_dice(logits, true, rows, *weights), Aux(mutable, {})

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        del key
        logits, _ = apply(variables, batch, False)
        found = logits > 0
        outputs = {"found": found.sum((1, 2))}
        if "region" in batch:
            true = batch["region"].astype(jnp.float32)
            told = jax.nn.sigmoid(logits)
            focal = partial(focal_loss, gamma=options.focal_gamma)
            outputs |= {
                "true": (true > 0).sum((1, 2)),
                "both": (found & (true > 0)).sum((1, 2)),
                "focal": jax.vmap(focal)(logits, true),
                "soft_both": (told * true).sum((1, 2)),
                "soft_each": (told + true).sum((1, 2)),
            }
        return outputs

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        here = outputs[split]
        if "true" not in here:
            return {f"dice/{finding}": Metric(None, reason="the films have no places of it")}
        found = Metric(split_loss(here, options), n=len(here["true"]))
        resamples = config.evaluation.resamples if final else 0
        return {"loss": found} | mask_metrics(scores_of(here), finding, resamples, config.seed)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        columns = {f"pixels/{finding}": outputs["found"]}
        if "true" in outputs:
            columns[f"dice/{finding}"] = scores_of(outputs).dice
        return {**batches.identity(split, positions), **columns}

    find = jax.jit(lambda variables, batch: apply(variables, batch, False)[0] > 0)

    def pages(variables: Variables, split: str, outputs: Outputs) -> Iterator[tuple[str, Figure]]:
        known = scores_of(outputs) if "true" in outputs else None
        scores, shown = (known.dice, known.positive) if known else (outputs["found"], None)
        chosen = choose_films(scores, shown, stage.overlays)
        if not len(chosen):
            return
        at = outputs["position"][chosen]
        batch = batches.collate(split, EVALUATION, BatchPlan(at, len(at)), slice(0, len(at)))
        masks = np.asarray(find(variables, batch))
        truths = batch.get("region", [None] * len(at))
        dice = scores[chosen] if known else [None] * len(at)
        overlays = [MaskOverlay(*of) for of in zip(batch["image"], masks, truths, dice)]
        yield "masks", mask_page(overlays, f"{title}, {name.replace('_', ' ')}, {split} split")

    return System(
        init=partial(init_segmenter, config, model),
        updates=frozen_updates(name, stage, batches, loss),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        pages=pages,
        splits=batches.splits,
        artefacts={"finding": finding},
    )


def mask_batches(config: ConfigDict, name: str, data: Opened, finding: str) -> MaskBatches:
    """Return the batches of a stage."""
    stage, train = config[name], config[name].train
    films, folder = data.labelled(stage.films), data.folder(stage.films, name)
    places = places_of(folder, films, chosen_finding(name, finding, folder))
    used = {}
    if "train" in films.splits:
        placed = places["train"].position if places else np.zeros(0, np.int64)
        count = len(films.splits["train"].dicom_id)
        drawn = train.train_fraction, train.train_fraction_seed
        used = {"train": training_films(count, placed, train.negatives, *drawn)}
    turn = Turn(**train.turn)
    size = config.data.image.crop
    options = config.seed, used, config.data.mask_geometry, turn if turn.probability else None
    return MaskBatches(films, places, size, sizes_of(stage), *options)


def make_segmenter(config: ConfigDict, stage: ConfigDict) -> nn.Module:
    """Return the network of a stage: SETR for a transformer, a U-Net for a ResNet."""
    options, dtype = stage.model, jnp.dtype(config.precision)
    groups = groups_of(stage, options.batch_statistics)
    backbone = backbone_of(options.backbone, config.data.image.crop)
    if isinstance(backbone, str):
        return UNet(backbone, options.width, options.unet_features, groups=groups, dtype=dtype)
    return Setr(backbone, False, options.setr_features, groups=groups, dtype=dtype)


def init_segmenter(config: ConfigDict, model: nn.Module, key: jax.Array, batch: Batch) -> Variables:
    """Return fresh variables."""
    del batch
    side = config.data.image.crop
    return model.init({"params": key}, jnp.zeros((1, side, side, 3)), train=False)


def frozen_updates(
    name: str, stage: ConfigDict, batches: FilmBatches, loss: Any
) -> tuple[Update, ...]:
    """Return the one optimiser step on all but the encoder, none without a train split."""
    if "train" not in batches.splits:
        return ()
    steps = len(batches.plan("train", 0)) * stage.train.epochs

    def role(path: tuple[str, ...]) -> str:
        return "frozen" if path[0] == "network" else "train"

    return (Update(name, loss, role, make_optimizer(stage.optimizer, steps)),)


def scores_of(outputs: Outputs) -> MaskScores:
    """Return the scores of films of which the places are known."""
    return scores_of_counts(outputs["both"], outputs["found"], outputs["true"])


def split_loss(outputs: Outputs, options: ConfigDict) -> float:
    """Return the loss of a split as of one batch: it does not depend on how films are batched."""
    both, each = (outputs[name].astype(np.float64).sum() for name in ("soft_both", "soft_each"))
    dice = (2 * both + options.dice_smooth) / (each + options.dice_smooth)
    focal = outputs["focal"].astype(np.float64).mean()
    return float(options.focal_weight * focal - np.log(dice))
