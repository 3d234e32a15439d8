"""What `config.compat = "published"` sets: the originals' behaviour where ours differs.

Fields of the network and of the text that it reads are recorded with weights converted from a
published checkpoint and are applied whenever these are loaded; the others belong to a run.
"""

from collections.abc import Mapping
from typing import Any

MODEL: dict[str, Any] = {
    "model.decoder_norm": "pre",
    "model.post_norm_self_attention": "discarded",
    "model.patch_position_encoding": "none",
    "model.position_logit_scale": 1.0,
    "text.position_prompt": "underscores",
    "text.pooling": "first_token",
}
"""Fields of a stage of MedKLIP that say what given weights compute and read."""
NOTEBOOK_MODEL: dict[str, Any] = {
    "model.attention_map": "output_dot_patches",
    "model.backbone_statistics": "batch_always",
    "text.query_text": "name",
    "text.pooling": "mean_with_padding",
    "text.max_tokens": 64,
}
"""The same of the replication's notebook."""
EVALUATED: dict[str, Any] = MODEL | {"text.max_tokens": 64}
"""Fields of the stages that only read: the evaluation scripts cut texts shorter."""
PRETRAINING: dict[str, Any] = MODEL | {
    "loss.empty_mask_loss": "nan",
    "optimizer.schedule": "epoch_clock",
    "optimizer.logged_learning_rate": "epoch_clock",
    "train.validation_transform": "training",
    "train.validation_shuffle": True,
    "train.validation_drop_last": True,
}
"""Fields of a stage of kind "pretrain"."""
FINE_TUNING: dict[str, Any] = {
    "optimizer.schedule": "epoch_clock",
    "optimizer.logged_learning_rate": "epoch_clock",
}
"""Fields of a stage of fine-tuning, whose clock does not move."""
NOTEBOOK: dict[str, Any] = NOTEBOOK_MODEL | {
    "labels": "substring",
    "loss.alpha_position": 0.0,
    "loss.alpha_semantic": 0.0,
    "train.shuffle": False,
    "train.backbone_trainable": False,
    "train.image_projection_trainable": False,
}
"""Fields of a stage of kind "replication"."""
STAGES: dict[str, dict[str, Any]] = {
    "pretrain": PRETRAINING,
    "zero_shot": EVALUATED,
    "grounding": EVALUATED | {"empty_mask": "miss"},
    "finetune_classification": FINE_TUNING,
    "finetune_segmentation": FINE_TUNING,
    "replication": NOTEBOOK,
    "clip": {"optimizer.decay_rule": "all", "zero_shot_truth": "first_prompt"},
}
"""Fields of a stage, by its kind."""
RUN: dict[str, Any] = {
    "data.image.sharpness_overflow": "wrap",
    "data.image.autocontrast_offset": "wrap",
    "data.image.luma_channel_order": "bgr",
    "evaluation.f1_threshold_rule": "above",
    "evaluation.f1_threshold_split": "test",
}
"""Fields of the run: what films are shown as, and how they are scored."""


def fields(kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return {dotted name: published value} of a config; kinds: {stage: its kind}."""
    of_stages = {
        f"{stage}.{name}": value
        for stage, kind in kinds.items()
        for name, value in STAGES.get(kind, {}).items()
    }
    return RUN | of_stages
