"""What follows from the rest of a config of MedST and MGCA, and what no run can be made of."""

from typing import Any

from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.run.compat import set_unless_named
from medjax.run.config import flatten
from medjax.run.converted import apply_records
from medjax.systems.medst.networks.backbones import (
    RESIDUAL,
    TRANSFORMERS,
    backbone_of,
    is_transformer,
    stages_of,
)
from medjax.systems.medst.published import fields
from medjax.systems.medst.starts import check_bert, reads_bert, source_of, start_across_methods

READERS = ("temporal_images", "temporal_sentences", "zero_shot")
"""Kinds of stages whose network is that of the stage that they take weights of."""
ON_BACKBONE = ("pairwise", "classification", "segmentation", "detection")
"""Kinds of stages of which the backbone alone is."""
NAMES = ", ".join(TRANSFORMERS)
RESNET_NAMES = ", ".join(name for name in RESIDUAL if stages_of(name) == 4)


def finish(config: ConfigDict, named: frozenset[str]) -> list[str]:
    """Set what follows unless it is among the `named` fields; return warnings.

    Raises:
        UsageError: the fields contradict each other, or the data are not named.
    """
    kinds = {name: config[name].kind for name in config if is_stage(config[name])}
    if config.compat == "published":
        set_unless_named(config, fields(config, kinds), named)
    if config.weights is not None:
        read_with(config, kinds, named)
    for name in config.stages:
        if kinds[name] == "pretrain":
            start_across_methods(config[name])
    apply_records(config, named)  # what reads with a stage's network follows that stage
    for name, kind in kinds.items():
        source = source_of(config[name])
        if source in kinds and kind in READERS:
            same = flatten(config[source].model)
            known = flatten(config[name].model)
            follow = {f"{name}.model.{n}": value for n, value in same.items() if n in known}
            set_unless_named(config, follow, named)
        elif source in kinds and kind in ON_BACKBONE:
            kept = [
                field
                for field in ("backbone", "width", "resnet_side")
                if field in config[name].model
            ]
            same = {f"{name}.model.{field}": config[source].model[field] for field in kept}
            set_unless_named(config, same, named)
    if config.size == "published":
        check_data_named(config)
    check_views(config)
    for name in config.stages:
        if kinds[name] == "pretrain":
            check_pretraining(config, name)
        elif kinds[name] == "pairwise":
            check_pairs(config, name)
        elif kinds[name] == "segmentation":
            check_segmentation(config, name)
        elif kinds[name] == "detection":
            check_detection(config, name)
    return starts_from_nothing(config, kinds)


def check_views(config: ConfigDict) -> None:
    """Raise UsageError where views cannot be cut out, or a transformer cannot cut them up."""
    canvas, crop = config.data.image.canvas, config.data.image.crop
    if not 0 < crop <= canvas:
        raise UsageError(
            f"config.data.image.crop is {crop} and config.data.image.canvas {canvas}: a view is "
            "cut out of the canvas; let it be no larger"
        )
    for name in config.stages:
        backbone = backbone_of(config[name].model.backbone, crop)
        if not isinstance(backbone, str) and crop % backbone.patch_size:
            raise UsageError(
                f"config.data.image.crop is {crop}: the transformer of stage {name} reads patches "
                f"of {backbone.patch_size} pixels; use a multiple of {backbone.patch_size}"
            )


def check_pairs(config: ConfigDict, name: str) -> None:
    """Raise UsageError where pairs of films are to be read by a ResNet."""
    backbone = config[name].model.backbone
    if not is_transformer(backbone):
        raise UsageError(
            f"config.{name}.model.backbone={backbone}: pairs of films are read by a vision "
            f"transformer, unlike those of other tasks; use one of {NAMES}"
        )


def is_stage(value: Any) -> bool:
    """Whether a value of a config is a stage."""
    return isinstance(value, ConfigDict) and "kind" in value


def read_with(config: ConfigDict, kinds: dict[str, str], named: frozenset[str]) -> None:
    """Let `config.weights` stand in for the pre-training of the stages that read with it."""
    trained = tuple(name for name, kind in kinds.items() if kind == "pretrain")
    kept = tuple(name for name in config.stages if name not in trained)
    if not kept:
        raise UsageError(
            "config.weights are read with, and the run has only pre-training: start that from them "
            "with --config.pretrain.init_from"
        )
    config.stages = kept
    for name in kept:
        given = config[name].init_from
        if f"{name}.init_from" in named or source_of(config[name]) not in trained:
            continue
        if isinstance(given, str):
            config[name].init_from = config.weights
        else:
            config[name].init_from = tuple((e[0], config.weights, *e[2:]) for e in given)


