"""What `config.compat = "published"` sets: the original's behaviour where ours differs.

The fields of the network and of its input are recorded with weights converted from a published
checkpoint and are applied whenever these are loaded; the others belong to a run.
"""

from collections.abc import Mapping
from typing import Any

MODEL: dict[str, Any] = {
    "model.stem_channel_order": "feature_major",
    "model.lead_mask_assignment": "heads_first",
    "input.input_cleaning": "shared",
    "input.input_standardise": "again_after_masking",
    "input.skip_below_sum": 1e-5,
}
"""Fields of a stage that say what given weights compute, or were trained to read."""

TRAINING: dict[str, Any] = {
    "model.latent_sample_in_eval": True,
    "model.dropout_placement": "published",
}
"""Fields of every stage."""

PRETRAINING: dict[str, Any] = {
    "augment.region_mask_min_samples": 80,
    "loss.auroc_class_names": "unsorted",
}
"""Fields of a stage of kind "pretrain"."""


def fields(kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return {dotted name: published value} of a config; kinds: {stage: its kind}."""
    found: dict[str, Any] = {}
    for stage, kind in kinds.items():
        of_kind = PRETRAINING if kind == "pretrain" else {}
        of_stage = MODEL | TRAINING | of_kind
        found |= {f"{stage}.{name}": value for name, value in of_stage.items()}
    return found
