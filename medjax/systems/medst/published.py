"""What `config.compat = "published"` sets: the original's behaviour where ours differs.

Fields of the model are recorded with weights converted from a published checkpoint and are applied
whenever these are loaded; the others belong to a run.
"""

from typing import Any

MODEL: dict[str, Any] = {
    "text_positions": "zero",
    "word_aggregation": "truncated",
}
"""Fields of the networks that converted weights need."""

LOSS: dict[str, Any] = {
    "mask_padding_words": False,
    "mask_missing_lateral": False,
    "batch_statistics": "per_group",
    "negatives": "per_group",
    "sinkhorn_scope": "per_group",
    "same_study_negatives": "included",
}
"""Fields of pre-training's networks and losses; `normalize_patch_context` beside."""

INIT: dict[str, Any] = {
    "view_expert_init": "random",
    "keep_pretrained_init": False,
    "init_from": "mgca",
}

DATA: dict[str, Any] = {
    "align_laterals": False,
    "sequence_unit": "image",
    "sequence_shortest": 4,
    "keep_decimals": False,
    "truncated_indication_header": "impression",
    "custom_section_studies": "skipped",
    "clear_short_reports": False,
    "data_fraction_unit": "row",
    "valid_drop_last": True,
    "unreadable_lateral": "row_skipped",
    "covidx_split": "row",
    "chexpert_split": "row",
    "mask_geometry": "padded_mask",
    "box_scaling": "every_access",
}

EVALUATION: dict[str, Any] = {
    "temporal_image_folds": "row",
    "similarity_threshold": "best_fold_on_all",
    "prompt_joiner": "",
    "zero_shot_auc": "hard",
    "detection_map": "skip_empty",
}

OPTIMIZER: dict[str, Any] = {"schedule_steps": "before_sampler"}


def normalize_patch_context(is_vit: bool) -> bool:
    """Whether what a patch saw is brought to length 1 in the original: with a ResNet alone."""
    return not is_vit


def network_fields(is_vit: bool = True) -> dict[str, Any]:
    """Return the fields of `MedST` and `MGCA` in which the original's networks differ from ours."""
    masks = {name: value for name, value in LOSS.items() if name.startswith("mask_")}
    return {**MODEL, **masks, "normalize_patch_context": normalize_patch_context(is_vit)}
