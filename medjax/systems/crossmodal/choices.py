"""The values that fields of configs/crossmodal.py may take, by the end of a field's name."""

from medjax.nn.known import KERAS_ACTIVATIONS
from medjax.systems.crossmodal.published import COMPATS

NORMS = ("none", "batch_norm", "layer_norm")
REGULARIZERS = ("none", "dropout", "spatial_dropout")
POOLS = ("max", "average")
LOSSES = ("log_cosh", "mse", "mae")
"""Elementwise losses of a reconstruction."""
MERGES = ("sample", "coordinate", "coordinate_fixed", "average", "concat", "kronecker")
MERGE_EVALS = ("each", "as_training")
PAIR_LOSSES = ("contrastive", "cosine", "euclid")
CONTRASTIVE_FORMS = ("infonce", "swapped")
EUCLID_REDUCTIONS = ("row_mean", "frobenius")
ID_COLUMNS = {"standard": ("sample_id",), "genetics": ("FID", "IID")}
"""Style of a file of latents -> its columns of ids."""

CHOICES: dict[str, tuple[str, ...]] = {
    "compat": COMPATS,
    "kind": ("autoencoder", "paired", "latents"),
    "data.residence": ("host", "device"),
    "data.participants": ("any", "all"),
    "activation": KERAS_ACTIVATIONS,
    "conv_normalize": NORMS,
    "dense_normalize": NORMS,
    "conv_regularize": REGULARIZERS,
    "dense_regularize": REGULARIZERS,
    "pool_type": POOLS,
    "model.merge": MERGES,
    "model.merge_eval": MERGE_EVALS,
    "ecg.loss": LOSSES,
    "mri.loss": LOSSES,
    "loss.pair": PAIR_LOSSES,
    "contrastive_form": CONTRASTIVE_FORMS,
    "euclid_reduction": EUCLID_REDUCTIONS,
    "saved_parts": ("best", "last"),
    "coverage": ("all", "steps"),
    "evaluation.map": ("tsne", "pca"),
    "tsv_style": tuple(ID_COLUMNS),
    "epoch_order": ("train_then_validate", "validate_then_train"),
    "on_not_finite": ("stop", "skip"),
    "optimizer.name": ("adam", "adamw", "sgd", "keras_adam", "radam"),
    "optimizer.schedule": ("constant", "warmup_cosine"),
    "monitor_mode": ("max", "min"),
    "matmul_precision": ("default", "high", "highest"),
    "precision": ("float32", "bfloat16"),
    "replicas.run": ("loop", "vmap", "auto"),
    "sharding.parameters": ("replicated", "sharded"),
}
