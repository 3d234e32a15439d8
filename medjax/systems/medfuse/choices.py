"""The values that the fields of configs/medfuse.py may take, by the end of a field's name."""

CHOICES = {
    "compat": ("default", "published"),
    "data.task": ("in_hospital_mortality", "phenotyping"),
    "fusion": ("lstm", "uni_ehr", "uni_cxr", "uni_ehr_lstm", "early", "joint"),
    "labels": ("task", "radiology"),
    "pairs": ("paired_ehr_cxr", "paired_ehr", "partial_ehr", "partial_ehr_cxr", "radiology"),
    "backbone": ("resnet4", "resnet10", "resnet18", "resnet34", "resnet50", "densenet121"),
    "batch_statistics": ("global", "per_group"),
    "absent_images": ("masked", "zeros"),
    "unpaired_sampling": ("each_once", "random_with_replacement"),
    "epoch_order": ("train_then_validate", "validate_then_train"),
    "frozen_encoder_mode": ("eval", "train"),
    "on_not_finite": ("stop", "skip"),
    "optimizer.name": ("adam", "adamw", "sgd"),
    "optimizer.schedule": ("constant", "warmup_cosine"),
    "monitor_mode": ("max", "min"),
    "matmul_precision": ("default", "high", "highest"),
    "precision": ("float32", "bfloat16"),
    "bootstrap_when": ("final", "always"),
    "bootstrap_one_class": ("redraw", "fail"),
    "sharding.parameters": ("replicated", "sharded"),
}
