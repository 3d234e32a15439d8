"""Where a training stands between two steps: plain numbers, stored in every checkpoint."""

import math
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from medjax.run.optim import Plateau, plateau_from_json, plateau_to_json

TRAIN, VALIDATE = "train", "validate"
ORDERS = {"train_then_validate": (TRAIN, VALIDATE), "validate_then_train": (VALIDATE, TRAIN)}


class Position(NamedTuple):
    """Epoch, phase and batch that come next, and what model selection has seen so far."""

    epoch: int = 0
    phase: int = 0
    """Index into the order's phases."""
    batch: int = 0
    """Batches of this epoch already trained on."""
    best: float | None = None
    """Best monitored value so far."""
    bad_evaluations: int = 0
    """Evaluations since then."""
    skipped: int = 0
    """Steps left out because a loss or gradient was not finite."""
    plateau: Plateau = Plateau()

    def next_phase(self) -> "Position":
        """Return the position at the start of the following phase."""
        if self.phase == 0:
            return self._replace(phase=1, batch=0)
        return self._replace(epoch=self.epoch + 1, phase=0, batch=0)

    def finished(self, train: ConfigDict) -> bool:
        """Tell whether training ends here: all epochs done, or patience spent at an epoch's start.

        In the order "validate_then_train" `epochs` counts as in the published loop, whose last
        epoch never comes: one fewer is trained, but one at least.
        """
        total = train.epochs
        if train.epoch_order == "validate_then_train":
            total = max(1, total - 1)
        out_of_patience = 0 < train.patience <= self.bad_evaluations
        return self.epoch >= total or (self.phase == 0 and self.batch == 0 and out_of_patience)

    def after_evaluation(self, value: float | None, mode: str) -> tuple["Position", bool]:
        """Return (position, whether `value` is the best so far); an undefined one tells nothing."""
        if value is None or not math.isfinite(value):
            return self, False
        if self._better(value, mode):
            return self._replace(best=value, bad_evaluations=0), True
        return self._replace(bad_evaluations=self.bad_evaluations + 1), False

    def _better(self, value: float, mode: str) -> bool:
        if self.best is None:
            return True
        return value > self.best if mode == "max" else value < self.best

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**self._asdict(), "plateau": plateau_to_json(self.plateau)}


def position_from_json(value: dict[str, Any]) -> Position:
    """Undo `Position.to_json`."""
    return Position(**{**value, "plateau": plateau_from_json(value["plateau"])})
