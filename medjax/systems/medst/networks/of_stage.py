"""The network of a stage as its options ask for it, and what it reads of a batch."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from medjax.nn.bert import BertConfig
from medjax.run.system import Batch, Variables
from medjax.systems.medst.networks.backbones import backbone_of
from medjax.systems.medst.networks.model import MGCA, Films, FilmsAndReports, MedST
from medjax.systems.medst.networks.text_encoder import Tokens

METHODS = {"medst": MedST, "mgca": MGCA}


def make_network(config: ConfigDict, stage: ConfigDict, vocabulary: int) -> FilmsAndReports:
    """Return the network of pre-training that a stage trains or reads with.

    vocabulary: number of tokens of its texts.
    """
    options = stage.model
    groups = groups_of(stage, options.batch_statistics)
    more = {"prototypes": options.prototypes} if options.method == "mgca" else {}
    return METHODS[options.method](
        backbone=backbone_of(options.backbone, config.data.image.crop),
        width=options.width,
        bert_config=bert_config(options.text, vocabulary),
        text_positions=options.text_positions,
        word_aggregation=options.word_aggregation,
        hidden=options.head_hidden,
        dim=options.dim,
        local_temperature=options.local_temperature,
        heads=options.attention_heads,
        attention_layers=options.attention_layers,
        normalize_patch_context=options.normalize_patch_context,
        mask_padding_words=options.mask_padding_words,
        mask_missing_lateral=options.mask_missing_lateral,
        groups=groups,
        parts=options.groups,
        dtype=jnp.dtype(config.precision),
        resnet_side=options.resnet_side,
        **more,
    )


def groups_of(stage: ConfigDict, scope: str) -> int:
    """Return of how many parts of a batch something is worked out: "global" or "per_group"."""
    return stage.model.groups if scope == "per_group" else 1


def bert_config(options: ConfigDict, vocabulary: int) -> BertConfig:
    """Return the sizes of a text encoder; it has no token types and no pooler."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        intermediate_size=options.feedforward,
        max_position_embeddings=options.max_positions,
        type_vocab_size=0,
        hidden_dropout_prob=options.dropout,
        attention_probs_dropout_prob=options.dropout,
    )


def init_network(config: ConfigDict, model: FilmsAndReports, key: jax.Array) -> Variables:
    """Return fresh variables, those of parts too that a stage's batches do not reach."""
    rows, side = model.parts, config.data.image.crop
    films = jnp.zeros((rows, side, side, 3), model.dtype)
    lateral = Films(films, films, jnp.ones(rows, bool)) if model.experts else Films(films)
    ids = jnp.zeros((rows, config.data.max_tokens), jnp.int32)
    tokens = Tokens(ids, jnp.ones_like(ids, bool), jnp.zeros_like(ids))
    return model.init({"params": key}, lateral, tokens, train=False)


def normalised(images: jax.Array, there: jax.Array | None = None) -> jax.Array:
    """Return uint8 films [..., side, side, 1] as float32 [..., side, side, 3] from -1 to 1.

    there: bool [...]; a film that is not there becomes 0, a mean grey.
    """
    images = (jnp.asarray(images).astype(jnp.float32) / 255 - 0.5) / 0.5
    if there is not None:
        images = jnp.where(there[..., None, None, None], images, 0)
    return jnp.broadcast_to(images, (*images.shape[:-1], 3))


def films_in(batch: Batch) -> Films:
    """Return the films of a batch of pre-training."""
    frontal = normalised(batch["image"])
    if "lateral" not in batch:
        return Films(frontal)
    return Films(frontal, normalised(batch["lateral"], batch["has_lateral"]), batch["has_lateral"])


def tokens_in(batch: Batch, prefix: str = "caption") -> Tokens:
    """Return the texts of a batch, `<prefix>_ids` and so on."""
    return Tokens(*(batch[f"{prefix}_{name}"] for name in ("ids", "mask", "words")))


def mutable_of(variables: Variables) -> list[str]:
    """Return the collections of variables that a training pass moves."""
    return [name for name in variables if name != "params"]


def film_embeddings(model: FilmsAndReports, variables: Variables, images: jax.Array) -> jax.Array:
    """Return the embeddings [film, dim] of uint8 films seen each alone, of length 1."""
    films = Films(normalised(images))
    embedded: Any
    _, embedded = model.apply(variables, films, train=False, method="embed_films")
    return embedded.image


def text_embeddings(model: FilmsAndReports, variables: Variables, tokens: Tokens) -> jax.Array:
    """Return the embeddings [text, dim] of texts, not normalised."""

    def embed(network: FilmsAndReports, tokens: Tokens) -> jax.Array:
        features = network.text_encoder.features(tokens, train=False)
        return network.text_encoder.embed(features, train=False).text

    embedded: Any = model.apply(variables, tokens, method=embed)
    return embedded


def same_network(source: ConfigDict) -> Mapping[str, Any]:
    """Return the fields of `model` that another stage needs to read with a stage's weights."""
    return dict(source.model.items())
