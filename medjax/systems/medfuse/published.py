"""What `config.compat = "published"` sets: the original's behaviour where ours differs.

Model fields are recorded with weights converted from a published checkpoint and are applied
whenever these are loaded; the others belong to a run.
"""

from collections.abc import Iterable
from typing import Any

MODEL: dict[str, Any] = {"model.absent_images": "zeros"}
"""Fields of a stage, of the network."""

TRAINING: dict[str, Any] = {
    "optimizer.b2": 0.9,
    "train.epoch_order": "validate_then_train",
    "train.frozen_encoder_mode": "train",
}
"""Fields of a stage, of its training."""

DATA: dict[str, Any] = {
    "data.unpaired_sampling": "random_with_replacement",
    "data.val_unpaired_ratio": 0.0,
    "data.test_unpaired_ratio": 1.0,
}

EVALUATION: dict[str, Any] = {
    "evaluation.bootstrap_when": "always",
    "evaluation.bootstrap_one_class": "fail",
    "evaluation.late_fusion_candidate": "slip",
}


def fields(stages: Iterable[str]) -> dict[str, Any]:
    """Return {dotted name: published value} of a whole config with these stages."""
    of_stages = {
        f"{stage}.{name}": value for stage in stages for name, value in (MODEL | TRAINING).items()
    }
    return DATA | EVALUATION | of_stages
