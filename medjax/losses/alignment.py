"""Losses that bring the features of two modalities together."""

import jax
import jax.numpy as jnp

from medjax.losses.reduction import masked_mean
from medjax.precision import at_least_float32


def kl_alignment(
    target: jax.Array,
    features: jax.Array,
    temperature: float = 0.2,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Return the mean over rows of KL(softmax(target / T) || softmax(features / T)).

    Both are [batch, features]; no gradient reaches the target.
    """
    target, features = at_least_float32(target), at_least_float32(features)
    log_p = jax.nn.log_softmax(jax.lax.stop_gradient(target) / temperature)
    log_q = jax.nn.log_softmax(features / temperature)
    return masked_mean((jnp.exp(log_p) * (log_p - log_q)).sum(-1), mask)


def cosine_alignment(
    first: jax.Array, second: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Return 1 - the mean cosine between the rows of two [batch, features] arrays."""

    def unit(x: jax.Array) -> jax.Array:
        x = at_least_float32(x)
        # The floor under the squared norm keeps the gradient of an all-zero row finite.
        square = jnp.square(x).sum(-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.maximum(square, 1e-24))

    return masked_mean(1 - (unit(first) * unit(second)).sum(-1), mask)
