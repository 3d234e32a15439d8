"""MedFuse's encoders, fusions and losses."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medjax import losses
from medjax.nn.torch_names import from_torch, to_torch
from medjax.systems.medfuse.convert import (
    from_published,
    image_encoder_layers,
    series_encoder_layers,
)
from medjax.systems.medfuse.encoders import Head, SeriesEncoder, make_backbone
from medjax.systems.medfuse.model import MedFuse
from tests.parity.harness import Case, handles

OPTIONS = frozenset(
    {
        "vision_backbone",
        "pretrained",
        "vision_num_classes",
        "num_classes",
        "labels_set",
        "fusion_type",
        "dim",
        "dropout",
        "layers",
        "kind",
        "train_mode",
        # Of classes that none of these kinds builds; align stands at 0 throughout.
        "layer_after",
        "mmtm_ratio",
        "daft_activation",
        "missing_token",
        "align",
    }
)


def check_plain(case: Case) -> None:
    """Options that these handlers know only in one value."""
    assert not case.config["pretrained"] and case.config["align"] == 0


def channels_last(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 2, 3, 1)


def sub(variables: dict[str, Any], part: str) -> dict[str, Any]:
    """The variables of one part of the tree."""
    return {collection: tree[part] for collection, tree in variables.items() if part in tree}


@handles("medfuse", "lstm_encoder", config=OPTIONS)
def lstm_encoder(case: Case) -> dict[str, np.ndarray]:
    check_plain(case)
    config = case.config
    assert not config["train_mode"]
    variables = from_torch(series_encoder_layers(config["layers"]), case.weights)
    encoder = SeriesEncoder(config["dim"], config["layers"], config["dropout"])
    features = encoder.apply(
        sub(variables, "ehr"), case.inputs["x"], case.inputs["seq_lengths"], train=False
    )
    logits = Head(config["num_classes"]).apply(sub(variables, "ehr_head"), features)
    return {"scores": jax.nn.sigmoid(logits), "feats": features}


def image_outputs(case: Case, features: jax.Array, variables: dict) -> dict[str, np.ndarray]:
    head = Head(case.config["vision_num_classes"])
    probabilities = jax.nn.sigmoid(head.apply(sub(variables, "cxr_head"), features))
    outputs = {"feats": features, "preds": probabilities}
    if "labels" in case.inputs:
        entropy = losses.binary_cross_entropy(probabilities, case.inputs["labels"])
        outputs["bce"] = losses.masked_mean(entropy)
    return outputs


@handles("medfuse", "cxr_encoder", config=OPTIONS)
def cxr_encoder(case: Case) -> dict[str, np.ndarray]:
    check_plain(case)
    backbone = case.config["vision_backbone"]
    variables = from_torch(image_encoder_layers(backbone), case.weights)
    network = make_backbone(backbone)
    images = channels_last(case.inputs["img"])
    features = jax.jit(partial(network.apply, train=False))(sub(variables, "cxr"), images)
    outputs = image_outputs(case, features, variables)
    if "gap_stem" in case.expected:
        maps_of = jax.jit(partial(network.apply, train=False, method="maps"))
        maps = maps_of(sub(variables, "cxr"), images)
        names = ["stem", *(f"layer{i}" for i in range(1, len(maps)))]
        outputs |= {f"gap_{name}": m.mean((1, 2)) for name, m in zip(names, maps)}
    return outputs


@handles("medfuse", "cxr_encoder_train", config=OPTIONS)
def cxr_encoder_train(case: Case) -> dict[str, np.ndarray]:
    check_plain(case)
    assert case.config["train_mode"]
    backbone = case.config["vision_backbone"]
    table = image_encoder_layers(backbone)
    variables = from_torch(table, case.weights)
    apply = jax.jit(partial(make_backbone(backbone).apply, train=True, mutable=["batch_stats"]))
    features, moved = apply(sub(variables, "cxr"), channels_last(case.inputs["img"]))
    state = to_torch(table, {"batch_stats": {"cxr": moved["batch_stats"]}})
    return {
        **image_outputs(case, features, variables),
        **{f"state:{name}": value for name, value in state.items()},
    }


def published_model(config: dict[str, Any]) -> MedFuse:
    """The model of a case's options, as published."""
    return MedFuse(
        fusion=config["fusion_type"],
        backbone=config["vision_backbone"],
        dim=config["dim"],
        layers=config["layers"],
        dropout=config["dropout"],
        num_classes=config["num_classes"],
        vision_num_classes=config["vision_num_classes"],
        labels=config["labels_set"],
        absent_images="zeros",
    )


def model_inputs(config: dict[str, Any], inputs: dict[str, np.ndarray], suffix: str = "") -> dict:
    """Our model's arguments from the original's."""
    length, has_image = inputs["seq_lengths" + suffix], inputs["pairs" + suffix]
    if config["labels_set"] == "radiology":
        # There an unpaired row is one without a series; every row has its image.
        length, has_image = np.where(has_image, length, 0), np.ones_like(has_image)
    elif config["fusion_type"] != "lstm":
        has_image = np.ones_like(has_image)  # The other fusions read the images as they stand.
    return {
        "series": inputs["x" + suffix],
        "length": length.astype(np.int32),
        "image": channels_last(inputs["img" + suffix]),
        "has_image": has_image,
        "mask": np.ones(len(length), bool),
    }


@handles("medfuse", "fusion", config=OPTIONS)
def fusion(case: Case) -> dict[str, np.ndarray]:
    check_plain(case)
    config = case.config
    assert not config["train_mode"]
    name = config["fusion_type"]
    variables = from_published(
        case.weights, backbone=config["vision_backbone"], layers=config["layers"]
    )
    apply = jax.jit(partial(published_model(config).apply, train=False))
    prediction = apply(variables, **model_inputs(config, case.inputs))
    probabilities = jax.nn.sigmoid(prediction.logits)
    names = ("joint", "early", "unified") if name in ("joint", "early", "unified") else (name,)
    features = {"ehr_feats": prediction.ehr, "cxr_feats": prediction.cxr}
    return {
        **dict.fromkeys(names, probabilities),
        **{key: value for key, value in features.items() if value is not None},
    }


@handles("medfuse", "losses", config={"temperature", "neg_penalty"})
def alignment_losses(case: Case) -> dict[str, np.ndarray]:
    inputs, temperature = case.inputs, case.config["temperature"]
    first, second = jnp.asarray(inputs["emb1"]), jnp.asarray(inputs["emb2"])

    def kl(first: jax.Array, second: jax.Array) -> jax.Array:
        return losses.kl_alignment(first, second, temperature)

    chosen = inputs["class_ids"]
    ranking = losses.ranking(
        inputs["ranks"][:, chosen], inputs["labels"][:, chosen], case.config["neg_penalty"]
    )
    entropy = losses.binary_cross_entropy(jnp.asarray(inputs["prob"]), inputs["target"])
    target_gradient = jax.grad(kl, 0)(first, second)
    return {
        "kl": kl(first, second),
        "kl_grad_emb2": jax.grad(kl, 1)(first, second),
        "kl_grad_emb1_is_none": np.float32(not np.any(target_gradient)),
        "cosine": losses.cosine_alignment(first, second),
        "cosine_grad_first": jax.grad(losses.cosine_alignment)(first, second),
        "ranking": np.reshape(ranking, (1,)),
        "bce": losses.masked_mean(entropy),
    }
