"""Multi-head attention (Vaswani et al. 2017) in the form of PyTorch's `MultiheadAttention`."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from medjax.nn.attend import attend
from medjax.nn.dropout import Dropout
from medjax.nn.linear import Linear, as_rows


class AttentionInput(nn.Module):
    """The projections to query, key and value: one kernel [width, 3 width] in that order."""

    kernel_init: Initializer
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, memory: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Project queries of x [..., position, width]; keys and values of `memory`, None: of x."""
        width = x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (width, 3 * width), jnp.float32)
        kernel = kernel.astype(self.dtype)
        bias = jnp.zeros((3 * width,), self.dtype)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (3 * width,), jnp.float32)
            bias = bias.astype(self.dtype)

        def project(x: jax.Array, first: int, last: int) -> list[jax.Array]:
            """Multiply by the parts of the kernel from one to another."""
            part = slice(first * width, last * width)
            rows = as_rows(x.astype(self.dtype)) @ kernel[:, part] + bias[part]
            return jnp.split(rows.reshape(*x.shape[:-1], -1), last - first, axis=-1)

        if memory is None:
            query, key, value = project(x, 0, 3)
        else:
            (query,), (key, value) = project(x, 0, 1), project(memory, 1, 3)
        return query, key, value


class MultiHeadAttention(nn.Module):
    """Self-attention, or attention to a memory; biases start at 0.

    The kernel of the input is drawn by Glorot's rule, that of the output by PyTorch's default,
    unless initialisers are given.
    """

    heads: int
    dropout: float = 0.0
    """Of attention probabilities, in training."""
    input_bias: bool = True
    input_init: Initializer | None = None
    output_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        memory: jax.Array | None = None,
        allowed: jax.Array | None = None,
        *,
        train: bool,
    ) -> tuple[jax.Array, jax.Array]:
        """Attend from x [batch, query, width].

        Args:
            x: queries.
            memory: [batch, key, width]; None: x itself.
            allowed: bool, broadcast to [batch, head, query, key]: what may be attended to.
            train: apply dropout (rng "dropout").

        Returns:
            [batch, query, width], and the probabilities [batch, head, query, key] before dropout.
        """
        width = x.shape[-1]
        init = self.input_init or nn.initializers.xavier_uniform()
        projected = AttentionInput(init, self.input_bias, self.dtype, name="input")(x, memory)
        query, key, value = (
            p.reshape(*p.shape[:-1], self.heads, width // self.heads) for p in projected
        )
        kept = None
        if train and self.dropout:
            shape = (len(x), self.heads, query.shape[1], key.shape[1])
            kept = Dropout(self.dropout)(jnp.ones(shape, value.dtype), train=train)
        mixed, attention = attend(query, key, value, allowed, kept)
        out = Linear(
            width,
            kernel_init=self.output_init,
            bias_init=nn.initializers.zeros,
            dtype=self.dtype,
            name="output",
        )
        return out(mixed.reshape(x.shape)), attention
