"""What `config.compat = "published"` sets: the originals' behaviour where ours differs.

Fields of the network and of the text that it reads are recorded with weights converted from a
published checkpoint and are applied whenever these are loaded; the others belong to a run.
"""

from collections.abc import Mapping
from typing import Any

MODEL: dict[str, Any] = {
    "model.decoder_norm": "pre",
    "model.post_norm_self_attention": "discarded",
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
PRETRAINING: dict[str, Any] = {
    "loss.empty": "nan",
    "optimizer.schedule": "epoch_clock",
    "train.logged_learning_rate": "epoch_clock",
    "train.logged_epoch_loss": "position_meter",
    "train.validation_view": "training",
    "train.validation_shuffle": True,
    "train.validation_drop_last": True,
    "train.validation_negatives": "drawn_anew",
}
"""Fields of a stage of kind "pretrain"."""


def fields(kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return {dotted name: published value} of a config; kinds: {stage: its kind}."""
    del kinds
    return {}
