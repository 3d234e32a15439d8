"""The text encoder: a BERT whose word pieces are summed to words, and heads for text and words."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.bert import Bert, BertConfig
from medjax.precision import at_least_float32
from medjax.systems.medst.networks.heads import ProjectionHead, project_tokens


class Tokens(NamedTuple):
    """Tokenised texts."""

    ids: jax.Array
    """int [batch, token]"""
    mask: jax.Array
    """[batch, token], 1 or True for tokens that are none of padding."""
    words: jax.Array
    """int [batch, token], the word of every token, as `medjax.text.words.word_rows` gives it."""


class TextFeatures(NamedTuple):
    """What the encoder gives for a batch of texts, before the heads."""

    text: jax.Array
    """[batch, width], of [CLS]."""
    words: jax.Array
    """[batch, token - 1, width], sums over the pieces of each word behind [CLS]; zeros where there
    is no word."""
    attention: jax.Array
    """float32 [batch, token - 1], what [CLS] attends to in the last layer, summed likewise."""
    is_word: jax.Array
    """bool [batch, token - 1]"""
    last: jax.Array
    """Hidden states of the last layer, [batch, token, width]."""
    token_attention: jax.Array
    """What [CLS] attends to in the last layer, mean over the heads, [batch, token]."""


class TextEmbeddings(NamedTuple):
    """The same in the common space, not normalised."""

    text: jax.Array
    """[batch, dim]"""
    words: jax.Array
    """[batch, token - 1, dim]"""


class TextEncoder(nn.Module):
    """Tokens -> features and their embeddings."""

    bert_config: BertConfig
    positions: str = "sequential"
    """"sequential", or "zero": every token at position 0, which leaves a bag of words (MGCA)."""
    aggregation: str = "complete"
    """Of `word_rows`. "truncated" also credits a token with the attention to the next one."""
    hidden: int = 2048
    dim: int = 128
    groups: int = 1
    """Of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.bert = Bert(self.bert_config, self.dtype)
        head = (self.hidden, self.dim, self.groups, self.dtype)
        self.global_head, self.local_head = ProjectionHead(*head), ProjectionHead(*head)

    def features(self, tokens: Tokens, *, train: bool) -> TextFeatures:
        """Encode texts; dropout draws from the rng "dropout"."""
        places = jnp.zeros_like(tokens.ids) if self.positions == "zero" else None
        out = self.bert(tokens.ids, tokens.mask, positions=places, train=train, keep_attention=True)
        attention = at_least_float32(out.attentions[-1])[:, :, 0].mean(1)
        if self.aggregation == "truncated":
            credited = jnp.pad(attention[:, 1:], ((0, 0), (0, 1)))
        else:
            credited = attention.at[:, 0].set(0)
        rows = jnp.arange(tokens.ids.shape[1])
        belongs = tokens.words[:, None, :] == rows[None, :, None]
        share = belongs.astype(out.last.dtype)
        words = jnp.einsum("brt,btf->brf", share, out.last, precision="highest")
        summed = jnp.where(belongs, credited[:, None], 0).sum(-1)
        return TextFeatures(
            text=out.last[:, 0],
            words=words[:, 1:],
            attention=summed[:, 1:],
            is_word=belongs.any(-1)[:, 1:],
            last=out.last,
            token_attention=attention,
        )

    def embed(
        self,
        features: TextFeatures,
        mask: jax.Array | None = None,
        word_mask: jax.Array | None = None,
        *,
        train: bool,
    ) -> TextEmbeddings:
        """Project features; bool [batch] and [batch, token - 1] in the statistics, None: all."""
        text = self.global_head(features.text, mask, train=train)
        (words,) = project_tokens(self.local_head, [features.words], [word_mask], train=train)
        return TextEmbeddings(text, words)

    def __call__(self, tokens: Tokens, *, train: bool) -> tuple[TextFeatures, TextEmbeddings]:
        """Encode and project, all rows in the statistics."""
        features = self.features(tokens, train=train)
        return features, self.embed(features, train=train)
