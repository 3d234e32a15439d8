"""The optimiser steps of a stage: which parts each trains, by which loss."""

from ml_collections import ConfigDict

from medjax.run.optim import make_optimizer
from medjax.run.system import Update
from medjax.systems.medfuse.base import TwoEncoders
from medjax.systems.medfuse.freezing import encoder_modes, role
from medjax.systems.medfuse.loss import Modes, make_loss


def make_updates(stage: ConfigDict, model: TwoEncoders, total_steps: int) -> tuple[Update, ...]:
    """Return the steps that a stage makes on every batch, in order."""
    fusion = stage.model.fusion
    modes = Modes(True, *encoder_modes(fusion, stage.train.frozen_encoder_mode, train=True))
    return (
        Update(
            name="fusion",
            loss=make_loss(model, modes),
            role=lambda path: role(fusion, path),
            optimizer=make_optimizer(stage.optimizer, total_steps),
        ),
    )
