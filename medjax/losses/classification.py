"""Losses of labels, given logits or probabilities."""

import jax
import jax.numpy as jnp

from medjax.losses.reduction import masked_mean
from medjax.precision import at_least_float32


def sigmoid_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the elementwise binary cross entropy of sigmoid(logits), stable for any logit.

    0, without gradient, where a target is NaN (not known).
    """
    logits = at_least_float32(logits)
    targets = jnp.asarray(targets, logits.dtype)
    known = ~jnp.isnan(targets)
    targets = jnp.where(known, targets, 0)
    entropy = -(targets * jax.nn.log_sigmoid(logits) + (1 - targets) * jax.nn.log_sigmoid(-logits))
    return jnp.where(known, entropy, 0)


def binary_cross_entropy(probabilities: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the elementwise binary cross entropy of probabilities.

    Each logarithm is clamped at -100, as in PyTorch, so that 0 and 1 give finite values.
    """
    log_p = jnp.maximum(jnp.log(probabilities), -100.0)
    log_not_p = jnp.maximum(jnp.log1p(-probabilities), -100.0)
    return -(targets * log_p + (1 - targets) * log_not_p)


def ranking(
    scores: jax.Array, labels: jax.Array, margin: float = 0.03, mask: jax.Array | None = None
) -> jax.Array:
    """Return the pairwise ranking loss of scores [batch, classes] with 0/1 labels.

    The sum over pairs (positive i, negative j) of max(0, margin + score_j - score_i) of a row,
    averaged over the rows.
    """
    gap = margin + scores[:, None, :] - scores[:, :, None]
    pair = (labels[:, :, None] > 0) & (labels[:, None, :] <= 0)
    return masked_mean(jnp.where(pair, jnp.maximum(gap, 0), 0).sum((1, 2)), mask)
