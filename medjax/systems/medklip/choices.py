"""The values that the fields of configs/medklip.py may take, by the end of a field's name."""

from medjax.systems.medklip.encoder import BACKBONES
from medjax.text.encoder import POOLINGS

CHOICES = {
    "compat": ("default", "published"),
    "uncertain_label": ("ignore", "positive", "negative", "soft"),
    "sharpness_overflow": ("clip", "wrap"),
    "autocontrast_offset": ("exact", "wrap"),
    "luma_channel_order": ("rgb", "bgr"),
    "text.encoder": ("bert", "table", "random"),
    "position_prompt": ("blanks", "underscores"),
    "pooling": POOLINGS,
    "kind": (
        *("pretrain", "zero_shot", "grounding"),
        *("finetune_classification", "finetune_segmentation"),
    ),
    "backbone": BACKBONES,
    "decoder_norm": ("pre", "post"),
    "post_norm_self_attention": ("added", "discarded"),
    "patch_position_encoding": ("none", "sine"),
    "batch_statistics": ("global", "per_group"),
    "empty_mask_loss": ("zero", "nan"),
    "optimizer.name": ("adam", "adamw", "sgd"),
    "optimizer.schedule": ("constant", "warmup_cosine", "epoch_clock"),
    "optimizer.decay_rule": ("all", "matrices"),
    "logged_learning_rate": ("used", "epoch_clock"),
    "validation_transform": ("evaluation", "training"),
    "grounding.threshold": ("published", "searched"),
    "empty_mask": ("skip", "miss"),
    "dice_scope": ("batch", "image"),
    "f1_threshold_rule": ("at_least", "above"),
    "f1_threshold_split": ("validation", "test"),
    "epoch_order": ("train_then_validate", "validate_then_train"),
    "on_not_finite": ("stop", "skip"),
    "monitor_mode": ("max", "min"),
    "matmul_precision": ("default", "high", "highest"),
    "precision": ("float32", "bfloat16"),
    "replicas.run": ("loop", "vmap", "auto"),
    "sharding.parameters": ("replicated", "sharded"),
}
