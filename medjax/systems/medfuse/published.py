"""What `config.compat = "published"` sets: the original's behaviour where ours differs.

Model fields are recorded with weights converted from a published checkpoint and are applied
whenever these are loaded; the others belong to a run.
"""

from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

MODEL: dict[str, Any] = {
    "model.absent_images": "zeros",
    "model.squeeze_mean": "padded",
    "model.token_unpaired": "ehr_sep",
    "model.image_first_unpaired": "zero_image",
}
"""Fields of a stage, of the network."""

TRAINING: dict[str, Any] = {
    "optimizer.b2": 0.9,
    "train.epoch_order": "validate_then_train",
    "train.frozen_encoder_mode": "train",
    "train.mmtm_ehr_optimizer": "visual_copy",
    "train.mmtm_select_head": "max_of_four",
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

BEST_HEAD = "best_head.auroc/macro"
"""The metric that MMTM's `mmtm_select_head` "max_of_four" selects by."""


def fields(stages: Iterable[str]) -> dict[str, Any]:
    """Return {dotted name: published value} of a whole config with these stages."""
    of_stages = {
        f"{stage}.{name}": value for stage in stages for name, value in (MODEL | TRAINING).items()
    }
    return DATA | EVALUATION | of_stages


def mmtm_fields(stage: str, train: ConfigDict, compat: str) -> dict[str, Any]:
    """Return the fields that follow from the others in a stage that trains MMTM.

    The original's loop for MMTM differs from that of its other fusions: it trains before it
    validates and never steps its plateau schedulers; of `epochs` the last one is missing there too.
    """
    fields: dict[str, Any] = {}
    if train.mmtm_select_head == "max_of_four":
        fields["monitor"] = BEST_HEAD
    if compat == "published":
        fields |= {"epoch_order": "train_then_validate", "plateau.factor": 1.0}
        fields["epochs"] = max(1, train.epochs - 1)
    return {f"{stage}.train.{name}": value for name, value in fields.items()}
