"""Losses that bring the two latents of a person together.

infonce  symmetric cross entropy of the matching pair among all pairs of the batch (CLIP)
swapped  the published contrastive loss: its cross entropy has the arguments exchanged, and is
         linear in the probability of the matching pair
cosine   mean angle between matching rows
euclid   distance
"""

import jax
import jax.numpy as jnp

from medjax.losses import info_nce, masked_mean
from medjax.losses.alignment import unit
from medjax.precision import at_least_float32

FLOOR = 1e-7
"""Of a sum of squares whose root divides."""
CLIP = 1e-7
"""Keras' epsilon: probabilities are kept inside [CLIP, 1 - CLIP]."""


def contrastive(
    left: jax.Array,
    right: jax.Array,
    log_scale: jax.Array | float,
    form: str = "infonce",
    mask: jax.Array | None = None,
) -> jax.Array:
    """Return the contrastive loss of paired rows [batch, width].

    Args:
        left, right: latents of two modalities; row i of both is of one person.
        log_scale: logarithm of the factor on the cosines (the inverse temperature).
        form: "infonce" or "swapped".
        mask: bool [batch], rows that count; others are in neither softmax.
    """
    scale = jnp.exp(jnp.asarray(log_scale).reshape(()))
    if form == "infonce":
        return info_nce(left, right, scale, mask=mask, floor=FLOOR)
    cosines = jnp.matmul(unit(left, FLOOR), unit(right, FLOOR).T, precision="highest")
    mask = jnp.ones(len(left), bool) if mask is None else mask
    # The diagonal stays, so that the softmax of a row that does not count is defined.
    seen = mask[None, :] | jnp.eye(len(left), dtype=bool)
    forward, back = (jnp.where(seen, scale * c, -jnp.inf) for c in (cosines, cosines.T))
    return masked_mean((_swapped_entropy(forward) + _swapped_entropy(back)) / 2, mask)


def _swapped_entropy(logits: jax.Array) -> jax.Array:
    """Cross entropy [row] of the identity, clipped, with softmax(logits) for its labels."""
    probability = jnp.diagonal(jax.nn.softmax(logits, 1))
    low, high = jnp.float32(CLIP), jnp.float32(1) - jnp.float32(CLIP)
    return -(probability * jnp.log(high) + (1 - probability) * jnp.log(low))


def cosine(
    left: jax.Array, right: jax.Array, clip: float = 1e-6, mask: jax.Array | None = None
) -> jax.Array:
    """Return the mean angle (radian) between the rows of two arrays [batch, width].

    The cosine is kept inside +-(1 - clip): at 1 the angle's gradient is infinite.
    """
    dot = (unit(left, FLOOR) * unit(right, FLOOR)).sum(-1)
    if mask is not None:
        dot = jnp.where(mask, dot, 0)
    return masked_mean(jnp.arccos(jnp.clip(dot, clip - 1, 1 - clip)), mask)


def euclid(
    left: jax.Array,
    right: jax.Array,
    reduction: str = "row_mean",
    mask: jax.Array | None = None,
) -> jax.Array:
    """Return the mean length of the rows' differences, or one "frobenius" norm of all of them."""
    square = jnp.square(at_least_float32(left) - at_least_float32(right)).sum(-1)
    if mask is not None:
        square = jnp.where(mask, square, 0)
    if reduction == "frobenius":
        return jnp.sqrt(jnp.maximum(square.sum(), FLOOR))
    return masked_mean(jnp.sqrt(jnp.maximum(square, FLOOR)), mask)
