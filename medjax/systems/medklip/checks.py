"""Options of which no network and no task can be made, refused when a config is loaded."""

from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.nn.known import VITS
from medjax.systems.medklip.backbones import SMALL_VITS, resnet_size

FINE_TUNING = ("finetune_classification", "finetune_segmentation")
"""Kinds of stages whose network is a whole ResNet."""


def check_fields(config: ConfigDict) -> None:
    """Raise UsageError where fields of the stages to run make no network or no task."""
    check_data(config.data)
    for name in config.stages:
        stage = config[name]
        check_network(name, stage, config.data.image.size)
        if stage.get("description") and not stage.disease:
            raise UsageError(
                f"config.{name}.description describes a disease without a name: give "
                f"--config.{name}.disease=NAME as well"
            )
        fraction = stage.get("train", {}).get("train_fraction", 1.0)
        if not 0 < fraction <= 1:
            raise UsageError(
                f"config.{name}.train.train_fraction is {fraction}: give a share above 0, at most 1"
            )


def check_data(data: ConfigDict) -> None:
    """Raise UsageError where films cannot be shown so, or positions not be contrasted."""
    area = data.image.crop_area
    if len(area) != 2 or not 0 < area[0] <= area[1] <= 1:
        raise UsageError(
            f"config.data.image.crop_area is {area}: give the smallest and the largest share of "
            "the film, as 0.2,1.0"
        )
    if data.position_candidates < 2:
        raise UsageError(
            f"config.data.position_candidates is {data.position_candidates}: a position is told "
            "from at least one other, give 2 or more"
        )


def check_network(name: str, stage: ConfigDict, image_size: int) -> None:
    """Raise UsageError where the options of a stage make no network."""
    model, field = stage.model, f"config.{name}.model"
    width, heads = model.get("dim", 0), model.get("heads", 1)
    if heads < 1 or width % heads:
        raise UsageError(
            f"{field}.heads is {heads}: the width, {field}.dim, {width}, must be a multiple of it"
        )
    vit = (VITS | SMALL_VITS).get(model.backbone)
    if vit is not None:
        check_transformer(name, stage, image_size, vit.patch_size)
        return
    most = len(resnet_size(model.backbone).stage_sizes)
    stages = 4 if stage.kind in FINE_TUNING else model.get("stages", 1)
    if not 1 <= stages <= most:
        mend = "name another" if stage.kind in FINE_TUNING else f"give {field}.stages up to {most}"
        raise UsageError(f"{field}.backbone {model.backbone} has no {stages} stages: {mend}")
    coded = model.get("patch_position_encoding", "none") == "sine"
    if coded and width % 4:
        raise UsageError(
            f"{field}.dim is {width}: with patch_position_encoding=sine it must be a multiple of 4"
        )


def check_transformer(name: str, stage: ConfigDict, image_size: int, patch: int) -> None:
    """Raise UsageError where a stage cannot have a transformer as its image network."""
    if stage.kind in FINE_TUNING:
        raise UsageError(
            f"config.{name}.model.backbone is {stage.model.backbone}: fine-tuning takes a ResNet "
            "of four stages, such as resnet50"
        )
    if image_size % patch:
        raise UsageError(
            f"config.data.image.size is {image_size}: for {stage.model.backbone} it must be a "
            f"multiple of {patch}"
        )
