"""MedFuse's encoders, fusions and losses."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medjax import losses
from medjax.nn.torch_names import from_torch, to_torch
from medjax.systems.medfuse.base import Prediction, TwoEncoders
from medjax.systems.medfuse.convert import (
    from_published,
    image_encoder_layers,
    series_encoder_layers,
)
from medjax.systems.medfuse.encoders import Head, SeriesEncoder, make_backbone
from medjax.systems.medfuse.mmtm import head_probabilities
from medjax.systems.medfuse.network import make_network
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
        "layer_after",
        "mmtm_ratio",
        "daft_activation",
        "missing_token",
        "align",
    }
)


def check_plain(case: Case) -> None:
    """Options that these handlers know only in one value."""
    assert not case.config["pretrained"]


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


def published_model(config: dict[str, Any], dtype: Any = jnp.float32) -> TwoEncoders:
    """The network of a case's options, as published."""
    common = {
        "fusion": config["fusion_type"],
        "backbone": config["vision_backbone"],
        "dim": config["dim"],
        "layers": config["layers"],
        "dropout": config["dropout"],
        "num_classes": config["num_classes"],
        "vision_num_classes": config["vision_num_classes"],
        "labels": config["labels_set"],
        "absent_images": "zeros",
        "dtype": dtype,
    }
    if config["fusion_type"] in ("mmtm", "daft"):
        common["layers"] = min(config["layers"], 2)  # The original reads two layers only.
    options = {
        "layer_after": config["layer_after"],
        "squeeze_mean": "padded",
        "mmtm_ratio": config["mmtm_ratio"],
        "daft_activation": config["daft_activation"],
        "modality_order": "ehr_first",
        "image_first_unpaired": "zero_image",
        "token_unpaired": "ehr_sep",
        "missing_token": config["missing_token"] or "none",
    }
    return make_network(common, options)


def reads_pairs(config: dict[str, Any]) -> bool:
    """Whether the original's fusion asks which rows have an image."""
    concatenated = config["fusion_type"] in ("joint", "early")
    return config["fusion_type"].startswith("lstm") or (concatenated and config["missing_token"])


def model_inputs(config: dict[str, Any], inputs: dict[str, np.ndarray], suffix: str = "") -> dict:
    """Our model's arguments from the original's."""
    length = inputs["seq_lengths" + suffix]
    has_image = inputs.get("pairs" + suffix, np.ones(len(length), bool))
    if config["labels_set"] == "radiology":
        # There an unpaired row is one without a series; every row has its image.
        length, has_image = np.where(has_image, length, 0), np.ones_like(has_image)
    elif not reads_pairs(config):
        has_image = np.ones_like(has_image)  # The other fusions read the images as they stand.
    return {
        "series": inputs["x" + suffix],
        "length": length.astype(np.int32),
        "image": channels_last(inputs["img" + suffix]),
        "has_image": has_image,
        "mask": np.ones(len(length), bool),
    }


def predict(
    model: TwoEncoders, variables: dict[str, Any], inputs: dict[str, np.ndarray]
) -> Prediction:
    return jax.jit(partial(model.apply, train=False))(variables, **inputs)


def variables_of(case: Case) -> dict[str, Any]:
    """Our variables from a case's weights."""
    backbone, layers = case.config["vision_backbone"], case.config["layers"]
    return from_published(case.weights, backbone=backbone, layers=layers)


def fused_outputs(config: dict[str, Any], prediction: Prediction) -> dict[str, np.ndarray]:
    """What the original's vector fusions give."""
    name = config["fusion_type"]
    names = ("joint", "early", "unified") if name in ("joint", "early", "unified") else (name,)
    features = {"ehr_feats": prediction.ehr, "cxr_feats": prediction.cxr}
    return {
        **dict.fromkeys(names, jax.nn.sigmoid(prediction.logits)),
        **{key: value for key, value in features.items() if value is not None},
    }


@handles("medfuse", "fusion", config=OPTIONS)
def fusion(case: Case) -> dict[str, np.ndarray]:
    check_plain(case)
    config = case.config
    assert not config["train_mode"] and config["missing_token"] is None
    inputs = model_inputs(config, case.inputs)
    return fused_outputs(config, predict(published_model(config), variables_of(case), inputs))


@handles("medfuse", "fusion_reversed", config=OPTIONS)
def fusion_reversed(case: Case) -> dict[str, np.ndarray]:
    check_plain(case)
    config = case.config
    assert not config["train_mode"] and config["missing_token"] is None
    model = published_model(config).clone(modality_order="image_first")
    inputs = model_inputs(config, case.inputs)
    return fused_outputs(config, predict(model, variables_of(case), inputs))


@handles("medfuse", "token_fusion", config=OPTIONS)
def token_fusion(case: Case) -> dict[str, np.ndarray]:
    """The original reads the image of every row, with a token instead of an unpaired one's features
    in the fusion only: the average of both heads and the alignment see the images all the same."""
    check_plain(case)
    config, variables = case.config, variables_of(case)
    assert not config["train_mode"]
    model, inputs = published_model(config), model_inputs(config, case.inputs)
    outputs = fused_outputs(config, predict(model, variables, inputs))
    if config["fusion_type"] in ("joint", "early"):
        every_image = {**inputs, "has_image": np.ones_like(inputs["has_image"])}
        alone = [
            jax.nn.sigmoid(predict(model.clone(fusion=name), variables, every_image).logits)
            for name in ("uni_ehr", "uni_cxr")
        ]
        outputs["late_avg"] = (alone[0] + alone[1]) / 2
        outputs["align_loss"] = predict(model, variables, every_image).alignment
    return outputs


@handles("medfuse", "mmtm", config=OPTIONS)
def mmtm(case: Case) -> dict[str, np.ndarray]:
    check_plain(case)
    config = case.config
    assert not config["train_mode"]
    inputs = model_inputs(config, case.inputs)
    prediction = predict(published_model(config), variables_of(case), inputs)
    logits = {**prediction.heads, "joint": prediction.logits}
    return {
        **{name: jax.nn.sigmoid(value) for name, value in logits.items()},
        **{f"{name}_scores": value for name, value in logits.items()},
        "late_average": head_probabilities(prediction.heads)["late_average"],
        "late_average_scores": (logits["cxr_only"] + logits["ehr_only"]) / 2,
        "align_loss": prediction.alignment,
    }


@handles("medfuse", "daft", config=OPTIONS)
def daft(case: Case) -> dict[str, np.ndarray]:
    check_plain(case)
    config = case.config
    assert not config["train_mode"]
    inputs = model_inputs(config, case.inputs)
    logits = predict(published_model(config), variables_of(case), inputs).logits
    return {"daft_fusion": jax.nn.sigmoid(logits), "daft_fusion_scores": logits}


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
