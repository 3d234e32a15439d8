"""MedKLIP's networks and losses, and the replication's, on one batch."""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medjax import losses
from medjax.data.radgraph.vocabulary import ENTITIES, RARE_CLASSES
from medjax.losses.segmentation import dice_cross_entropy
from medjax.metrics.segmentation import mask_scores
from medjax.nn.bert import Bert, BertConfig, pool_tokens
from medjax.nn.torch_names import Layer, bert_layers, from_torch, names_of, to_torch, under
from medjax.systems.medklip import names
from medjax.systems.medklip.classifier import Classifier
from medjax.systems.medklip.decoder import Decoder
from medjax.systems.medklip.encoder import ImageEncoder, make_resnet
from medjax.systems.medklip.fusion import Fusion
from medjax.systems.medklip.loss import kept_queries, position_logits, readme_losses
from medjax.systems.medklip.model import MedKLIP
from medjax.systems.medklip.notebook_labels import rule_triplets, substring_labels
from medjax.systems.medklip.pretraining_loss import Weights, make_loss
from medjax.systems.medklip.segmentation import ResUNet
from tests.parity.harness import Case, handles

MODEL = frozenset(
    {
        *("d_model", "res_base_model", "H", "N", "num_queries", "dropout"),
        *("attribute_set_size", "text_encoder"),
    }
)
EXCLUDED = tuple(ENTITIES.index(name) for name in RARE_CLASSES)


def channels_last(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 2, 3, 1)


def channels_first(maps: jax.Array) -> np.ndarray:
    return np.asarray(maps).transpose(0, 3, 1, 2)


