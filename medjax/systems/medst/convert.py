"""Checkpoints of MedST and MGCA (Lightning's .ckpt): published names and ours.

A checkpoint holds parts that nothing reads (heads of lateral films, cross-attention, a pooler);
they are kept beside our weights for the way back. Its text encoder reads all tokens at position 0
and loses last words: stages that start from its weights do so too.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from medjax.errors import UserError
from medjax.nn.bert import BertConfig
from medjax.nn.torch_names import Layer
from medjax.systems.medst import names, published
from medjax.systems.medst.networks.backbones import TRANSFORMERS, backbone_of
from medjax.systems.medst.networks.model import MGCA, Films, MedST
from medjax.systems.medst.networks.text_encoder import Tokens
from medjax.systems.medst.recognise import describe
from medjax.weights.converter import Converter, Fields, Model, Shapes, shapes_of

SETTINGS = {
    "method": "method",
    "backbone": "backbone",
    "width": "width",
    "dim": "dim",
    "head_hidden": "head_hidden",
    "prototypes": "prototypes",
    "text_layers": "text.layers",
    "text_width": "text.width",
    "text_feedforward": "text.feedforward",
    "max_positions": "text.max_positions",
}
"""What a file tells -> the field of a stage's `model`."""
KINDS = published.NETWORKS
"""Kinds of stages whose weights are those of a checkpoint."""
SIDE = 224
"""Pixels of films where a file does not tell."""
STD = np.float32(0.02)
"""Of weights that nothing reads."""


def layers(model: Model) -> list[Layer]:
    """Return the table of names of a described network."""
    backbone = backbone_of(model["backbone"], model.get("image_size", SIDE))
    return names.network_layers(backbone, model["text_layers"])


def make_network(model: Model) -> nn.Module:
    """Return a network of a described size; its numbers of heads change no shape."""
    more = {"prototypes": model["prototypes"]} if model["method"] == "mgca" else {}
    bert = BertConfig(
        vocab_size=model["vocabulary"],
        hidden_size=model["text_width"],
        num_hidden_layers=model["text_layers"],
        num_attention_heads=1,
        intermediate_size=model["text_feedforward"],
        max_position_embeddings=model["max_positions"],
        type_vocab_size=0,
    )
    return {"medst": MedST, "mgca": MGCA}[model["method"]](
        backbone=backbone_of(model["backbone"], model["image_size"]),
        width=model["width"],
        bert_config=bert,
        hidden=model["head_hidden"],
        dim=model["dim"],
        **more,
    )


def shapes(model: Model) -> Shapes:
    """Return every name of the published file that our network reads, with its shape."""
    network, side = make_network(model), model["image_size"]
    film = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    ids = jax.ShapeDtypeStruct((1, min(8, model["max_positions"])), jnp.int32)

    def init(film: jax.Array, ids: jax.Array) -> Any:
        films = Films(film)
        if model["method"] == "medst":
            films = Films(film, film, jnp.ones(1, bool))
        tokens = Tokens(ids, ids >= 0, ids)
        return network.init(jax.random.key(0), films, tokens, train=False)

    return shapes_of(layers(model), jax.eval_shape(init, film, ids))


def idle(model: Model) -> dict[str, np.ndarray]:
    """Return what a checkpoint holds and nothing reads: shapes matter, values are beginnings.

    With them the original loads a run of ours strictly, and could go on to train these parts.
    """
    found: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return STD * generator.standard_normal(shape, np.float32)

    def linear(name: str, outputs: int, inputs: int, *more: int) -> None:
        found[f"{name}.weight"] = drawn(outputs, inputs, *more)
        found[f"{name}.bias"] = np.zeros(outputs, np.float32)

    def norm(name: str, features: int) -> None:
        found[f"{name}.weight"] = np.ones(features, np.float32)
        found[f"{name}.bias"] = np.zeros(features, np.float32)

    text, dim, hidden = model["text_width"], model["dim"], model["head_hidden"]
    bert = "text_encoder_q.model"
    found[f"{bert}.embeddings.position_ids"] = np.arange(model["max_positions"])[None]
    for index in range(model["text_layers"]):
        name = f"{bert}.encoder.layer.{index}.crossattention"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{name}.{part}", text, text)
        norm(f"{name}.output.LayerNorm", text)
    for name in ("patch_local_atten_layer", "word_local_atten_layer"):
        found[f"{name}.in_proj_weight"] = drawn(3 * dim, dim)
        found[f"{name}.in_proj_bias"] = np.zeros(3 * dim, np.float32)
        linear(f"{name}.out_proj", dim, dim)
    if model["method"] == "mgca":
        return found
    linear(f"{bert}.pooler.dense", text, text)
    width = TRANSFORMERS[model["backbone"]].width
    for kind, more in (("global", ()), ("local", (1,))):
        name = f"img_encoder_q.{kind}_embed_la.head"
        linear(f"{name}.0", hidden, width, *more)
        linear(f"{name}.3", dim, hidden, *more)
        norm(f"{name}.1", hidden)
        for number, features in ((1, hidden), (4, dim)):
            found[f"{name}.{number}.running_mean"] = np.zeros(features, np.float32)
            found[f"{name}.{number}.running_var"] = np.ones(features, np.float32)
            found[f"{name}.{number}.num_batches_tracked"] = np.zeros((), np.int64)
    return found


def settings(model: Model) -> dict[str, Any]:
    """Return the fields of a stage that make its network the size of the weights."""
    return {f"model.{field}": model[name] for name, field in SETTINGS.items()}


def fields(model: Model) -> Fields:
    """Return the published column: how the networks compute."""
    del model
    return Fields({f"model.{name}": value for name, value in published.MODEL.items()}, {})


def of_stage(stage: Mapping[str, Any]) -> Model:
    """Return what the table of names needs, from the config of a stage.

    Raises:
        UserError: no published file holds such a stage's weights.
    """
    if stage["kind"] not in KINDS:
        raise UserError(
            f"weights of a stage of kind {stage['kind']} have no published form; write back those "
            "of pre-training, --from=RUN/pretrain"
        )
    model = stage["model"]
    found = {}
    for name, field in SETTINGS.items():
        group, _, last = field.rpartition(".")
        found[name] = (model[group] if group else model)[last]
    return found


def bearing(model: Model) -> dict[str, tuple[str, ...]]:
    """Return which fields follow from a part of the weights alone."""
    del model
    network = ("model.backbone", "model.width")
    head = ("model.dim", "model.head_hidden")
    return {
        "image_encoder": (*network, *head),
        "image_encoder/network": network,
        "text_encoder": ("model.text", "model.word_aggregation", *head),
        "text_encoder/bert": ("model.text", "model.word_aggregation"),
    }


CONVERTER = Converter(
    describe=describe,
    shapes=shapes,
    layers=layers,
    idle=idle,
    settings=settings,
    fields=fields,
    of_stage=of_stage,
    bearing=bearing,
)
