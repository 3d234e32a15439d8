"""Starts for an image encoder: torchvision's ResNet-18, -34, -50, -101 and DenseNet-121.

timm's files of the same ResNets have the same names; of timm there are the vision transformers of
16-pixel patches besides, DeiT's too.
"""

import re

import jax
import jax.numpy as jnp

from medjax.errors import UserError
from medjax.nn.torch_names import Layer, vit_layers
from medjax.nn.vit import VITS, ViT
from medjax.weights.converter import Converter, Model, Shapes, shapes_of
from medjax.weights.image_networks import (
    describe_network,
    network_layers,
    network_shapes,
    today_name,
)

PATCHES = "patch_embed.proj.weight"
"""What no network but a transformer has."""
_BLOCK = re.compile(r"blocks\.(\d+)\.")


def describe(shapes: Shapes) -> Model:
    """Return the network that names and shapes tell of.

    Raises:
        UserError: it is none of the published ones.
    """
    if PATCHES in shapes:
        return {"backbone": describe_transformer(shapes)}
    model = describe_network(shapes)
    if model["backbone"] == "resnet":
        raise UserError(
            f"its ResNet of {tuple(model['stage_sizes'])} blocks and width {model['width']} is "
            "none of torchvision's"
        )
    return model


def describe_transformer(shapes: Shapes) -> str:
    """Return the name of a vision transformer.

    Raises:
        UserError: it is none of the published ones.
    """
    numbers = [int(match[1]) for match in map(_BLOCK.match, shapes) if match]
    width, *_, patch = shapes[PATCHES] if len(shapes[PATCHES]) == 4 else (0, 0)
    size = width, 1 + max(numbers, default=-1), patch
    for name, config in VITS.items():
        if size == (config.width, config.layers, config.patch_size):
            return name
    raise UserError(
        f"its transformer of {size[1]} layers, width {width} and patches of {patch} pixels is none "
        f"of {', '.join(VITS)}"
    )


def layers(model: Model) -> list[Layer]:
    """Return the table of names of a description."""
    if model["backbone"] in VITS:
        return vit_layers(VITS[model["backbone"]].layers)
    return network_layers(model)


def shapes(model: Model) -> Shapes:
    """Return every name of the network with its shape."""
    if model["backbone"] not in VITS:
        return network_shapes(model)
    config = VITS[model["backbone"]]
    image = jax.ShapeDtypeStruct((1, config.image_size, config.image_size, 3), jnp.float32)
    made = jax.eval_shape(lambda x: ViT(config).init(jax.random.key(0), x, train=False), image)
    return shapes_of(layers(model), made)


CONVERTER = Converter(
    describe=describe,
    shapes=shapes,
    layers=layers,
    rename=today_name,
    left_out=("fc.", "classifier.", "head.", "pre_logits."),
    settings=lambda model: {"model.backbone": model["backbone"]},
    is_network=True,
)