def starts_from_nothing(config: ConfigDict, kinds: dict[str, str]) -> list[str]:
    """Return a warning for every pre-training that starts without the paper's image encoder."""
    found = []
    for name in config.stages if config.size == "published" else ():
        if kinds[name] != "pretrain" or config[name].init_from:
            continue
        whose, file = "DeiT's", "timm's deit_base_patch16_224"
        if not is_transformer(config[name].model.backbone):
            whose, file = "ImageNet's", f"torchvision's {config[name].model.backbone}"
        found.append(
            f"stage {name}'s image encoder starts from random weights, the paper's from {whose}: "
            f"get {file}, run `python -m medjax.convert torchvision --from=FILE --to=FOLDER` and "
            f"give --config.{name}.init_from=image_encoder/network:FOLDER"
        )
    return found


def check_data_named(config: ConfigDict) -> None:
    """Raise UsageError where the published recipe has no data to read."""
    if config.data.dir is None and any(config[n].kind == "pretrain" for n in config.stages):
        raise UsageError(
            "the published recipe: prepared films with reports are needed; make them with `python "
            "-m medjax.prepare mimic_cxr --raw=... --out=FOLDER --sizes=long256` and give "
            "--config.data.dir=FOLDER"
        )


def check_pretraining(config: ConfigDict, name: str) -> None:
    """Raise UsageError where pre-training has no vocabulary, or a network that cannot be."""
    model = config[name].model
    if config.text.vocabulary == "bert" and config.text.bert_dir is None:
        raise UsageError(
            "reports are read by the word pieces of a BERT: give --config.text.bert_dir=FOLDER "
            "(config.json, vocab.txt and weights, of Bio_ClinicalBERT for what the paper did), or "
            "another --config.text.vocabulary; use one of bert, captions"
        )
    if reads_bert(config, config[name]):
        check_bert(config, name)
    if model.method == "medst" and not is_transformer(model.backbone):
        raise UsageError(
            f"config.{name}.model.backbone={model.backbone}: MedST reads two views with a vision "
            f"transformer, and a ResNet is MGCA's (the word resnet50); use one of {NAMES}"
        )
    if config.data.max_tokens > model.text.max_positions:
        raise UsageError(
            f"config.data.max_tokens is {config.data.max_tokens} and {name}.model.text has "
            f"{model.text.max_positions} positions: let the one be no more than the other"
        )
    batch, groups = config[name].train.global_batch_size, model.groups
    if batch % groups or config[name].train.evaluation_batch_size % groups:
        raise UsageError(
            f"config.{name}: batches of {batch} and {config[name].train.evaluation_batch_size} "
            f"rows have no {groups} equal groups"
        )


def check_segmentation(config: ConfigDict, name: str) -> None:
    """Raise UsageError where the decoder's stages do not lead back to single pixels."""
    model, side = config[name].model, config.data.image.crop
    backbone = backbone_of(model.backbone, side)
    if isinstance(backbone, str):
        stages = stages_of(backbone)
        if len(model.unet_features) != stages + 1 or side % 2 ** (stages + 1):
            raise UsageError(
                f"config.{name}.model.unet_features has {len(model.unet_features)} numbers: "
                f"{backbone} needs {stages + 1}, each of which doubles the map, and a side "
                f"(config.data.image.crop, {side}) that is a multiple of {2 ** (stages + 1)}"
            )
    elif 2 ** len(model.setr_features) != backbone.patch_size:
        raise UsageError(
            f"config.{name}.model.setr_features has {len(model.setr_features)} numbers, each of "
            f"which doubles the map: patches of {backbone.patch_size} pixels need "
            f"{backbone.patch_size.bit_length() - 1}"
        )


def check_detection(config: ConfigDict, name: str) -> None:
    """Raise UsageError where the backbone has not the maps that the neck reads."""
    backbone, side, names = config[name].model.backbone, config.data.image.crop, RESNET_NAMES
    if is_transformer(backbone) or stages_of(backbone) < 4:
        raise UsageError(
            f"config.{name}.model.backbone={backbone}: boxes are found on the maps of a ResNet of "
            f"four stages, pre-trained by MGCA (the word resnet50); use one of {names}"
        )
    if side % 32:
        raise UsageError(
            f"config.data.image.crop is {side}: stage {name} finds boxes on maps of every 32nd "
            "pixel; use a multiple of 32"
        )
