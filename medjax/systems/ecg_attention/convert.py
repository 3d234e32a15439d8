"""ECG dual attention: the pre-training's Lightning .ckpt and the risk runs' .pth, both ways.

A pre-training's file holds the autoencoder under "network." beside projectors and classifier; a
risk run's holds it bare, with the Cox head under "downsteam_net" (so spelled).
"""

from collections.abc import Callable, ItemsView, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from medjax.nn.torch_names import Layer, under
from medjax.systems.ecg_attention import published
from medjax.systems.ecg_attention.heads import Head, Projector, projector_widths
from medjax.systems.ecg_attention.model import decoder_of, make_network
from medjax.systems.ecg_attention.names import (
    attention_decoder_layers,
    encoder_layers,
    head_layers,
    marcel_layers,
    multi_scale_decoder_layers,
    projector_layers,
    xresnet_layers,
)
from medjax.systems.ecg_attention.pretraining_network import CLASSIFIER_HIDDEN
from medjax.systems.ecg_attention.recognise import LIGHTNING, RECIPE, TEXT_WIDTH, describe
from medjax.systems.ecg_attention.sizes import EXPANSIONS
from medjax.weights.converter import Converter, Fields, Model, Shapes, shapes_of

SUPERCLASSES = ("CD", "HYP", "MI", "NORM", "STTC")
"""In the order of the original's columns."""
UNTOLD: dict[str, Any] = {
    "add_time_mask": True,
    "serial_attention": False,
    "lead_mask": False,
    "batchwise_dropout": False,
    "dropout": 0.2,
    "stem_channel_order": "feature_major",
    "lead_mask_assignment": "heads_first",
    "ablated_lead_branch": "duplicate",
    "dropout_placement": "published",
    "latent_sample_in_eval": True,
    "norm_output": False,
}
"""Options that change no name and no shape."""
CONTRAST = {"logit_scale": "log_scale", "logit_bias": "bias"}
"""Of losses that the original does not have: names of our own."""


def network_layers(model: Model) -> list[Layer]:
    """The table of an autoencoder."""
    if model["network"] == "marcel_vae":
        return marcel_layers()
    if model["network"] == "xresnet1d101":
        encoder = xresnet_layers()
    else:
        encoder = encoder_layers(model["leads"], model["down_blocks"])
        encoder = under(encoder, "encoder", ("encoder",))
    decoder = decoder_of(model)
    if decoder == "linear":
        return [*encoder, Layer("decoder", ("decoder", "linear"), "linear")]
    if decoder == "ms_resnet":
        return [*encoder, *multi_scale_decoder_layers()]
    table = attention_decoder_layers(model["up_blocks"])
    return [*encoder, *under(table, "decoder", ("decoder",))]


def layers(model: Model) -> list[Layer]:
    """The table of a whole file."""
    network = [
        layer._replace(published=model["prefix"] + layer.published)
        for layer in network_layers(model)
    ]
    return [
        *network,
        *under(projector_layers(), "ecg_projector", ("ecg_projector",)),
        *under(projector_layers(), "text_projector", ("text_projector",)),
        *under(head_layers(), "classifier", ("classifier",)),
        *under(head_layers(), "downsteam_net", ("head",)),
        *(Layer(name, (ours,), "parameter") for name, ours in CONTRAST.items()),
    ]


def shapes(model: Model) -> Shapes:
    """Return every name of the published file with its shape."""
    network = make_network({**UNTOLD, **model})
    made = {part: dict(tree) for part, tree in _made(network, model["leads"], model["time_steps"])}
    for name, (module, width) in _readers(model).items():
        for collection, tree in _made(module, width):
            made.setdefault(collection, {})[name] = tree
    return {**shapes_of(layers(model), made), **dict.fromkeys(model["contrast"], ())}


def _readers(model: Model) -> dict[str, tuple[nn.Module, int]]:
    """Return what reads the latent vector or the text, and how wide its input is."""
    latent = model["latent_dim"]
    readers: dict[str, tuple[nn.Module, int]] = {}
    if model["projector"]:
        *widths, text = model["projector"]
        readers["ecg_projector"] = (Projector(*widths), latent)
        readers["text_projector"] = (Projector(*widths), text)
    if model["classes"]:
        readers["classifier"] = (Head(model["classifier_hidden"], model["classes"]), latent)
    if model["risk"]:
        readers["head"] = (Head(model["risk"], 1), latent)
    return readers


def _made(module: nn.Module, *shape: int) -> ItemsView[str, Any]:
    """Return the collections of a module's variables, shapes alone, for one row of this shape."""
    row = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    init: Callable[..., Any] = partial(module.init, jax.random.key(0))
    if isinstance(module, Head):
        init = partial(init, valid=None, train=False)
    return jax.eval_shape(init, row).items()


def idle(model: Model) -> Mapping[str, np.ndarray]:
    """Return the LayerNorm that the original keeps where there is no lead attention to read it."""
    if model["network"] != "dual_attention" or model["lead_attention"]:
        return {}
    channels = model["base_features"] * EXPANSIONS[model["down_blocks"]]
    width = channels * (model["time_steps"] // 2 ** model["down_blocks"])
    name = f"{model['prefix']}encoder.attention.norm2"
    return {
        f"{name}.weight": np.ones(width, np.float32),
        f"{name}.bias": np.zeros(width, np.float32),
    }


def settings(model: Model) -> dict[str, Any]:
    """Return the fields of a stage that make its network the size of the weights."""
    return {f"model.{name}": model[name] for name in ("network", *RECIPE)}


def fields(model: Model) -> Fields:
    """Return the published column, with that of the text where the weights read text."""
    return Fields(published.MODEL, published.TEXT if model["projector"] else {})


def artefacts(model: Model) -> dict[str, Any]:
    """Return what a training run would have stored: the classes in the original's order."""
    if not model["classes"]:
        return {"labels": []}
    named = SUPERCLASSES if model["classes"] == len(SUPERCLASSES) else ()
    return {"labels": list(named) or [f"label {i + 1}" for i in range(model["classes"])]}


def of_stage(stage: Mapping[str, Any]) -> Model:
    """Return what the tables of names need, from the config of a stage."""
    model = {name: stage["model"][name] for name in ("network", *RECIPE)}
    pretraining = stage["kind"] == "pretrain"
    aligned = pretraining and stage["loss"]["alignment_loss"] != "none"
    classified = pretraining and stage["loss"]["superclass_weight"] > 0
    return {
        "prefix": LIGHTNING if pretraining else "",
        **model,
        "projector": [*projector_widths(model["latent_dim"]), TEXT_WIDTH] if aligned else [],
        "classes": len(SUPERCLASSES) if classified else 0,
        "classifier_hidden": CLASSIFIER_HIDDEN,
        "risk": 3 if stage["kind"] == "risk" else 0,
        "contrast": [],
    }


CONVERTER = Converter(
    describe=describe,
    shapes=shapes,
    layers=layers,
    idle=idle,
    settings=settings,
    fields=fields,
    artefacts=artefacts,
    of_stage=of_stage,
    bearing=lambda model: {"encoder": ("",)},
)
