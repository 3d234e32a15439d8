"""MedFuse's published weight names and our variables, in both directions.

Both biases of an LSTM are kept, so a round trip changes no value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medjax.errors import UsageError, nearest
from medjax.nn.resnet import RESNETS
from medjax.nn.torch_names import (
    Layer,
    StateDict,
    densenet_layers,
    from_torch,
    resnet_layers,
    to_torch,
    under,
)


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


def fusion_layers(backbone: str, layers: int, stage_sizes: Sequence[int] = ()) -> list[Layer]:
    """Published names of the whole model."""
    return [
        *under(series_encoder_layers(layers), "ehr_model", ()),
        *under(image_encoder_layers(backbone, stage_sizes), "cxr_model", ()),
        Layer("projection", ("projection",), "linear"),
        Layer("fused_cls.0", ("fused_head", "linear"), "linear"),
        Layer("lstm_fused_cls.0", ("lstm_head", "linear"), "linear"),
        Layer("lstm_fusion_layer", ("fusion_lstm",), "lstm"),
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
