"""What follows from the rest of a config of MedKLIP, and what no run can be made of."""

from typing import Any

from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.run.compat import set_unless_named
from medjax.systems.medklip.checks import check_fields
from medjax.systems.medklip.published import fields

READS_PRETRAINING = ("zero_shot", "grounding")
"""Kinds of stages whose network is that of the stage that they take weights of."""


def finish(config: ConfigDict, named: frozenset[str]) -> list[str]:
    """Set what follows unless it is among the `named` fields; return warnings.

    Raises:
        UsageError: the fields contradict each other, or the data are not named.
    """
    kinds = {name: config[name].kind for name in config if is_stage(config[name])}
    if config.compat == "published":
        set_unless_named(config, fields(kinds), named)
    for name, kind in kinds.items():
        if kind in READS_PRETRAINING and config[name].init_from in config.stages:
            set_unless_named(config, networks_of(config, config[name].init_from, name), named)
    if config.size == "published":
        check_data_named(config)
    check_text(config)
    for name in config.stages:
        if kinds[name] in ("replication", "clip"):
            check_backbone(name, config[name])
    check_fields(config)
    return []


def is_stage(value: Any) -> bool:
    """Whether a value of a config is a stage."""
    return isinstance(value, ConfigDict) and "kind" in value


def networks_of(config: ConfigDict, source: str, name: str) -> dict[str, Any]:
    """Return the fields that give a stage the network and texts of the stage it reads with."""
    same = {f"{name}.model.{field}": value for field, value in config[source].model.items()}
    return same | {f"{name}.text.{field}": value for field, value in config[source].text.items()}


def check_data_named(config: ConfigDict) -> None:
    """Raise UsageError where the published recipe has no data to read."""
    if config.data.dir is None:
        raise UsageError(
            "the published recipe: prepared films are needed; make them with `python -m "
            "medjax.prepare mimic_cxr --raw=... --out=FOLDER` (or cxr_table), their triplets with "
            "`python -m medjax.prepare radgraph --raw=FOLDER --out=TRIPLETS`, and give "
            "--config.data.dir=FOLDER --config.data.triplets_dir=TRIPLETS"
        )


def check_text(config: ConfigDict) -> None:
    """Raise UsageError where texts have no encoder."""
    if config.text.encoder == "bert" and config.text.bert_dir is None:
        raise UsageError(
            "descriptions are read by a BERT: give --config.text.bert_dir=FOLDER (config.json, "
            "vocab.txt and weights, of Bio_ClinicalBERT for what the paper did), or another "
            "--config.text.encoder; use one of bert, table"
        )


def check_backbone(name: str, stage: ConfigDict) -> None:
    """Raise UsageError where nobody said what the image network of a replication starts from."""
    if stage.backbone_weights == "file" and not stage.init_from:
        raise UsageError(
            f"stage {name} starts from ImageNet's {stage.model.backbone}: run `python -m "
            "medjax.convert torchvision --from=FILE.pth --to=FOLDER` and give "
            f"--config.{name}.init_from=encoder/network:FOLDER, or say "
            f"--config.{name}.backbone_weights=random; use one of both"
        )
