"""The values that the fields of configs/medst.py may take, by the end of a field's name."""

from medjax.metrics.detection import MAPS
from medjax.systems.medst.data.masks import GEOMETRIES
from medjax.systems.medst.data.sequences import UNITS
from medjax.systems.medst.networks.backbones import BACKBONES
from medjax.text.words import AGGREGATIONS

METHODS = ("medst", "mgca")
POSITIONS = ("sequential", "zero")
"""Of a text's tokens."""
SIMILARITIES = ("l2", "cosine")
REGRESSIONS = ("mse_var", "mse")
"""Of the loss of time."""
SCALINGS = ("once", "every_access")
"""When boxes become shares of their film: once, or (published) again at every access to them, so
that after the first epoch of training nothing is left of them."""
FOLDS = ("patient", "row")
"""Whose pairs of films stand in one fold."""

CHOICES = {
    "compat": ("default", "published"),
    "text.vocabulary": ("bert", "captions"),
    "text.init": ("bert", "random"),
    "view_expert_init": ("copy", "random"),
    "sequence_unit": UNITS,
    "fraction_unit": ("chunk",),
    "kind": (
        *("pretrain", "temporal_images", "temporal_sentences", "zero_shot", "pairwise"),
        *("classification", "segmentation", "detection"),
    ),
    "films": ("rsna", "covidx", "siim", "chexpert"),
    "mask_geometry": GEOMETRIES,
    "box_scaling": SCALINGS,
    "detection_map": MAPS,
    "loss.negatives": ("global", "per_group"),
    "train.negatives": ("all", "as_positives"),
    "method": METHODS,
    "backbone": BACKBONES,
    "text_positions": POSITIONS,
    "word_aggregation": AGGREGATIONS,
    "batch_statistics": ("global", "per_group"),
    "sinkhorn_scope": ("global", "per_group"),
    "same_study_negatives": ("excluded", "included"),
    "loss.similarity": SIMILARITIES,
    "loss.regression": REGRESSIONS,
    "optimizer.name": ("adam", "adamw", "sgd"),
    "optimizer.schedule": ("constant", "warmup_cosine"),
    "optimizer.schedule_steps": ("taken", "before_sampler"),
    "optimizer.decay_rule": ("all", "matrices"),
    "temporal_image_folds": FOLDS,
    "similarity_threshold": ("train_folds", "best_fold_on_all"),
    "prompt_joiner": (" ", ""),
    "zero_shot_auc": ("score", "hard"),
    "epoch_order": ("train_then_validate", "validate_then_train"),
    "on_not_finite": ("stop", "skip"),
    "monitor_mode": ("max", "min"),
    "matmul_precision": ("default", "high", "highest"),
    "precision": ("float32", "bfloat16"),
    "replicas.run": ("loop", "vmap", "auto"),
    "sharding.parameters": ("replicated", "sharded"),
}
