"""Classification of films from what a frozen encoder sees: a linear layer, or two."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from medjax.losses import masked_mean, sigmoid_cross_entropy
from medjax.nn.batch_norm import BatchNorm
from medjax.nn.dropout import Dropout
from medjax.nn.linear import Linear
from medjax.precision import at_least_float32


class Probe(nn.Module):
    """Features [batch, features] -> logits [batch, classes]."""

    classes: int
    hidden: int = 0
    """Width of a layer between; 0: none."""
    dropout: float = 0.0
    groups: int = 1
    """Of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None, *, train: bool) -> jax.Array:
        """mask: bool [batch], rows in BatchNorm's statistics."""
        linear = partial(Linear, dtype=self.dtype)
        x = Dropout(self.dropout)(x, train=train)
        if self.hidden:
            x = linear(self.hidden, use_bias=False, name="hidden")(x)
            norm = BatchNorm(groups=self.groups, dtype=self.dtype, name="hidden_norm")
            x = nn.relu(norm(x, mask, train=train))
            x = Dropout(self.dropout)(x, train=train)
        return linear(self.classes, name="output")(x)


def probe_loss(
    logits: jax.Array, labels: jax.Array, multilabel: bool, mask: jax.Array | None = None
) -> jax.Array:
    """Return the mean cross entropy over rows.

    labels: [batch, classes] of 0 and 1 where `multilabel`, else int [batch], the class.
    """
    logits = at_least_float32(logits)
    if multilabel:
        return masked_mean(sigmoid_cross_entropy(logits, labels), mask)
    return masked_mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels), mask)
