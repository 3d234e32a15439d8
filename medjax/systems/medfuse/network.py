"""The network that a stage's options ask for."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from medjax.nn.resnet import SMALL_RESNETS
from medjax.run.system import Batch, Variables
from medjax.systems.medfuse.base import TwoEncoders
from medjax.systems.medfuse.daft import DAFT
from medjax.systems.medfuse.mmtm import MMTM
from medjax.systems.medfuse.model import MedFuse


def make_model(stage: ConfigDict, classes: int, precision: str) -> TwoEncoders:
    """Return the network of a stage with `classes` outputs."""
    options = stage.model
    small = options.backbone in SMALL_RESNETS
    common: dict[str, Any] = {
        "fusion": options.fusion,
        "backbone": "resnet" if small else options.backbone,
        "stage_sizes": SMALL_RESNETS.get(options.backbone, ()),
        "width": options.width,
        "dim": options.dim,
        "layers": options.layers,
        "dropout": options.dropout,
        "num_classes": classes,
        "vision_num_classes": classes,
        "labels": "radiology" if stage.data.labels == "radiology" else "pheno",
        "absent_images": options.absent_images,
        "groups": options.groups if options.batch_statistics == "per_group" else 1,
        "dtype": jnp.dtype(precision),
    }
    return make_network(common, options)


def make_network(common: Mapping[str, Any], options: Mapping[str, Any]) -> TwoEncoders:
    """Return the network of `common["fusion"]`.

    common: fields of `TwoEncoders`; options: those of the fusions, by their names in the config.
    """
    if common["fusion"] in ("mmtm", "daft"):
        between = {name: options[name] for name in ("layer_after", "squeeze_mean")}
        if common["fusion"] == "mmtm":
            return MMTM(**common, **between, ratio=options["mmtm_ratio"])
        return DAFT(**common, **between, activation=options["daft_activation"])
    names = ("modality_order", "image_first_unpaired", "token_unpaired", "missing_token")
    return MedFuse(**common, **{name: options[name] for name in names})


def init_network(model: TwoEncoders, key: jax.Array, batch: Batch) -> Variables:
    """Return fresh variables of a network for batches of this shape."""
    image = jnp.zeros((*batch["image"].shape, 3))
    rows = (batch["has_image"], batch["mask"])
    return model.init({"params": key}, batch["series"], batch["length"], image, *rows, train=False)
