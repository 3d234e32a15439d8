"""What `config.compat = "published"` sets: the original's behaviour where ours differs.

The fields of the network and of its input are recorded with weights converted from a published
checkpoint and are applied whenever these are loaded; the others belong to a run.
"""

from collections.abc import Mapping
from typing import Any

NETWORK: dict[str, Any] = {
    "model.stem_channel_order": "feature_major",
    "model.lead_mask_assignment": "heads_first",
}
"""Fields of every stage's network that say what given weights compute."""

MODEL: dict[str, Any] = NETWORK | {
    "input.input_cleaning": "shared",
    "input.input_standardise": "again_after_masking",
    "input.skip_below_sum": 1e-5,
}
"""The same, and what they were trained to read."""

TEXT: dict[str, Any] = {"text_pooling": "mean_with_padding", "text_end_token": "[SCP]"}
"""How the text embeddings that a published text projector reads were prepared."""

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

RISK: dict[str, Any] = {
    "loss.risk_recon_target": "masked_input",
    "loss.cox_normaliser": "batch_max",
    "train.freeze_encoder_scope": "weights",
    "optimizer.lr_finder": "report",
}
"""Fields of a stage of kind "risk", which reads z-scores in any case."""


EXPLAIN: dict[str, Any] = {
    "explain.saliency_input_lead": "first",
    "explain.saliency_batchnorm": "batch",
}
"""Fields of the run: what its pictures are made of."""


def fields(kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return {dotted name: published value} of a config; kinds: {stage: its kind}."""
    found: dict[str, Any] = dict(EXPLAIN)
    for stage, kind in kinds.items():
        of_kind = {"pretrain": MODEL | PRETRAINING, "probe": MODEL, "risk": NETWORK | RISK}
        of_stage = TRAINING | of_kind[kind] if kind in of_kind else {}
        found |= {f"{stage}.{name}": value for name, value in of_stage.items()}
    return found
