"""Starts for an image encoder: torchvision's ResNet-18, -34, -50, -101 and DenseNet-121."""

from medjax.errors import UserError
from medjax.weights.converter import Converter, Model, Shapes
from medjax.weights.image_networks import (
    describe_network,
    network_layers,
    network_shapes,
    today_name,
)


def describe(shapes: Shapes) -> Model:
    """Return the network that names and shapes tell of.

    Raises:
        UserError: it is none of the published ones.
    """
    model = describe_network(shapes)
    if model["backbone"] == "resnet":
        raise UserError(
            f"its ResNet of {tuple(model['stage_sizes'])} blocks and width {model['width']} is "
            "none of torchvision's"
        )
    return model


CONVERTER = Converter(
    describe=describe,
    shapes=network_shapes,
    layers=network_layers,
    rename=today_name,
    left_out=("fc.", "classifier."),
    settings=lambda model: {"model.backbone": model["backbone"]},
    is_network=True,
)
