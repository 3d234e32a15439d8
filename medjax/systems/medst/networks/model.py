"""The networks of pre-training: MedST and MGCA, two encoders and what compares their outputs."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.losses.alignment import unit
from medjax.nn.bert import BertConfig
from medjax.nn.vit import ViTConfig
from medjax.systems.medst.networks.image_encoder import (
    RESNET_SIDE,
    Embeddings,
    ImageEncoder,
    ImageFeatures,
)
from medjax.systems.medst.networks.local_alignment import (
    LocalAlignment,
    LocalLosses,
    Weights,
    clipped_share,
)
from medjax.systems.medst.networks.prototypes import Prototypes
from medjax.systems.medst.networks.text_encoder import TextEncoder, TextFeatures, Tokens
from medjax.systems.medst.networks.vit import join_rows, split_rows

FLOOR = 1e-24
"""Least square of a length that divides."""


class Films(NamedTuple):
    """Normalised films of a batch, [rows, height, width, 3]."""

    frontal: jax.Array
    lateral: jax.Array | None = None
    """Of the first rows of each part of the batch; see `ViewViT.views`."""
    has_lateral: jax.Array | None = None
    """bool [lateral]"""


class Aligned(NamedTuple):
    """What a network gives for a batch of films with their reports."""

    image: jax.Array
    """[batch, dim], of length 1."""
    text: jax.Array
    """[batch, dim], of length 1."""
    local: LocalLosses
    patches: Embeddings
    """Of the films, patches of length 1."""
    words: jax.Array
    """[batch, word, dim], of length 1."""
    text_features: TextFeatures
    image_scores: jax.Array | None = None
    """Against the prototypes, [batch, prototype]; of MGCA only."""
    text_scores: jax.Array | None = None


class FilmsAndReports(nn.Module):
    """Both encoders; `MedST` and `MGCA` say how their outputs are compared."""

    backbone: str | ViTConfig = "vit_base_patch16_224"
    width: int = 64
    bert_config: BertConfig = BertConfig(28996, num_hidden_layers=6, type_vocab_size=0)
    text_positions: str = "sequential"
    """Of `TextEncoder`."""
    word_aggregation: str = "complete"
    """Of `word_rows`."""
    hidden: int = 2048
    dim: int = 128
    """Of the common space."""
    local_temperature: float = 0.1
    heads: int = 1
    """Of the attention between words and patches."""
    attention_layers: bool = False
    """Of `LocalAlignment`."""
    normalize_patch_context: bool = True
    mask_padding_words: bool = True
    """Whether rows behind the last word are in no mean, matching or statistic."""
    mask_missing_lateral: bool = True
    """Whether tokens of absent lateral films are in no mean, matching or statistic."""
    groups: int = 1
    """Of BatchNorm statistics."""
    parts: int = 1
    """Parts of a batch, in each of which rows with lateral films come first; a multiple of
    `groups` where not every row has a place for one."""
    dtype: jnp.dtype = jnp.float32
    resnet_side: int = RESNET_SIDE
    """Of `ImageEncoder`."""

    experts = True
    learned_weights = True

    def setup(self) -> None:
        sizes = (self.hidden, self.dim, self.groups, self.dtype)
        self.image_encoder = ImageEncoder(
            self.backbone, self.width, self.experts, *sizes, self.resnet_side
        )
        self.text_encoder = TextEncoder(
            self.bert_config, self.text_positions, self.word_aggregation, *sizes
        )
        self.local_alignment = LocalAlignment(
            self.learned_weights,
            self.local_temperature,
            self.heads,
            self.attention_layers,
            self.normalize_patch_context,
        )

    def embed_films(
        self, films: Films, mask: jax.Array | None = None, *, train: bool
    ) -> tuple[ImageFeatures, Embeddings]:
        """Return features of films and their embeddings, the latter of length 1."""
        frontal, lateral, has = films
        encoder = self.image_encoder
        features = encoder.features(frontal, lateral, has, self.parts, mask, train=train)
        counted = None
        if lateral is not None:
            counted = has if self.mask_missing_lateral else None
            if mask is not None:
                rows, _ = split_rows(mask, len(lateral), self.parts)
                counted = rows if counted is None else rows & counted
        image, patches, other = encoder.embed(features, mask, counted, train=train)
        other = None if other is None else unit(other, FLOOR)
        return features, Embeddings(unit(image, FLOOR), unit(patches, FLOOR), other)

    def embed_texts(
        self, tokens: Tokens, mask: jax.Array | None = None, *, train: bool
    ) -> tuple[TextFeatures, jax.Array, jax.Array]:
        """Return features of texts, their embeddings and those of their words, of length 1."""
        features = self.text_encoder.features(tokens, train=train)
        counted = features.is_word if self.mask_padding_words else None
        if mask is not None:
            rows = jnp.broadcast_to(mask[:, None], features.is_word.shape)
            counted = rows if counted is None else rows & counted
        text, words = self.text_encoder.embed(features, mask, counted, train=train)
        return features, unit(text, FLOOR), unit(words, FLOOR)

    def match(
        self,
        words: jax.Array,
        is_word: jax.Array,
        films: Films,
        embedded: Embeddings,
        weights: Weights | None,
    ) -> LocalLosses:
        """Return the local losses; rows without a place for a lateral film are matched apart."""
        valid = is_word if self.mask_padding_words else None
        patches, lateral = embedded.patches, embedded.lateral
        if lateral is None:
            return self.local_alignment(words, patches, is_word, valid, None, weights)
        few, parts = len(lateral), self.parts
        (words, other_words), (is_word, other_is), (patches, other_patches) = (
            split_rows(x, few, parts) for x in (words, is_word, patches)
        )
        both = jnp.concatenate([patches, lateral], 1)
        there = None
        if self.mask_missing_lateral:
            assert films.has_lateral is not None
            has = jnp.broadcast_to(films.has_lateral[:, None], lateral.shape[:2])
            there = jnp.concatenate([jnp.ones(patches.shape[:2], bool), has], 1)
        masked = self.mask_padding_words
        first = self.local_alignment(words, both, is_word, is_word if masked else None, there)
        if not len(other_words):
            return first
        rest = self.local_alignment(
            other_words, other_patches, other_is, other_is if masked else None
        )
        return LocalLosses(*(join_rows(a, b, parts) for a, b in zip(first, rest)))


class MedST(FilmsAndReports):
    """MedST (Yang et al. 2024): frontal and lateral films, learned weights of words and patches."""

    def __call__(
        self, films: Films, tokens: Tokens, mask: jax.Array | None = None, *, train: bool
    ) -> Aligned:
        """Compare a batch of films with their reports.

        Args:
            films: of `rows` studies.
            tokens: of their reports.
            mask: bool [rows], those in BatchNorm's statistics; None: all.
            train: dropout (rng "dropout"), and BatchNorm by the batch's statistics.
        """
        _, embedded = self.embed_films(films, mask, train=train)
        features, text, words = self.embed_texts(tokens, mask, train=train)
        local = self.match(words, features.is_word, films, embedded, None)
        return Aligned(embedded.image, text, local, embedded, words, features)


class MGCA(FilmsAndReports):
    """MGCA (Wang et al. 2022): one film, weights from the encoders' attention, prototypes."""

    prototypes: int = 500
    experts = False
    learned_weights = False

    def setup(self) -> None:
        super().setup()
        self.prototype_layer = Prototypes(self.prototypes)

    def __call__(
        self, films: Films, tokens: Tokens, mask: jax.Array | None = None, *, train: bool
    ) -> Aligned:
        """Compare a batch of films with their reports; arguments as of `MedST`."""
        seen, embedded = self.embed_films(films, mask, train=train)
        features, text, words = self.embed_texts(tokens, mask, train=train)
        if seen.attention is None:
            patch_count = embedded.patches.shape[1]
            of_patches = jnp.full(embedded.patches.shape[:2], 1 / patch_count)
        else:
            of_patches = clipped_share(seen.attention)
        weights = Weights(clipped_share(features.attention), of_patches)
        local = self.match(words, features.is_word, films, embedded, weights)
        scores = self.prototype_layer(embedded.image), self.prototype_layer(text)
        return Aligned(embedded.image, text, local, embedded, words, features, *scores)
