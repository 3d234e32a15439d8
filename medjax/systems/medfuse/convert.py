"""MedFuse (nyuad-cai/MedFuse) and its baselines: published names and our variables, both ways.

Both biases of an LSTM are kept, so a round trip changes no value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medjax.data.mimic_cxr.tables import LABELS as FILM_LABELS
from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.diagnoses import load_phenotypes
from medjax.data.mimic_iv.normalizer import published_normalizer
from medjax.data.mimic_iv.rules import Rules
from medjax.errors import UsageError, nearest
from medjax.nn.resnet import RESNETS, SMALL_RESNETS
from medjax.nn.torch_names import (
    Layer,
    StateDict,
    densenet_layers,
    from_torch,
    resnet_layers,
    to_torch,
    under,
)
from medjax.systems.medfuse import published
from medjax.systems.medfuse.positions import LAST
from medjax.systems.medfuse.recognise import describe, published_shapes
from medjax.weights.converter import Converter, Fields, Model
from medjax.weights.image_networks import today_name

MORTALITY_LABEL = "In-hospital mortality"


def series_encoder_layers(layers: int) -> list[Layer]:
    """Published names of the EHR encoder, which holds its own head."""
    lstms = [Layer(f"layer{index}", ("ehr", f"lstms_{index}"), "lstm") for index in range(layers)]
    return [*lstms, Layer("dense_layer", ("ehr_head", "linear"), "linear")]


def image_encoder_layers(backbone: str, stage_sizes: Sequence[int] = ()) -> list[Layer]:
    """Published names of the CXR encoder, which holds its own head.

    Raises:
        UsageError: the backbone is not known.
    """
    if backbone == "densenet121":
        network = densenet_layers()
    elif backbone == "resnet":
        network = resnet_layers(stage_sizes)
    elif backbone in RESNETS:
        network = resnet_layers(*RESNETS[backbone])
    else:
        raise UsageError(f"backbone {backbone!r} is not known{nearest(backbone, RESNETS)}")
    return [
        *under(network, "vision_backbone", ("cxr",)),
        Layer("classifier.0", ("cxr_head", "linear"), "linear"),
    ]


def mmtm_layers() -> list[Layer]:
    """Published names of MMTM's blocks and joint head."""
    parts = {"fc_squeeze": "squeeze", "fc_visual": "image_gate", "fc_skeleton": "series_gate"}
    blocks = [
        Layer(f"mmtm{index}.{published}", (f"mmtm_{index}", ours), "linear")
        for index in range(LAST + 1)
        for published, ours in parts.items()
    ]
    return [*blocks, Layer("joint_cls.0", ("joint_head", "linear"), "linear")]


def daft_layers() -> list[Layer]:
    """Published names of DAFT's blocks."""
    return [
        Layer(f"daft_layer_{index}.aux.aux_{part}", (f"daft_{index}", part), "linear")
        for index in range(LAST + 1)
        for part in ("base", "out")
    ]


def token_layers() -> list[Layer]:
    """Published names of the learned tokens."""
    return [
        Layer(name, (name,), "parameter") for name in ("missing_token", "sep_token", "cls_token")
    ]


def fusion_layers(backbone: str, layers: int, stage_sizes: Sequence[int] = ()) -> list[Layer]:
    """Published names of a whole model, whatever its fusion."""
    return [
        *under(series_encoder_layers(layers), "ehr_model", ()),
        *under(image_encoder_layers(backbone, stage_sizes), "cxr_model", ()),
        Layer("projection", ("projection",), "linear"),
        Layer("fused_cls.0", ("fused_head", "linear"), "linear"),
        Layer("lstm_fused_cls.0", ("lstm_head", "linear"), "linear"),
        Layer("lstm_fusion_layer", ("fusion_lstm",), "lstm"),
        *token_layers(),
        *mmtm_layers(),
        *daft_layers(),
    ]


def from_published(
    state_dict: StateDict,
    *,
    backbone: str = "resnet34",
    layers: int = 2,
    stage_sizes: Sequence[int] = (),
) -> dict[str, Any]:
    """Return the variables of `MedFuse` from published weights, the parts not in use too.

    Raises:
        UserError: a name that is not of this model.
    """
    return from_torch(fusion_layers(backbone, layers, stage_sizes), state_dict)


def to_published(
    variables: Mapping[str, Any],
    *,
    backbone: str = "resnet34",
    layers: int = 2,
    stage_sizes: Sequence[int] = (),
) -> dict[str, np.ndarray]:
    """Return published weights from the variables of `MedFuse`, those that it holds.

    Raises:
        UserError: a variable that has no published name.
    """
    return to_torch(fusion_layers(backbone, layers, stage_sizes), variables)


def settings(model: Model) -> dict[str, Any]:
    """Return the fields of a stage that make its network the size of the weights."""
    small = {sizes: name for name, sizes in SMALL_RESNETS.items()}
    backbone = small.get(tuple(model["stage_sizes"]), model["backbone"])
    fields = {"backbone": backbone} | {k: model[k] for k in ("width", "dim", "layers")}
    if model["kind"] in ("mmtm", "daft"):
        fields["fusion"] = model["kind"]
    if model["kind"] == "mmtm":
        fields["mmtm_ratio"] = model["mmtm_ratio"]
    return {f"model.{name}": value for name, value in fields.items()}


def fields(model: Model) -> Fields:
    """Return the published column: the network's fields and those of the data."""
    del model
    return Fields(published.MODEL, published.DATA | Rules.published().to_dict())


def artefacts(model: Model) -> dict[str, Any]:
    """Return what the original's training used: MIMIC-III's normaliser, its labels in order."""
    radiology = model["labels"] == "radiology"
    count = model["vision_num_classes"] if radiology else model["num_classes"]
    known = (FILM_LABELS,) if radiology else (load_phenotypes().names, (MORTALITY_LABEL,))
    numbered = tuple(f"label {index + 1}" for index in range(count))
    labels = next((names for names in known if len(names) == count), numbered)
    header = load_channels().header()
    return {"normalizer": published_normalizer().to_dict(header), "labels": list(labels)}


def of_stage(stage: Mapping[str, Any]) -> Model:
    """Return what the table of names needs, from the config of a stage."""
    options = stage["model"]
    small = options["backbone"] in SMALL_RESNETS
    return {
        "backbone": "resnet" if small else options["backbone"],
        "stage_sizes": list(SMALL_RESNETS.get(options["backbone"], ())),
        "layers": options["layers"],
    }


CONVERTER = Converter(
    describe=describe,
    shapes=published_shapes,
    layers=lambda model: fusion_layers(model["backbone"], model["layers"], model["stage_sizes"]),
    rename=today_name,
    settings=settings,
    fields=fields,
    artefacts=artefacts,
    of_stage=of_stage,
)
