"""Which of MedKLIP's networks published weights are of, told by their names and shapes."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from medjax.errors import UserError
from medjax.nn.resnet import RESNETS, SMALL_RESNETS, ResNetSize
from medjax.nn.vit import VITS
from medjax.systems.medklip.backbones import SMALL_VITS
from medjax.systems.medklip.names import numbered
from medjax.weights.converter import Model, Shapes

_BLOCK = re.compile(r"res_features\.(\d+)\.(\d+)\.")
_LAYER = re.compile(r"(?:fusion\.)?decoder\.layers\.(\d+)\.")
_VIT_BLOCK = re.compile(r"res_features\.blocks\.(\d+)\.")
FIRST_STAGE = 4
"""Number of a ResNet's first stage among its children."""
BEGINNINGS = {
    "replication": ("fusion.", "img_proj.", "proj_text.", "pos_head.", "sem_head."),
    "segmentation": ("seg_classifier.", "up_blocks.", "bridge."),
    "classification": ("res_out.",),
    "pretraining": ("disease_embedding_layer.", "res_l1.", "res_l2.", "cl_fc.", "decoder."),
}
"""Kind of network -> beginnings of names that no other kind has."""
RECIPE: dict[str, Any] = {
    "backbone": "resnet50",
    "stages": 3,
    "width": 64,
    "dim": 256,
    "decoder_layers": 4,
    "feedforward": 1024,
    "text_dim": 768,
    "attributes": 2,
    "outputs": 1,
}
"""Sizes where a partial file does not tell them."""
REPLICATION: dict[str, Any] = RECIPE | {
    "stages": 4,
    "dim": 768,
    "decoder_layers": 2,
    "feedforward": 2048,
}


def describe(shapes: Shapes) -> Model:
    """Return {"kind", "backbone", "stages", "width", ...} of a file of weights.

    kind: "pretraining" (MedKLIP itself), "classification", "segmentation" or "replication".
    image_network, readme_heads: whether the file holds them, which the replication's need not.

    Raises:
        UserError: the names are not MedKLIP's, or its image network is not known.
    """
    kind = next((k for k, names in BEGINNINGS.items() if _any(shapes, names)), "")
    if not kind:
        raise UserError("it holds no part of MedKLIP or of its replication")
    recipe = REPLICATION if kind == "replication" else RECIPE
    network = describe_features(_children(shapes) if kind == "replication" else shapes, kind)
    found = {
        "dim": _size(shapes, 0, ("res_l2.weight", "img_proj.weight", "decoder.norm.weight")),
        "decoder_layers": 1 + max(_numbers(_LAYER, shapes), default=-1) or None,
        "feedforward": _ends(shapes, "linear1.weight"),
        "text_dim": _size(shapes, 1, ("disease_embedding_layer.weight", "proj_text.weight")),
        "attributes": _size(shapes, 0, ("classifier.weight",)),
        "outputs": _size(shapes, 0, ("res_out.weight", "seg_classifier.weight")),
    }
    return {
        **recipe,
        **network,
        **{k: v for k, v in found.items() if v},
        "kind": kind,
        "image_network": kind != "replication" or _any(shapes, ("backbone.",)),
        "readme_heads": _any(shapes, ("pos_head.", "sem_head.")),
    }


def describe_features(shapes: Shapes, kind: str) -> dict[str, Any]:
    """Return backbone, stages and width of `res_features`, {} where a file has none of it.

    The stages are those of the pre-training: a classifier has one more.
    """
    if not any(name.startswith("res_features.") for name in shapes):
        return {}
    if "res_features.patch_embed.proj.weight" in shapes:
        return _describe_vit(shapes)
    depths: dict[int, int] = {}
    for match in filter(None, map(_BLOCK.match, shapes)):
        stage, block = int(match[1]) - FIRST_STAGE, int(match[2])
        depths[stage] = max(depths.get(stage, 0), block + 1)
    sizes = tuple(depths[stage] for stage in sorted(depths))
    if not sizes or sorted(depths) != list(range(len(sizes))):
        raise UserError("the stages of its image network are not all there")
    bottleneck = "res_features.4.0.conv3.weight" in shapes
    width = shapes.get("res_features.0.weight", (64,))[0]
    small = {name: ResNetSize(sizes) for name, sizes in SMALL_RESNETS.items()}
    for name, size in (RESNETS | small).items():
        if (size.stage_sizes[: len(sizes)], size.bottleneck) == (sizes, bottleneck):
            stages = len(sizes) - 1 if kind == "classification" else len(sizes)
            return {"backbone": name, "stages": stages, "width": width}
    raise UserError(f"its image network, a ResNet of {sizes} blocks, is none that medjax knows")


def _children(shapes: Shapes) -> Shapes:
    """Return the replication's image network in the names of MedKLIP's."""
    network = {n.removeprefix("backbone."): s for n, s in shapes.items() if n[:9] == "backbone."}
    return {f"res_features.{numbered(name)}": shape for name, shape in network.items()}


def _describe_vit(shapes: Shapes) -> dict[str, Any]:
    layers = 1 + max(_numbers(_VIT_BLOCK, shapes), default=-1)
    width, _, patch, _ = shapes["res_features.patch_embed.proj.weight"]
    for name, config in (VITS | SMALL_VITS).items():
        if (config.width, config.layers, config.patch_size) == (width, layers, patch):
            positions = shapes.get("res_features.pos_embed", (1, config.patches + 1, width))[1]
            size = round((positions - 1) ** 0.5) * patch
            return {"backbone": name, "image_size": size}
    raise UserError(
        f"its image network, a transformer of {layers} layers and width {width}, is none that "
        "medjax knows"
    )


def _any(shapes: Shapes, beginnings: tuple[str, ...]) -> bool:
    return any(name.startswith(beginnings) for name in shapes)


def _numbers(pattern: re.Pattern, shapes: Shapes) -> list[int]:
    return [int(match[1]) for match in map(pattern.match, shapes) if match]


def _size(shapes: Shapes, axis: int, names: Iterable[str]) -> int | None:
    for name in names:
        if len(shapes.get(name, ())) > axis:
            return shapes[name][axis]
    return None


def _ends(shapes: Mapping[str, tuple[int, ...]], end: str) -> int | None:
    return next((shape[0] for name, shape in shapes.items() if name.endswith(end)), None)
