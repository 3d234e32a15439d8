"""The query decoder (Carion et al. 2020): entities look at one another, then at the image."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from medjax.nn.attention import MultiHeadAttention
from medjax.nn.dropout import Dropout
from medjax.nn.linear import Linear

EPSILON = 1e-5
"""Of LayerNorm."""
small_normal = nn.initializers.normal(0.02)
"""Of the weights of every linear layer."""


class DecoderLayer(nn.Module):
    """Self-attention of the queries, attention to the memory, perceptron; each with a short cut."""

    width: int
    heads: int
    feedforward: int
    dropout: float
    norm: str
    """"pre": each part reads its normalised input; "post": each sum is normalised."""
    self_attention: str
    """"added", or with "post" also "discarded", as published: what it gives is not used."""
    kernel_init: Initializer | None = small_normal
    """Of every linear layer; None: PyTorch's defaults."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        attention = partial(
            MultiHeadAttention,
            self.heads,
            dropout=self.dropout,
            input_init=self.kernel_init,
            output_init=self.kernel_init,
            dtype=self.dtype,
        )
        linear = partial(Linear, kernel_init=self.kernel_init, dtype=self.dtype)
        self.self_attend, self.cross_attend = attention(), attention()
        self.hidden, self.output = linear(self.feedforward), linear(self.width)
        self.norms = [layer_norm(self.dtype) for _ in range(3)]
        self.drop = Dropout(self.dropout)

    def __call__(self, x: jax.Array, memory: jax.Array, *, train: bool) -> tuple:
        """x [batch, query, width], memory [batch, patch, width] -> x, attention to the memory.

        The attention is [batch, query, patch], the mean over the heads, before dropout.
        """
        pre = self.norm == "pre"

        def before(index: int, x: jax.Array) -> jax.Array:
            return self.norms[index](x) if pre else x

        def after(index: int, x: jax.Array) -> jax.Array:
            return x if pre else self.norms[index](x)

        drop = partial(self.drop, train=train)
        mixed, _ = self.self_attend(before(0, x), train=train)
        if pre or self.self_attention == "added":
            x = x + drop(mixed)
        x = after(0, x)
        seen, attention = self.cross_attend(before(1, x), memory, train=train)
        x = after(1, x + drop(seen))
        inner = drop(nn.relu(self.hidden(before(2, x))))
        x = after(2, x + drop(self.output(inner)))
        return x, attention.mean(1)


class Decoder(nn.Module):
    """Queries [batch, query, width] and memory [batch, patch, width] -> what each query found."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    feedforward: int = 1024
    dropout: float = 0.1
    norm: str = "pre"
    self_attention: str = "added"
    final_norm: bool = True
    kernel_init: Initializer | None = small_normal
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.blocks = [
            DecoderLayer(
                self.width,
                self.heads,
                self.feedforward,
                self.dropout,
                self.norm,
                self.self_attention,
                self.kernel_init,
                self.dtype,
            )
            for _ in range(self.layers)
        ]
        if self.final_norm:
            self.last_norm = layer_norm(self.dtype)

    def __call__(
        self, queries: jax.Array, memory: jax.Array, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Return [batch, query, width] and attention maps [layer, batch, query, patch]."""
        x, maps = queries, []
        for block in self.blocks:
            x, attention = block(x, memory, train=train)
            maps.append(attention)
        return (self.last_norm(x) if self.final_norm else x), jnp.stack(maps)


def layer_norm(dtype: jnp.dtype) -> nn.LayerNorm:
    """Return a LayerNorm; the fast variance, E[x^2] - E[x]^2, loses digits."""
    return nn.LayerNorm(EPSILON, dtype=dtype, use_fast_variance=False)
