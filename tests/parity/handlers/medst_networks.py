"""The encoders of MedST and MGCA."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from medjax.losses.alignment import unit
from medjax.nn.bert import BertConfig
from medjax.nn.torch_names import Layer, from_torch, to_torch
from medjax.nn.vit import ViTConfig
from medjax.systems.medst.names import (
    IDLE,
    image_encoder_layers,
    text_encoder_layers,
    view_vit_layers,
)
from medjax.systems.medst.networks.image_encoder import ImageEncoder
from medjax.systems.medst.networks.text_encoder import TextEncoder, Tokens
from medjax.systems.medst.networks.vit import ViewViT
from medjax.text.wordpiece import PADDING, WordPiece, make_wordpiece
from medjax.text.words import word_rows, word_texts
from tests.parity.harness import Case, handles

VOCABULARY = "vocab.txt"
SEVERAL_VIEWS = ("frontal", "lateral")


def channels_last(images: np.ndarray) -> np.ndarray:
    """[batch, channel, height, width] -> [batch, height, width, channel]."""
    return np.moveaxis(images, 1, -1)


def wordpiece_of(case: Case) -> WordPiece:
    """The vocabulary beside the cases of the system."""
    return make_wordpiece((case.folder.parent / VOCABULARY).read_text().splitlines())


def vit_config(arch: Mapping[str, Any]) -> ViTConfig:
    """The sizes of a case's transformer."""
    return ViTConfig(arch["img"], arch["patch"], arch["dim"], arch["depth"], arch["heads"])


def bert_config(arch: Mapping[str, Any], vocabulary: int) -> BertConfig:
    """The sizes of a case's BERT, without dropout."""
    sizes = arch["bert"]
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=sizes["hidden"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["inter"],
        max_position_embeddings=sizes["maxpos"],
        type_vocab_size=0,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def in_use(weights: Mapping[str, np.ndarray], attention: bool = False) -> dict[str, np.ndarray]:
    """The weights that have an effect; attention: whether there are layers of local attention."""
    idle = [part for part in IDLE if not (attention and "local_atten" in part)]
    return {n: x for n, x in weights.items() if not any(part in n for part in idle)}


def buffers(
    case: Case, layers: list[Layer], variables: Mapping[str, Any], moved: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The outputs "after:<name>", from variables whose collections `moved` replaces."""
    named = to_torch(layers, jax.device_get({**variables, **moved}))
    names = [name for name in case.expected if name.startswith("after:")]
    return {name: named[name.removeprefix("after:")] for name in names}


VIT = {"img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio"}


@handles("medst", "vit", config=VIT | {"view_type", "register_blk", "runner"})
def vit(case: Case) -> dict[str, np.ndarray]:
    """One view or two; one with a view type other than "frontal" is lateral."""
    config = case.config
    sizes = ("img_size", "patch_size", "embed_dim", "depth", "num_heads")
    options = ViTConfig(*(config[name] for name in sizes), mlp_ratio=config.get("mlp_ratio", 4.0))
    model = ViewViT(options)
    variables = from_torch(view_vit_layers(options.layers), case.weights)
    films = [channels_last(case.inputs[name]) for name in SEVERAL_VIEWS if name in case.inputs]
    if len(films) == 2:
        has_lateral = case.inputs["lateral_missing"] == 0
        run = partial(model.apply, method="two_views", train=False)
        tokens, seen = jax.jit(run)(variables, *films, has_lateral)
    else:
        view = "frontal" if config["view_type"] in ("frontal", None) else "lateral"
        run = partial(model.apply, view=view, method="one_view", train=False)
        tokens, seen = jax.jit(run)(variables, *films)
    outputs = {"tokens": tokens}
    if config["register_blk"] >= 0:
        outputs["attention_map_last_cls_row"] = seen[config["register_blk"]]
    return outputs


def all_patches(patches: np.ndarray, lateral: np.ndarray | None) -> np.ndarray:
    """Patches of both views in the original's order."""
    return patches if lateral is None else np.concatenate([patches, lateral], 1)


@handles("medst", "image_encoder", config={"arch", "mode", "runner"})
def image_encoder(case: Case) -> dict[str, np.ndarray]:
    arch, train = case.config["arch"], case.config["mode"] == "train"
    model = ImageEncoder(vit_config(arch), hidden=arch["hid"], dim=arch["emb"])
    layers = image_encoder_layers(model.backbone)
    variables = from_torch(layers, in_use(case.weights))
    films = [channels_last(case.inputs[name]) for name in SEVERAL_VIEWS]
    has_lateral = case.inputs["lateral_missing"] == 0
    run = partial(model.apply, train=train, mutable=["batch_stats"] if train else False)
    out = jax.jit(run)(variables, *films, has_lateral)
    (features, embedded), moved = out if train else (out, {})
    local = all_patches(embedded.patches, embedded.lateral)
    return {
        "img_feat": features.image,
        "patch_feat": all_patches(features.patches, features.lateral),
        "global_embed": embedded.image,
        "global_embed_normalized": unit(embedded.image),
        "local_embed_first16": local[:, :16],
        "local_embed_mean": local.mean(1),
        **buffers(case, layers, variables, moved),
    }


@handles("medst", "mgca_resnet50", config={"emb", "hid", "runner"})
def mgca_resnet50(case: Case) -> dict[str, np.ndarray]:
    model = ImageEncoder("resnet50", hidden=case.config["hid"], dim=case.config["emb"])
    variables = from_torch(image_encoder_layers("resnet50"), case.weights)
    run = jax.jit(partial(model.apply, train=False))
    features, embedded = run(variables, channels_last(case.inputs["imgs"]))
    outputs = {
        "img_feat": features.image,
        "patch_feat_mean": features.patches.mean(1),
        "global_embed": embedded.image,
    }
    for name in case.expected:
        stem, _, numbers = name.partition("_tokens_")
        if numbers:
            of = {"patch_feat": features.patches, "local_embed": embedded.patches}[stem]
            outputs[name] = of[:, [int(number) for number in numbers.split("_")]]
    return outputs


def tokens_of(case: Case, prefix: str = "", aggregation: str = "truncated") -> Tokens:
    """The texts of a case, with the words that the original visits."""
    ids = case.inputs[f"{prefix}caption_ids"]
    mask = case.inputs[f"{prefix}attention_mask"]
    return Tokens(ids, mask, word_rows(ids, wordpiece_of(case), aggregation))


@handles("medst", "bert", config={"arch", "runner"})
def bert(case: Case) -> dict[str, np.ndarray]:
    assert not case.inputs["token_type_ids"].any()
    arch, wordpiece = case.config["arch"], wordpiece_of(case)
    model = TextEncoder(
        bert_config(arch, len(wordpiece.ids)), "zero", "truncated", arch["hid"], arch["emb"]
    )
    layers = text_encoder_layers(arch["bert"]["layers"])
    variables = from_torch(layers, in_use(case.weights))
    tokens = tokens_of(case)
    features, embedded = jax.jit(partial(model.apply, train=False))(variables, tokens)
    texts = word_texts(np.asarray(tokens.ids), np.asarray(tokens.words), wordpiece)
    padding = [[PADDING] * (tokens.ids.shape[1] - len(words)) for words in texts]
    return {
        "last_hidden_state": features.last,
        "last_layer_cls_attention": features.token_attention[:, 1:],
        "report_feat": features.text,
        "word_feat": features.words,
        "word_attention": features.attention,
        "words": np.array([words + rest for words, rest in zip(texts, padding)]),
        "report_embed": embedded.text,
        "word_embed": embedded.words,
    }
