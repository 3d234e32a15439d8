"""Words of a report against patches of its films, each matched to what it attends to.

Every word attends to the patches and must be found again, by contrast with the other words of its
report, from what it saw; every patch likewise among the patches. How much each counts are weights:
learned by attention over the matched vectors (MedST), or those of the encoders' own class tokens
(MGCA).
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.losses.alignment import unit
from medjax.nn.attention import MultiHeadAttention


class LocalLosses(NamedTuple):
    """Of every row, [batch] each."""

    words: jax.Array
    patches: jax.Array


class Weights(NamedTuple):
    """How much each word and each patch counts; rows sum to 1, no gradient flows through them."""

    words: jax.Array
    """[batch, word]"""
    patches: jax.Array
    """[batch, patch]"""


class LocalAlignment(nn.Module):
    """The two losses of a batch, with the layers that they need."""

    learned: bool
    """Whether the weights are learned; else they are given."""
    temperature: float = 0.1
    heads: int = 1
    attention_layers: bool = False
    """Whether words and patches attend by layers of their own instead of by their products."""
    normalize_patch_context: bool = True
    """Whether what a patch saw is brought to length 1, as what a word saw is."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        if self.attention_layers:
            self.word_attention, self.patch_attention = self._layer(), self._layer()
        if self.learned:
            self.word_weights, self.patch_weights = self._layer(), self._layer()

    def _layer(self) -> MultiHeadAttention:
        return MultiHeadAttention(self.heads, dtype=self.dtype)

    def __call__(
        self,
        words: jax.Array,
        patches: jax.Array,
        is_word: jax.Array,
        word_valid: jax.Array | None = None,
        patch_valid: jax.Array | None = None,
        weights: Weights | None = None,
    ) -> LocalLosses:
        """Match words [batch, word, dim] and patches [batch, patch, dim], all of length 1.

        Args:
            words: of the reports; rows that are no word may hold anything finite.
            patches: of the films.
            is_word: bool [batch, word]; patches attend to words alone.
            word_valid: bool [batch, word], those that are matched; None: all.
            patch_valid: bool [batch, patch], those that are matched and attended to; None: all.
            weights: where they are not learned.
        """
        seen = unit(self._context(words, patches, patch_valid, "word"))
        found = self._context(patches, words, is_word, "patch")
        if self.normalize_patch_context:
            found = unit(found)
        if self.learned:
            of_words = self._learned(words, seen, word_valid, "word")
            of_patches = self._learned(patches, found, patch_valid, "patch")
        else:
            assert weights is not None
            of_words, of_patches = weights
        return LocalLosses(
            token_matching(words, seen, of_words, self.temperature, word_valid),
            token_matching(patches, found, of_patches, self.temperature, patch_valid),
        )

    def _context(
        self, queries: jax.Array, keys: jax.Array, allowed: jax.Array | None, kind: str
    ) -> jax.Array:
        """What each query saw of the allowed keys, [batch, query, dim]."""
        if not self.attention_layers:
            return attended(queries, keys, self.temperature, allowed)
        layer = self.word_attention if kind == "word" else self.patch_attention
        where = None if allowed is None else allowed[:, None, None, :]
        return layer(queries, keys, where, train=False)[0]

    def _learned(
        self, tokens: jax.Array, seen: jax.Array, valid: jax.Array | None, kind: str
    ) -> jax.Array:
        """Attention of the mean of the matched vectors to each of them, [batch, token]."""
        matched = unit(tokens * seen)
        if valid is None:
            mean, where = matched.mean(1, keepdims=True), None
        else:
            count = jnp.maximum(valid.sum(1), 1)[:, None, None]
            mean = jnp.where(valid[..., None], matched, 0).sum(1, keepdims=True) / count
            where = valid[:, None, None, :]
        layer = self.word_weights if kind == "word" else self.patch_weights
        _, attention = layer(mean, matched, where, train=False)
        weights = attention[:, :, 0].mean(1)
        return weights if valid is None else jnp.where(valid, weights, 0)


def attended(
    queries: jax.Array, keys: jax.Array, temperature: float, allowed: jax.Array | None = None
) -> jax.Array:
    """Return softmax(queries keys^T / temperature) keys, [batch, query, dim].

    allowed: bool [batch, key].
    """
    scores = jnp.einsum("bqd,bkd->bqk", queries, keys) / temperature
    if allowed is not None:
        # A finite minimum: where nothing is allowed there is some number, not NaN.
        scores = jnp.where(allowed[:, None], scores, jnp.finfo(scores.dtype).min)
    return jnp.einsum("bqk,bkd->bqd", jax.nn.softmax(scores), keys)


def token_matching(
    tokens: jax.Array,
    seen: jax.Array,
    weights: jax.Array,
    temperature: float,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Return the contrastive loss [batch] of tokens and what each saw, [batch, token, dim] both.

    It is the weighted sum of the tokens' cross entropies, the mean of both directions.

    weights: [batch, token], 0 where not valid; valid: bool [batch, token], None: all.
    """
    logits = jnp.einsum("bid,bjd->bij", tokens, seen) / temperature
    if valid is not None:
        # The diagonal stays, so that the sum over a token that does not count is not empty.
        pairs = valid[:, :, None] & valid[:, None, :] | jnp.eye(tokens.shape[1], dtype=bool)
        logits = jnp.where(pairs, logits, -jnp.inf)
    positive = jnp.diagonal(logits, axis1=1, axis2=2)
    both = jax.nn.logsumexp(logits, axis=2) + jax.nn.logsumexp(logits, axis=1)
    return ((both / 2 - positive) * weights).sum(1)


def clipped_share(weights: jax.Array, low: float = 0.1, high: float = 0.9) -> jax.Array:
    """Clip the non-zero weights of each row [batch, token] to two of their quantiles; sum to 1.

    Quantiles are interpolated linearly; no gradient flows through.
    """
    weights = jax.lax.stop_gradient(weights)
    there = weights != 0
    ordered = jnp.sort(jnp.where(there, weights, jnp.inf))
    last = jnp.maximum(there.sum(1, keepdims=True) - 1, 0)

    def quantile(share: float) -> jax.Array:
        place = last * share
        below = jnp.floor(place).astype(jnp.int32)
        above = jnp.minimum(below + 1, last)
        first, second = (jnp.take_along_axis(ordered, i, 1) for i in (below, above))
        return first + (second - first) * (place - below)

    clipped = jnp.where(there, jnp.clip(weights, quantile(low), quantile(high)), 0)
    return clipped / jnp.maximum(clipped.sum(1, keepdims=True), jnp.finfo(clipped.dtype).tiny)
