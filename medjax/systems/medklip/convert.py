"""MedKLIP's checkpoints, fine-tuned ones and the replication's: published names and ours.

The replication's file holds three sets of weights side by side ("fusion", "img_proj",
"proj_text"), its image network is a file of its own, of timm's ResNet-50. The heads of the
README's losses, which no published file has, are written under names of our own.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.torch_names import Layer
from medjax.systems.medklip import names, published
from medjax.systems.medklip.classifier import Classifier
from medjax.systems.medklip.decoder import Decoder
from medjax.systems.medklip.encoder import ImageEncoder
from medjax.systems.medklip.fusion import Fusion
from medjax.systems.medklip.model import MedKLIP
from medjax.systems.medklip.recognise import RECIPE, describe
from medjax.systems.medklip.segmentation import ResUNet
from medjax.weights.converter import Converter, Fields, Model, Shapes, shapes_of

SETS = ("fusion", "img_proj", "proj_text")
"""Sets of weights of the replication that stand side by side in one file."""
SETTINGS = ("backbone", "stages", "width", "dim", "decoder_layers", "feedforward")
KINDS = {
    "pretrain": "pretraining",
    "zero_shot": "pretraining",
    "grounding": "pretraining",
    "finetune_classification": "classification",
    "finetune_segmentation": "segmentation",
    "replication": "replication",
}
"""Kind of a stage -> kind of its network."""


def layers(model: Model) -> list[Layer]:
    """Return the table of names of a described network."""
    kind, backbone = model["kind"], model["backbone"]
    if kind == "classification":
        return names.classifier_layers(backbone, model["stages"])
    if kind == "segmentation":
        return names.segmentation_layers(backbone)
    if kind == "replication":
        return names.fusion_layers(model["decoder_layers"], backbone, model["stages"])
    return names.medklip_layers(backbone, model["stages"], model["decoder_layers"])


def make_network(model: Model) -> nn.Module:
    """Return a network of a described size; its numbers of heads change no shape."""
    kind, stages = model["kind"], model["stages"]
    size = {"backbone": model["backbone"], "width": model["width"]}
    if kind == "classification":
        return Classifier(stages=stages, outputs=model["outputs"], **size)
    if kind == "segmentation":
        return ResUNet(outputs=model["outputs"], **size)
    decoder = Decoder(model["dim"], model["decoder_layers"], 1, model["feedforward"])
    encoder = ImageEncoder(
        stages=stages, dim=model["dim"], image_size=model.get("image_size", 224), **size
    )
    if kind == "replication":
        return Fusion(
            encoder.clone(projection="linear"),
            decoder.clone(norm="post", final_norm=False),
            text_dim=model["text_dim"],
            heads=model["readme_heads"],
        )
    return MedKLIP(encoder, decoder, model["text_dim"], model["attributes"])


def shapes(model: Model) -> Shapes:
    """Return every name of the published file with its shape."""
    side = model.get("image_size", 32)
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    book = jax.ShapeDtypeStruct((1, model["text_dim"]), jnp.float32)
    reads = (image, book) if model["kind"] in ("pretraining", "replication") else (image,)
    network = make_network(model)

    def init(*arguments: jax.Array) -> Any:
        return network.init(jax.random.key(0), *arguments, train=False)

    found = shapes_of(layers(model), jax.eval_shape(init, *reads))
    return {n: s for n, s in found.items() if model["image_network"] or n[:9] != "backbone."}


def settings(model: Model) -> dict[str, Any]:
    """Return the fields of a stage that make its network the size of the weights."""
    wanted = SETTINGS if model["kind"] in ("pretraining", "replication") else SETTINGS[:3]
    return {f"model.{name}": model[name] for name in wanted}


def fields(model: Model) -> Fields:
    """Return the published column: how network and text were read."""
    columns: dict[str, Callable[[], Mapping[str, Any]]] = {
        "pretraining": lambda: published.MODEL,
        "replication": lambda: published.NOTEBOOK_MODEL,
    }
    return Fields(columns.get(model["kind"], dict)(), {})


def of_stage(stage: Mapping[str, Any]) -> Model:
    """Return what the table of names needs, from the config of a stage."""
    sizes = {name: stage["model"].get(name, RECIPE[name]) for name in SETTINGS}
    return {**sizes, "kind": KINDS[stage["kind"]]}


CONVERTER = Converter(
    describe=describe,
    shapes=shapes,
    layers=layers,
    settings=settings,
    fields=fields,
    of_stage=of_stage,
    sets=SETS,
    bearing=lambda model: {"decoder": ("",)},
)
