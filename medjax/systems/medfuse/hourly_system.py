"""The functions of a stage that predicts at every hour."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.metrics.metric import Metric
from medjax.run.optim import make_optimizer
from medjax.run.system import Batch, Outputs, System, Update, Variables
from medjax.systems.medfuse import hourly_outputs
from medjax.systems.medfuse.batches import Batches
from medjax.systems.medfuse.freezing import encoder_modes, role
from medjax.systems.medfuse.hourly import HourlyMedFuse, with_hours
from medjax.systems.medfuse.hourly_loss import (
    cross_entropies,
    forward,
    inputs,
    make_loss,
    probabilities,
)
from medjax.systems.medfuse.loss import EVALUATION as EVALUATION_MODES
from medjax.systems.medfuse.loss import Modes
from medjax.systems.medfuse.network import make_model
from medjax.systems.medfuse.parts import Part

Identify = Callable[[str, np.ndarray], Mapping[str, np.ndarray]]
"""(split, positions) -> the id columns of stays."""


def build_hourly(
    config: ConfigDict, stage: ConfigDict, batches: Batches, identify: Identify, title: str
) -> System:
    """Return the functions of one stage but for `artefacts` (see `medjax.run.system`)."""
    parts = batches.parts
    model = with_hours(make_model(stage, parts[-1].logits.stop, config.precision))
    has_train = "train" in batches.splits

    def init(key: jax.Array, batch: Batch) -> Variables:
        return model.init({"params": key}, *inputs(batch), train=False)

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        return hourly_outputs.evaluate(outputs[split], parts, config, final)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        return hourly_outputs.table(identify(split, positions), outputs, parts)

    def draw(
        split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]
    ) -> Mapping[str, Any]:
        return hourly_outputs.draw(outputs[split], parts, metrics, f"{title}, {split} split")

    return System(
        init=init,
        updates=(make_update(stage, batches, model, parts),) if has_train else (),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=partial(predict, model, parts),
        evaluate=evaluate,
        draw=draw,
        joinable=partial(hourly_outputs.joinable, parts=parts),
        splits=batches.splits,
    )


def predict(
    model: HourlyMedFuse,
    parts: tuple[Part, ...],
    variables: Variables,
    batch: Batch,
    key: jax.Array,
) -> Mapping[str, jax.Array]:
    """Return arrays [batch, time, ...]: probability, wanted, and where known targets and loss."""
    prediction, _ = forward(model, variables, batch, key, EVALUATION_MODES)
    outputs = {"probability": probabilities(prediction.logits, parts), "wanted": batch["wanted"]}
    if "targets" in batch:
        loss = cross_entropies(prediction.logits, batch["targets"], parts)
        outputs |= {"targets": batch["targets"], "loss": loss}
    return outputs


def make_update(
    stage: ConfigDict, batches: Batches, model: HourlyMedFuse, parts: tuple[Part, ...]
) -> Update:
    """Return the one optimiser step of a stage."""
    fusion, train = stage.model.fusion, stage.train
    if train.align:
        raise UsageError("tasks of hours align no features: train.align must be 0")
    modes = Modes(True, *encoder_modes(fusion, train.frozen_encoder_mode, train=True))
    steps = len(batches.plan("train", 0)) * train.epochs
    return Update(
        name="fusion",
        loss=make_loss(model, modes, parts),
        role=lambda path: role(fusion, path),
        optimizer=make_optimizer(stage.optimizer, steps),
    )
