"""What follows from the rest of a config of ECG attention, and what no run can be made of."""

from typing import Any

from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.run.compat import set_unless_named
from medjax.systems.ecg_attention.checks import check_options
from medjax.systems.ecg_attention.published import fields

COHORT_KINDS = frozenset({"risk", "biomarkers"})
"""Kinds of stages that read `data.risk_dir`."""
MONITORS = {
    "val_loss": ("loss", "min"),
    "val_alignment": ("alignment", "min"),
    "val_retrieval": ("retrieval/ecg_to_text/mean_reciprocal_rank", "max"),
}
"""`best_checkpoint_metric` -> the metric that is monitored, and which way is better."""


def finish(config: ConfigDict, named: frozenset[str]) -> list[str]:
    """Set what follows unless it is among the `named` fields; return warnings.

    Raises:
        UsageError: the fields contradict each other, or the data are not named.
    """
    kinds = {name: config[name].kind for name in config if _is_stage(config[name])}
    if config.compat == "published":
        set_unless_named(config, fields(kinds), named)
    for name, kind in kinds.items():
        if "model" in config[name]:
            set_unless_named(config, {f"{name}.model.leads": config.data.leads}, named)
        if kind == "pretrain":
            set_unless_named(config, of_pretraining(name, config, named), named)
        if kind in COHORT_KINDS and config.replicas.folds:
            set_unless_named(config, {f"{name}.data.folds": config.replicas.folds}, named)
    if config.size == "published":
        check_data_named(config)
    for name in config.stages:
        if "model" in config[name]:
            check_options(config[name].model)
        if kinds[name] == "pretrain":
            check_pretraining(name, config)
        if kinds[name] in COHORT_KINDS:
            check_folds(name, config)
            check_horizons(config)
        if kinds[name] == "risk":
            check_loss(name, config)
    shared = tuple(name for name in config.replicas.stages if name in config.stages)
    set_unless_named(config, {"replicas.stages": shared}, named)
    return []


def _is_stage(value: Any) -> bool:
    return isinstance(value, ConfigDict) and "kind" in value


def of_pretraining(name: str, config: ConfigDict, named: frozenset[str]) -> dict[str, Any]:
    """Return the fields of a pre-training stage that follow from the others."""
    stage = config[name]
    found: dict[str, Any] = {}
    if config.data.signal == "median":
        found = {"augment.region_mask_prob": 0.0, "augment.random_drop_half_prob": 0.0}
    best = stage.train.best_checkpoint_metric
    chosen = f"{name}.train.best_checkpoint_metric" in named
    if not stage.loss.reconstruction_weight and config.compat == "default" and not chosen:
        best = "val_alignment" if best == "val_loss" else best
    monitor, mode = MONITORS[best]
    found |= {"train.best_checkpoint_metric": best}
    found |= {"train.monitor": monitor, "train.monitor_mode": mode}
    return {f"{name}.{field}": value for field, value in found.items()}


def check_pretraining(name: str, config: ConfigDict) -> None:
    """Raise UsageError for a loss without parts, or a best checkpoint by texts without texts."""
    loss = config[name].loss
    aligned = loss.alignment_loss != "none" and loss.alignment_weight > 0
    if not (loss.reconstruction_weight or aligned or loss.superclass_weight):
        raise UsageError(
            f"config.{name}.loss: every part has weight 0, so there is nothing to learn"
        )
    needs_text = config[name].train.best_checkpoint_metric != "val_loss"
    if needs_text and not aligned:
        raise UsageError(
            f"config.{name}.train.best_checkpoint_metric is "
            f"{config[name].train.best_checkpoint_metric!r}, and nothing is aligned with text: "
            "use 'val_loss'"
        )


def check_folds(name: str, config: ConfigDict) -> None:
    """Raise UsageError for folds of the cohort that do not exist."""
    folds, copies = config[name].data.folds, config.replicas.folds
    if folds < 0 or folds == 1:
        raise UsageError(f"config.{name}.data.folds is {folds}: it must be 0 or at least 2")
    if copies not in (0, folds):
        raise UsageError(
            f"config.replicas.folds is {copies} and config.{name}.data.folds {folds}: they must be "
            "the same"
        )
    if not copies and folds and not 0 <= config.fold < folds:
        raise UsageError(f"config.fold is {config.fold}: it must be 0 to {folds - 1}")
    share = config[name].data.validation_share
    if not 0 < share < 1:
        raise UsageError(
            f"config.{name}.data.validation_share is {share}: it must be above 0 and below 1"
        )


def check_horizons(config: ConfigDict) -> None:
    """Raise UsageError for horizons that are no rising times."""
    horizons = config.evaluation.horizons
    if any(later <= earlier for earlier, later in zip((0.0, *horizons), horizons)):
        raise UsageError(
            f"config.evaluation.horizons is {horizons}: it must be times above 0, rising"
        )


def check_loss(name: str, config: ConfigDict) -> None:
    """Raise UsageError for parts of the loss of risk that do not go together."""
    alpha = config[name].loss.alpha
    if not 0 <= alpha <= 1:
        raise UsageError(f"config.{name}.loss.alpha is {alpha}: it must be between 0 and 1")
    if config[name].loss.cox_ties == "efron" and config[name].loss.cox_normaliser == "batch_max":
        raise UsageError(f"config.{name}.loss: cox_ties 'efron' needs cox_normaliser 'risk_set'")


def check_data_named(config: ConfigDict) -> None:
    """Raise UsageError where the published recipe has no data to read."""
    if config.data.dir is None and config.data.risk_dir is None:
        raise UsageError(
            "the published recipe: prepared data are needed; make them with `python -m "
            "medjax.prepare ptbxl --raw=... --out=FOLDER` (or another source) and give "
            "--config.data.dir=FOLDER"
        )