def only(layers: Iterable[Layer], weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights that a table knows."""
    known = {name for layer in layers for name in names_of(layer)}
    return {name: array for name, array in weights.items() if name in known}


def feedforward_of(case: Case, prefix: str) -> int:
    """The width of the decoder's perceptrons, a constant of the original."""
    return case.weights[f"{prefix}layers.0.linear1.weight"].shape[0]


def encoder_of(config: Mapping[str, Any], dtype: Any = jnp.float32) -> ImageEncoder:
    return ImageEncoder(backbone=config["res_base_model"], dim=config["d_model"], dtype=dtype)


def published_model(case: Case, dtype: Any = jnp.float32) -> MedKLIP:
    """The network of a case's options, without dropout."""
    config = case.config
    decoder = Decoder(
        config["d_model"],
        config["N"],
        config["H"],
        feedforward_of(case, "decoder."),
        dropout=0.0,
        dtype=dtype,
    )
    return MedKLIP(
        encoder_of(config, dtype),
        decoder,
        text_dim=case.weights["cl_fc.weight"].shape[0],
        attributes=config["attribute_set_size"],
        dropout=0.0,
        dtype=dtype,
    )


def published_layers(config: Mapping[str, Any]) -> list[Layer]:
    return names.medklip_layers(config["res_base_model"], layers=config["N"])


@handles("medklip", "image_encoder", config=MODEL | {"bn_train"})
def image_encoder(case: Case) -> dict[str, np.ndarray]:
    train = case.config.get("bn_train", False)
    encoder, table = encoder_of(case.config), published_layers(case.config)
    variables = from_torch(table, case.weights)
    variables = {k: v["encoder"] for k, v in variables.items() if "encoder" in v}

    @jax.jit
    def run(variables, images):
        def both(bound, images):
            features = bound.features(images, train=train)
            return features, bound.project(features)

        return encoder.apply(variables, images, method=both, mutable=["batch_stats"])

    images = channels_last(case.inputs["images"])
    (features, patches), moved = run(variables, images)
    side = images.shape[1] // 16, images.shape[2] // 16
    told = {
        "res_features": channels_first(features.reshape(len(features), *side, -1)),
        "patch_embeddings": patches,
    }
    if train:
        state = to_torch(table, {"batch_stats": {"encoder": moved["batch_stats"]}})
        told["bn1_running_mean_after"] = state["res_features.1.running_mean"]
        told["bn1_running_var_after"] = state["res_features.1.running_var"]
    return told


@handles("medklip", "decoder", config={"d_model", "H", "ff", "N", "normalize_before"})
def decoder(case: Case) -> dict[str, np.ndarray]:
    """The post-norm layer of the original discards what self-attention gives."""
    config = case.config
    model = Decoder(
        config["d_model"],
        config["N"],
        config["H"],
        config["ff"],
        norm="pre" if config["normalize_before"] else "post",
        self_attention="added" if config["normalize_before"] else "discarded",
    )
    variables = from_torch(names.decoder_layers(config["N"]), case.weights)
    query, memory = (case.inputs[name].swapaxes(0, 1) for name in ("query", "memory"))
    out, maps = model.apply(variables, query, memory, train=False)
    return {
        "out": out.swapaxes(0, 1),
        **{f"attention_layer{index}": attention for index, attention in enumerate(maps)},
    }


@handles("medklip", "text_path", config={"bert", "hidden_act", "layer_norm_eps"})
def text_path(case: Case) -> dict[str, np.ndarray]:
    options = case.config
    assert options["hidden_act"] == "gelu (exact erf)"
    config = BertConfig(**options["bert"], layer_norm_eps=options["layer_norm_eps"])
    table = under(bert_layers(config.num_hidden_layers), "bert", ("bert",))
    weights = {k: v for k, v in case.weights.items() if not k.startswith("bert.pooler.")}
    bert = from_torch(table, only(table, weights))["params"]["bert"]
    inputs = case.inputs["input_ids"], case.inputs["attention_mask"]
    hidden = jax.jit(Bert(config).apply)({"params": bert}, *inputs).last
    book = pool_tokens(hidden, case.inputs["attention_mask"], "first_token")
    query = book @ case.weights["disease_embedding_layer.weight"].T
    return {
        "last_hidden_state": hidden,
        "book": book,
        "query": query + case.weights["disease_embedding_layer.bias"],
    }


@handles("medklip", "forward_eval", config=MODEL)
def forward_eval(case: Case) -> dict[str, np.ndarray]:
    variables = from_torch(published_layers(case.config), case.weights)
    run = jax.jit(partial(published_model(case).apply, train=False))
    reading = run(variables, channels_last(case.inputs["images"]), case.inputs["disease_book"])
    return {
        "existence_logits": reading.logits,
        "existence_probability": jax.nn.softmax(reading.logits)[..., 1],
        **{f"attention_layer{index}": maps for index, maps in enumerate(reading.attention)},
    }


def published_weights(config: Mapping[str, Any]) -> Weights:
    """The weights of both losses by a case's options."""
    return Weights(
        position=0.0 if config["no_cl"] else 1.0,
        excluded=EXCLUDED if config["exclude_class"] else (),
        empty="nan",
    )


def batch_of(inputs: Mapping[str, np.ndarray], step: int | None = None) -> dict[str, Any]:
    """A batch as the loss reads it; step: of a case with several."""
    images, labels, index = (
        inputs[name] if step is None else inputs[name][step]
        for name in ("images", "labels", "sample_index")
    )
    return {
        "image": channels_last(images),
        "labels": labels,
        "position_index": index.astype(np.int32),
        "entity_book": inputs["disease_book"],
        "position_book": inputs["ana_book"],
        "mask": np.ones(len(images), bool),
    }


@handles("medklip", "forward_loss", config=MODEL | {"bn_train", "no_cl", "exclude_class"})
def forward_loss(case: Case) -> dict[str, np.ndarray]:
    config = case.config
    model, table = published_model(case), published_layers(config)
    weights, batch = published_weights(config), batch_of(case.inputs)
    variables = from_torch(table, case.weights)
    loss = make_loss(model, weights, train=config["bn_train"])

    @jax.jit
    def run(variables, batch):
        def of_params(params):
            return loss({**variables, "params": params}, batch, jax.random.key(0), 0)

        reading, _ = model.apply(
            variables,
            batch["image"],
            batch["entity_book"],
            train=config["bn_train"],
            mutable=["batch_stats"],
        )
        return reading, *jax.value_and_grad(of_params, has_aux=True)(variables["params"])

    reading, (total, aux), grads = run(variables, batch)
    labels = batch["labels"]
    kept = np.asarray(kept_queries(labels.shape[1], weights.excluded))
    known, present = (labels != -1) & (labels != 2) & kept, (labels == 1) & kept
    candidates = position_logits(reading.position, batch["position_book"], batch["position_index"])
    state = to_torch(table, {"params": grads})
    told = {
        "loss": total,
        "loss_ce": aux.metrics["existence"],
        "loss_cl": aux.metrics.get("position", np.float32(0)),
        "masked_existence_logits": np.asarray(reading.logits)[known],
        "masked_existence_labels": labels[known].astype(np.int64),
        "masked_position_logits": np.asarray(candidates)[present],
    }
    for name in case.expected:
        what, _, weight = name.partition(":")
        if what == "grad_abs_mean":
            told[name] = np.abs(state[weight]).mean()
    return told


@handles("medklip", "classification_finetune_eval", config={"res_base_model", "out_size"})
def classification_finetune_eval(case: Case) -> dict[str, np.ndarray]:
    backbone = case.config["res_base_model"]
    model = Classifier(backbone, outputs=case.config["out_size"])
    variables = from_torch(names.classifier_layers(backbone), case.weights)
    run = jax.jit(partial(model.apply, train=False))
    logits, features = run(variables, channels_last(case.inputs["images"]))
    entropy = losses.sigmoid_cross_entropy(logits, case.inputs["labels"])
    return {"logits": logits, "features": features, "bce": losses.masked_mean(entropy)}


@handles("medklip", "resunet_eval", config={"out_size"})
def resunet_eval(case: Case) -> dict[str, np.ndarray]:
    model = ResUNet(outputs=case.config["out_size"])
    variables = from_torch(names.segmentation_layers(), case.weights)
    run = jax.jit(partial(model.apply, train=False))
    logits = run(variables, channels_last(case.inputs["images"]))
    mask = channels_last(case.inputs["mask"])
    scores = mask_scores(np.asarray(jax.nn.sigmoid(logits)), mask)
    groups = [np.ones_like(scores.positive), ~scores.positive, scores.positive]
    means = [scores.dice[rows].mean() if rows.any() else 0.0 for rows in groups]
    return {
        "logits": channels_first(logits),
        "dice_bce": dice_cross_entropy(logits, mask),
        "dice_mean_neg_pos": np.array(means),
        "num_neg_pos": np.array([rows.sum() for rows in groups[1:]]),
        "miou": scores.union.mean(),
    }


@handles("medklip", "cmtalha_backbone", config={"bn_train"})
def cmtalha_backbone(case: Case) -> dict[str, np.ndarray]:
    """timm's names are torchvision's."""
    train = case.config["bn_train"]
    table = names.network_layers("resnet50", 4)
    network = make_resnet("resnet50", 4)
    variables = from_torch(table, case.weights)

    @jax.jit
    def run(variables, images):
        return network.apply(variables, images, train=train, method="maps", mutable=["batch_stats"])

    maps, moved = run(variables, channels_last(case.inputs["images"]))
    state = to_torch(table, moved)
    return {
        "feature_map": channels_first(maps[-1]),
        "bn1_running_mean_after": state["bn1.running_mean"],
    }


def fusion_of(case: Case, heads: int, norm: str = "post", dtype: Any = jnp.float32) -> Fusion:
    """The notebook's fusion model, without dropout; its image network is left out."""
    width, channels = case.weights["img_proj.weight"].shape
    layers = 0
    while f"fusion.decoder.layers.{layers}.linear1.weight" in case.weights:
        layers += 1
    decoder = Decoder(
        width,
        layers,
        heads,
        feedforward_of(case, "fusion.decoder."),
        dropout=0.0,
        norm=norm,
        final_norm=False,
        dtype=dtype,
    )
    assert channels == 2048
    encoder = ImageEncoder(stages=4, dim=width, projection="linear", dtype=dtype)
    return Fusion(
        encoder,
        decoder,
        text_dim=case.weights["proj_text.weight"].shape[1],
        heads=False,
        attention_map="output_dot_patches",
        backbone_statistics="batch_always",
        dtype=dtype,
    )


def fusion_table(case: Case) -> list[Layer]:
    layers = sum(name.endswith("linear1.weight") for name in case.weights)
    return names.fusion_layers(layers)


def read_maps(bound: Fusion, maps: jax.Array, hidden: jax.Array) -> tuple:
    """Read maps [batch, channels, height, width] of the image network and states of the text."""
    features = maps.reshape(*maps.shape[:2], -1).swapaxes(1, 2)
    patches = bound.encoder.project(features)
    mask = jnp.ones(hidden.shape[:2])
    book = pool_tokens(hidden, mask, "mean_with_padding")
    return patches, bound.query(book), bound.read(patches, book, train=True)


@handles("medklip", "cmtalha_fusion_forward", config={"d_model", "nhead", "layers", "ff", "norm"})
def cmtalha_fusion_forward(case: Case) -> dict[str, np.ndarray]:
    config = case.config
    model = fusion_of(case, config["nhead"], config["norm"])
    decoder = model.decoder
    assert (decoder.width, decoder.layers) == (config["d_model"], config["layers"])
    assert decoder.feedforward == config["ff"]
    variables = from_torch(fusion_table(case), case.weights)
    inputs = case.inputs["feature_map"], case.inputs["text_hidden"]
    patches, query, reading = jax.jit(partial(model.apply, method=read_maps))(variables, *inputs)
    entropy = losses.sigmoid_cross_entropy(reading.logits, case.inputs["labels"])
    return {
        "V": patches,
        "query": query,
        "existence_logits": reading.logits,
        "attention": reading.attention,
        "bce": losses.masked_mean(entropy),
    }


@handles("medklip", "cmtalha_readme_losses", config={"alpha1", "alpha2"})
def cmtalha_readme_losses(case: Case) -> dict[str, np.ndarray]:
    i = case.inputs
    terms = readme_losses(
        i["probability"],
        i["labels"],
        i["anchor"],
        i["positions"],
        i["positive_index"],
        i["h"],
        i["g"],
        case.config["alpha1"],
        case.config["alpha2"],
    )
    named = zip(("L_cls", "L_pos", "L_sem", "L_total"), terms, strict=True)
    return {name: np.asarray(value) for name, value in named}


@handles("medklip", "cmtalha_text_labels", config={"entities"}, asserts={"triplets_json"})
def cmtalha_text_labels(case: Case) -> dict[str, np.ndarray]:
    def from_json(array: np.ndarray) -> Any:
        return json.loads(array.tobytes().decode())

    reports = from_json(case.inputs["reports_json"])
    annotations = from_json(case.inputs["annotations_json"])
    triplets = {
        report: rule_triplets(report, annotation["entities"])
        for report, annotation in annotations.items()
    }
    assert triplets == from_json(case.expected["triplets_json"])
    return {"labels": substring_labels(reports, case.config["entities"])}
