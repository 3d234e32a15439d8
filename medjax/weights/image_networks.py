"""ResNets and DenseNet-121 in torchvision's names: told by names and shapes, sized, renamed."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from medjax.errors import UserError
from medjax.nn.densenet import DenseNet
from medjax.nn.resnet import RESNETS, ResNet
from medjax.nn.torch_names import Layer, densenet_layers, resnet_layers
from medjax.weights.converter import Model, Shapes, shapes_of

DENSENET = "densenet121"
_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.")
LARGEST_WIDTH = 4096


def describe_network(shapes: Shapes) -> dict[str, Any]:
    """Return {"backbone", "stage_sizes", "width"} of an image network.

    `backbone` is a published name, or "resnet" for basic blocks of any depth and width.

    Raises:
        UserError: the names are of neither kind of network.
    """
    if any(name.startswith("features.denseblock") for name in shapes):
        return {"backbone": DENSENET, "stage_sizes": [], "width": 64}
    depths: dict[int, int] = {}
    for name in shapes:
        block = _BLOCK.match(name)
        if block:
            stage, index = int(block[1]), int(block[2])
            depths[stage] = max(depths.get(stage, 0), index + 1)
    sizes = tuple(depths[stage] for stage in sorted(depths))
    first = shapes.get("conv1.weight") or shapes.get("bn1.weight") or (64,)
    if not sizes or sorted(depths) != list(range(1, len(sizes) + 1)) or len(first) not in (1, 4):
        raise UserError("its names are neither those of a ResNet nor of DenseNet-121")
    if sum(sizes) > len(shapes) or not 0 < first[0] <= LARGEST_WIDTH:
        raise UserError("its image network is none that medjax knows")
    bottleneck = "layer1.0.conv3.weight" in shapes
    for name, known in RESNETS.items():
        if (sizes, bottleneck, first[0]) == (*known, 64):
            return {"backbone": name, "stage_sizes": [], "width": 64}
    if bottleneck:
        raise UserError(
            f"its image network, a ResNet of {sizes} bottleneck blocks and width {first[0]}, is "
            f"none of {', '.join(RESNETS)}"
        )
    return {"backbone": "resnet", "stage_sizes": list(sizes), "width": first[0]}


def make_network(model: Model) -> ResNet | DenseNet:
    """Return the network of a description."""
    if model["backbone"] == DENSENET:
        return DenseNet()
    if model["backbone"] in RESNETS:
        return ResNet(*RESNETS[model["backbone"]])
    return ResNet(tuple(model["stage_sizes"]), width=model["width"])


def network_layers(model: Model) -> list[Layer]:
    """Return the table of names of a description."""
    if model["backbone"] == DENSENET:
        return densenet_layers()
    if model["backbone"] in RESNETS:
        return resnet_layers(*RESNETS[model["backbone"]])
    return resnet_layers(model["stage_sizes"])


def network_shapes(model: Model) -> Shapes:
    """Return every name of the network with its shape."""
    network = make_network(model)

    def init() -> Mapping[str, Any]:
        return network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)

    return shapes_of(network_layers(model), jax.eval_shape(init))


def today_name(name: str) -> str:
    """Return a name as torchvision has it today: its DenseNet files still say "norm.1"."""
    return _OLD_DENSENET.sub(r"\1\2.", name)
