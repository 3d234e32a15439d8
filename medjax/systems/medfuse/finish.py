"""What follows from the rest of a config of MedFuse, and what no run can be made of."""

from ml_collections import ConfigDict

from medjax.errors import UsageError
from medjax.run.compat import set_unless_named
from medjax.systems.medfuse.freezing import check_align
from medjax.systems.medfuse.parts import hourly_fields
from medjax.systems.medfuse.published import fields, mmtm_fields


def finish(config: ConfigDict, named: frozenset[str]) -> list[str]:
    """Set what follows unless it is among the `named` fields; return warnings.

    Raises:
        UsageError: the fields contradict each other, or the data are not named.
    """
    check_fields(config)
    check_data_named(config)
    set_unless_named(config, hourly_fields(config), named)
    if config.compat == "published":
        set_unless_named(config, fields(("cxr", "ehr", "fusion", *config.stages)), named)
    for name in config.stages:
        stage = config[name]
        if stage.model.fusion == "mmtm":
            set_unless_named(config, mmtm_fields(name, stage.train, config.compat), named)
    return starts_from_nothing(config)


def check_fields(config: ConfigDict) -> None:
    """Raise UsageError for values that do not go together."""
    image, ages = config.data.image, config.evaluation.age_groups
    if image.crop > image.resize:
        raise UsageError(
            f"config.data.image.crop is {image.crop}: it must not be above resize, which is "
            f"{image.resize}"
        )
    if list(ages) != sorted(set(ages)):
        raise UsageError(f"config.evaluation.age_groups is {ages}: give rising ages, or ()")
    for name in config.stages:
        check_align(config[name].model.fusion, config[name].train.align)


def check_data_named(config: ConfigDict) -> None:
    """Raise UsageError where stays are read and neither the demo nor a folder has them."""
    own = config.data.task == "own"
    reads_stays = any(config[name].data.pairs != "radiology" for name in config.stages)
    if reads_stays and config.data.dir is None and (own or config.size == "published"):
        what = "own outcomes (--labels=CSV)" if own else "the published recipe"
        raise UsageError(
            f"{what}: prepared data are needed; make them with `python -m medjax.prepare "
            "mimic_iv --raw=... --out=FOLDER` and give --config.data.dir=FOLDER"
        )


def starts_from_nothing(config: ConfigDict) -> list[str]:
    """Return a warning where the paper's film stage starts from random weights."""
    radiology = "cxr" in config.stages and config.cxr.data.labels == "radiology"
    if config.size != "published" or not radiology or config.cxr.init_from:
        return []
    backbone = config.cxr.model.backbone
    return [
        "stage cxr starts from random weights, the paper's from ImageNet's: get torchvision's "
        f"{backbone}.pth, run `python -m medjax.convert torchvision --from={backbone}.pth "
        "--to=FOLDER` and give --config.cxr.init_from=cxr:FOLDER"
    ]
