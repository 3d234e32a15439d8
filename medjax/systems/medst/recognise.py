"""Which network a checkpoint of MedST or MGCA is of, told by its names and shapes."""

import re
from typing import Any

from medjax.errors import UserError
from medjax.systems.medst.networks.backbones import TRANSFORMERS
from medjax.weights.converter import Model, Shapes
from medjax.weights.image_networks import describe_network

IMAGE, TEXT = "img_encoder_q", "text_encoder_q"
NETWORK, BERT = f"{IMAGE}.model.", f"{TEXT}.model."
_VIT_BLOCK = re.compile(rf"{NETWORK}blocks\.(\d+)\.")
_TEXT_LAYER = re.compile(rf"{BERT}encoder\.layer\.(\d+)\.")
RECIPE: dict[str, Any] = {
    "backbone": "vit_base_patch16_224",
    "width": 64,
    "image_size": 224,
    "dim": 128,
    "head_hidden": 2048,
    "prototypes": 500,
    "text_layers": 6,
    "text_width": 768,
    "text_feedforward": 3072,
    "max_positions": 512,
    "vocabulary": 28996,
}
"""Sizes where a partial file does not tell them."""
SIZES = {
    "head_hidden": (
        0,
        (f"{IMAGE}.global_embed.head.0.weight", f"{TEXT}.global_embed.head.0.weight"),
    ),
    "dim": (0, (f"{IMAGE}.global_embed.head.3.weight", f"{TEXT}.global_embed.head.3.weight")),
    "prototypes": (0, ("prototype_layer.weight",)),
    "text_width": (1, (f"{BERT}embeddings.word_embeddings.weight",)),
    "vocabulary": (0, (f"{BERT}embeddings.word_embeddings.weight",)),
    "max_positions": (0, (f"{BERT}embeddings.position_embeddings.weight",)),
    "text_feedforward": (0, (f"{BERT}encoder.layer.0.intermediate.dense.weight",)),
}
"""Size -> axis of an array, and the names that it may have."""


def describe(shapes: Shapes) -> Model:
    """Return {"method", "backbone", "dim", ...} of a checkpoint.

    Raises:
        UserError: the names are neither MedST's nor MGCA's, or its image network is not known.
    """
    if not any(name.startswith((f"{IMAGE}.", f"{TEXT}.")) for name in shapes):
        raise UserError("it holds neither img_encoder_q nor text_encoder_q: it is no file of MedST")
    found: dict[str, Any] = {}
    for name, (axis, candidates) in SIZES.items():
        for candidate in candidates:
            if len(shapes.get(candidate, ())) > axis:
                found[name] = shapes[candidate][axis]
                break
    layers = _count(_TEXT_LAYER, shapes)
    if layers:
        found["text_layers"] = layers
    experts = any(name.startswith(NETWORK) and ".mlp_l." in name for name in shapes)
    weighted = any(name.startswith("word_element_wise_multi_head.") for name in shapes)
    method = "medst" if experts or weighted else "mgca"
    return {**RECIPE, **found, **describe_image(shapes), "method": method}


def describe_image(shapes: Shapes) -> dict[str, Any]:
    """Return backbone, width and image_size, {} where a file has no image network.

    Raises:
        UserError: it is none that medjax knows.
    """
    own = {n.removeprefix(NETWORK): s for n, s in shapes.items() if n.startswith(NETWORK)}
    if not own:
        return {}
    patches = own.get("patch_embed.proj.weight", ())
    if len(patches) != 4:
        network = describe_network(own)
        return {"backbone": network["backbone"], "width": network["width"]}
    width, patch, layers = patches[0], patches[2], _count(_VIT_BLOCK, shapes)
    for name, config in TRANSFORMERS.items():
        if (config.width, config.layers, config.patch_size) == (width, layers, patch):
            tokens = own.get("pos_embed", (1, config.patches + 1, width))[1]
            return {"backbone": name, "image_size": round((tokens - 1) ** 0.5) * patch}
    raise UserError(
        f"its image network, a transformer of {layers} layers and width {width}, is none of "
        f"{', '.join(TRANSFORMERS)}"
    )


def _count(pattern: re.Pattern, shapes: Shapes) -> int:
    return 1 + max((int(match[1]) for match in map(pattern.match, shapes) if match), default=-1)
