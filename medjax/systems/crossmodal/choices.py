"""The values that fields of configs/crossmodal.py may take, by the end of a field's name."""

from medjax.nn.activations import KERAS
from medjax.systems.crossmodal.architecture import NORMS, POOLS, REGULARIZERS
from medjax.systems.crossmodal.latents import ID_COLUMNS
from medjax.systems.crossmodal.loss import ERRORS
from medjax.systems.crossmodal.merge import MERGES
from medjax.systems.crossmodal.pair_loss import CONTRASTIVE_FORMS, EUCLID_REDUCTIONS, PAIR_LOSSES
from medjax.systems.crossmodal.predicting import MERGE_EVALS
from medjax.systems.crossmodal.published import COMPATS

CHOICES: dict[str, tuple[str, ...]] = {
    "compat": COMPATS,
    "kind": ("autoencoder", "paired", "latents"),
    "data.residence": ("host", "device"),
    "data.participants": ("any", "all"),
    "activation": tuple(KERAS),
    "conv_normalize": NORMS,
    "dense_normalize": NORMS,
    "conv_regularize": REGULARIZERS,
    "dense_regularize": REGULARIZERS,
    "pool_type": POOLS,
    "model.merge": MERGES,
    "model.merge_eval": MERGE_EVALS,
    "ecg.loss": tuple(ERRORS),
    "mri.loss": tuple(ERRORS),
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
