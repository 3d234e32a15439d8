"""Losses that bring the features of two modalities together."""

import jax
import jax.numpy as jnp

from medjax.losses.reduction import masked_mean
from medjax.precision import at_least_float32


def unit(x: jax.Array, floor: float = 1e-24) -> jax.Array:
    """Return the rows of [batch, features] at length 1; a row of zeros stays, gradient finite.

    `floor` is the least square of a length that divides.
    """
    x = at_least_float32(x)
    square = jnp.square(x).sum(-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, floor))


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

    return masked_mean(1 - (unit(first) * unit(second)).sum(-1), mask)


def different_pairs(
    rows: int, group: jax.Array | None = None, mask: jax.Array | None = None
) -> jax.Array:
    """Return bool [batch, batch]: the pairs (i, j) of which a contrastive loss may ask something.

    These are i = j and, as negatives, pairs of different groups; both must be valid rows. Rows of
    one `group` [batch] (the same text, say) are no negatives of each other: to push them apart
    would be to push a text from itself.
    """
    same = jnp.eye(rows, dtype=bool)
    pairs = same | (True if group is None else group[:, None] != group[None, :])
    return pairs if mask is None else pairs & mask[:, None] & mask[None, :]


def info_nce(
    first: jax.Array,
    second: jax.Array,
    scale: jax.Array | float,
    group: jax.Array | None = None,
    mask: jax.Array | None = None,
    floor: float = 1e-24,
) -> jax.Array:
    """Return the symmetric InfoNCE loss (CLIP; Radford and others, 2021) of paired rows.

    Args:
        first, second: [batch, features] of two modalities, of any length.
        scale: the inverse temperature.
        group: [batch], rows that are no negatives of each other (`different_pairs`).
        mask: [batch], True for valid rows; the others are neither positives nor negatives.
        floor: of `unit`.
    """
    logits = scale * jnp.matmul(unit(first, floor), unit(second, floor).T, precision="highest")
    pairs = different_pairs(len(first), group, mask)
    # The diagonal stays, so that the sum over an invalid row is not empty.
    logits = jnp.where(pairs | jnp.eye(len(first), dtype=bool), logits, -jnp.inf)
    positive = jnp.diagonal(logits)
    both = jax.nn.logsumexp(logits, axis=1) + jax.nn.logsumexp(logits, axis=0)
    return masked_mean(both / 2 - positive, mask)


def sigmoid_pairs(
    first: jax.Array,
    second: jax.Array,
    scale: jax.Array | float,
    bias: jax.Array | float,
    group: jax.Array | None = None,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Return the pairwise sigmoid loss (SigLIP; Zhai and others, 2023) of paired rows.

    Every pair is a question of its own: do the two belong together? The sum over the pairs is
    divided by the number of valid rows. Arguments as for `info_nce`; `bias` is added to the logits.
    """
    logits = scale * jnp.matmul(unit(first), unit(second).T, precision="highest") + bias
    sign = 2 * jnp.eye(len(first)) - 1
    losses = jnp.where(
        different_pairs(len(first), group, mask), -jax.nn.log_sigmoid(sign * logits), 0
    )
    return masked_mean(losses.sum(1), mask)
