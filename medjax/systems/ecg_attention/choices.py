"""The values that the fields of configs/ecg_attention.py may take, by the end of a field's name."""

from medjax.data.ecg.units import DAYS
from medjax.systems.ecg_attention.checks import MODEL_CHOICES

INPUT_LEADS = ("own", "first")
"""Whose row of the gradient a lead's curve is made of: its own, or always the first lead's."""

CHOICES = {
    **{f"model.{name}": values for name, values in MODEL_CHOICES.items()},
    "compat": ("default", "published"),
    "data.signal": ("median", "rhythm"),
    "data.leads": (12, 8),
    "data.residence": ("host", "device"),
    "demo.risk": ("learnable", "random"),
    "data.time_unit": tuple(DAYS),
    "kind": ("pretrain", "probe", "risk", "biomarkers"),
    "risk_recon_target": ("unmasked_input", "masked_input"),
    "cox_normaliser": ("risk_set", "batch_max"),
    "cox_ties": ("breslow", "efron"),
    "freeze_encoder_scope": ("all", "weights"),
    "input_cleaning": ("target_only", "shared"),
    "input_standardise": ("once_before_masking", "again_after_masking"),
    "alignment_loss": ("cosine", "infonce", "siglip", "none"),
    "auroc_class_names": ("sorted", "unsorted"),
    "best_checkpoint_metric": ("val_loss", "val_alignment", "val_retrieval"),
    "epoch_order": ("train_then_validate", "validate_then_train"),
    "on_not_finite": ("stop", "skip"),
    "optimizer.lr_finder": ("off", "report", "use"),
    "optimizer.name": ("adam", "adamw", "sgd", "keras_adam", "radam"),
    "optimizer.schedule": ("constant", "warmup_cosine"),
    "monitor_mode": ("max", "min"),
    "matmul_precision": ("default", "high", "highest"),
    "precision": ("float32", "bfloat16"),
    "saliency_batchnorm": ("eval", "batch"),
    "saliency_input_lead": INPUT_LEADS,
    "replicas.run": ("loop", "vmap", "auto"),
    "sharding.parameters": ("replicated", "sharded"),
}
