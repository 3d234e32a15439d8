"""The optimiser steps of a stage: which parts each trains, by which loss."""

from functools import partial

import optax
from ml_collections import ConfigDict

from medjax.run.optim import make_optimizer
from medjax.run.system import Update
from medjax.systems.medfuse.base import TwoEncoders
from medjax.systems.medfuse.freezing import encoder_modes, mmtm_role, role
from medjax.systems.medfuse.loss import Modes, make_loss


def make_updates(stage: ConfigDict, model: TwoEncoders, total_steps: int) -> tuple[Update, ...]:
    """Return the steps that a stage makes on every batch, in order.

    MMTM makes three, one for each head, every one with a forward pass and moments of its own.
    """
    fusion, train, layer_after = stage.model.fusion, stage.train, stage.model.layer_after
    modes = Modes(True, *encoder_modes(fusion, train.frozen_encoder_mode, train=True))
    optimizer = make_optimizer(stage.optimizer, total_steps)
    if fusion == "mmtm":
        options = (train.align, train.mmtm_ehr_optimizer, layer_after)
        return mmtm_updates(model, modes, optimizer, *options)
    return (
        Update(
            name="fusion",
            loss=make_loss(model, modes, align=train.align),
            role=lambda path: role(fusion, path, layer_after),
            optimizer=optimizer,
        ),
    )


def mmtm_updates(
    model: TwoEncoders,
    modes: Modes,
    optimizer: optax.GradientTransformation,
    align: float,
    ehr_optimizer: str,
    layer_after: int,
) -> tuple[Update, ...]:
    """Return MMTM's three steps; `ehr_optimizer` as in `mmtm_role`."""
    heads = {"ehr_only": "ehr_only", "cxr_only": "cxr_only", "joint": None}
    return tuple(
        Update(
            name=name,
            loss=make_loss(model, modes, head, align),
            role=partial(mmtm_role, name, ehr_optimizer, layer_after),
            optimizer=optimizer,
        )
        for name, head in heads.items()
    )
