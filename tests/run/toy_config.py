"""A config file in the shape of the shipped ones, for the tests of the command."""

from ml_collections import ConfigDict, config_dict

from medjax.errors import UsageError


def get_config() -> ConfigDict:
    """Toy: fields of every type."""
    config = ConfigDict()
    config.system = "medfuse"
    config.size = ""
    config.compat = "default"
    config.seed = 0
    config.verbose = False
    config.require_accelerator = False
    config.stages = ("encoder", "fused")
    config.data = ConfigDict(
        {"dir": config_dict.placeholder(str), "limit": 10, "scale": (0.8, 1.0)}
    )
    config.encoder = ConfigDict({"init_from": config_dict.placeholder(object)})
    config.fused = ConfigDict(
        {
            "init_from": (("ehr", "encoder"),),
            "fusion": "lstm",
            "order": "fixed",
            "layers": (2, 2),
            "optimizer": {"learning_rate": 1e-3, "schedule": "constant"},
        }
    )
    return config


def smoke(config: ConfigDict) -> None:
    """Seconds."""
    config.size = "smoke"
    config.data.limit = 1


def demo(config: ConfigDict) -> None:
    """A minute."""
    config.size = "demo"


def published(config: ConfigDict) -> None:
    """The paper; needs data.dir."""
    config.size = "published"


def phenotyping(config: ConfigDict) -> None:
    """25 labels."""
    config.data.limit = 25


def early(config: ConfigDict) -> None:
    """Early fusion, of twice the limit."""
    config.fused.fusion = "early"
    config.data.limit *= 2


def joint(config: ConfigDict) -> None:
    """Joint fusion."""
    config.fused.fusion = "joint"


WORDS = {f.__name__: f for f in (smoke, demo, published, phenotyping, early, joint)}
GROUPS = {"task": ("phenotyping",), "run": ("early", "joint")}
CHOICES = {"compat": ("default", "published"), "fusion": ("lstm", "early", "joint")}


def finish(config: ConfigDict, named: frozenset[str]) -> None:
    """Published order unless named; published size needs data."""
    if config.size == "published" and config.data.dir is None:
        raise UsageError("the published recipe needs --config.data.dir=FOLDER")
    if config.compat == "published" and "fused.order" not in named:
        config.fused.order = "published"
