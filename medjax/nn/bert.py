"""BERT (Devlin et al. 2019): a text encoder in the form of the Hugging Face `BertModel`.

Post-norm layers, learned positions, token types where the model has them, an optional pooler.
Cross-attention and decoding are not part of it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.activations import gelu
from medjax.nn.attend import attend
from medjax.nn.linear import Linear, as_rows

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": gelu,
    "gelu_new": partial(nn.gelu, approximate=True),
    "gelu_pytorch_tanh": partial(nn.gelu, approximate=True),
    "relu": nn.relu,
}
"""By the names of `config.json`: "gelu" is exact (erf), the next two its tanh approximation."""


class BertConfig(NamedTuple):
    """Sizes of a BERT, by the names of `config.json`."""

    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    """0: no embeddings of token types."""
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    """A name of ACTIVATIONS."""
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    pooler: bool = False
    """Whether the first token goes through a tanh layer besides."""


class BertOutput(NamedTuple):
    """What a BERT gives for a batch of token sequences."""

    last: jax.Array
    """Hidden states of the last layer, [batch, token, width]."""
    pooled: jax.Array | None
    """[batch, width]; None without a pooler."""
    hidden_states: tuple[jax.Array, ...]
    """Of the embeddings and of every layer, [batch, token, width] each; () unless kept."""
    attentions: tuple[jax.Array, ...]
    """Of every layer, before dropout, [batch, head, query, key] each; () unless kept."""


class Bert(nn.Module):
    """Token ids [batch, token] -> hidden states."""

    config: BertConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.embeddings = Embeddings(self.config, self.dtype)
        self.layers = [Layer(self.config, self.dtype) for _ in range(self.config.num_hidden_layers)]
        if self.config.pooler:
            self.pooler = _linear(self.config, self.config.hidden_size, self.dtype)

    def __call__(
        self,
        ids: jax.Array,
        mask: jax.Array | None = None,
        *,
        types: jax.Array | None = None,
        positions: jax.Array | None = None,
        train: bool = False,
        keep_hidden: bool = False,
        keep_attention: bool = False,
    ) -> BertOutput:
        """Encode tokens.

        Args:
            ids: int [batch, token].
            mask: [batch, token], 1 or True for tokens that may be attended to; None: all.
            types: token types, int [batch, token]; None: all 0.
            positions: int [batch, token]; None: 0, 1, 2, ...
            train: apply dropout (rng "dropout").
            keep_hidden: return the hidden states of every layer.
            keep_attention: return the attention probabilities of every layer.

        Raises:
            ValueError: more tokens than positions.
        """
        allowed = jnp.ones(ids.shape, bool) if mask is None else mask.astype(bool)
        x = self.embeddings(ids, types, positions, train=train)
        hidden, attentions = [x], []
        for layer in self.layers:
            x, attention = layer(x, allowed, train=train)
            hidden.append(x)
            attentions.append(attention)
        pooled = jnp.tanh(self.pooler(x[:, 0])) if self.config.pooler else None
        return BertOutput(
            last=x,
            pooled=pooled,
            hidden_states=tuple(hidden) if keep_hidden else (),
            attentions=tuple(attentions) if keep_attention else (),
        )


class Embeddings(nn.Module):
    """Sum of word, position and type embeddings, normalised."""

    config: BertConfig
    dtype: jnp.dtype

    def setup(self) -> None:
        table = partial(
            nn.Embed,
            features=self.config.hidden_size,
            embedding_init=nn.initializers.normal(self.config.initializer_range),
            dtype=self.dtype,
        )
        self.word = table(self.config.vocab_size)
        self.position = table(self.config.max_position_embeddings)
        if self.config.type_vocab_size:
            self.token_type = table(self.config.type_vocab_size)
        self.norm = _norm(self.config, self.dtype)
        self.dropout = nn.Dropout(self.config.hidden_dropout_prob)

    def __call__(
        self, ids: jax.Array, types: jax.Array | None, positions: jax.Array | None, *, train: bool
    ) -> jax.Array:
        tokens = ids.shape[1]
        most = self.config.max_position_embeddings
        if tokens > most:
            raise ValueError(f"{tokens} tokens, but this BERT has {most} positions")
        places = jnp.arange(tokens)[None] if positions is None else positions
        x = self.word(ids) + self.position(places)
        if self.config.type_vocab_size:
            x += self.token_type(jnp.zeros_like(ids) if types is None else types)
        return self.dropout(self.norm(x), deterministic=not train)


class Layer(nn.Module):
    """Self-attention and a two-layer perceptron, each added to its input and normalised."""

    config: BertConfig
    dtype: jnp.dtype

    def setup(self) -> None:
        width = self.config.hidden_size
        self.query, self.key, self.value, self.attention_output = (
            _linear(self.config, width, self.dtype) for _ in range(4)
        )
        self.attention_norm = _norm(self.config, self.dtype)
        self.intermediate = _linear(self.config, self.config.intermediate_size, self.dtype)
        self.output = _linear(self.config, width, self.dtype)
        self.output_norm = _norm(self.config, self.dtype)
        self.dropout = nn.Dropout(self.config.hidden_dropout_prob)
        self.attention_dropout = nn.Dropout(self.config.attention_probs_dropout_prob)

    def __call__(
        self, x: jax.Array, allowed: jax.Array, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """x [batch, token, width], allowed bool [batch, token] -> x, attention probabilities."""
        attended, attention = self._attend(x, allowed, train)
        rows = as_rows(x) + as_rows(self.dropout(attended, deterministic=not train))
        rows = self.attention_norm(rows)
        inner = ACTIVATIONS[self.config.hidden_act](self.intermediate(rows))
        rows = rows + self.dropout(self.output(inner), deterministic=not train)
        return self.output_norm(rows).reshape(x.shape), attention

    def _attend(self, x: jax.Array, allowed: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        heads = self.config.num_attention_heads

        def split(projected: jax.Array) -> jax.Array:
            return projected.reshape(*x.shape[:2], heads, -1)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        kept = None
        if train and self.config.attention_probs_dropout_prob:
            shape = (len(x), heads, x.shape[1], x.shape[1])
            kept = self.attention_dropout(jnp.ones(shape, x.dtype), deterministic=False)
        mixed, attention = attend(query, key, value, allowed[:, None, None, :], kept)
        return self.attention_output(mixed.reshape(x.shape)), attention.astype(x.dtype)


def _linear(config: BertConfig, features: int, dtype: jnp.dtype) -> Linear:
    normal = nn.initializers.normal(config.initializer_range)
    return Linear(features, kernel_init=normal, bias_init=nn.initializers.zeros, dtype=dtype)


def _norm(config: BertConfig, dtype: jnp.dtype) -> nn.LayerNorm:
    # The fast variance, E[x^2] - E[x]^2, loses digits.
    return nn.LayerNorm(config.layer_norm_eps, dtype=dtype, use_fast_variance=False)


def pool_tokens(hidden: jax.Array, mask: jax.Array, pooling: str) -> jax.Array:
    """Pool hidden states [batch, token, width] to [batch, width].

    Args:
        hidden: of the last layer.
        mask: [batch, token], 1 for tokens, 0 for padding.
        pooling: "masked_mean" over the tokens, "mean_with_padding" over all places, or
            "first_token".

    Raises:
        ValueError: another pooling.
    """
    if pooling == "first_token":
        return hidden[:, 0]
    if pooling == "mean_with_padding":
        return hidden.mean(1)
    if pooling != "masked_mean":
        raise ValueError(f"unknown pooling {pooling!r}")
    weights = mask.astype(hidden.dtype)
    total = jnp.einsum("btw,bt->bw", hidden, weights)
    return total / jnp.maximum(weights.sum(1, keepdims=True), 1)
