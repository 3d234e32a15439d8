"""What `config.compat = "published"` sets: the original's behaviour where ours differs.

Fields of the model are recorded with weights converted from a published checkpoint and are applied
whenever these are loaded; the others belong to a run.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from medjax.systems.medst.networks.backbones import is_transformer

MODEL: dict[str, Any] = {
    "text_positions": "zero",
    "word_aggregation": "truncated",
}
"""Fields of the networks that converted weights need."""

MASKS: dict[str, Any] = {
    "mask_padding_words": False,
    "mask_missing_lateral": False,
}
"""Fields of the networks that matter to the losses alone; `normalize_patch_context` beside."""

PRETRAINING: dict[str, Any] = {
    "model.batch_statistics": "per_group",
    "loss.negatives": "per_group",
    "loss.sinkhorn_scope": "per_group",
    "loss.same_study_negatives": "included",
    "optimizer.schedule_steps": "before_sampler",
    "train.validation_drop_last": True,
    "train.lateral_share": 1.0,
}
"""Fields of a stage of kind "pretrain"; the groups are one a device, `model.groups` of them."""

INITIAL: dict[str, Any] = {
    "view_expert_init": "random",
    "keep_pretrained_init": False,
}
"""Fields of a stage of kind "pretrain" that trains MedST; MGCA keeps the encoders that it loads."""

RUN: dict[str, Any] = {
    "data.align_laterals": False,
    "data.sequence_unit": "image",
    "data.shortest_sequence": 4,
    "data.keep_decimals": False,
    "data.mask_geometry": "padded",
    "data.box_scaling": "every_access",
    "evaluation.temporal_image_folds": "row",
    "evaluation.similarity_threshold": "best_fold_on_all",
    "evaluation.prompt_joiner": "",
    "evaluation.zero_shot_auc": "hard",
    "evaluation.detection_map": "films_with_both",
}
"""Fields of a run: what it reads and how it scores."""

NETWORKS = ("pretrain", "temporal_images", "temporal_sentences", "zero_shot")
"""Kinds of stages with the pre-training's network."""


def normalize_patch_context(is_vit: bool) -> bool:
    """Whether what a patch saw is brought to length 1 in the original: with a ResNet alone."""
    return not is_vit


def network_fields(is_vit: bool = True) -> dict[str, Any]:
    """Return the fields of `MedST` and `MGCA` in which the original's networks differ from ours."""
    return {**MODEL, **MASKS, "normalize_patch_context": normalize_patch_context(is_vit)}


def fields(config: ConfigDict, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return {dotted name: published value} of a config; kinds: {stage: its kind}."""
    found = dict(RUN)
    for stage, kind in kinds.items():
        if kind in NETWORKS:
            of_network = network_fields(is_transformer(config[stage].model.backbone))
            found |= {f"{stage}.model.{name}": value for name, value in of_network.items()}
        if kind == "pretrain":
            initial = INITIAL if config[stage].model.method == "medst" else {}
            of_stage = PRETRAINING | initial
            found |= {f"{stage}.{name}": value for name, value in of_stage.items()}
    return found
